"""A server that is compared, and what it must answer before it is timed."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import grpc
from common import h2load, programs
from envoy.service.auth.v3 import external_auth_pb2
from envoy.service.ratelimit.v3 import rls_pb2
from proxy import messages

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from common.programs import Program, Sidecar

CALLGATE, BARE = "callgate", "bare tonic"
RATELIMIT = "ratelimit + Redis"
LIMITADOR, LIMITADOR_LIBRARY = "limitador-server", "limitador library"
OPA, OPA_LIBRARY = "opa-envoy-plugin", "OPA library"
# These programs are not built here, so what their libraries can do stands for them where they are not installed.
STANDS_FOR = {LIMITADOR_LIBRARY: LIMITADOR, OPA_LIBRARY: OPA}
_OK, _OVER_LIMIT = rls_pb2.RateLimitResponse.OK, rls_pb2.RateLimitResponse.OVER_LIMIT


@dataclass(frozen=True)
class Contestant:
    """A server."""

    name: str
    # `HOST:PORT`.
    address: str
    # All that serves: a database is part of the server that needs one.
    serving: tuple[Program, ...]
    # callgate itself, which counts its own decisions.
    sidecar: Sidecar | None = None

    def cpu_seconds(self) -> float:
        """CPU time that has been used so far."""
        return sum(program.cpu_seconds() for program in self.serving)

    def ask(self, path: str, message: bytes) -> bytes:
        """Asks once, as soon as somebody listens."""
        for program in self.serving:
            program.running()
        with grpc.insecure_channel(self.address) as channel:
            # Without functions to convert them, messages go and come as bytes.
            method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(path)
            return method(message, wait_for_ready=True, timeout=programs.START_SECONDS)

    def sent(self, path: str, body: Path) -> h2load.Load:
        """The load of one message."""
        return h2load.Load(f"http://{self.address}{path}", body, h2load.GRPC)


def has_targets(name: str, others: Container[str]) -> bool:
    """True if targets apply to this peer: they do not apply to a library beside the program that it represents."""
    return name not in STANDS_FOR or STANDS_FOR[name] not in others


@dataclass
class Started:
    """The contestants, and the missing ones with their reasons."""

    contestants: list[Contestant] = field(default_factory=list)
    absent: list[str] = field(default_factory=list)


def rate_limit_code(contestant: Contestant, domain: str) -> int:
    """The code of the answer; the call counts as a request."""
    answer = rls_pb2.RateLimitResponse.FromString(contestant.ask(messages.RATE_LIMIT, messages.rate_limit(domain)))
    return int(answer.overall_code)


def expect_rate_limit(contestant: Contestant, *, over: bool) -> None:
    """Ends the bench where an answer is not as it must be; the floor lets everything pass."""
    domain = messages.USED_UP if over else messages.FREE
    expected = _OVER_LIMIT if over and contestant.name != BARE else _OK
    code = rate_limit_code(contestant, domain)
    if code != expected:
        sys.exit(f"{contestant.name} answered {code} in domain `{domain}`, expected {expected}")


def use_up(contestant: Contestant) -> None:
    """Uses up the small limit, which must be that of the settings."""
    for _ in range(messages.USED_UP_AFTER):
        if rate_limit_code(contestant, messages.USED_UP) != _OK:
            sys.exit(f"{contestant.name} refused one of the first {messages.USED_UP_AFTER}")
    expect_rate_limit(contestant, over=True)


def expect_rule(contestant: Contestant) -> None:
    """Ends the bench where the rule is not kept on either side of its bound; the floor lets everything pass."""
    expect_allowed(contestant, messages.MOST)
    if contestant.name != BARE:
        _expect_status(contestant, messages.MOST + 1, grpc.StatusCode.PERMISSION_DENIED)


def expect_allowed(contestant: Contestant, amount: int = messages.AMOUNT) -> None:
    """Ends the bench where a call within the rule is denied."""
    _expect_status(contestant, amount, grpc.StatusCode.OK)


def _expect_status(contestant: Contestant, amount: int, expected: grpc.StatusCode) -> None:
    asked = messages.check(messages.call(amount))
    answer = external_auth_pb2.CheckResponse.FromString(contestant.ask(messages.AUTHORIZATION, asked))
    if answer.status.code != expected.value[0]:
        sys.exit(f"{contestant.name} answered {answer.status.code} about an amount of {amount}, expected {expected}")
