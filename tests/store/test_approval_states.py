"""Enforcement points look at approvals: at sidecars that share a store, at an engine, and at its grpcio service."""

from __future__ import annotations

import asyncio
import http.client
import json
import pickle
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest

from callgate import (
    Approval,
    ApprovalStore,
    AsyncClient,
    CallgateError,
    Client,
    Decision,
    Engine,
    Server,
    StoreError,
    add_to_grpc_server,
)
from callgate.store.approvals.answer import Answer
from callgate.store.ids import ID_BYTES, make_id
from callgate.store.model import PermitOffer, Person, Verdict
from callgate.store.place import Place, in_folder
from callgate.store.store import Store, open_store
from support.planes import wait_until
from support.replicas import Replica, replica

LONG_MS = 60_000
ANN = Person("https://login.example.com", "ann")
ASKS: dict[str, Any] = {
    "version": "1",
    "name": "asks",
    "default": "allow",
    "tools": {
        "risky": {"action": "require_approval", "approval": {"approvers": ["ops"]}},
        "often": {
            "action": "require_approval",
            "approval": {"permit": {"max_uses": 3, "max_duration": "1h"}},
        },
        "brief": {"action": "require_approval", "approval": {"timeout": "1s"}},
    },
}


def serving(stack: ExitStack, folder: Path, place: Place) -> Replica:
    folder.mkdir()
    (folder / "asks.json").write_text(json.dumps(ASKS))
    keys: dict[str, Any] = {
        "servers": {"s": {"policy": "asks"}},
        "policies": {"asks": "asks.json"},
        "approvals": {"deadline": "2s"},
    }
    return stack.enter_context(replica(folder, place, **keys))


def ask(client: Client, tool: str = "risky", **more: Any) -> str:
    decision = client.check(grant="g", server="s", tool=tool, args={"n": 1}, **more)
    assert decision.outcome == "approval_required", decision
    return str(decision.approval)


