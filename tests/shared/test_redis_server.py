"""The Redis servers that tests start: real ones, which can be killed, paused and restarted."""

from __future__ import annotations

from pathlib import Path

import pytest
import redis
import trustme
from redis.exceptions import NoPermissionError

from support.redis import RedisServer, running_redis

PASSWORD = "pass word#\N{GREEK SMALL LETTER LAMDA}"


def value(server: RedisServer, key: str = "k") -> str | None:
    with server.client() as client:
        found = client.get(key)
    assert found is None or isinstance(found, str)
    return found


def put(server: RedisServer, text: str, key: str = "k") -> None:
    with server.client() as client:
        client.set(key, text)


def setting(server: RedisServer, name: str) -> str:
    with server.client() as client:
        return str(dict(client.config_get(name))[name])


def test_a_server_starts_and_keeps_nothing_of_its_own(tmp_path: Path) -> None:
    with running_redis(tmp_path / "a") as one, running_redis(tmp_path / "b") as other:
        assert one.port != other.port
        put(one, "v")
        assert (value(one), value(other)) == ("v", None)
        assert one.url == f"redis://127.0.0.1:{one.port}/0"
        assert (setting(one, "save"), setting(one, "appendonly"), setting(one, "maxmemory-policy")) == (
            "",
            "no",
            "noeviction",
        )
        pid = one.pid
    assert not Path(f"/proc/{pid}").exists()


def test_a_unix_socket(tmp_path: Path) -> None:
    with running_redis(tmp_path, on_socket=True) as server:
        assert server.url == f"unix://{server.socket}"
        put(server, "v")
        server.restart()
        assert value(server) is None
        socket = server.socket
    assert socket is not None
    assert not socket.parent.exists()


def test_a_password(tmp_path: Path) -> None:
    with running_redis(tmp_path, password=PASSWORD) as server:
        put(server, "v")
        with server.client(password="") as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        with server.client(password="other") as client, pytest.raises(redis.AuthenticationError):
            client.ping()
        assert PASSWORD not in server.url


@pytest.mark.parametrize("in_file", [False, True])
def test_users(tmp_path: Path, in_file: bool) -> None:
    users = ["default off", "alice on >secret ~callgate:* +@all"]
    file = "".join(f"user {user}\n" for user in users)
    with running_redis(tmp_path, users=() if in_file else users, acl_file=file if in_file else None) as server:
        with server.client("alice", "secret") as client:
            assert client.set("callgate:k", "v")
            with pytest.raises(NoPermissionError):
                client.set("k", "v")
        with server.client() as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_tls(tmp_path: Path) -> None:
    with running_redis(tmp_path, tls=trustme.CA(), password="secret") as server:
        assert server.url == f"rediss://localhost:{server.port}/0"
        put(server, "v")
        assert value(server) == "v"
        trustme.CA().cert_pem.write_to_path(str(server.ca))
        with server.client() as client, pytest.raises(redis.ConnectionError, match="certificate verify failed"):
            client.ping()


def test_a_kill_loses_everything_and_the_port_stays(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server:
        put(server, "v")
        port, pid = server.port, server.pid
        server.kill()
        with pytest.raises(redis.ConnectionError):
            value(server)
        server.start()
        assert server.port == port
        assert server.pid != pid
        assert value(server) is None


def test_data_survive_a_restart_where_settings_keep_them(tmp_path: Path) -> None:
    with running_redis(tmp_path, lines=["appendonly yes", "appendfsync always"]) as server:
        put(server, "v")
        server.restart()
        assert value(server) == "v"
        server.kill()
        server.start()
        assert value(server) == "v"


def test_a_paused_server_answers_nothing_until_it_goes_on(tmp_path: Path) -> None:
    with running_redis(tmp_path) as server, server.client() as client:
        client.ping()
        server.pause()
        with server.client(timeout_s=0.1) as impatient, pytest.raises(redis.TimeoutError):
            impatient.ping()
        server.resume()
        assert client.ping()
        # It is ended while it is paused.
        server.pause()


def test_a_replica(tmp_path: Path) -> None:
    with running_redis(tmp_path / "a", password=PASSWORD) as primary:
        put(primary, "v")
        with running_redis(tmp_path / "b", password=PASSWORD, replica_of=primary) as replica:
            replica.wait_for_primary()
            assert value(replica) == "v"
            with replica.client() as client:
                with pytest.raises(redis.ReadOnlyError):
                    client.set("k", "w")
                primary.kill()
                client.replicaof("NO", "ONE")
                assert client.set("k", "w")


def test_a_replica_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    with (
        running_redis(tmp_path / "a", tls=authority) as primary,
        running_redis(tmp_path / "b", tls=authority, replica_of=primary) as replica,
    ):
        replica.wait_for_primary()


def test_what_is_removed_where_memory_is_full(tmp_path: Path) -> None:
    with running_redis(tmp_path, maxmemory_policy="allkeys-lru", lines=["maxmemory 4mb"]) as server:
        assert setting(server, "maxmemory-policy") == "allkeys-lru"
        with server.client() as client:
            for number in range(100):
                client.set(str(number), "x" * 100_000)
            assert client.dbsize() < 100


def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="Bad directive"), running_redis(tmp_path, lines=["nonsense yes"]):
        pass
