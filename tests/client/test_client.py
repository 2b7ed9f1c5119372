"""`Client` and `AsyncClient`: one API, and what they answer when nobody else does."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from threading import Thread
from typing import Any, Literal

import grpc
import pytest

from callgate import AsyncClient, CallgateError, Client, Decision, Engine, ManualClock, Server, Shadow
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import UNAVAILABLE
from callgate.client.messages import SERVICE

POLICY: dict[str, Any] = {
    "version": "1",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]}},
}
SLOWNESS_S = 0.5
MODES: list[Literal["fail_closed", "fail_open"]] = ["fail_closed", "fail_open"]


def ask_sync(target: str, **options: Any) -> Callable[..., Any]:
    """Asks by `Client`: the method's name, then its arguments."""

    def ask(method: str, *args: Any, **fields: Any) -> Any:
        with Client(target, **options) as client:
            return getattr(client, method)(*args, **fields)

    return ask


def ask_async(target: str, **options: Any) -> Callable[..., Any]:
    """Asks by `AsyncClient`."""

    async def one(method: str, *args: Any, **fields: Any) -> Any:
        async with AsyncClient(target, **options) as client:
            return await getattr(client, method)(*args, **fields)

    return lambda method, *args, **fields: asyncio.run(one(method, *args, **fields))


both = pytest.mark.parametrize("ask", [ask_sync, ask_async], ids=["sync", "async"])


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Engine.from_dict(POLICY), workers=1, clock=ManualClock(1_000), grace_ms=1_000) as server:
        yield server


