"""The streams of decisions and of numbers over the control socket."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import pytest

from callgate import Call, CallgateError, Client, Engine, Server
from callgate._callgate import DecisionListener
from callgate.cli.running import Running
from callgate.control.metrics import ServerCollector, registry
from callgate.control.port.pages import Pages
from callgate.control.port.routes import TAIL, TOP, Routes
from callgate.control.port.socket import ControlSocket
from support.setup import until

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "day", "max": 1}]},
    },
}
MOST_LISTENERS = 16


@pytest.fixture
def sidecar() -> Iterator[tuple[Engine, Server]]:
    engine = Engine.from_dict(POLICY)
    with Server(engine, workers=1, grace_ms=0) as server:
        yield engine, server


@pytest.fixture
def control(sidecar: tuple[Engine, Server], tmp_path: Path) -> Iterator[Running]:
    engine, server = sidecar
    pages = Pages(registry(ServerCollector(server)))
    pages.routes = Routes(engine, server, dict)
    control = ControlSocket(tmp_path / "state", pages)
    control.start()
    yield Running(control.path.parent)
    control.stop()


@pytest.fixture
def client(sidecar: tuple[Engine, Server]) -> Iterator[Client]:
    address = sidecar[1].address
    assert address is not None
    with Client(address) as client:
        yield client


def begun(running: Running, path: str, **fields: object) -> Generator[dict[str, Any] | None, None, None]:
    """The stream of a listener that is known to listen."""
    stream = running.stream(path, json.dumps(fields).encode())
    assert next(stream) is None
    return stream


def documents(stream: Iterator[dict[str, Any] | None]) -> Iterator[dict[str, Any]]:
    return (document for document in stream if document is not None)


def test_a_tail_has_what_it_asked_for(control: Running, client: Client) -> None:
    everything = begun(control, TAIL)
    denied = begun(control, TAIL, outcomes=["deny", "rate_limited"], tools=["t"], grants=["a", "b"])
    for grant, tool in [("a", "t"), ("a", "t"), ("c", "t"), ("b", "v")]:
        client.check(grant=grant, tool=tool, args={"secret": "of the caller"})
    lines = documents(everything)
    first = next(lines)
    assert {name: first[name] for name in ("protocol", "server", "grant", "tool", "outcome", "rule", "policy")} == {
        "protocol": "grpc",
        "server": "srv",
        "grant": "a",
        "tool": "t",
        "outcome": "allow",
        "rule": "",
        "policy": "p",
    }
    assert first["decided_at_us"] > 0
    assert "secret" not in json.dumps(first)
    rest = [next(lines) for _ in range(3)]
    assert [(one["grant"], one["tool"], one["outcome"], one["rule"]) for one in rest] == [
        ("a", "t", "rate_limited", "/tools/t/limits/c"),
        ("c", "t", "allow", ""),
        ("b", "v", "deny", "(default deny)"),
    ]
    assert next(documents(denied)) == rest[0]


def test_numbers_of_an_interval(control: Running, client: Client) -> None:
    stream = begun(control, TOP, interval_s=0.2)
    client.check(grant="a", tool="t")
    client.check(grant="a", tool="t")
    client.check(grant="b", tool="v")
    outcomes: dict[str, int] = {}
    grants: dict[str, dict[str, int]] = {}
    denials: dict[str, int] = {}
    while sum(outcomes.values()) < 3:
        numbers = next(documents(stream))
        assert numbers["seconds"] > 0
        assert numbers["grants_uncounted"] == 0
        assert numbers["counters"]["capacity"] > 0
        has_decisions = bool(numbers["outcomes"])
        assert (numbers["latency_ns"] is not None) == has_decisions
        for outcome, count in numbers["outcomes"].items():
            outcomes[outcome] = outcomes.get(outcome, 0) + count
        for row in numbers["grants"]:
            grants.setdefault(row["grant"], {}).update(row["outcomes"])
        for row in numbers["denials"]:
            denials[row["rule"]] = row["count"]
        assert sum(sum(row["outcomes"].values()) for row in numbers["tools"]) == sum(numbers["outcomes"].values())
    assert outcomes == {"allow": 1, "rate_limited": 1, "deny": 1}
    assert denials == {"/tools/t/limits/c": 1, "(default deny)": 1}
    # The tally may be an instant behind the other numbers.
    while len(grants) < 2 or len(grants["a"]) < 2:
        for row in next(documents(stream))["grants"]:
            grants.setdefault(row["grant"], {}).update(row["outcomes"])
    assert grants == {"a": {"allow": 1, "rate_limited": 1}, "b": {"deny": 1}}


def test_a_reader_that_leaves_makes_room(control: Running, sidecar: tuple[Engine, Server]) -> None:
    server = sidecar[1]
    with ExitStack() as stack:
        stack.enter_context(closing(begun(control, TAIL)))
        for _ in range(MOST_LISTENERS - 1):
            stack.enter_context(server.listen())
        with pytest.raises(CallgateError, match="16 listeners follow the decisions already"):
            control.ask("POST", TOP, b"{}")
        with pytest.raises(CallgateError, match="16 listeners"):
            server.tally_grants()

        listeners: list[DecisionListener] = []

        def has_every_place() -> bool:
            with suppress(CallgateError):
                listeners.append(server.listen())
            return len(listeners) == MOST_LISTENERS

        # Closes the connection of the tail; it is noticed at one of the next lines.
        stack.close()
        until(has_every_place)


def test_a_listener_too_many_is_refused_and_ends_no_other(control: Running) -> None:
    tails = [begun(control, TAIL) for _ in range(MOST_LISTENERS)]
    for path in (TAIL, TOP):
        with pytest.raises(CallgateError, match="16 listeners follow the decisions already, which is the most"):
            begun(control, path)
    assert [next(tail) for tail in tails] == [None] * MOST_LISTENERS


def test_a_stream_that_breaks_off_is_no_end_of_the_sidecar(
    sidecar: tuple[Engine, Server], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = {"ready": True, "failure": None}
    monkeypatch.setattr("callgate.control.port.live.tail", lambda *_, **__: (line for line in [b"\n"]))
    pages = Pages(registry(ServerCollector(sidecar[1])))
    pages.routes = Routes(*sidecar, lambda: state)
    control = ControlSocket(tmp_path / "state", pages)
    control.start()
    running = Running(control.path.parent)
    with pytest.raises(CallgateError, match="closed the connection, and still runs; try again"):
        list(running.stream(TAIL, b"{}"))
    state["ready"] = False
    assert list(running.stream(TAIL, b"{}")) == [None]
    control.stop()


def test_a_stream_ends_with_the_server(control: Running, sidecar: tuple[Engine, Server]) -> None:
    streams = [begun(control, TAIL), begun(control, TOP, interval_s=0.1)]
    sidecar[1].stop()
    for stream in streams:
        assert all(document is None or "seconds" in document for document in stream)


@pytest.mark.parametrize(
    ("path", "body", "message"),
    [
        (TAIL, b'{"outcomes": ["maybe"]}', "outcome `maybe`: expected one of `allow`, `deny`"),
        (TAIL, b'{"grants": "a"}', "the field `grants`: expected a list"),
        (TOP, b'{"interval_s": 0}', "expected 0.1 to 60"),
        (TOP, b'{"interval_s": true}', "expected 0.1 to 60"),
    ],
)
def test_wrong_requests(control: Running, path: str, body: bytes, message: str) -> None:
    with pytest.raises(CallgateError) as refused:
        control.ask("POST", path, body)
    assert message in str(refused.value)
    assert "(HTTP 400)" in str(refused.value)


def test_what_finds_no_room_is_counted(sidecar: tuple[Engine, Server], client: Client) -> None:
    with sidecar[1].listen() as listener:
        calls: list[Call] = [{"grant": "g" * 100, "tool": "t" * 100, "session": "s" * 100}] * 1_000
        asked = 0
        dropped = 0
        lines = b""
        while not dropped:
            asked += len(client.check_batch(calls))
            if asked >= 10_000:
                taken = listener.take(0)
                assert taken is not None
                lines, dropped = taken
        assert lines.count(b"\n") + dropped == asked
    assert listener.take(0) is None
