"""`PeopleService`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import grpc

from callgate._proto.callgate.admin.v1 import people_pb2 as pb
from callgate._proto.callgate.admin.v1 import role_pb2
from callgate.admin.calls.authorise import ROLES
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import AdminError, invalid
from callgate.admin.ground import Ground, actor, masked_fields
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.messages.times import timestamp
from callgate.identity.passwords import PasswordError
from callgate.store.changes import Kind
from callgate.store.database import Domain
from callgate.store.errors import ConflictError
from callgate.store.people import PersonEdit, Role

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.people import LocalPerson

_FIELDS: Final = frozenset({"roles", "groups", "disabled"})
_NUMBERS: Final = {role: number for number, role in ROLES.items()}
_ETAG: Final = re.compile(r'"([1-9][0-9]{0,17})"')


class PeopleService:
    """Manages local people."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["PeopleService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground
        self._people = ground.store.people

    def list_people(self, _principal: Principal, request: pb.ListPeopleRequest, _call: Call) -> pb.ListPeopleResponse:
        """Lists people."""
        size, after = size_of(request), position_of(request) or ""
        rest = sorted((one for one in self._people.list() if one.name > after), key=lambda one: one.name)
        following = rest[size - 1].name if len(rest) > size else None
        return pb.ListPeopleResponse(people=map(_message, rest[:size]), next_page_token=token_for(request, following))

    def get_person(self, _principal: Principal, request: pb.GetPersonRequest, _call: Call) -> pb.GetPersonResponse:
        """Gets a person."""
        return pb.GetPersonResponse(person=_message(self._people.get(request.name)))

    def create_person(
        self, principal: Principal, request: pb.CreatePersonRequest, call: Call
    ) -> pb.CreatePersonResponse:
        """Creates a person."""
        change = Change(self._ground.store, principal, request, call, Domain.IDENTITY)
        if (earlier := change.earlier(pb.CreatePersonResponse)) is not None:
            return earlier
        person = request.person
        edit = _edit(
            person.name,
            roles_of("person.roles", person.roles),
            frozenset(person.groups),
            self._hash(request.password),
            is_active=not person.disabled,
            expected=0,
        )

        def work() -> pb.CreatePersonResponse:
            try:
                made = self._people.put(edit, actor(principal, call), request.reason, call.now_us)
            except ConflictError as error:
                raise AdminError(grpc.StatusCode.ALREADY_EXISTS, str(error)) from None
            return pb.CreatePersonResponse(person=_message(made))

        return change.once(work, pb.CreatePersonResponse)

    def update_person(
        self, principal: Principal, request: pb.UpdatePersonRequest, call: Call
    ) -> pb.UpdatePersonResponse:
        """Changes a person."""
        change = Change(self._ground.store, principal, request, call, Domain.IDENTITY)
        if (earlier := change.earlier(pb.UpdatePersonResponse)) is not None:
            return earlier
        given = request.person
        fields = masked_fields(request.update_mask, _FIELDS, given)
        password_hash = self._hash(request.password) if request.password else None

        def work() -> pb.UpdatePersonResponse:
            before = self._people.get(given.name)
            self._check_etag(before, given.etag)
            edit = _edit(
                before.name,
                roles_of("person.roles", given.roles) if "roles" in fields else before.roles,
                frozenset(given.groups) if "groups" in fields else before.groups,
                password_hash,
                is_active=not given.disabled if "disabled" in fields else before.is_active,
                expected=before.change,
            )
            after = self._people.put(edit, actor(principal, call), request.reason, call.now_us)
            return pb.UpdatePersonResponse(person=_message(after))

        return change.once(work, pb.UpdatePersonResponse)

    def delete_person(
        self, principal: Principal, request: pb.DeletePersonRequest, call: Call
    ) -> pb.DeletePersonResponse:
        """Deletes a person."""
        change = Change(self._ground.store, principal, request, call, Domain.IDENTITY)

        def work() -> pb.DeletePersonResponse:
            person = self._people.get(request.name)
            self._check_etag(person, request.etag)
            by = actor(principal, call)
            self._people.remove(person.name, by, request.reason, call.now_us, expected=person.change)
            return pb.DeletePersonResponse()

        return change.once(work, pb.DeletePersonResponse)

    def _check_etag(self, person: LocalPerson, etag: str) -> None:
        """Refuses a change of a state that the editor has not seen.

        Raises:
            AdminError: ABORTED, with the present etag; INVALID_ARGUMENT for a text that is no etag.
        """
        if etag in {"", "*", _etag(person)}:
            return
        if not _ETAG.fullmatch(etag):
            raise invalid("etag", "expected the etag of an answer, in its quotes, or nothing")
        records = self._ground.store.audit.page(kind=Kind.PEOPLE.value, object_id=person.name)
        # Log-ins are records of people too.
        by = next((one.change.by.name for one in records if one.change.action in {"create", "change"}), "somebody")
        message = f"{by} has changed the person `{person.name}` meanwhile; read it again, and repeat your change on it"
        metadata = {"etag": _etag(person), "changed_by": by}
        raise AdminError(grpc.StatusCode.ABORTED, message, reason="ETAG_MISMATCH", metadata=metadata)

    def _hash(self, password: str) -> str:
        try:
            return self._ground.identities.passwords.hash(password)
        except PasswordError as error:
            raise invalid("password", str(error)) from None


def roles_of(field: str, numbers: Collection[int]) -> frozenset[Role]:
    """The roles of a message.

    Raises:
        AdminError: INVALID_ARGUMENT for an unknown role.
    """
    known = {int(number): role for number, role in ROLES.items()}
    for number in numbers:
        if number not in known:
            raise invalid(field, f"{number} is no role")
    return frozenset(known[number] for number in numbers)


def role_numbers(roles: Iterable[Role]) -> list[role_pb2.Role]:
    """The roles as messages have them."""
    return sorted(_NUMBERS[role] for role in roles)


def _edit(
    name: str,
    roles: frozenset[Role],
    groups: frozenset[str],
    password_hash: str | None,
    *,
    is_active: bool,
    expected: int,
) -> PersonEdit:
    try:
        return PersonEdit(name, roles, groups, password_hash, is_active, expected)
    except ValueError as error:
        raise invalid("person", str(error)) from None


def _message(person: LocalPerson) -> pb.LocalPerson:
    return pb.LocalPerson(
        name=person.name,
        roles=role_numbers(person.roles),
        groups=sorted(person.groups),
        disabled=not person.is_active,
        create_time=timestamp(person.made_us),
        update_time=timestamp(person.changed_us),
        etag=_etag(person),
    )


def _etag(person: LocalPerson) -> str:
    return f'"{person.change}"'
