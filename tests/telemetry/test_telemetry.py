"""Spans and logs at a real collector: decisions, approvals, admin changes, and a collector that is not there."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from callgate import Engine, Server, clock
from callgate._callgate import ApprovalQueue
from callgate._proto.callgate.admin.v1 import freezes_pb2
from callgate.admin.calls.call import Call
from callgate.admin.calls.errors import AdminError
from callgate.admin.calls.registry import Registry
from callgate.approvals.asking import Asking
from callgate.config.bundle import read_bundle
from callgate.config.document import KeyPath
from callgate.config.load import Option
from callgate.control import logs
from callgate.control.changes import Changes
from callgate.control.telemetry import Telemetry
from callgate.control.telemetry_numbers import TelemetryNumbers
from callgate.errors import ConfigError, StoreError
from callgate.identity.principal import Principal
from callgate.store.audit import Change
from callgate.store.model import Actor
from callgate.store.people import Role
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.approvals import answer
from support.collector import Collector, attributes, grpc_collector, http_collector
from support.planes import wait_until
from support.ports import free_port


class Freezes:
    """A service of which no method works."""

    DESCRIPTOR = freezes_pb2.DESCRIPTOR.services_by_name["FreezesService"]

    def _fail(self, *_: object) -> Any:
        raise StoreError("the store does not answer")

    create_freeze = thaw_freeze = list_freezes = _fail


POLICY = {
    "version": "1",
    "name": "p",
    "default": "allow",
    "log_args": ["args.region"],
    "tools": {"heard": {"action": "deny"}, "drop": {"action": "deny"}, "risky": {"action": "require_approval"}},
}
TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


class World:
    """A data plane with telemetry, and a store that answers for people."""

    def __init__(self, server: Server, store: Store, telemetry: Telemetry, numbers: TelemetryNumbers) -> None:
        self.server, self.store, self.telemetry, self.numbers = server, store, telemetry, numbers
        self.http = httpx.Client(base_url=f"http://{server.address}", timeout=30)

    def call(self, tool: str, flags: str | None = None, **arguments: str) -> dict[str, Any]:
        """A call, in a trace if flags are given."""
        headers = {} if flags is None else {"traceparent": f"00-{TRACE}-{SPAN}-{flags}"}
        body = {"grant": "g", "server": "s", "tool": tool, "args": arguments}
        found: dict[str, Any] = self.http.post("/v1/check", json=body, headers=headers).json()
        return found

    def counts(self) -> dict[tuple[str, str], float]:
        """The metrics by family and signal."""
        return {
            (sample.name, sample.labels["signal"]): sample.value
            for family in self.numbers.families()
            for sample in family.samples
            if sample.name.endswith("_total")
        }


def collector_of(folder: Path, endpoint: str, **keys: Any) -> Any:
    """The collector of a configuration."""
    (folder / "headers").write_text("X-Key: hunter2\n\nauthorization: Bearer abc\n")
    file = folder / "callgate.json"
    file.write_text(json.dumps({"telemetry": {"endpoint": endpoint, "headers_file": "headers", **keys}}))
    return read_bundle(file).collector


@contextmanager
def world(folder: Path, endpoint: str, **keys: Any) -> Iterator[World]:
    """A world whose decisions go to a collector."""
    store = open_store(in_folder(folder / "state"))
    queue = ApprovalQueue(deadline_ms=20_000)
    asking = Asking(queue)
    asking.start(store)
    numbers = TelemetryNumbers()
    engine = Engine.from_json(json.dumps(POLICY))
    with Server(engine, approvals=queue) as server:
        telemetry = Telemetry(server, collector_of(folder, endpoint, **keys), Changes(), numbers)
        telemetry.begin()
        telemetry.start(store)
        one = World(server, store, telemetry, numbers)
        # Listening begins on a thread of its own.
        try:
            yield one
        finally:
            one.http.close()
            telemetry.stop()
            asking.stop()
    telemetry.end()
    store.close()


def heard(one: World, collector: Collector) -> None:
    """Waits until decisions are followed."""

    def is_heard() -> bool:
        one.call("heard")
        return bool(collector.spans())

    wait_until(is_heard)


def told(found: list[Any]) -> list[Any]:
    """Spans or logs without those of the wait for the first."""
    return [one for one in found if attributes(one).get("gen_ai.tool.name") != "heard"]


Collecting = Callable[[], AbstractContextManager[Collector]]


@pytest.mark.parametrize(("protocol", "collecting"), [("grpc", grpc_collector), ("http/protobuf", http_collector)])
def test_decisions_go_on_in_the_trace_of_the_caller(tmp_path: Path, protocol: str, collecting: Collecting) -> None:
    with collecting() as collector, world(tmp_path, collector.endpoint, protocol=protocol, sample_allows=0) as one:
        heard(one, collector)
        one.call("list", "01", region="eu", password="hunter3")
        one.call("list", "00")
        one.call("list")
        one.call("drop", "00", region="eu", password="hunter3")
        collector.wait(lambda: len(told(collector.spans())) == 2 and told(collector.logs("callgate.denied")))
        spans = {attributes(span)["callgate.outcome"]: span for span in told(collector.spans())}
        [denial] = told(collector.logs("callgate.denied"))
    for span in spans.values():
        assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, SPAN, "callgate.decide")
        assert span.end_time_unix_nano >= span.start_time_unix_nano > 0
    allowed, denied = spans["allow"], spans["deny"]
    found = attributes(denied)
    assert {key: found[key] for key in ("gen_ai.tool.name", "callgate.grant", "callgate.server", "callgate.rule")} == {
        "gen_ai.tool.name": "drop",
        "callgate.grant": "g",
        "callgate.server": "s",
        "callgate.rule": "/tools/drop/action",
    }
    assert found["callgate.protocol"] == "http"
    assert "mcp.method.name" not in found
    assert denied.status.code == Status.STATUS_CODE_ERROR
    assert allowed.status.code == Status.STATUS_CODE_UNSET
    assert (denial.trace_id, denial.span_id) == (denied.trace_id, denied.span_id)
    assert denial.body.string_value == "deny /tools/drop/action"
    # Credentials of the collector go to it alone, and arguments nowhere.
    assert collector.headers[0]["x-key"] == "hunter2"
    sent = b"".join(one.SerializeToString() for one in (*collector.traces, *collector.logs_requests))
    assert b"hunter" not in sent
    assert b"password" not in sent


def test_allows_without_a_trace_are_sampled(tmp_path: Path) -> None:
    with grpc_collector() as collector, world(tmp_path, collector.endpoint, sample_allows=0.1) as one:
        heard(one, collector)
        for _ in range(300):
            one.call("list")
        one.call("drop")
        # Allowed calls are taken after denials: a denial after them comes later.
        one.call("drop")
        collector.wait(lambda: len(told(collector.spans())) >= 30)
        allows = [one for one in collector.spans() if attributes(one)["callgate.outcome"] == "allow"]
    assert 28 <= len(allows) <= 32
    # Each is the root of a trace of its own.
    assert len({one.trace_id for one in allows}) == len(allows)
    assert all(not one.parent_span_id for one in allows)


def test_an_approval_is_a_span_from_the_request_to_the_answer(tmp_path: Path) -> None:
    with grpc_collector() as collector, world(tmp_path, collector.endpoint, sample_allows=0) as one:
        heard(one, collector)
        waiting = [one.call("risky", "01")["approval"] for _ in range(2)]
        collector.wait(lambda: len(told(collector.spans("callgate.decide"))) == 2)
        assert collector.spans("callgate.approval") == []
        one.store.approvals.answer(waiting[0], answer("ann", reason="hunter3"), clock.now_us())
        collector.wait(lambda: collector.spans("callgate.approval"))
        # The use of the approval is sent although allowed calls are not.
        assert one.call("risky")["approval"] == waiting[0]
        collector.wait(lambda: len(told(collector.spans("callgate.decide"))) == 3)
        [approval] = collector.spans("callgate.approval")
        asked = [span for span in told(collector.spans("callgate.decide")) if span.trace_id.hex() == TRACE]
        sent = b"".join(one.SerializeToString() for one in (*collector.traces, *collector.logs_requests))
    assert waiting[0] == waiting[1]
    found = attributes(approval)
    assert (found["callgate.approval.id"], found["callgate.approval.state"]) == (waiting[0], "approved")
    assert {link.span_id for link in approval.links} == {span.span_id for span in asked}
    [event] = approval.events
    assert (event.name, attributes(event)["callgate.verdict"]) == ("callgate.answer", "approve")
    assert approval.start_time_unix_nano < event.time_unix_nano <= approval.end_time_unix_nano
    assert b"hunter3" not in sent


def test_admin_changes_are_logs_of_one_replica(tmp_path: Path) -> None:
    with grpc_collector() as collector, world(tmp_path, collector.endpoint) as one:
        heard(one, collector)
        by = Actor("mia (local)", "127.0.0.1")
        for number in range(3):
            one.store.audit.add(Change(by, "create", "policies", f"p{number}", "a reason"), clock.now_us())
        # Another replica takes what comes first, and nothing twice.
        elsewhere = [record.change.object_id for record in one.store.telemetry.take_changes()]
        one.store.audit.add(Change(by, "delete", "policies", "last", ""), clock.now_us())
        collector.wait(lambda: len(collector.logs("callgate.admin_change")) + len(elsewhere) == 4)
        logs = collector.logs("callgate.admin_change")
    objects = [attributes(log)["callgate.audit.object"] for log in logs]
    assert sorted([*objects, *elsewhere]) == ["last", "p0", "p1", "p2"]
    assert attributes(logs[-1])["callgate.audit.actor"] == "mia (local)"


def test_a_call_of_the_admin_api_that_changes_something_is_a_span(tmp_path: Path) -> None:
    with grpc_collector() as collector, world(tmp_path, collector.endpoint) as one:
        heard(one, collector)
        registry = Registry(observe=one.telemetry.observe_call)
        registry.add(Freezes())
        admin = Principal("mia (local)", None, frozenset({Role.ADMIN}))
        for name in ("ListFreezes", "ThawFreeze"):
            method = registry.methods[f"callgate.admin.v1.FreezesService/{name}"]
            with pytest.raises(AdminError):
                method.run(admin, method.request_type(), Call("127.0.0.1"))
        collector.wait(lambda: collector.spans("callgate.admin.v1.FreezesService/ThawFreeze"))
        [span] = [span for span in collector.spans() if span.name.startswith("callgate.admin")]
    found = attributes(span)
    assert (found["callgate.principal"], found["client.address"]) == ("mia (local)", "127.0.0.1")
    assert span.status.code == Status.STATUS_CODE_ERROR
    assert found["rpc.response.status_code"] == span.status.message != "OK"


def test_a_dead_collector_delays_nothing_and_what_is_lost_is_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, dict[str, str]]] = []
    monkeypatch.setattr(logs, "log", lambda _level, event, fields=None: told.append((event, fields or {})))
    port = free_port()
    with world(tmp_path, f"http://127.0.0.1:{port}", timeout="300ms") as one:
        wait_until(lambda: one.call("drop") and one.counts()["callgate_telemetry_dropped_total", "spans"] > 0)
        for _ in range(200):
            assert one.call("drop")["outcome"] == "deny"
        with grpc_collector(f"127.0.0.1:{port}") as collector:
            wait_until(lambda: one.call("drop") and collector.spans())
            wait_until(lambda: one.counts()["callgate_telemetry_exported_total", "spans"] > 0)
            wait_until(lambda: any(event == "telemetry_recovered" for event, _ in told))
    failure, *_ = [fields["error"] for event, fields in told if event == "telemetry_failed"]
    assert failure.startswith(f"the collector `http://127.0.0.1:{port}` has not taken spans or logs, ")
    assert "UNAVAILABLE" in failure or "DEADLINE" in failure, failure


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"endpoint": "collector:4317"}, "expected the URL of a collector"),
        ({"endpoint": "http://u:hunter2@c"}, "expected the URL of a collector"),
        ({"protocol": "http"}, "http/protobuf"),
        ({"sample_allows": 1.1}, "expected a number from `0` to `1`"),
        ({"sample_allows": "nan"}, "expected a number from `0` to `1`"),
        ({"ca": "headers"}, "`ca` has no effect without"),
        ({"endpoint": "https://c", "ca": "headers"}, "expected certificates"),
        ({"headers_file": "bad"}, "line 2: expected the name of a header"),
        ({"headers_file": "missing"}, "no such file"),
    ],
)
def test_faults_of_the_collector_have_a_place_and_show_no_secret(
    tmp_path: Path, keys: dict[str, Any], message: str
) -> None:
    (tmp_path / "bad").write_text("x-key: 1\nhunter2\n")
    with pytest.raises(ConfigError) as refused:
        collector_of(tmp_path, keys.pop("endpoint", "http://127.0.0.1:4317"), **keys)
    assert message in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path / 'callgate.json'}:")
    assert "hunter2" not in str(refused.value)


def test_without_the_packages_a_start_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.config.telemetry_files.find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'callgate\[otlp\]'"):
        collector_of(tmp_path, "http://127.0.0.1:4317")
    given: dict[KeyPath, Option] = {("state",): Option("--state", tmp_path)}
    assert read_bundle(None, given).collector is None