@pytest.fixture
def slow_target(server: Server) -> Iterator[str]:
    """The server behind connections that come about late, as they do on a busy machine."""

    def relay(one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while part := one.recv(65_536):
                other.sendall(part)
        with suppress(OSError):
            other.shutdown(socket.SHUT_WR)

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                sockets.append(client)
                time.sleep(SLOWNESS_S)
                host, port = str(server.address).split(":")
                sockets.append(upstream := socket.create_connection((host, int(port))))
                for ends in ((client, upstream), (upstream, client)):
                    Thread(target=relay, args=ends, daemon=True).start()

    sockets: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = Thread(target=serve, daemon=True)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
    for each in sockets:
        each.close()


@both
def test_a_connection_that_comes_about_late(ask: Callable[..., Any], slow_target: str) -> None:
    assert ask(slow_target)("check", grant="g", tool="t").allowed


@both
def test_reservations(ask: Callable[..., Any], server: Server) -> None:
    asks = ask(str(server.address))
    first: Decision = asks("check", grant="g", tool="t", args={"a": 1}, reserve=True, labels={"a": "b"}, session="s")
    assert first.allowed
    assert asks("roll_back", first.reservation) is True
    assert asks("roll_back", first.reservation) is False
    second: Decision = asks("check", grant="g", tool="t", reserve=True)
    assert second.limits[0].remaining == 1
    assert asks("commit", second.reservation) is True
    assert asks("roll_back", second.reservation) is False


@both
def test_malformed_reservation(ask: Callable[..., Any], server: Server) -> None:
    with pytest.raises(ValueError, match="hex"):
        ask(str(server.address))("roll_back", "abc")


@both
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fixture", ["dead_target", "silent_target"])
def test_nobody_answers(ask: Callable[..., Any], mode: str, fixture: str, request: pytest.FixtureRequest) -> None:
    target = request.getfixturevalue(fixture)
    decision: Decision = ask(target, timeout_ms=200, on_failure=mode)("check", grant="g", tool="t")
    assert decision.rule == UNAVAILABLE == "(decision point unavailable)"
    # On a busy machine, the refusal of the connection may come late.
    reasons = {"no answer within 200 ms"} | ({"cannot connect: connection refused"} if "dead" in fixture else set())
    assert decision.message in {f"no decision from `{target}`: {reason}" for reason in reasons}
    if mode == "fail_closed":
        assert (decision.outcome, decision.shadow) == ("deny", None)
    else:
        assert (decision.outcome, decision.shadow) == ("allow", Shadow("deny", UNAVAILABLE))
    assert decision.limits == ()
    assert decision.decided_at_us > 1_600_000_000_000_000


@both
def test_settling_where_nobody_answers_is_an_error(ask: Callable[..., Any], dead_target: str) -> None:
    with pytest.raises(CallgateError, match=dead_target):
        ask(dead_target, timeout_ms=200)("roll_back", "0" * 32)


@both
@pytest.mark.parametrize("mode", MODES)
def test_a_call_that_is_too_large_opens_nothing(ask: Callable[..., Any], mode: str, server: Server) -> None:
    args = b'{"a": "' + b"x" * (5 * 1024 * 1024) + b'"}'
    decision: Decision = ask(str(server.address), timeout_ms=20_000, on_failure=mode)(
        "check", grant="g", tool="t", args=args
    )
    assert (decision.outcome, decision.rule) == ("deny", "(invalid request)"), decision


@both
@pytest.mark.parametrize("mode", MODES)
def test_names_that_are_no_text(ask: Callable[..., Any], mode: str, server: Server) -> None:
    asks = ask(str(server.address), on_failure=mode)
    for fields in ({"grant": "\ud800"}, {"tool": "\udc00"}, {"session": "\ud800"}, {"labels": {"a": "\ud800"}}):
        decision: Decision = asks("check", **{"grant": "g", "tool": "t", **fields})
        assert (decision.outcome, decision.rule) == ("deny", "(invalid request)")


@both
@pytest.mark.parametrize(
    ("code", "mode", "outcome", "rule"),
    [
        (grpc.StatusCode.UNIMPLEMENTED, "fail_open", "deny", UNAVAILABLE),
        (grpc.StatusCode.PERMISSION_DENIED, "fail_open", "deny", UNAVAILABLE),
        (grpc.StatusCode.INTERNAL, "fail_open", "deny", UNAVAILABLE),
        (grpc.StatusCode.UNAVAILABLE, "fail_open", "allow", UNAVAILABLE),
        (grpc.StatusCode.UNAVAILABLE, "fail_closed", "deny", UNAVAILABLE),
        (grpc.StatusCode.INVALID_ARGUMENT, "fail_open", "deny", "(invalid request)"),
        (None, "fail_open", "deny", UNAVAILABLE),
    ],
    ids=str,
)
def test_error_statuses(
    ask: Callable[..., Any], code: grpc.StatusCode | None, mode: str, outcome: str, rule: str
) -> None:
    def handle(_request: pb.CheckRequest, context: grpc.ServicerContext) -> pb.CheckResponse:
        if code is not None:
            context.abort(code, "said so")
        return pb.CheckResponse()  # an outcome that no version sends

    handler = grpc.unary_unary_rpc_method_handler(
        handle, pb.CheckRequest.FromString, pb.CheckResponse.SerializeToString
    )
    with ThreadPoolExecutor(1) as pool:
        stranger = grpc.server(pool)
        stranger.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"Check": handler}),))
        port = stranger.add_insecure_port("127.0.0.1:0")
        stranger.start()
        decision = ask(f"127.0.0.1:{port}", timeout_ms=20_000, on_failure=mode)("check", grant="g", tool="t")
        stranger.stop(None).wait()
    assert (decision.outcome, decision.rule) == (outcome, rule)
    assert code is None or "said so" in decision.message


def test_a_client_outlives_a_restart() -> None:
    engine = Engine.from_dict(POLICY)
    with Server(engine, grace_ms=0) as first, Client(str(first.address), timeout_ms=20_000) as client:
        assert client.check(grant="g", tool="t").allowed
        first.stop()
        assert client.check(grant="g", tool="t").rule == UNAVAILABLE
        with Server(engine, listen=str(first.address), grace_ms=0):
            # gRPC tries again after 100 ms, and fails what comes before.
            deadline_s = time.monotonic() + 20
            while not client.check(grant="g", tool="t").allowed:
                assert time.monotonic() < deadline_s
                time.sleep(0.05)


@both
def test_options_that_mean_nothing(ask: Callable[..., Any]) -> None:
    with pytest.raises(ValueError, match="`on_failure` is `ajar`"):
        ask("127.0.0.1:1", on_failure="ajar")("check", grant="g", tool="t")
    with pytest.raises(ValueError, match="`timeout_ms` is 0"):
        ask("127.0.0.1:1", timeout_ms=0)("check", grant="g", tool="t")


@both
def test_types_without_json_form_are_the_programs_mistake(ask: Callable[..., Any], dead_target: str) -> None:
    with pytest.raises(TypeError, match="`object`"):
        ask(dead_target)("check", grant="g", tool="t", args={"a": object()})
