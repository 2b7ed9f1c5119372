"""Local people: their roles, groups and password hashes."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, func, insert, select, update

from callgate.store import audit
from callgate.store.changes import Kind, next_numbers
from callgate.store.database import Domain
from callgate.store.errors import ConflictError, UnknownIdError
from callgate.store.issuers import LOCAL_ISSUER
from callgate.store.model import Person
from callgate.store.passkeys import forget_passkeys
from callgate.store.tables import login_links, people, sessions

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database
    from callgate.store.model import Actor

    VoidAnswers = Callable[[Connection, Person, Actor, int], None]

_TABLE: Final = people.c
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._@+-]{0,63}")
_LONGEST_GROUP: Final = 128
_MOST_GROUPS: Final = 100


class Role(str, Enum):
    """A role. All of them read everything."""

    VIEWER = "viewer"
    APPROVER = "approver"
    """Answers approvals and freezes."""
    POLICY_MANAGER = "policy_manager"
    """Changes servers, policies, the catalogue and pins."""
    ADMIN = "admin"
    """Does everything."""


@dataclass(frozen=True)
class LocalPerson:
    """A person as stored, without the password hash."""

    name: str
    roles: frozenset[Role]
    groups: frozenset[str]
    is_active: bool
    made_us: int
    changed_us: int
    password_us: int
    """The time when the password was set."""
    change: int
    """The number of the last change; another one after each change, also of a person of the same name made later."""

    @property
    def person(self) -> Person:
        """The identity in answers."""
        return local_person(self.name)


@dataclass(frozen=True)
class PersonEdit:
    """A new person, or the new state of one."""

    name: str
    roles: frozenset[Role]
    groups: frozenset[str] = frozenset()
    password_hash: str | None = field(default=None, repr=False)
    """The password's hash in argon2's encoding; None keeps the present one."""
    is_active: bool = True
    expected: int | None = None
    """`LocalPerson.change` as the editor has seen it, 0 for a person who is new; None replaces any."""

    def __post_init__(self) -> None:
        """Refuses names that could be misread.

        Raises:
            ValueError: The name, a group or the roles are not valid.
        """
        check_name(self.name)
        if not self.roles:
            message = f"expected at least one role of {', '.join(role.value for role in Role)}"
            raise ValueError(message)
        if len(self.groups) > _MOST_GROUPS or not all(_is_group(group) for group in self.groups):
            message = f"expected at most {_MOST_GROUPS} groups, each with 1 to {_LONGEST_GROUP} printable characters"
            raise ValueError(message)


class People:
    """Local people. Each change ends the sessions of its person, whose answers to what is pending count no longer."""

    def __init__(self, database: Database, void_answers: VoidAnswers) -> None:
        """Takes the database, and the function that takes answers of a changed person out of force."""
        self._database = database
        self._void_answers = void_answers

    def get(self, name: str) -> LocalPerson:
        """A person.

        Raises:
            UnknownIdError: There is none of this name.
            StoreError: The store does not answer.
        """
        found = self._database.read(lambda at: read_person(at, name))
        if found is None:
            raise _unknown(name)
        return found

    def list(self) -> list[LocalPerson]:
        """All people in the order of their names.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(people).order_by(_TABLE.name)
        return self._database.read(lambda at: [_person(row) for row in at.execute(query)])

    def approver_groups(self) -> Sequence[frozenset[str]] | None:
        """The groups of each active person with a role that answers approvals; None if the store has no people.

        Raises:
            StoreError: The store does not answer.
        """
        people = self.list()
        answering = {Role.APPROVER, Role.ADMIN}
        return [one.groups for one in people if one.is_active and one.roles & answering] if people else None

    def is_empty(self) -> bool:
        """True if there are no people, active or not.

        Raises:
            StoreError: The store does not answer.
        """
        return self._database.read(has_nobody)

    def password_hash(self, name: str) -> tuple[LocalPerson, str] | None:
        """A person with the password hash; None if there is none of this name.

        Raises:
            StoreError: The store does not answer.
        """
        row = self._database.read(lambda at: _row(at, name))
        return None if row is None else (_person(row), row.password_hash)

    def put(self, edit: PersonEdit, by: Actor, reason: str, now_us: int) -> LocalPerson:
        """Makes a person or changes one, and ends the sessions of the person; recorded in the admin audit.

        The first person also ends one-time links and their sessions.

        Raises:
            ConflictError: Somebody else has changed the person meanwhile, or the name differs from another one only
                by its case.
            UnknownIdError: A person who is expected is not there.
            ValueError: A new person has no password.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> LocalPerson:
            person = _put(connection, edit, by, reason, now_us)
            self._void_answers(connection, person.person, by, now_us)
            return person

        return self._database.write(work, Domain.IDENTITY, Domain.CALLS)

    def remove(self, name: str, by: Actor, reason: str, now_us: int, *, expected: int | None = None) -> None:
        """Removes a person and ends the sessions of the person; recorded in the admin audit.

        Raises:
            UnknownIdError: There is none of this name.
            ConflictError: Somebody else has changed the person meanwhile.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            row = _row(connection, name)
            if row is None:
                raise _unknown(name)
            _check_seen(name, row, expected)
            connection.execute(delete(people).where(_TABLE.name == name))
            _end_sessions(connection, name)
            self._void_answers(connection, local_person(name), by, now_us)
            # Somebody of the same name who is added later is another person.
            forget_passkeys(connection, local_person(name), by, now_us)
            next_numbers(connection, Kind.PEOPLE)
            _record(connection, audit.Change(by, "delete", Kind.PEOPLE.value, name, reason, _digest(row)), now_us)

        self._database.write(work, Domain.IDENTITY, Domain.CALLS)


