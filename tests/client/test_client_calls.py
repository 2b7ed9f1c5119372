"""`check_batch` and `check_stream` of `Client` and `AsyncClient`: one decision for each call, whatever happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import count, islice
from typing import Any, Literal

import grpc
import pytest

from callgate import AsyncClient, Call, Client, Decision, Engine, ManualClock, Server
from callgate._proto.callgate.decision.v1 import decision_pb2 as pb
from callgate.client import UNAVAILABLE
from callgate.client.messages import SERVICE

POLICY: dict[str, Any] = {
    "version": "1",
    "default": "deny",
    "tools": {"t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]}, "open": {}},
}
MODES: list[Literal["fail_closed", "fail_open"]] = ["fail_closed", "fail_open"]
T: Call = {"grant": "g", "tool": "t"}
OPEN: Call = {"grant": "g", "tool": "open"}

Ask = Callable[[str, Iterable[Call]], list[Decision]]


def sync_batch(target: str, calls: Iterable[Call], **options: Any) -> list[Decision]:
    with Client(target, **options) as client:
        return client.check_batch(calls)


def sync_stream(target: str, calls: Iterable[Call], **options: Any) -> list[Decision]:
    with Client(target, **options) as client:
        return list(client.check_stream(calls))


def async_batch(target: str, calls: Iterable[Call], **options: Any) -> list[Decision]:
    async def ask() -> list[Decision]:
        async with AsyncClient(target, **options) as client:
            return await client.check_batch(calls)

    return asyncio.run(ask())


def async_stream(target: str, calls: Iterable[Call], **options: Any) -> list[Decision]:
    async def ask() -> list[Decision]:
        async with AsyncClient(target, **options) as client:
            return [decision async for decision in client.check_stream(calls)]

    return asyncio.run(ask())


ways = pytest.mark.parametrize("ask", [sync_batch, sync_stream, async_batch, async_stream])
streams = pytest.mark.parametrize("ask", [sync_stream, async_stream])
batches = pytest.mark.parametrize("ask", [sync_batch, async_batch])


def rules(decisions: Iterable[Decision]) -> list[str]:
    return [decision.rule for decision in decisions]


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(Engine.from_dict(POLICY), workers=1, clock=ManualClock(1_000), grace_ms=1_000) as server:
        yield server


@pytest.fixture
def target(server: Server) -> str:
    return str(server.address)


@ways
def test_each_call_has_its_decision_in_order(ask: Ask, target: str) -> None:
    assert rules(ask(target, iter([T, OPEN, T, T, OPEN]))) == ["", "", "", "/tools/t/limits/c", ""]


@ways
def test_no_calls_have_no_decisions(ask: Ask, dead_target: str) -> None:
    assert ask(dead_target, []) == []


@ways
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("fixture", ["dead_target", "silent_target"])
def test_nobody_answers(ask: Any, mode: str, fixture: str, request: pytest.FixtureRequest) -> None:
    decisions = ask(request.getfixturevalue(fixture), [OPEN] * 3, timeout_ms=200, on_failure=mode)
    assert rules(decisions) == [UNAVAILABLE] * 3
    outcome = "deny" if mode == "fail_closed" else "allow"
    assert [decision.outcome for decision in decisions] == [outcome] * 3


@ways
@pytest.mark.parametrize("mode", MODES)
def test_a_name_that_is_no_text_is_one_denial(ask: Any, mode: str, target: str) -> None:
    calls = [OPEN, {"grant": "g", "tool": "\ud800"}, OPEN]
    assert rules(ask(target, calls, on_failure=mode)) == ["", "(invalid request)", ""]


@ways
@pytest.mark.parametrize(
    ("call", "message"),
    [({"grant": "g", "tool": "t", "now": 1}, "now"), ({"grant": "g", "tool": 1}, "expected a string")],
)
def test_what_is_no_call_is_the_programs_mistake(ask: Any, call: dict[str, Any], message: str, target: str) -> None:
    with pytest.raises(TypeError, match=message):
        ask(target, [OPEN, call])


@batches
@pytest.mark.parametrize("mode", MODES)
def test_a_batch_of_too_many_opens_nothing(ask: Any, mode: str, target: str) -> None:
    decisions = ask(target, [OPEN] * 1_001, timeout_ms=20_000, on_failure=mode)
    assert rules(decisions) == ["(invalid request)"] * 1_001
    assert "at most 1000 calls" in decisions[0].message
    assert rules(ask(target, [OPEN] * 1_000, timeout_ms=20_000, on_failure=mode)) == [""] * 1_000


def test_a_server_may_be_set_to_other_limits() -> None:
    with Server(Engine.from_dict(POLICY), workers=1, max_batch_calls=2, body_limit_bytes=1_000) as server:
        target = str(server.address)
        assert rules(sync_batch(target, [OPEN] * 2)) == ["", ""]
        assert rules(sync_batch(target, [OPEN] * 3)) == ["(invalid request)"] * 3
        [too_large] = sync_stream(target, [{**OPEN, "args": {"a": "x" * 1_000}}])
        assert too_large.rule == "(invalid request)"


def stranger(decisions: int) -> grpc.Server:
    """A server that answers any batch with so many decisions, and a stream with an id of its own."""

    def batch(_request: pb.CheckBatchRequest, _context: grpc.ServicerContext) -> pb.CheckBatchResponse:
        return pb.CheckBatchResponse(decisions=[pb.CheckResponse(outcome=pb.OUTCOME_ALLOW)] * decisions)

    def stream(
        requests: Iterator[pb.CheckStreamRequest], _context: grpc.ServicerContext
    ) -> Iterator[pb.CheckStreamResponse]:
        for request in requests:
            yield pb.CheckStreamResponse(id=request.id + 1, decision=pb.CheckResponse(outcome=pb.OUTCOME_ALLOW))

    server = grpc.server(ThreadPoolExecutor(2))
    handlers: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "CheckBatch": grpc.unary_unary_rpc_method_handler(
            batch, pb.CheckBatchRequest.FromString, pb.CheckBatchResponse.SerializeToString
        ),
        "CheckStream": grpc.stream_stream_rpc_method_handler(
            stream, pb.CheckStreamRequest.FromString, pb.CheckStreamResponse.SerializeToString
        ),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers),))
    return server


@ways
def test_answers_that_are_not_those_of_the_calls_open_nothing(ask: Any) -> None:
    server = stranger(decisions=1)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    decisions = ask(f"127.0.0.1:{port}", [OPEN] * 2, timeout_ms=20_000, on_failure="fail_open")
    server.stop(None).wait()
    assert [(decision.outcome, decision.rule) for decision in decisions] == [("deny", UNAVAILABLE)] * 2


@streams
def test_thousands_of_calls_in_one_stream(ask: Any, target: str) -> None:
    calls: list[Call] = [{"grant": f"g{number}", "tool": ("open", "none")[number % 2]} for number in range(5_000)]
    assert rules(ask(target, calls, timeout_ms=20_000)) == ["", "(default deny)"] * 2_500


@streams
def test_what_the_calls_raise_comes_after_the_decisions(ask: Any, target: str) -> None:
    def calls() -> Iterator[Call]:
        yield OPEN
        error = "the calls are at fault"
        raise LookupError(error)

    with pytest.raises(LookupError, match="at fault"):
        ask(target, calls())


def test_an_endless_stream_is_left_at_any_time(target: str) -> None:
    endless: Iterator[Call] = ({"grant": f"g{number}", "tool": "open"} for number in count())
    with Client(target, timeout_ms=20_000) as client:
        decisions = client.check_stream(endless)
        assert rules(islice(decisions, 1_000)) == [""] * 1_000
        decisions.close()
        # The client is as good as before.
        assert client.check(**OPEN).allowed


def test_a_stream_outlives_a_restart() -> None:
    engine = Engine.from_dict(POLICY)
    # Each call is drawn when the decision before has been given.
    with Server(engine, grace_ms=0) as first, Client(str(first.address), timeout_ms=20_000) as client:
        endless: Iterator[Call] = iter(lambda: OPEN, None)
        decisions = client.check_stream(endless)
        assert next(decisions).allowed
        first.stop()
        while next(decisions).allowed:
            pass
        with Server(engine, listen=str(first.address), grace_ms=0):
            deadline_s = time.monotonic() + 20
            while not next(decisions).allowed:
                assert time.monotonic() < deadline_s
        decisions.close()


def test_an_async_stream_outlives_a_restart() -> None:
    engine = Engine.from_dict(POLICY)

    async def restart() -> None:
        with Server(engine, grace_ms=0) as first:
            async with AsyncClient(str(first.address), timeout_ms=20_000) as client:
                decisions = client.check_stream(iter(lambda: OPEN, None))
                assert (await anext(decisions)).allowed
                await asyncio.to_thread(first.stop)
                while (await anext(decisions)).allowed:
                    pass
                with Server(engine, listen=str(first.address), grace_ms=0):
                    deadline_s = time.monotonic() + 20
                    while not (await anext(decisions)).allowed:
                        assert time.monotonic() < deadline_s
                await decisions.aclose()

    asyncio.run(restart())


def test_a_pause_of_the_caller_is_no_silence_of_the_sidecar(target: str) -> None:
    """Neither a call that comes late nor a decision that is taken late is a timeout."""
    with Client(target, timeout_ms=500) as client:

        def calls() -> Iterator[Call]:
            yield OPEN
            time.sleep(0.8)
            yield OPEN
            yield OPEN

        decisions = client.check_stream(calls())
        assert next(decisions).allowed
        assert next(decisions).allowed
        time.sleep(0.8)
        assert rules(decisions) == [""]
