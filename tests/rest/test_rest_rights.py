"""Each method with each role over HTTP, from the description itself."""

from __future__ import annotations

import re
from typing import Any

import pytest
from google.api import annotations_pb2

from callgate._proto.callgate.admin.v1 import role_pb2
from callgate.admin.services.all import SERVICES
from callgate.clock import now_us
from callgate.store.people import Role
from rest.conftest import Rest
from support.admin import BY, DAY_US, ended_tokens

METHODS: list[Any] = [method for service in SERVICES for method in service.DESCRIPTOR.methods]
# The stub of protobuf has no type for extensions of generated code.
HTTP: Any = annotations_pb2.http
ROLE: Any = role_pb2.role
PEOPLE_ONLY: Any = role_pb2.people_only
FORBIDDEN = 403


def asked(rest: Rest, method: Any, token: str | None, **more: str) -> int:
    """The status of a request of a method, without what it needs."""
    rule = method.GetOptions().Extensions[HTTP]
    verb = rule.WhichOneof("pattern")
    path = re.sub(r"{[^}]*}", "x", getattr(rule, verb))
    headers = {**({} if token is None else {"Authorization": f"Bearer {token}"}), **more}
    body: dict[str, Any] | None = {} if rule.body else None
    with rest.client.stream(verb.upper(), path, json=body, headers=headers) as answer:
        # Of a stream of events, the status is enough.
        return answer.status_code


def may(method: Any, role: Role, *, is_person: bool) -> bool:
    """The rule in its shortest form, written apart from the code."""
    options = method.GetOptions().Extensions
    wanted = role_pb2.Role.Name(options[ROLE]).removeprefix("ROLE_").lower()
    if options[PEOPLE_ONLY] and not is_person:
        return False
    return wanted == "viewer" or role.value in {wanted, "admin"}


def test_each_method_has_a_path() -> None:
    assert len(METHODS) >= 52
    assert all(method.GetOptions().Extensions[HTTP].WhichOneof("pattern") for method in METHODS)


def test_each_method_with_each_role(rest: Rest) -> None:
    identities = rest.admin.face.identities
    assert identities is not None
    callers = [(rest.admin.session(role.value, role), role, True) for role in Role]
    for role in Role:
        if role is not Role.APPROVER:
            _, token = identities.new_token("m", frozenset({role}), None, now_us() + DAY_US, BY, "")
            callers.append((token, role, False))
    for method in METHODS:
        for token, role, is_person in callers:
            status = asked(rest, method, token)
            assert (status == FORBIDDEN) != may(method, role, is_person=is_person), (method.name, role, is_person)
            assert status not in {401, 404, 405, 500} or (status == 404 and "{" in str(method.GetOptions())), (
                method.name,
                status,
            )


def test_each_method_without_a_caller(rest: Rest) -> None:
    wrong = [None, "x", "cga_" + "A" * 43, "cgs_" + "A" * 43, "x" * 5_000, *ended_tokens(rest.admin)]
    for method in METHODS:
        assert {asked(rest, method, token) for token in wrong} == {401}, method.name


@pytest.mark.parametrize("role", [Role.ADMIN])
def test_each_change_by_a_cookie_takes_the_token_of_a_form(rest: Rest, role: Role) -> None:
    """A browser sends the cookie for other pages too."""
    session = rest.admin.session("ann", role)
    for method in METHODS:
        if method.GetOptions().Extensions[HTTP].WhichOneof("pattern") == "get":
            assert asked(rest, method, None, Cookie=f"callgate={session}") not in {401, FORBIDDEN}, method.name
            continue
        own = {"Cookie": f"callgate={session}", "Origin": f"http://{rest.address}", "Sec-Fetch-Site": "same-origin"}
        assert asked(rest, method, None, **own) == FORBIDDEN, method.name
        assert asked(rest, method, None, **own, **{"X-Form-Token": "x" * 43}) == FORBIDDEN, method.name


def test_each_method_from_another_page_or_name(rest: Rest) -> None:
    """No method answers a page of another site, or a request under a foreign host name (DNS rebinding)."""
    session = rest.admin.session("ann", Role.ADMIN)
    for method in METHODS:
        rebound = {"Host": "evil.example.com", "Cookie": f"callgate={session}"}
        assert asked(rest, method, None, **rebound) == FORBIDDEN, method.name
        assert asked(rest, method, rest.token, Host="evil.example.com") == FORBIDDEN, method.name
        assert asked(rest, method, rest.token, Origin="https://evil.example.com") == FORBIDDEN, method.name
        assert asked(rest, method, rest.token, Origin="null") == FORBIDDEN, method.name
