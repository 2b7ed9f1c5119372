"""Redis servers of the tests' own: on loopback or a Unix socket, with their data in a folder of the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from support.ports import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import trustme

HOST = "127.0.0.1"
TIMEOUT_S = 30.0
NAME = "localhost"
"""The name in the certificate of a server over TLS."""


class RedisServer:
    """A server, which keeps its port, its settings and its folder over kills and restarts."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int,
        socket: Path | None = None,
        password: str | None = None,
        is_tls: bool = False,
        words: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """Takes the folder with `redis.conf`, and what a client needs.

        Args:
            folder: The folder.
            port: The port of its configuration.
            socket: The Unix socket, in place of a port.
            password: The default user's password.
            is_tls: True if it serves TLS.
            words: Further words of the command.
            environment: Variables beside those of the tests.
        """
        self.folder = folder
        self.port = port
        self.socket = socket
        self.password = password
        self.is_tls = is_tls
        self._words = words
        self._environment = environment or {}
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """The URL for `counters.shared.url`, without a password."""
        if self.socket is not None:
            return f"unix://{self.socket}"
        return f"rediss://{NAME}:{self.port}/0" if self.is_tls else f"redis://{HOST}:{self.port}/0"

    @property
    def ca(self) -> Path:
        """The PEM file of the authority of a server over TLS."""
        return self.folder / "ca.pem"

    @property
    def log(self) -> str:
        """What the server has logged."""
        return (self.folder / "log").read_text(errors="replace")

    @property
    def pid(self) -> int:
        """The number of the running process."""
        return self._running().pid

    @contextmanager
    def client(
        self,
        user: str | None = None,
        password: str | None = None,
        *,
        port: int | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> Iterator[redis.Redis]:
        """A client that tries nothing twice and gives text: by default as the default user, at the server's port."""
        settings: dict[str, Any] = {
            "username": user,
            "password": self.password if password is None else password,
            "decode_responses": True,
            "socket_timeout": timeout_s,
            "retry": Retry(NoBackoff(), 0),
        }
        if self.socket is not None:
            settings["unix_socket_path"] = str(self.socket)
        else:
            settings |= {"host": NAME if self.is_tls else HOST, "port": port or self.port}
        if self.is_tls:
            settings |= {"ssl": True, "ssl_ca_certs": str(self.ca)}
        with redis.Redis(**settings) as client:
            yield client

    def ask(self, *words: str | int) -> Any:
        """The answer to a command, on a connection of its own."""
        with self.client() as client:
            return client.execute_command(*words)  # type: ignore[no-untyped-call]

    def info(self, section: str) -> dict[str, Any]:
        """A section of what the server tells of itself."""
        with self.client() as client:
            return dict(client.info(section))

    def start(self) -> None:
        """Starts it and waits until it answers."""
        assert self._process is None
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["redis-server", self.folder / "redis.conf", *self._words],
                env={**os.environ, **self._environment},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
        until(self._answers)

    @property
    def is_running(self) -> bool:
        """True between a start and an end."""
        return self._process is not None

    def kill(self) -> None:
        """Ends it at once, also while it is paused; nothing is written any more."""
        process = self._running()
        process.kill()
        process.wait(TIMEOUT_S)
        self._process = None

    def stop(self) -> None:
        """Ends it as an administrator does."""
        process = self._running()
        process.terminate()
        process.wait(TIMEOUT_S)
        self._process = None

    def restart(self) -> None:
        """Stops it if it runs, and starts it at the same port. Data survive only if settings keep them."""
        if self._process is not None:
            self.stop()
        self.start()

    def pause(self) -> None:
        """Holds the process, which keeps its connections and answers nothing."""
        self._running().send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Lets a paused process go on."""
        self._running().send_signal(signal.SIGCONT)

    def wait_for_primary(self) -> None:
        """Waits until a replica has the data of its primary."""
        until(lambda: self.info("replication")["master_link_status"] == "up")

    def close(self) -> None:
        """Ends it, if it still runs."""
        if self._process is not None:
            self.kill()

    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the server does not run"
        return self._process

    def _answers(self) -> bool:
        assert self._running().poll() is None, self.log
        try:
            with self.client() as client:
                client.ping()
        except (redis.AuthenticationError, NoPermissionError):
            # The default user is switched off, or must not do this: it is an answer.
            return True
        except redis.ConnectionError:
            # Also while it loads its data.
            return False
        return True


@contextmanager
def running_redis(
    folder: Path,
    *,
    on_socket: bool = False,
    password: str | None = None,
    users: Sequence[str] = (),
    acl_file: str | None = None,
    tls: trustme.CA | None = None,
    replica_of: RedisServer | None = None,
    maxmemory_policy: str | None = None,
    lines: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[RedisServer]:
    """A server with its data in a folder, which is made; ended by its own pid.

    Args:
        folder: The folder, such as one below pytest's.
        on_socket: Serve a Unix socket, and no port.
        password: The default user's password.
        users: Users of the ACL, such as ``alice on >secret ~* +@all``; not beside `acl_file`.
        acl_file: The text of a file of such users, with `user` before each.
        tls: Serve TLS alone, with a certificate of this authority.
        replica_of: The primary of which this is a replica.
        maxmemory_policy: What is removed where the memory is full.
        lines: Further lines of its configuration, which override those of the others.
        environment: Variables beside those of the tests.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Not below pytest's folder: the path of a socket is short.
    short = Path(tempfile.mkdtemp(prefix="callgate-redis-")) if on_socket else None
    server = RedisServer(
        folder,
        port=0 if on_socket else free_port(),
        socket=None if short is None else short / "redis.sock",
        password=password,
        is_tls=tls is not None,
        environment=environment,
    )
    settings = [*_ALWAYS, f"dir {folder}", *_listening(server, tls)]
    if password is not None:
        settings += [f'requirepass "{password}"', f'masterauth "{password}"']
    settings += [f"user {user}" for user in users]
    if acl_file is not None:
        (folder / "users.acl").write_text(acl_file)
        settings.append(f"aclfile {folder / 'users.acl'}")
    if replica_of is not None:
        settings += _replicating(replica_of)
    if maxmemory_policy is not None:
        settings.append(f"maxmemory-policy {maxmemory_policy}")
    config = folder / "redis.conf"
    config.write_text("".join(f"{line}\n" for line in (*settings, *lines)))
    config.chmod(0o600)
    try:
        server.start()
        yield server
    finally:
        server.close()
        if short is not None:
            shutil.rmtree(short)


_ALWAYS = (
    "daemonize no",
    f"bind {HOST}",
    'save ""',
    "appendonly no",
    # A replica has its data at once.
    "repl-diskless-sync-delay 0",
)


def _listening(server: RedisServer, tls: trustme.CA | None) -> Iterator[str]:
    if server.socket is not None:
        yield from ("port 0", f"unixsocket {server.socket}", "unixsocketperm 700")
        return
    if tls is None:
        yield f"port {server.port}"
        return
    certificate = tls.issue_cert(NAME, HOST)
    tls.cert_pem.write_to_path(str(server.ca))
    certificate.private_key_and_cert_chain_pem.write_to_path(str(server.folder / "server.pem"))
    yield from (
        "port 0",
        f"tls-port {server.port}",
        f"tls-cert-file {server.folder / 'server.pem'}",
        f"tls-key-file {server.folder / 'server.pem'}",
        f"tls-ca-cert-file {server.ca}",
        "tls-auth-clients no",
    )


def _replicating(primary: RedisServer) -> Iterator[str]:
    yield f"replicaof {HOST} {primary.port}"
    if primary.password is not None:
        yield f'masterauth "{primary.password}"'
    if primary.is_tls:
        yield "tls-replication yes"


def until(holds: Callable[[], object]) -> None:
    """Waits for another process, which sends no signal."""
    deadline = time.monotonic() + TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.01)