def check_name(name: str) -> None:
    """Refuses names that could be misread in records.

    Raises:
        ValueError: It is one.
    """
    if not _NAME.fullmatch(name):
        message = "expected a name of 1 to 64 letters, digits and `._@+-` that begins with a letter, digit or `_`"
        raise ValueError(message)


def local_person(name: str) -> Person:
    """The identity in answers of a local person or of the operating system's user of this name: one and the same."""
    return Person(LOCAL_ISSUER, name)


def read_person(connection: Connection, name: str) -> LocalPerson | None:
    """A person, within a transaction."""
    row = _row(connection, name)
    return None if row is None else _person(row)


def has_nobody(connection: Connection) -> bool:
    """True if there are no people, within a transaction."""
    return connection.execute(select(_TABLE.name).limit(1)).first() is None


def _put(connection: Connection, edit: PersonEdit, by: Actor, reason: str, now_us: int) -> LocalPerson:
    before = _row(connection, edit.name)
    _check_seen(edit.name, before, edit.expected)
    if before is None:
        _check_new(connection, edit)
    values: dict[str, Any] = {
        "roles": sorted(role.value for role in edit.roles),
        "groups": sorted(edit.groups),
        "is_active": edit.is_active,
        "changed_us": now_us,
        "change": next_numbers(connection, Kind.PEOPLE)[0],
    }
    if edit.password_hash is not None:
        values |= {"password_hash": edit.password_hash, "password_us": now_us}
    if before is None:
        made = insert(people).values(name=edit.name, made_us=now_us, **values)
        after = connection.execute(made.returning(*_TABLE)).one()
    else:
        changed = update(people).where(_TABLE.name == edit.name).values(**values)
        after = connection.execute(changed.returning(*_TABLE)).one()
    _end_sessions(connection, edit.name)
    connection.execute(delete(sessions).where(sessions.c.is_of_link))
    connection.execute(delete(login_links))
    digests = (None if before is None else _digest(before), _digest(after))
    action = "create" if before is None else "change"
    _record(connection, audit.Change(by, action, Kind.PEOPLE.value, edit.name, reason, *digests), now_us)
    return _person(after)


def _check_seen(name: str, row: Any, expected: int | None) -> None:  # noqa: ANN401  a row or None
    if expected is None or expected == (0 if row is None else row.change):
        return
    if row is None:
        raise _unknown(name)
    if expected == 0:
        message = f"there is a person `{name}` already"
    else:
        message = f"somebody else has changed the person `{name}` meanwhile; read it again"
    raise ConflictError(message, row.change)


def _check_new(connection: Connection, edit: PersonEdit) -> None:
    if edit.password_hash is None:
        message = f"the new person `{edit.name}` needs a password"
        raise ValueError(message)
    # Records name people: `Ann` and `ann` would be taken for one.
    like = select(_TABLE.name, _TABLE.change).where(func.lower(_TABLE.name) == edit.name.lower())
    if (other := connection.execute(like).first()) is not None:
        message = f"there is a person `{other.name}` already, and `{edit.name}` differs from it only by its case"
        raise ConflictError(message, other.change)


def _end_sessions(connection: Connection, name: str) -> None:
    own = (sessions.c.issuer == LOCAL_ISSUER, sessions.c.subject == name)
    connection.execute(delete(sessions).where(*own))


def _record(connection: Connection, change: audit.Change, now_us: int) -> None:
    audit.record(connection, [change], now_us)


def _row(connection: Connection, name: str) -> Any:  # noqa: ANN401  a row or None
    # A database may fail at a text that is no name: PostgreSQL has no NUL.
    if not _NAME.fullmatch(name):
        return None
    return connection.execute(select(people).where(_TABLE.name == name)).one_or_none()


def _digest(row: Any) -> str:  # noqa: ANN401  a row has its query's columns
    """Another one for each state. The hash's random salt keeps it from being a test of passwords."""
    document = [row.name, row.roles, row.groups, row.is_active, row.password_hash]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def _unknown(name: str) -> UnknownIdError:
    return UnknownIdError(f"there is no person `{name}`")


def _is_group(group: str) -> bool:
    return 0 < len(group) <= _LONGEST_GROUP and group.isprintable()


def _person(row: Any) -> LocalPerson:  # noqa: ANN401  a row has its query's columns
    return LocalPerson(
        name=row.name,
        roles=frozenset(Role(role) for role in row.roles),
        groups=frozenset(row.groups),
        is_active=row.is_active,
        made_us=row.made_us,
        changed_us=row.changed_us,
        password_us=row.password_us,
        change=row.change,
    )