def answer(
    store: Store, approval: str, verdict: Verdict = Verdict.APPROVE, reason: str = "", permit: PermitOffer | None = None
) -> None:
    given = Answer(ANN, frozenset({"ops"}), verdict, "test", reason, permit)
    store.approvals.answer(approval, given, time.time_ns() // 1_000)


@contextmanager
def waiting(client: Client, approval: str) -> Iterator[Future[Approval | None]]:
    """A wait for people, on a thread of its own."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(client.wait_for_approval, approval, timeout_ms=LONG_MS)


def test_a_wait_on_one_replica_ends_with_an_answer_on_another(empty_place: Place, tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = (serving(stack, tmp_path / name, empty_place) for name in ("a", "b"))
        store = stack.enter_context(closing(open_store(empty_place)))
        asked = ask(one.client)
        seen = two.client.approval(asked)
        assert seen is not None
        assert (seen.id, seen.state, seen.rule, seen.approvers) == (asked, "pending", "/tools/risky/approval", ("ops",))
        assert seen.until_us > time.time_ns() // 1_000
        assert not seen.is_given
        assert pickle.loads(pickle.dumps(seen)) == seen
        with waiting(two.client, asked) as result:
            assert not result.done()
            answer(store, asked)
        found = result.result()
        assert found is not None
        assert (found.state, found.is_given, found.rule) == ("approved", True, "")
        assert one.client.check(grant="g", server="s", tool="risky", args={"n": 1}).allowed
        used = two.client.approval(asked)
        assert used is not None
        assert (used.state, used.is_given, used.until_us) == ("consumed", False, 0)


def test_a_denial_a_permit_and_an_end_are_told(empty_place: Place, tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = serving(stack, tmp_path / "a", empty_place)
        store = stack.enter_context(closing(open_store(empty_place)))
        denied, often, brief = (ask(one.client, tool) for tool in ("risky", "often", "brief"))
        with waiting(one.client, denied) as first, waiting(one.client, often) as second:
            answer(store, denied, Verdict.DENY, "use the test account")
            offer = PermitOffer(make_id(bytes(ID_BYTES)), '{"n": {"exactly": 1}}', 2, 3_600_000_000)
            answer(store, often, permit=offer)
        told, made = first.result(), second.result()
        assert told is not None
        assert (told.state, told.reason, told.is_given) == ("denied", "use the test account", False)
        assert made is not None
        assert (made.state, made.permit, made.is_given) == ("consumed", offer.permit_id, True)
        assert one.client.check(grant="g", server="s", tool="often", args={"n": 1}).allowed
        # Nobody writes that its time is over before housekeeping comes.
        over = one.client.wait_for_approval(brief, timeout_ms=LONG_MS)
        assert over is not None
        assert over.state == "expired"


def test_an_id_that_does_not_exist_is_none(empty_place: Place, tmp_path: Path) -> None:
    with ExitStack() as stack:
        client = serving(stack, tmp_path / "a", empty_place).client
        for unknown in (make_id(bytes(ID_BYTES)), "x", "' OR 1=1 --", "é", "\0"):
            assert client.approval(unknown) is None
            assert client.wait_for_approval(unknown, timeout_ms=1_000) is None
        with pytest.raises(CallgateError, match="expected the id of an approval"):
            client.approval("")
        with pytest.raises(ValueError, match="`timeout_ms` is 0: expected more than 0"):
            client.wait_for_approval("x", timeout_ms=0)


def test_at_the_end_of_its_time_a_wait_returns_the_pending_approval(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = serving(stack, tmp_path / "a", in_folder(tmp_path / "a" / "state"))
        asked = ask(one.client)
        seen = one.client.wait_for_approval(asked, timeout_ms=300)
        assert seen is not None
        assert seen.state == "pending"

        async def both() -> list[Approval | None]:
            async with AsyncClient(one.running.address) as client:
                pending = await client.wait_for_approval(asked, timeout_ms=300)
                return [pending, await client.approval(asked), await client.approval("x")]

        assert asyncio.run(both()) == [seen, seen, None]


def test_plain_http_waits(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = serving(stack, tmp_path / "a", in_folder(tmp_path / "a" / "state"))
        store = stack.enter_context(closing(open_store(in_folder(tmp_path / "a" / "state"))))
        asked = ask(one.client)
        timer = threading.Timer(0.3, answer, (store, asked))
        timer.start()
        plain = http.client.HTTPConnection(one.running.address, timeout=60)
        plain.request("GET", f"/v1/approvals/{asked}?wait_ms=30000")
        response = plain.getresponse()
        assert (response.status, json.loads(response.read())["state"]) == (200, "approved")
        timer.join()
        plain.close()


def test_a_wait_goes_on_over_a_restart(tmp_path: Path) -> None:
    with ApprovalStore(tmp_path / "state") as approvals, ExitStack() as stack:
        engine = Engine.from_dict(ASKS, approvals=approvals.queue)
        store = stack.enter_context(closing(open_store(in_folder(tmp_path / "state"))))
        asked = str(decide(engine).approval)
        with Server(engine, listen="127.0.0.1:0", grace_ms=0, approvals=approvals.queue) as server:
            address = str(server.address)
            client = stack.enter_context(Client(address))
            result = stack.enter_context(waiting(client, asked))
            wait_until(lambda: approvals.queue.has_watchers)
        assert not result.done()
        stack.enter_context(Server(engine, listen=address, grace_ms=0, approvals=approvals.queue))
        answer(store, asked)
        found = result.result(60)
        assert found is not None
        assert found.state == "approved"


@pytest.mark.parametrize("is_aio", [False, True], ids=["sync", "aio"])
def test_waits_that_fill_a_connection_leave_decisions_alone(tmp_path: Path, *, is_aio: bool) -> None:
    waits = 6
    with ApprovalStore(tmp_path / "state") as approvals, ExitStack() as stack:
        engine = Engine.from_dict(ASKS, approvals=approvals.queue)
        store = stack.enter_context(closing(open_store(in_folder(tmp_path / "state"))))
        asked = str(decide(engine).approval)
        server = stack.enter_context(
            Server(engine, listen="127.0.0.1:0", grace_ms=0, approvals=approvals.queue, max_streams=waits // 2)
        )
        target = str(server.address)
        if is_aio:

            async def wait() -> list[Approval | None]:
                async with AsyncClient(target, timeout_ms=3_000) as client:
                    tasks = [
                        asyncio.create_task(client.wait_for_approval(asked, timeout_ms=LONG_MS)) for _ in range(waits)
                    ]
                    await asyncio.to_thread(wait_until, lambda: approvals.queue.has_watchers)
                    assert (await client.check(grant="g", tool="open")).allowed
                    answer(store, asked)
                    return list(await asyncio.gather(*tasks))

            found = asyncio.run(wait())
        else:
            client = stack.enter_context(Client(target, timeout_ms=3_000))
            pool = stack.enter_context(ThreadPoolExecutor(waits))
            results = [pool.submit(client.wait_for_approval, asked, timeout_ms=LONG_MS) for _ in range(waits)]
            wait_until(lambda: approvals.queue.has_watchers)
            allowed = client.check(grant="g", tool="open").allowed
            answer(store, asked)
            found = [result.result() for result in results]
            assert allowed
        assert [one and one.state for one in found] == ["approved"] * waits


def test_many_wait_while_others_ask(tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = in_folder(tmp_path / "a" / "state")
        one = serving(stack, tmp_path / "a", place)
        store = stack.enter_context(closing(open_store(place)))
        asked = ask(one.client)

        async def wait(count: int) -> list[Approval | None]:
            async with AsyncClient(one.running.address, timeout_ms=LONG_MS) as client:
                waits = [asyncio.create_task(client.wait_for_approval(asked, timeout_ms=LONG_MS)) for _ in range(count)]
                await asyncio.sleep(1)
                assert not any(one.done() for one in waits)
                assert (await client.check(grant="h", server="s", tool="risky")).outcome == "approval_required"
                answer(store, asked)
                return list(await asyncio.gather(*waits))

        assert {one and one.state for one in asyncio.run(wait(300))} == {"approved"}


def decide(engine: Engine, **more: Any) -> Decision:
    return engine.check(**{"grant": "g", "tool": "risky", "args": {"n": 1}, **more})


def test_an_engine_of_ones_own_asks_a_store(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with ApprovalStore(tmp_path / "state", mask=["args.secret"]) as approvals:
        engine = Engine.from_dict(ASKS, approvals=approvals.queue)
        asked = decide(engine)
        assert asked.outcome == "approval_required"
        seen = engine.approval(str(asked.approval))
        assert seen is not None
        assert seen.state == "pending"
        assert engine.approval("x") is None
        hidden = decide(engine, args={"secret": "hunter2"})
        with closing(open_store(in_folder(tmp_path / "state"))) as store:
            assert store.approvals.record(str(hidden.approval)).arguments == '{"secret": "***"}'
            answer(store, str(asked.approval))
        assert decide(engine).allowed
    assert decide(engine).rule == "(approval store unavailable)"
    with pytest.raises(StoreError, match="the store of approvals does not answer"):
        engine.approval("x")
    with pytest.raises(StoreError, match="needs `approvals`"):
        Engine.from_dict(ASKS, approvals=None).approval("x")
    with pytest.raises(ValueError, match="expected the path of an argument"):
        ApprovalStore(tmp_path / "state", mask=["password"])
    with pytest.raises(TypeError, match="expected several paths, such as"):
        ApprovalStore(tmp_path / "state", mask="args.password")
    with pytest.raises(ValueError, match="`place` is empty"):
        ApprovalStore("")
    with pytest.raises(ValueError, match="expected `sqlite:///PATH`"):
        ApprovalStore("mysql://x/y")
    assert not caplog.records


@pytest.mark.parametrize("is_aio", [False, True], ids=["sync", "aio"])
def test_the_grpcio_service_tells_states(tmp_path: Path, *, is_aio: bool) -> None:
    with ApprovalStore(tmp_path / "state") as approvals, ExitStack() as stack:
        engine = Engine.from_dict(ASKS, approvals=approvals.queue)
        target = stack.enter_context(mounted(engine, is_aio=is_aio))
        client = stack.enter_context(Client(target))
        store = stack.enter_context(closing(open_store(in_folder(tmp_path / "state"))))
        asked = str(decide(engine).approval)
        seen = client.approval(asked)
        assert seen == engine.approval(asked)
        assert client.approval("x") is None
        with pytest.raises(CallgateError, match="INVALID_ARGUMENT"):
            client.approval("")
        with waiting(client, asked) as result:
            answer(store, asked)
        found = result.result()
        assert found is not None
        assert found.state == "approved"
        without = stack.enter_context(mounted(Engine.from_dict(ASKS), is_aio=is_aio))
        with Client(without) as other, pytest.raises(CallgateError, match="UNAVAILABLE"):
            other.approval(asked)


@contextmanager
def mounted(engine: Engine, *, is_aio: bool) -> Iterator[str]:
    """A grpcio server with the service."""
    if not is_aio:
        server = grpc.server(ThreadPoolExecutor(4))
        add_to_grpc_server(engine, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            server.stop(None).wait()
        return
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server()
        add_to_grpc_server(engine, server)
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    aio_server, port = asyncio.run_coroutine_threadsafe(start(), loop).result(60)
    try:
        yield f"127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(aio_server.stop(None), loop).result(60)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
