"""Freezes, pins, counters, decisions, status, people, tokens and the audit."""

from __future__ import annotations

import json
import os
import threading
from types import SimpleNamespace
from typing import Any, cast

import grpc
import pytest

from callgate._callgate import ManagedGrants, pins_record
from callgate._proto.callgate.admin.v1 import (
    audit_pb2,
    counters_pb2,
    decisions_pb2,
    freezes_pb2,
    people_pb2,
    pins_pb2,
    role_pb2,
    status_pb2,
    tokens_pb2,
)
from callgate._proto.callgate.decision.v1 import decision_pb2
from callgate.admin import replica as replica_module
from callgate.admin.ground import Ground
from callgate.admin.replica import ReplicaReports
from callgate.client import Client as DecisionClient
from callgate.clock import now_us
from callgate.config.state import pins_folder
from callgate.store.people import Role
from callgate.store.replicas import ReplicaReport
from callgate.store.tokens import Scope
from support.admin import PASSWORD, Admin, CallError, Client, request_id
from support.setup import until

IN_FORCE = freezes_pb2.Freeze.STATE_IN_FORCE
THAWED = freezes_pb2.Freeze.STATE_THAWED


def freeze(client: Client, **fields: Any) -> freezes_pb2.Freeze:
    more = {name: fields.pop(name) for name in ("request_id",) if name in fields}
    request = freezes_pb2.CreateFreezeRequest(freeze={"reason": "storm", **fields}, **more)
    return client(request, freezes_pb2.CreateFreezeResponse).freeze


def freezes(client: Client, **fields: Any) -> list[freezes_pb2.Freeze]:
    request = freezes_pb2.ListFreezesRequest(page_size=2, **fields)
    found: list[freezes_pb2.Freeze] = []
    while True:
        page = client(request, freezes_pb2.ListFreezesResponse)
        found += page.freezes
        if not page.next_page_token:
            return found
        request.page_token = page.next_page_token


def test_freezing_and_thawing(both: Admin) -> None:
    ann, one = both.person("ann", Role.APPROVER), request_id()
    first = freeze(ann, everything=True, request_id=one)
    assert freeze(ann, everything=True, request_id=one) == first
    others = [
        freeze(ann, server="s", ttl={"seconds": 60}),
        freeze(ann, grant="g"),
        freeze(ann, tools={"server": "s", "pattern": "delete_*"}),
    ]
    assert (first.state, first.everything, first.creator.name) == (IN_FORCE, True, "ann (local)")
    assert others[0].HasField("expire_time")
    assert freezes(ann) == [first, *others]
    request = freezes_pb2.ThawFreezeRequest(id=first.id, reason="over")
    thawed = ann(request, freezes_pb2.ThawFreezeResponse).freeze
    assert (thawed.state, thawed.thaw_reason, thawed.thawer.name) == (THAWED, "over", "ann (local)")
    with pytest.raises(CallError) as told:
        ann(request, freezes_pb2.ThawFreezeResponse)
    assert told.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert freezes(ann) == others
    assert [one.id for one in freezes(ann, show_ended=True)][::-1] == [first.id, *(one.id for one in others)]


