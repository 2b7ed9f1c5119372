"""Each method with each role, from the descriptors themselves."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.message_factory import GetMessageClass

from callgate._proto.callgate.admin.v1 import role_pb2, servers_pb2, status_pb2
from callgate.admin.calls.authorise import Rights, authorise, rights_of
from callgate.admin.calls.errors import AdminError
from callgate.admin.calls.registry import Registry
from callgate.admin.services.all import SERVICES
from callgate.identity.principal import Principal
from callgate.store.model import Person
from callgate.store.people import Role
from callgate.store.tokens import Scope
from support.admin import Admin, CallError, Client, ended_tokens, failure_of

# The stub of protobuf has no type for extensions of generated code.
ROLE: Any = role_pb2.role
PEOPLE_ONLY: Any = role_pb2.people_only
METHODS: list[Any] = [method for service in SERVICES for method in service.DESCRIPTOR.methods]
_CHECKS = frozenset({"ValidatePolicy", "DryRunPolicy"})
ROLES = [frozenset[Role](), *(frozenset({role}) for role in Role)]


def principal(roles: frozenset[Role], *, is_person: bool, scopes: frozenset[Scope] | None = None) -> Principal:
    person = Person("local", "ann") if is_person else None
    return Principal("ann", person, roles, scopes=scopes)


def may(method: Any, roles: frozenset[Role], *, is_person: bool) -> bool:
    """The rule in its shortest form, written apart from the code."""
    wanted = role_pb2.Role.Name(method.GetOptions().Extensions[ROLE]).removeprefix("ROLE_").lower()
    names = {role.value for role in roles}
    closed = {"PeopleService", "TokensService"}
    is_closed = method.GetOptions().Extensions[PEOPLE_ONLY] or method.containing_service.name in closed
    if is_closed and not is_person:
        return False
    return bool(names) if wanted == "viewer" else bool(names & {wanted, "admin"})


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_each_method_with_each_role(method: Any) -> None:
    for roles in ROLES:
        for is_person in (True, False):
            caller = principal(roles, is_person=is_person)
            try:
                authorise(caller, rights_of(method))
                is_admitted = True
            except AdminError:
                is_admitted = False
            assert is_admitted == may(method, roles, is_person=is_person), (roles, is_person)


def test_no_method_is_left_out() -> None:
    """The methods are counted in all files of the description, so that none is forgotten here."""
    folder = Path(__file__).parents[2] / "proto" / "callgate" / "admin" / "v1"
    written = sum(len(re.findall(r"^  rpc ", path.read_text(), re.MULTILINE)) for path in folder.glob("*.proto"))
    assert len(METHODS) == written >= 52


def test_what_nobody_but_some_may_do() -> None:
    """The table of the assignment, so that an option cannot be changed unnoticed."""
    by_role: dict[str, set[str]] = {}
    for method in METHODS:
        role = role_pb2.Role.Name(method.GetOptions().Extensions[ROLE])
        by_role.setdefault(role, set()).add(method.name)
    assert by_role["ROLE_APPROVER"] == {
        "ApproveApproval",
        "DenyApproval",
        "WithdrawApproval",
        "EndPermit",
        "CreateFreeze",
        "ThawFreeze",
    }
    assert by_role["ROLE_POLICY_MANAGER"] == {
        *(f"{verb}Server" for verb in ("Create", "Update", "Delete")),
        *(f"{verb}Policy" for verb in ("Create", "Update", "Delete", "RollBack")),
        # They change nothing, and take the memory and the time that a change takes.
        *_CHECKS,
        "AcceptPin",
        "ConfirmProposal",
        "RejectProposal",
    }
    assert by_role["ROLE_ADMIN"] == {
        "CreateGrant",
        "BatchCreateGrants",
        "UpdateGrant",
        "RotateGrantToken",
        "RevokeGrant",
        "ResetCounters",
        *(f"{verb}Person" for verb in ("Create", "Update", "Delete")),
        "CreateToken",
        "RevokeToken",
    }
    reads = ("List", "Get", "Diff", "Watch", "Peek", "Tail")
    assert all(name.startswith(reads) for name in by_role["ROLE_VIEWER"])
    assert set(by_role) == {"ROLE_VIEWER", "ROLE_APPROVER", "ROLE_POLICY_MANAGER", "ROLE_ADMIN"}


def test_only_people_answer_and_manage_people_and_tokens() -> None:
    closed = {method.name for method in METHODS if method.GetOptions().Extensions[PEOPLE_ONLY]}
    of_services = {
        method.name for method in METHODS if method.containing_service.name in {"PeopleService", "TokensService"}
    }
    assert closed == {"ApproveApproval", "DenyApproval", "ConfirmProposal"} | of_services


def test_each_change_has_a_request_id_and_a_reason() -> None:
    for method in METHODS:
        fields = GetMessageClass(method.input_type).DESCRIPTOR.fields_by_name
        is_read = method.GetOptions().Extensions[ROLE] == role_pb2.ROLE_VIEWER or method.name in _CHECKS
        assert is_read != ("request_id" in fields), method.name
        assert is_read or "reason" in fields or method.name == "CreateFreeze", method.name


def test_a_method_without_the_option_cannot_be_registered() -> None:
    class Service:
        # A service of another package, whose methods have no role.
        DESCRIPTOR: Any = type("", (), {"full_name": "x", "methods": []})()

    bare = type(
        "",
        (),
        {
            "name": "Check",
            "full_name": "x.Check",
            "input_type": servers_pb2.GetServerRequest.DESCRIPTOR,
            "output_type": servers_pb2.GetServerResponse.DESCRIPTOR,
            "containing_service": Service.DESCRIPTOR,
            "GetOptions": lambda _self: METHODS[0].GetOptions().__class__(),
        },
    )()
    Service.DESCRIPTOR.methods = [bare]
    with pytest.raises(ValueError, match="has no option"):
        Registry().add(Service())


def test_a_token_of_an_area_is_for_that_area() -> None:
    machine = principal(frozenset({Role.ADMIN}), is_person=False, scopes=frozenset({Scope.POLICIES}))
    authorise(machine, Rights(Role.ADMIN, "policies", is_for_people_only=False))
    with pytest.raises(AdminError, match="not for the area `grants`"):
        authorise(machine, Rights(Role.VIEWER, "grants", is_for_people_only=False))


def test_each_area_is_a_scope() -> None:
    areas = {rights_of(method).area for method in METHODS}
    assert areas - {scope.value for scope in Scope} == {"people", "tokens"}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: str(method.name))
def test_over_the_channel_each_method_asks_who_calls(admin: Admin, method: Any) -> None:
    request = GetMessageClass(method.input_type)()
    kind = GetMessageClass(method.output_type)
    for token in (None, "", "cga_" + "A" * 43, "cgs_" + "A" * 43, "x" * 5_000):
        with pytest.raises(CallError) as failed:
            ask(admin.client(token), request, kind)
        assert failed.value.code is grpc.StatusCode.UNAUTHENTICATED


def test_over_the_channel_each_method_with_each_role(admin: Admin) -> None:
    callers: list[tuple[Client, frozenset[Role], bool]] = [
        *((admin.person(role.value, role), frozenset({role}), True) for role in Role),
        *((admin.machine(role), frozenset({role}), False) for role in Role if role is not Role.APPROVER),
    ]
    for method in METHODS:
        request = GetMessageClass(method.input_type)()
        kind = GetMessageClass(method.output_type)
        for client, roles, is_person in callers:
            code = None
            try:
                ask(client, request, kind)
            except CallError as failure:
                code = failure.code
            is_refused = code is grpc.StatusCode.PERMISSION_DENIED
            assert is_refused != may(method, roles, is_person=is_person), (method.name, roles, is_person, code)


def test_over_the_channel_each_method_with_tokens_that_have_ended(admin: Admin) -> None:
    for token in ended_tokens(admin):
        client = admin.client(token)
        for method in METHODS:
            with pytest.raises(CallError) as failed:
                ask(client, GetMessageClass(method.input_type)(), GetMessageClass(method.output_type))
            assert (failed.value.code, failed.value.reason) == (grpc.StatusCode.UNAUTHENTICATED, "TOKEN"), method.name


def ask(client: Client, request: Any, kind: Any) -> None:
    """One call; of a stream, the first message."""
    if request.DESCRIPTOR.name in {"WatchApprovalsRequest", "TailDecisionsRequest"}:
        stream = client.stream(request, kind)
        try:
            next(stream)
        except grpc.RpcError as error:
            raise failure_of(error) from None
        finally:
            stream.cancel()
    else:
        client(request, kind)


def test_everybody_sees_their_own_roles(admin: Admin) -> None:
    approver = admin.person("ann", Role.APPROVER, groups=["ops"])
    answer = approver(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse)
    assert (answer.name, answer.machine, list(answer.groups)) == ("ann (local)", False, ["ops"])
    assert list(answer.roles) == [role_pb2.ROLE_APPROVER]
    machine = admin.machine(Role.VIEWER)
    assert machine(status_pb2.GetCallerRequest(), status_pb2.GetCallerResponse).machine
