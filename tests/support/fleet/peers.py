"""Rate limiters of others on the same Redis: envoyproxy/ratelimit, and a script that counts fixed windows."""

from __future__ import annotations

import http.client
import json
import os
import subprocess
from abc import ABC, abstractmethod
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import Sentinel

from support.ports import free_port
from support.redis import HOST, until
from support.redis_sentinel import NAME

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from support.fleet.members import Member
    from support.redis import RedisServer

RATELIMIT = Path(__file__).parents[3] / "target/peers/bin/service_cmd"
"""envoyproxy/ratelimit, as `bench/peers/build` builds it."""
TIMEOUT_S = 0.5
SERVICE_TIMEOUT_S = 2.0
_KEY = "peer:fixed-window"
_FIXED_WINDOW = """
local count = redis.call('INCR', KEYS[1])
if count == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return count <= tonumber(ARGV[1]) and 1 or 0
"""
"""The usual script for a rate limit: a counter that ends a window after its first unit."""


class Contestant(ABC):
    """A limiter that is asked for one unit of one limit, by one thread."""

    @abstractmethod
    def admits(self) -> bool:
        """True if the unit was admitted for sure."""

    def close(self) -> None:  # noqa: B027  most have nothing to close
        """Ends its connection."""


class OfCallgate(Contestant):
    """A tool of a callgate."""

    def __init__(self, member: Member, tool: str) -> None:
        self._member = member
        self._tool = tool

    def admits(self) -> bool:
        decision = self._member.check(self._tool)
        return decision is not None and decision.allowed


class FixedWindow(Contestant):
    """The script, on a connection to the master that the Sentinels name."""

    def __init__(self, sentinels: Sequence[RedisServer], most: int, window_ms: int) -> None:
        self._arguments = (most, window_ms)
        settings: dict[str, Any] = {"socket_timeout": TIMEOUT_S, "retry": Retry(NoBackoff(), 0)}
        self._sentinel = Sentinel([(HOST, sentinel.port) for sentinel in sentinels], **settings)  # type: ignore[no-untyped-call]
        self._client = self._sentinel.master_for(NAME, **settings)  # type: ignore[no-untyped-call]

    def admits(self) -> bool:
        try:
            return bool(self._client.eval(_FIXED_WINDOW, 1, _KEY, *self._arguments))
        except redis.RedisError:
            return False

    def close(self) -> None:
        self._client.close()
        for sentinel in self._sentinel.sentinels:
            sentinel.close()


class RateLimitService(Contestant):
    """envoyproxy/ratelimit, by its way over HTTP."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection(HOST, port, timeout=SERVICE_TIMEOUT_S)

    def admits(self) -> bool:
        entries = [{"key": "tool", "value": "t"}]
        body = json.dumps({"domain": "fleet", "descriptors": [{"entries": entries}]})
        try:
            self._connection.request("POST", "/json", body, {"Content-Type": "application/json"})
            answer = self._connection.getresponse()
            answer.read()
        except OSError:
            # It waits for Redis. The next call has a connection of its own.
            self._connection.close()
            return False
        return answer.status == http.HTTPStatus.OK

    def close(self) -> None:
        self._connection.close()


@contextmanager
def running_ratelimit(
    folder: Path, sentinels: Sequence[RedisServer], per_second: int, *, services: int = 2
) -> Iterator[list[int]]:
    """The HTTP ports of services that count so many units a second behind these Sentinels."""
    config = folder / "fleet" / "config"
    config.mkdir(parents=True)
    limit = {"unit": "second", "requests_per_unit": per_second}
    document = {"domain": "fleet", "descriptors": [{"key": "tool", "rate_limit": limit}]}
    (config / "limits.yaml").write_text(json.dumps(document))
    with ExitStack() as stack:
        ports = [stack.enter_context(_service(folder, sentinels)) for _ in range(services)]
        yield ports


@contextmanager
def _service(folder: Path, sentinels: Sequence[RedisServer]) -> Iterator[int]:
    port = free_port()
    hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in sentinels)
    settings = {
        "RUNTIME_ROOT": str(folder),
        "RUNTIME_SUBDIRECTORY": "fleet",
        "RUNTIME_WATCH_ROOT": "false",
        "REDIS_SOCKET_TYPE": "tcp",
        "REDIS_TYPE": "sentinel",
        "REDIS_URL": f"{NAME},{hosts}",
        "HOST": HOST,
        "PORT": str(port),
        "DEBUG_HOST": HOST,
        "DEBUG_PORT": str(free_port()),
        "GRPC_HOST": HOST,
        "GRPC_PORT": str(free_port()),
        "DISABLE_STATS": "true",
        "LOG_LEVEL": "error",
    }
    with (folder / f"log-{port}").open("wb") as log:
        process = subprocess.Popen([RATELIMIT], env={**os.environ, **settings}, stdout=log, stderr=log)
    with process:
        try:
            until(lambda: _answers(port))
            yield port
        finally:
            process.kill()


def _answers(port: int) -> bool:
    service = RateLimitService(port)
    try:
        return service.admits()
    finally:
        service.close()