@pytest.mark.parametrize(
    ("fields", "warning"),
    [
        ({"everything": True}, None),
        ({"server": "filed-server"}, None),
        ({"server": "filed-sever"}, "unknown server `filed-sever`; did you mean `filed-server`?"),
        ({"grant": "filed-grant"}, None),
        ({"grant": "stored-grant"}, None),
        ({"grant": "filed-grnt"}, "unknown grant `filed-grnt`; did you mean `filed-grant`?"),
        ({"tools": {"server": "filed-server", "pattern": "t"}}, None),
        ({"tools": {"server": "filed-server", "pattern": "tt*"}}, None),
        (
            {"tools": {"server": "filed-server", "pattern": "tt"}},
            "have a tool `tt` of `filed-server`; did you mean `t`?",
        ),
    ],
)
def test_a_freeze_of_an_unknown_name_warns(admin: Admin, fields: dict[str, Any], warning: str | None) -> None:
    place = {"server": "filed-server", "policy": "filed-policy"}
    assert not ManagedGrants(admin.sidecar.engine).change([{"id": "stored-grant", **place}])
    request = freezes_pb2.CreateFreezeRequest(freeze={"reason": "storm", **fields})
    answer = admin.admin(request, freezes_pb2.CreateFreezeResponse)
    assert answer.freeze.state == IN_FORCE
    assert len(answer.warnings) == (warning is not None)
    assert warning is None or warning in answer.warnings[0]


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({}, "freeze.target"),
        ({"everything": False}, "freeze.target"),
        ({"server": ""}, "freeze.target"),
        ({"tools": {"server": "s"}}, "freeze.tools.pattern"),
        ({"everything": True, "reason": ""}, "freeze.reason"),
        ({"everything": True, "reason": "a\nb"}, "freeze.reason"),
        ({"everything": True, "expire_time": {"seconds": 1}}, "freeze.expire_time"),
        ({"everything": True, "ttl": {"seconds": -1}}, "freeze.ttl"),
    ],
)
def test_freezes_that_cannot_be(admin: Admin, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(CallError) as told:
        freeze(admin.admin, **fields)
    assert list(told.value.fields) == [field]
    assert freezes(admin.admin) == []


def list_tools(admin: Admin, description: str) -> None:
    """The server lists its one tool."""
    folder = pins_folder(admin.sidecar.plan().bundle.config.state)
    folder.mkdir(parents=True, exist_ok=True)
    tools = {"tools": [{"name": "t", "description": description, "inputSchema": {"type": "object"}}]}
    pins_record(folder, "filed-server", "http://127.0.0.1:1/mcp", None, json.dumps(tools).encode())


def pins(client: Client, **fields: Any) -> list[pins_pb2.Pin]:
    return list(client(pins_pb2.ListPinsRequest(**fields), pins_pb2.ListPinsResponse).pins)


def test_accepting_a_changed_tool(admin: Admin) -> None:
    pat = admin.person("pat", Role.POLICY_MANAGER)
    assert pins(pat) == []
    list_tools(admin, "first")
    [pin] = pins(pat)
    assert (pin.server, pin.tool, pin.state) == ("filed-server", "t", pins_pb2.Pin.STATE_PINNED)
    assert pins(pat, waiting_only=True) == []
    list_tools(admin, "second")
    [pin] = pins(pat, waiting_only=True)
    assert pin.state == pins_pb2.Pin.STATE_CHANGED
    [listed] = pin.listed_forms
    assert json.loads(listed.definition_json)["description"] == "second"
    request = pins_pb2.AcceptPinRequest(server="filed-server", tool="t", digest=listed.digest, reason="read")
    bad = pins_pb2.AcceptPinRequest(server="filed-server", tool="t", digest=listed.digest[:12])
    with pytest.raises(CallError) as told:
        pat(bad, pins_pb2.AcceptPinResponse)
    assert told.value.code is grpc.StatusCode.NOT_FOUND
    accepted = pat(request, pins_pb2.AcceptPinResponse).pin
    assert (accepted.state, [one.digest for one in accepted.accepted_forms]) == (
        pins_pb2.Pin.STATE_PINNED,
        [listed.digest],
    )
    stored = {one.pin.digest: one.is_deleted for one in admin.store.pins.since(0)}
    assert stored[listed.digest] is False
    records = admin.admin(audit_pb2.ListAuditRecordsRequest(kind="pins"), audit_pb2.ListAuditRecordsResponse)
    assert ("accept", "filed-server/t", "read") in {
        (one.action, one.object_id, one.reason) for one in records.audit_records
    }
    with pytest.raises(CallError) as told:
        pat(pins_pb2.AcceptPinRequest(server="x", tool="t", digest="d"), pins_pb2.AcceptPinResponse)
    assert told.value.code is grpc.StatusCode.NOT_FOUND


def test_counters_are_looked_at_and_reset(admin: Admin) -> None:
    request = counters_pb2.PeekCountersRequest(grant="filed-grant", tool="t", server="filed-server")

    def left() -> float:
        peeked = admin.admin(request, counters_pb2.PeekCountersResponse).peek
        return peeked.limits[0].count.remaining

    assert left() == 3
    admin.sidecar.engine.check(grant="filed-grant", tool="t", server="filed-server")
    assert left() == 2
    reset = counters_pb2.ResetCountersRequest(grant="filed-grant", reason="test", request_id=request_id())
    answer = admin.admin(reset, counters_pb2.ResetCountersResponse)
    assert [(one.policy, one.counter) for one in answer.reset_limits] == [("filed", "calls")]
    assert left() == 3
    admin.sidecar.engine.check(grant="filed-grant", tool="t", server="filed-server")
    # The same request is a retry.
    assert admin.admin(reset, counters_pb2.ResetCountersResponse) == answer
    assert left() == 2
    records = admin.admin(audit_pb2.ListAuditRecordsRequest(kind="counters"), audit_pb2.ListAuditRecordsResponse)
    assert [(one.action, one.object_id) for one in records.audit_records] == [("reset", "grant=filed-grant")]
    for bad, code in (
        (counters_pb2.ResetCountersRequest(), grpc.StatusCode.INVALID_ARGUMENT),
        (counters_pb2.ResetCountersRequest(tool="x"), grpc.StatusCode.FAILED_PRECONDITION),
    ):
        with pytest.raises(CallError) as told:
            admin.admin(bad, counters_pb2.ResetCountersResponse)
        assert told.value.code is code
    # A malformed call is a decision, as at every door.
    malformed = counters_pb2.PeekCountersRequest(grant="filed-grant", tool="t", args_json="{", server="filed-server")
    peeked = admin.admin(malformed, counters_pb2.PeekCountersResponse).peek
    assert peeked.decision.rule == "(invalid request)"


def test_decisions_are_followed(admin: Admin) -> None:
    request = decisions_pb2.TailDecisionsRequest(outcomes=[decision_pb2.OUTCOME_DENY])
    stream = admin.admin.stream(request, decisions_pb2.TailDecisionsResponse)
    assert not next(stream).decisions
    with DecisionClient(str(admin.sidecar.server.address)) as client:
        for tool in ("t", "unknown"):
            client.check(grant="filed-grant", tool=tool, server="filed-server")
    # Both calls may come in one message.
    decision = next(one for one in stream if one.decisions).decisions[0]
    # Without a PEP that vouches, nobody may name a configured grant.
    assert (decision.outcome, decision.protocol) == (decision_pb2.OUTCOME_DENY, "grpc")
    assert json.loads(decision.line_json)["tool"] == decision.tool
    stream.cancel()


def test_reports_go_on_after_an_error_that_nobody_expected(both: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    """A replica that only could not look at itself for a moment must not be lost for the others until a restart."""
    monkeypatch.setattr(replica_module, "BEAT_S", 0.05)
    faults, told, status = iter([OSError("too many open files")]), list[Exception](), both.sidecar.status()

    def failing() -> dict[str, Any]:
        if (fault := next(faults, None)) is not None:
            raise fault
        # A folder whose name is no UTF-8.
        return {**status, "state": "/tmp/\udcff"}

    sidecar = SimpleNamespace(status=failing)
    reports = ReplicaReports(
        cast(Ground, SimpleNamespace(store=both.store, sidecar=sidecar, replica="me")), told.append
    )
    reports.start()

    def is_reported() -> bool:
        return any(one.id == "me" and "udcff" in one.status for one in both.store.replicas.page())

    until(is_reported)
    reports.stop()
    assert [type(one) for one in told] == [OSError]
    listed = both.admin(status_pb2.ListReplicasRequest(), status_pb2.ListReplicasResponse).replicas
    if not both.store.database.is_sqlite:
        assert json.loads(next(one for one in listed if one.id == "me").details_json)["state"] == "/tmp/\udcff"


def test_status_and_replicas(both: Admin) -> None:
    replica = both.admin(status_pb2.GetStatusRequest(), status_pb2.GetStatusResponse).replica
    assert (replica.state, replica.start_time.seconds) == (status_pb2.Replica.STATE_READY, 1_767_225_600)
    assert [one.policy for one in replica.policies] == ["filed"]
    assert json.loads(replica.details_json)["ready"]
    assert (replica.approvals.pending, replica.approvals.active_permits, replica.freezes_in_force) == (2, 3, 1)
    assert replica.approvals.oldest_pending_age.seconds == 371
    listed = both.admin(status_pb2.ListReplicasRequest(), status_pb2.ListReplicasResponse).replicas
    if both.store.database.is_sqlite:
        assert [one.id for one in listed] == [replica.id]
        return
    lost = ReplicaReport("a" * 26, "elsewhere", 1_000_000, now_us() - 31_000_000, None, "{}")
    both.store.replicas.report(lost)
    for _ in range(200):
        listed = both.admin(status_pb2.ListReplicasRequest(), status_pb2.ListReplicasResponse).replicas
        if len(listed) == 2:
            break
    states = {one.id: one.state for one in listed}
    assert states == {replica.id: status_pb2.Replica.STATE_READY, lost.id: status_pb2.Replica.STATE_LOST}
    both.face.stop()
    stopped = {one.id: one.stopped_us is not None for one in both.store.replicas.page()}
    assert stopped == {replica.id: True, lost.id: False}


def person(client: Client, name: str = "ann", **fields: Any) -> people_pb2.LocalPerson:
    more = {key: fields.pop(key) for key in ("request_id",) if key in fields}
    given = {"name": name, "roles": [role_pb2.ROLE_APPROVER], **fields}
    request = people_pb2.CreatePersonRequest(person=given, password=PASSWORD, **more)
    return client(request, people_pb2.CreatePersonResponse).person


def test_people_are_managed(both: Admin) -> None:
    one = request_id()
    made = person(both.admin, groups=["ops"], request_id=one)
    assert person(both.admin, groups=["ops"], request_id=one) == made
    assert (list(made.roles), list(made.groups), made.disabled) == ([role_pb2.ROLE_APPROVER], ["ops"], False)
    assert both.face.identities is not None
    session = both.face.identities.log_in("ann", PASSWORD, "here")
    request = people_pb2.UpdatePersonRequest(person={"name": "ann", "etag": made.etag, "disabled": True})
    after = both.admin(request, people_pb2.UpdatePersonResponse).person
    assert (after.disabled, list(after.groups)) == (True, ["ops"])
    with pytest.raises(CallError) as told:
        both.client(session)(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
    assert told.value.code is grpc.StatusCode.UNAUTHENTICATED
    with pytest.raises(CallError) as told:
        both.admin(request, people_pb2.UpdatePersonResponse)
    assert told.value.code is grpc.StatusCode.ABORTED
    assert told.value.metadata == {"etag": after.etag, "changed_by": "root (local)"}
    assert "root (local) has changed the person `ann` meanwhile" in told.value.message
    listed = both.admin(people_pb2.ListPeopleRequest(page_size=1), people_pb2.ListPeopleResponse)
    assert [one.name for one in listed.people] == ["ann"]
    rest = people_pb2.ListPeopleRequest(page_size=1, page_token=listed.next_page_token)
    assert [one.name for one in both.admin(rest, people_pb2.ListPeopleResponse).people] == ["root"]
    both.admin(people_pb2.DeletePersonRequest(name="ann", etag=after.etag), people_pb2.DeletePersonResponse)
    with pytest.raises(CallError) as told:
        both.admin(people_pb2.GetPersonRequest(name="ann"), people_pb2.GetPersonResponse)
    assert told.value.code is grpc.StatusCode.NOT_FOUND
    with pytest.raises(CallError) as told:
        person(both.admin, "root")
    assert told.value.code is grpc.StatusCode.ALREADY_EXISTS


def test_a_new_password_works(admin: Admin) -> None:
    person(admin.admin)
    request = people_pb2.UpdatePersonRequest(person={"name": "ann"}, password="another long password")
    admin.admin(request, people_pb2.UpdatePersonResponse)
    assert admin.face.identities is not None
    assert admin.face.identities.log_in("ann", "another long password", "here")
    for short in ("x", "a" * 300):
        bad = people_pb2.CreatePersonRequest(person={"name": "ben", "roles": [1]}, password=short)
        with pytest.raises(CallError) as told:
            admin.admin(bad, people_pb2.CreatePersonResponse)
        assert list(told.value.fields) == ["password"]
        assert short not in told.value.message or len(short) == 1


def token(client: Client, **fields: Any) -> tokens_pb2.CreateTokenResponse:
    given = {"name": "ci", "roles": [role_pb2.ROLE_POLICY_MANAGER], "ttl": {"seconds": 3_600}, **fields}
    return client(tokens_pb2.CreateTokenRequest(machine_token=given), tokens_pb2.CreateTokenResponse)


def test_machine_tokens_are_managed(both: Admin) -> None:
    made = token(both.admin, scopes=["status"])
    machine = both.client(made.token)
    assert machine(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse).machine
    with pytest.raises(CallError) as told:
        machine(audit_pb2.ListAuditRecordsRequest(), audit_pb2.ListAuditRecordsResponse)
    assert told.value.reason == "SCOPE"
    request = tokens_pb2.RevokeTokenRequest(id=made.machine_token.id, reason="done")
    revoked = both.admin(request, tokens_pb2.RevokeTokenResponse).machine_token
    assert revoked.state == tokens_pb2.MachineToken.STATE_REVOKED
    with pytest.raises(CallError) as told:
        machine(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
    assert told.value.code is grpc.StatusCode.UNAUTHENTICATED
    [listed] = both.admin(tokens_pb2.ListTokensRequest(), tokens_pb2.ListTokensResponse).machine_tokens
    assert (listed.id, list(listed.scopes), listed.HasField("last_use_time")) == (revoked.id, ["status"], True)


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"roles": [role_pb2.ROLE_APPROVER]}, "machine_token"),
        ({"roles": []}, "machine_token.roles"),
        ({"roles": [99]}, "machine_token.roles"),
        ({"scopes": ["polices"]}, "machine_token.scopes"),
        ({"ttl": {"seconds": 0}}, "machine_token"),
        ({"ttl": {"seconds": 400 * 86_400}}, "machine_token"),
        ({"name": ""}, "machine_token.name"),
    ],
)
def test_tokens_that_cannot_be(admin: Admin, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(CallError) as told:
        token(admin.admin, **fields)
    assert list(told.value.fields) == [field]


def test_a_token_has_an_end(admin: Admin) -> None:
    bad = tokens_pb2.CreateTokenRequest(machine_token={"name": "x", "roles": [1]})
    with pytest.raises(CallError) as told:
        admin.admin(bad, tokens_pb2.CreateTokenResponse)
    assert list(told.value.fields) == ["machine_token.expire_time"]


def test_the_audit_is_paged_and_filtered(admin: Admin) -> None:
    vic = admin.machine(Role.VIEWER, scopes=[Scope.AUDIT])
    for name in ("a", "b", "c"):
        freeze(admin.admin, grant=name)
    request = audit_pb2.ListAuditRecordsRequest(kind="freezes", page_size=2)
    first = vic(request, audit_pb2.ListAuditRecordsResponse)
    request.page_token = first.next_page_token
    second = vic(request, audit_pb2.ListAuditRecordsResponse)
    numbers = [one.number for one in (*first.audit_records, *second.audit_records)]
    assert len(numbers) == 3
    assert numbers == sorted(numbers, reverse=True)
    with pytest.raises(CallError) as told:
        vic(audit_pb2.ListAuditRecordsRequest(object_id="a"), audit_pb2.ListAuditRecordsResponse)
    assert list(told.value.fields) == ["kind"]


def test_calls_of_the_api_step_back_behind_decisions(admin: Admin) -> None:
    admin.admin(status_pb2.GetStatusRequest(), status_pb2.GetStatusResponse)
    of_calls = [one for one in threading.enumerate() if one.name.startswith("callgate-admin-grpc")]
    assert of_calls
    for thread in of_calls:
        assert thread.native_id is not None
        assert os.getpriority(os.PRIO_PROCESS, thread.native_id) >= 10
