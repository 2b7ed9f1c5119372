"""Redis servers that must be used, and those that must not: the log and the status say why, and never a secret."""

from __future__ import annotations

import socketserver
from contextlib import contextmanager
from threading import Thread
from typing import TYPE_CHECKING, Any

import trustme

from support.planes import wait_until
from support.redis import HOST, running_redis
from support.shared import KEY, UNAVAILABLE, Node, limit, node, policy

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD = "a-pass-word-4711"
WRONG = "another-pass-word-4712"
RIGHTS = "on >{} ~callgate:* &* +@read +@write +@connection +info +eval +evalsha +script|load +time"
"""The rights of `docs/scaling.md`."""

POLICIES = {
    "s": policy(
        "servers",
        strict=[limit("strict", 5, shared="strict")],
        leased=[limit("leased", 5, shared="leased")],
    ),
}
SECRETS = (PASSWORD, WRONG, KEY)


@contextmanager
def alone(folder: Path, url: str, **more: Any) -> Iterator[Node]:
    """A sidecar, whose log, metrics and greeting have no secret."""
    with node(folder / "node", url, POLICIES, **more) as one:
        yield one
        check_no_secret(one.log, one.metrics(), *one.running.greeting)


def check_no_secret(*texts: str) -> None:
    assert not [secret for secret in SECRETS for text in texts if secret in text]


def shared_fault(one: Node) -> str | None:
    """The fault that the status tells, which has no secret anywhere."""
    status = one.status
    check_no_secret(str(status))
    fault: str | None = status["counters"]["shared_fault"]
    return fault


def check_works(one: Node) -> None:
    one.wait_for_counts("s")
    assert (one.admitted(6, "strict"), one.admitted(6, "leased")) == (5, 5)
    assert one.faults == []
    assert shared_fault(one) is None


def check_refused(one: Node, *words: str) -> None:
    """The server is refused with these words in the log and the status, and calls are denied."""
    wait_until(lambda: one.faults)
    fault = one.faults[-1]
    assert all(word in fault for word in words), fault
    assert shared_fault(one) == fault
    check_denies(one)
    # Told once, however often it is tried.
    assert one.faults == [fault]


def check_denies(one: Node) -> None:
    """Calls with shared limits are denied, and others are not."""
    assert {one.check(tool).rule for tool in ("strict", "leased")} == {UNAVAILABLE}
    assert one.metric("callgate_shared_store_up") == 0
    assert one.admits("t")


def test_a_password(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", password=PASSWORD) as redis:
        with alone(tmp_path / "right", redis.url, password=PASSWORD) as one:
            check_works(one)
        with alone(tmp_path / "wrong", redis.url, password=WRONG) as one:
            check_refused(one, "Password")
        with alone(tmp_path / "none", redis.url) as one:
            check_refused(one, "uthentication")


def test_a_user_with_the_rights_of_the_page(tmp_path: Path) -> None:
    users = ["default off", f"callgate {RIGHTS.format(PASSWORD)}", f"other {RIGHTS.format(PASSWORD)} -evalsha"]
    with running_redis(tmp_path / "redis", users=users) as redis:
        url = redis.url.replace("://", "://{}@")
        with alone(tmp_path / "right", url.format("callgate"), password=PASSWORD) as one:
            check_works(one)
        with alone(tmp_path / "less", url.format("other"), password=PASSWORD) as one:
            check_refused(one, "evalsha")


def test_a_replica(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path / "primary") as primary,
        running_redis(tmp_path / "replica", replica_of=primary) as replica,
        alone(tmp_path, replica.url) as one,
    ):
        check_refused(one, "the store is a slave", "expected the master")


def test_a_server_that_may_forget(tmp_path: Path) -> None:
    with (
        running_redis(tmp_path / "redis", maxmemory_policy="allkeys-lru") as redis,
        alone(tmp_path, redis.url) as one,
    ):
        check_refused(one, "`maxmemory-policy allkeys-lru`", "expected `noeviction`")


class _Old(socketserver.StreamRequestHandler):
    """An old server: it answers INFO, and anything else with OK."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = []
            for _ in range(int(line[1:])):
                length = int(self.rfile.readline()[1:])
                words.append(self.rfile.read(length + 2)[:-2].upper())
            info = b"redis_version:6.2.14\r\nrun_id:abc\r\nrole:master\r\n"
            self.wfile.write(b"$%d\r\n%s\r\n" % (len(info), info) if words[0] == b"INFO" else b"+OK\r\n")


def test_an_old_server(tmp_path: Path) -> None:
    with socketserver.ThreadingTCPServer((HOST, 0), _Old) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        with alone(tmp_path, f"redis://{HOST}:{server.server_address[1]}/0") as one:
            check_refused(one, "the store is Redis 6.2.14", "expected version 7 or later")
        server.shutdown()
        thread.join()


def test_tls(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", tls=trustme.CA(), password=PASSWORD) as redis:
        with alone(tmp_path / "right", redis.url, password=PASSWORD, shared={"ca_file": str(redis.ca)}) as one:
            check_works(one)
        other = tmp_path / "other.pem"
        trustme.CA().cert_pem.write_to_path(str(other))
        with alone(tmp_path / "wrong", redis.url, password=PASSWORD, shared={"ca_file": str(other)}) as one:
            check_refused(one, "ertificate")


def test_a_unix_socket(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis", on_socket=True) as redis, alone(tmp_path, redis.url) as one:
        check_works(one)


def test_another_key_of_token_hashes(tmp_path: Path) -> None:
    other = bytes(range(32, 64)).hex()
    with running_redis(tmp_path / "redis") as redis, alone(tmp_path / "a", redis.url) as first:
        first.wait_for_counts("s")
        with alone(tmp_path / "b", redis.url, key=other) as second:
            wait_until(lambda: second.faults)
            with redis.client() as client:
                ours = client.hget("callgate:1:{servers}", "key")
            assert isinstance(ours, str)
            assert "the nodes that share policy `servers` have another `grant_key_file`" in second.faults[0]
            assert f"their key is {ours}, ours is " in second.faults[0]
            assert shared_fault(second) == second.faults[0]
            check_denies(second)
            theirs = second.faults[0].partition("ours is ")[2][:16]
            assert len(theirs) == len(ours) == 16
            assert theirs != ours
            assert other not in second.log
        assert first.admitted(6, "strict") == 5
        assert first.faults == []


def test_keys_of_others_are_left_alone(tmp_path: Path) -> None:
    with running_redis(tmp_path / "redis") as redis, redis.client() as client:
        client.set("callgate", "v")
        client.hset("callgate:2:{servers}", "epoch", "e")
        client.rpush("list", "a", "b")
        client.set("short", "v", ex=1_000)
        others = set(client.keys("*"))
        before = {key: (client.dump(key), client.ttl(key) > 0) for key in others}
        for number in range(2):
            with node(tmp_path / str(number), redis.url, POLICIES) as one:
                one.wait_for_counts("s")
                one.admitted(3, "strict")
                one.admitted(3, "leased")
                one.stop()
        assert {key: (client.dump(key), client.ttl(key) > 0) for key in others} == before
        made = set(client.keys("*")) - others
        made.remove("callgate:{servers}:version")
        assert all(str(key).startswith("callgate:1:") for key in made)
