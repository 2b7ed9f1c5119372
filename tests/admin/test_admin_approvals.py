"""Approvals: shown, answered by people alone, followed while they change."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import Any

import grpc
import pytest

from callgate._proto.callgate.admin.v1 import approvals_pb2, audit_pb2, grants_pb2, permits_pb2
from callgate.admin.calls.call import Call
from callgate.admin.calls.errors import AdminError
from callgate.clock import now_us
from callgate.exact_json import write_json
from callgate.identity.principal import Principal
from callgate.store.documents import Edit
from callgate.store.model import PermitBounds, Person, Used, Waiting
from callgate.store.people import Role
from support.admin import BY, Admin, CallError, Client, failure_of, request_id
from support.approvals import HOUR, ask, need

BOUNDS = PermitBounds(max_uses=10, max_duration_us=HOUR)
PENDING = approvals_pb2.Approval.STATE_PENDING
APPROVED = approvals_pb2.Approval.STATE_APPROVED
DENIED = approvals_pb2.Approval.STATE_DENIED
CONSUMED = approvals_pb2.Approval.STATE_CONSUMED
ENDED = approvals_pb2.Approval.STATE_ENDED
EVIDENCE = {"entries": [{"pointer": "/tools/t", "document": {"require": []}}], "masked": []}


def pending(admin: Admin, fingerprint: str = "f", *needs: Any, **more: Any) -> str:
    """Makes a call wait; the id of its approval."""
    arguments = more.pop("arguments", {"region": "eu", "count": 2})
    waiting = ask(
        fingerprint,
        *needs,
        arguments=arguments,
        evidence_arguments=write_json(arguments),
        evidence=write_json(more.pop("evidence", EVIDENCE)),
        **more,
    )
    [outcome] = admin.store.approvals.ask([waiting], now_us())
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def approve(client: Client, name: str, **fields: Any) -> approvals_pb2.ApproveApprovalResponse:
    request = approvals_pb2.ApproveApprovalRequest(id=name, **fields)
    return client(request, approvals_pb2.ApproveApprovalResponse)


def get(client: Client, name: str) -> approvals_pb2.Approval:
    return client(approvals_pb2.GetApprovalRequest(id=name), approvals_pb2.GetApprovalResponse).approval


def test_a_person_approves_and_the_call_is_admitted(both: Admin) -> None:
    name = pending(both)
    ann = both.person("ann", Role.APPROVER)
    shown = get(ann, name)
    assert (shown.state, shown.evidence.arguments_json) == (PENDING, '{"region": "eu", "count": 2}')
    assert shown.needs[0].count == 1
    answered = approve(ann, name, reason="fine").approval
    assert (answered.state, answered.cause) == (APPROVED, "fine")
    [outcome] = both.store.approvals.ask([ask("f")], now_us())
    assert isinstance(outcome, Used)
    shown = get(ann, name)
    assert shown.state == CONSUMED
    [given] = shown.answers
    assert (given.person.issuer, given.person.subject, given.reason) == ("local", "ann", "fine")
    assert given.source == "127.0.0.1"
    records = both.admin(audit_pb2.ListAuditRecordsRequest(kind="approvals"), audit_pb2.ListAuditRecordsResponse)
    assert [(one.action, one.actor.name, one.reason) for one in records.audit_records] == [
        ("approve", "ann (local)", "fine")
    ]


def test_a_denial_reaches_the_agent(admin: Admin) -> None:
    name = pending(admin)
    request = approvals_pb2.DenyApprovalRequest(id=name, reason="not now")
    answered = admin.person("ann", Role.APPROVER)(request, approvals_pb2.DenyApprovalResponse).approval
    assert (answered.state, answered.cause) == (DENIED, "not now")


def test_a_machine_never_answers(admin: Admin) -> None:
    name = pending(admin)
    for verb in (approvals_pb2.ApproveApprovalRequest(id=name), approvals_pb2.DenyApprovalRequest(id=name)):
        with pytest.raises(CallError) as told:
            admin.machine(Role.ADMIN)(verb, approvals_pb2.ApproveApprovalResponse)
        assert (told.value.code, told.value.reason) == (grpc.StatusCode.PERMISSION_DENIED, "PEOPLE_ONLY")
    assert get(admin.machine(Role.VIEWER), name).state == PENDING


def test_only_the_groups_that_are_asked_answer(admin: Admin) -> None:
    name = pending(admin, "f", need(approvers=("dba",)))
    with pytest.raises(CallError) as told:
        approve(admin.person("ann", Role.APPROVER, groups=["ops"]), name)
    assert told.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert approve(admin.person("ben", Role.APPROVER, groups=["dba"]), name).approval.state == APPROVED


def test_the_owner_of_the_grant_does_not_answer(admin: Admin) -> None:
    """Nor does a person who became the owner after the call. The same name at another issuer is another person."""
    ann = Person("https://i.example.com", "ann")
    owned = {"id": "owned", "server": "s", "owner": {"issuer": ann.issuer, "subject": ann.subject}}
    admin.store.grants.put([Edit("owned", json.dumps(owned))], BY, "", now_us())
    name = pending(admin, grant="owned")
    caller = Principal("ann", ann, frozenset({Role.APPROVER}))
    assert admin.face.registry is not None
    method = admin.face.registry.methods["callgate.admin.v1.ApprovalsService/ApproveApproval"]
    with pytest.raises(AdminError, match="belongs to you") as told:
        method.run(caller, approvals_pb2.ApproveApprovalRequest(id=name), Call("here"))
    assert told.value.code is grpc.StatusCode.PERMISSION_DENIED
    assert approve(admin.person("ann", Role.APPROVER), name).approval.state == APPROVED


def test_a_local_owner_does_not_answer(admin: Admin) -> None:
    request = grants_pb2.CreateGrantRequest(grant={"id": "owned", "servers": {"filed-server": "filed-policy"}})
    request.grant.owner.issuer, request.grant.owner.subject = "local", "ann"
    made = admin.admin(request, grants_pb2.CreateGrantResponse)
    assert (made.grant.owner.issuer, made.grant.owner.subject) == ("local", "ann")
    name = pending(admin, grant="owned")
    ann, ben = admin.person("ann", Role.APPROVER), admin.person("ben", Role.APPROVER)
    with pytest.raises(CallError, match="belongs to you") as told:
        approve(ann, name)
    assert told.value.code is grpc.StatusCode.PERMISSION_DENIED
    with pytest.raises(CallError, match="belongs to you"):
        ann(approvals_pb2.DenyApprovalRequest(id=name), approvals_pb2.DenyApprovalResponse)
    assert approve(ben, name).approval.state == APPROVED


def test_who_may_withdraw(both: Admin) -> None:
    request = grants_pb2.CreateGrantRequest(grant={"id": "owned", "servers": {"filed-server": "filed-policy"}})
    request.grant.owner.issuer, request.grant.owner.subject = "local", "ann"
    both.admin(request, grants_pb2.CreateGrantResponse)
    ann, ben, cat = (both.person(name, Role.APPROVER) for name in ("ann", "ben", "cat"))
    vic, manager = both.person("vic", Role.VIEWER), both.machine(Role.POLICY_MANAGER)

    def withdraw(client: Client, approval: str) -> str:
        try:
            client(approvals_pb2.WithdrawApprovalRequest(id=approval), approvals_pb2.WithdrawApprovalResponse)
        except CallError as error:
            return error.code.name
        return "ended"

    refused = "PERMISSION_DENIED"
    denied = pending(both, "denied", grant="owned")
    ben(approvals_pb2.DenyApprovalRequest(id=denied), approvals_pb2.DenyApprovalResponse)
    # The owner cannot take back what others have refused.
    assert [withdraw(one, denied) for one in (ann, cat, vic, manager, ben)] == [*[refused] * 4, "ended"]
    waits = pending(both, "waits", grant="owned")
    assert [withdraw(one, waits) for one in (ben, cat, ann)] == [refused, refused, "ended"]
    approved = pending(both, "approved", grant="owned")
    approve(ben, approved)
    assert [withdraw(one, approved) for one in (cat, ann)] == [refused, "ended"]
    for name, client in (("admin", both.admin), ("machine", both.machine(Role.ADMIN))):
        assert withdraw(client, pending(both, name)) == "ended"


def test_several_people(both: Admin) -> None:
    name = pending(both, "f", need(count=2))
    ann, ben = both.person("ann", Role.APPROVER), both.person("ben", Role.APPROVER)
    first = approve(ann, name).approval
    assert (first.state, first.open_rule) == (PENDING, "/tools/t/approval")
    assert approve(ann, name).approval.state == PENDING
    assert approve(ben, name).approval.state == APPROVED


def test_a_reason_that_is_required(admin: Admin) -> None:
    name = pending(admin, "f", need(reason_required=True))
    ann = admin.person("ann", Role.APPROVER)
    with pytest.raises(CallError) as told:
        approve(ann, name)
    assert told.value.fields == {"reason": "this approval needs one"}
    assert approve(ann, name, reason="because").approval.state == APPROVED


def test_an_answer_to_what_is_not_pending(admin: Admin) -> None:
    name, ann = pending(admin), admin.person("ann", Role.APPROVER)
    approve(ann, name)
    with pytest.raises(CallError) as told:
        approve(ann, name)
    assert (told.value.code, told.value.metadata) == (grpc.StatusCode.FAILED_PRECONDITION, {"state": "approved"})
    with pytest.raises(CallError) as told:
        approve(ann, "a" * 26)
    assert told.value.code is grpc.StatusCode.NOT_FOUND


def test_a_repeated_answer_is_one_answer(both: Admin) -> None:
    name, ann, one = pending(both), both.person("ann", Role.APPROVER), request_id()
    first = approve(ann, name, request_id=one)
    assert approve(ann, name, request_id=one) == first
    assert len(get(ann, name).answers) == 1


def test_withdrawing(admin: Admin) -> None:
    name = pending(admin)
    request = approvals_pb2.WithdrawApprovalRequest(id=name, reason="wrong")
    ended = admin.admin(request, approvals_pb2.WithdrawApprovalResponse).approval
    assert (ended.state, ended.cause) == (ENDED, "wrong")


def test_lists_by_state_and_grant(admin: Admin) -> None:
    ann = admin.person("ann", Role.APPROVER)
    mine = [pending(admin, f"f{number}", grant="mine") for number in range(3)]
    other = pending(admin, "g", grant="other")
    approve(ann, other)

    def listed(**fields: Any) -> list[str]:
        request = approvals_pb2.ListApprovalsRequest(page_size=2, **fields)
        found: list[str] = []
        while True:
            page = ann(request, approvals_pb2.ListApprovalsResponse)
            found += [one.id for one in page.approvals]
            assert not any(one.HasField("evidence") for one in page.approvals)
            if not page.next_page_token:
                return found
            request.page_token = page.next_page_token

    assert set(listed()) == {*mine, other}
    assert listed(state=APPROVED) == [other]
    assert sorted(listed(grant="mine")) == sorted(mine)
    assert listed(grant="mine", state=APPROVED) == []


def offer(**conditions: dict[str, Any]) -> dict[str, Any]:
    return {"arguments": conditions, "max_uses": 3, "duration": {"seconds": 600}}


def test_a_permit_is_made_within_bounds(both: Admin) -> None:
    name = pending(both, "f", need(permit=BOUNDS))
    ann = both.person("ann", Role.APPROVER)
    answer = approve(ann, name, permit=offer(count={"at_most": {"greatest_json": "5"}}))
    assert answer.approval.state == CONSUMED
    permit = ann(permits_pb2.GetPermitRequest(id=answer.permit), permits_pb2.GetPermitResponse).permit
    assert (permit.max_uses, permit.uses_left, permit.approval) == (3, 3, name)
    assert permit.state == permits_pb2.Permit.STATE_ACTIVE
    assert permit.arguments["region"].exactly_json == '"eu"'
    assert (permit.arguments["count"].at_most.least_json, permit.arguments["count"].at_most.greatest_json) == ("0", "5")
    assert [one.subject for one in permit.creators] == ["ann"]
    # What was read can be sent again.
    again = pending(both, "again", need(permit=BOUNDS), grant="h")
    assert approve(ann, again, permit={**offer(), "arguments": dict(permit.arguments)}).approval.state == CONSUMED
    page = ann(permits_pb2.ListPermitsRequest(grant="g"), permits_pb2.ListPermitsResponse)
    assert [one.id for one in page.permits] == [permit.id]
    request = permits_pb2.EndPermitRequest(id=permit.id, reason="enough", request_id=request_id())
    ended = ann(request, permits_pb2.EndPermitResponse).permit
    assert (ended.state, ended.cause) == (permits_pb2.Permit.STATE_ENDED, "enough")
    assert ann(request, permits_pb2.EndPermitResponse).permit == ended
    [given] = get(ann, name).answers
    assert given.permit.duration.seconds == 600


@pytest.mark.parametrize(
    ("made", "field"),
    [
        (offer(count={"at_most": {"greatest_json": "1"}}), "permit.arguments"),
        (offer(count={"at_most": {"greatest_json": '"x"'}}), "permit.arguments.count.at_most.greatest_json"),
        (
            offer(count={"at_most": {"least_json": "1", "greatest_json": "5"}}),
            "permit.arguments.count.at_most.least_json",
        ),
        (offer(region={"exactly_json": '"us"'}), "permit.arguments.region"),
        (offer(region={"one_of": {"values_json": ['"us"']}}), "permit.arguments"),
        (offer(region={"one_of": {"values_json": []}}), "permit.arguments.region"),
        (offer(region={"one_of": {"values_json": ["{"]}}), "permit.arguments.region"),
        (offer(region={}), "permit.arguments.region"),
        (offer(region={"any": False}), "permit.arguments.region"),
        (offer(other={"exactly_json": "1"}), "permit.arguments.other"),
        ({**offer(), "max_uses": 11}, "permit.max_uses"),
        ({**offer(), "duration": {"seconds": 3_601}}, "permit.duration"),
        ({"duration": {"seconds": 1}}, "permit.max_uses"),
    ],
)
def test_permits_that_cannot_be(admin: Admin, made: dict[str, Any], field: str) -> None:
    name = pending(admin, "f", need(permit=BOUNDS))
    with pytest.raises(CallError) as told:
        approve(admin.person("ann", Role.APPROVER), name, permit=made)
    assert list(told.value.fields) == [field]
    assert get(admin.admin, name).state == PENDING


def test_any_value_is_refused_where_a_rule_looks(admin: Admin) -> None:
    looks = {"entries": [{"document": {"require": [{"conditions": [{"path": "args.region", "op": "exists"}]}]}}]}
    ann = admin.person("ann", Role.APPROVER)
    name = pending(admin, "f", need(permit=BOUNDS), evidence=looks)
    with pytest.raises(CallError, match="a rule looks at"):
        approve(ann, name, permit=offer(region={"any": True}))
    assert approve(ann, name, permit=offer(count={"any": True})).approval.state == CONSUMED


def test_arguments_that_nobody_may_read_make_no_permit(admin: Admin) -> None:
    """With the mask `args`, the whole of them is hidden."""
    name = pending(admin, "f", need(permit=BOUNDS), arguments="***")
    with pytest.raises(CallError) as told:
        approve(admin.person("ann", Role.APPROVER), name, permit=offer())
    assert told.value.code is grpc.StatusCode.FAILED_PRECONDITION
    assert get(admin.admin, name).state == PENDING


def test_a_rule_that_allows_no_permit(admin: Admin) -> None:
    with pytest.raises(CallError) as told:
        approve(admin.person("ann", Role.APPROVER), pending(admin), permit=offer())
    assert told.value.reason == "NO_PERMIT"


def next_of(stream: Any) -> approvals_pb2.WatchApprovalsResponse:
    try:
        answer: approvals_pb2.WatchApprovalsResponse = next(stream)
    except grpc.RpcError as error:
        raise failure_of(error) from None
    return answer


def test_a_watch_begins_with_what_is_pending(both: Admin) -> None:
    ann = both.person("ann", Role.APPROVER)
    names = [pending(both, f"f{number}") for number in range(3)]
    done = pending(both, "done")
    approve(ann, done)
    stream = ann.stream(approvals_pb2.WatchApprovalsRequest(), approvals_pb2.WatchApprovalsResponse)
    assert {next_of(stream).approval.id for _ in names} == set(names)
    synced = next_of(stream)
    assert (synced.synced, synced.HasField("approval")) == (True, False)
    approve(ann, names[0])
    changed = next_of(stream)
    assert (changed.approval.id, changed.approval.state) == (names[0], APPROVED)
    stream.cancel()
    # What happens between two streams is not lost.
    request = approvals_pb2.DenyApprovalRequest(id=names[1])
    ann(request, approvals_pb2.DenyApprovalResponse)
    resumed = approvals_pb2.WatchApprovalsRequest(resume_token=changed.resume_token)
    stream = ann.stream(resumed, approvals_pb2.WatchApprovalsResponse)
    assert next_of(stream).synced
    missed = next_of(stream)
    assert (missed.approval.id, missed.approval.state) == (names[1], DENIED)
    stream.cancel()


def test_a_watch_of_one_grant(admin: Admin) -> None:
    request = approvals_pb2.WatchApprovalsRequest(grant="mine")
    stream = admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse)
    assert next_of(stream).synced
    pending(admin, "f", grant="other")
    mine = pending(admin, "g", grant="mine")
    assert next_of(stream).approval.id == mine
    stream.cancel()


@pytest.mark.parametrize(
    ("token", "code"),
    [("x", grpc.StatusCode.INVALID_ARGUMENT), ("99", grpc.StatusCode.OUT_OF_RANGE)],
)
def test_a_watch_that_cannot_be_resumed(admin: Admin, token: str, code: grpc.StatusCode) -> None:
    request = approvals_pb2.WatchApprovalsRequest(resume_token=token)
    stream = admin.admin.stream(request, approvals_pb2.WatchApprovalsResponse)
    with pytest.raises(CallError) as told:
        next_of(stream)
    assert told.value.code is code


OTHER_PROCESS = """
import sys
sys.path[:0] = sys.argv[2:]
from callgate.store.place import parse_place
from callgate.store.store import open_store
from callgate.clock import now_us
from support.approvals import ask
store = open_store(parse_place(sys.argv[1]))
store.approvals.ask([ask("from another process")], now_us())
store.close()
"""


def test_a_watch_sees_another_process(both: Admin) -> None:
    stream = both.admin.stream(approvals_pb2.WatchApprovalsRequest(), approvals_pb2.WatchApprovalsResponse)
    assert next_of(stream).synced
    path = both.store.place.path
    url = both.store.place.url if path is None else f"sqlite:///{path}"
    subprocess.run([sys.executable, "-c", OTHER_PROCESS, url, "tests", "python"], check=True, timeout=60)
    began = time.monotonic()
    assert next_of(stream).approval.fingerprint == "from another process"
    # Bounded by far less than the time after which the store is read in any case.
    assert time.monotonic() - began < 10
    stream.cancel()
