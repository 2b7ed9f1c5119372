"""Machines' tokens for the admin API."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import insert, or_, select, update

from callgate.store import audit
from callgate.store.changes import Kind, next_numbers
from callgate.store.database import Domain
from callgate.store.errors import StateError, UnknownIdError
from callgate.store.model import Actor
from callgate.store.pages import Page, read_page
from callgate.store.people import Role, check_name
from callgate.store.tables import machine_tokens

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

LONGEST_US: Final = 366 * 24 * 3_600 * 1_000_000
"""The longest time for which a token may work: a year, also one with a leap day."""

_TABLE: Final = machine_tokens.c


class Scope(str, Enum):
    """An area of the admin API to which a token can be limited.

    People and tokens are none: a machine that could change them could make itself a person who answers approvals.
    """

    SERVERS = "servers"
    POLICIES = "policies"
    PINS = "pins"
    GRANTS = "grants"
    APPROVALS = "approvals"
    PERMITS = "permits"
    FREEZES = "freezes"
    COUNTERS = "counters"
    DECISIONS = "decisions"
    STATUS = "status"
    AUDIT = "audit"
    PROPOSALS = "proposals"


SCOPES: Final = frozenset(scope.value for scope in Scope)
"""The scopes of a token that is not limited to some of them."""


@dataclass(frozen=True)
class NewToken:
    """A token that is to be made."""

    id: str
    name: str
    hash: str = field(repr=False)
    """SHA-256 of the token, as hex digits."""
    roles: frozenset[Role]
    scopes: frozenset[Scope] | None
    """The areas that it is limited to; None for all of `Scope`."""
    expires_us: int

    def __post_init__(self) -> None:
        """Refuses roles that no machine may have.

        Raises:
            ValueError: The name, the roles or the scopes are not valid.
        """
        check_name(self.name)
        if Role.APPROVER in self.roles:
            message = "expected another role than `approver`: approvals are answered by people, never by a machine"
            raise ValueError(message)
        if not self.roles:
            message = f"expected at least one role of {', '.join(role.value for role in Role if role != Role.APPROVER)}"
            raise ValueError(message)
        if self.scopes is not None and not self.scopes:
            message = "expected at least one scope, or none at all for every area"
            raise ValueError(message)


@dataclass(frozen=True)
class MachineToken:
    """A token as stored, without its hash."""

    id: str
    name: str
    roles: frozenset[Role]
    scopes: frozenset[Scope] | None
    made_us: int
    made_by: Actor
    expires_us: int
    revoked_us: int | None
    used_us: int | None
    """A time at most a minute before the last use."""
    change: int

    def is_valid(self, now_us: int) -> bool:
        """True if it works at this time."""
        return self.revoked_us is None and now_us < self.expires_us


class Tokens:
    """Machines' tokens."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def create(self, token: NewToken, by: Actor, reason: str, now_us: int) -> MachineToken:
        """Makes a token; recorded in the admin audit.

        Raises:
            ValueError: Its end is over, or more than a year away.
            ConflictError: There is one of this id or hash.
            StoreError: The store does not answer.
        """
        if not now_us < token.expires_us <= now_us + LONGEST_US:
            message = "expected an end within a year from now"
            raise ValueError(message)

        def work(connection: Connection) -> MachineToken:
            [number] = next_numbers(connection, Kind.TOKENS)
            made = insert(machine_tokens).values(
                id=token.id,
                name=token.name,
                hash=token.hash,
                roles=sorted(role.value for role in token.roles),
                scopes=None if token.scopes is None else sorted(scope.value for scope in token.scopes),
                made_us=now_us,
                made_by=by.name,
                made_from=by.source,
                expires_us=token.expires_us,
                change=number,
            )
            row = connection.execute(made.returning(*_TABLE)).one()
            change = audit.Change(by, "create", Kind.TOKENS.value, token.id, reason, None, _digest(row))
            audit.record(connection, [change], now_us)
            return _token(row)

        return self._database.write(work, Domain.IDENTITY)

    def revoke(self, token_id: str, by: Actor, reason: str, now_us: int) -> MachineToken:
        """Ends a token for good; recorded in the admin audit.

        Raises:
            UnknownIdError: There is none.
            StateError: It is revoked already.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> MachineToken:
            row = connection.execute(select(machine_tokens).where(_TABLE.id == token_id)).one_or_none()
            if row is None:
                raise _unknown(token_id)
            if row.revoked_us is not None:
                raise StateError("token", token_id, "revoked", "it cannot be revoked again")
            [number] = next_numbers(connection, Kind.TOKENS)
            changed = update(machine_tokens).where(_TABLE.id == token_id).values(revoked_us=now_us, change=number)
            revoked = connection.execute(changed.returning(*_TABLE)).one()
            change = audit.Change(by, "revoke", Kind.TOKENS.value, token_id, reason, _digest(row), _digest(revoked))
            audit.record(connection, [change], now_us)
            return _token(revoked)

        return self._database.write(work, Domain.IDENTITY)

    def get(self, token_id: str) -> MachineToken:
        """A token.

        Raises:
            UnknownIdError: There is none of this id.
            StoreError: The store does not answer.
        """
        query = select(machine_tokens).where(_TABLE.id == token_id)
        row = self._database.read(lambda at: at.execute(query).one_or_none())
        if row is None:
            raise _unknown(token_id)
        return _token(row)

    def find(self, token_hash: str) -> MachineToken | None:
        """The token of a hash; None if there is none. It may have ended."""
        query = select(machine_tokens).where(_TABLE.hash == token_hash)
        row = self._database.read(lambda at: at.execute(query).one_or_none())
        return None if row is None else _token(row)

    def page(self, *, size: int = 100, token: str | None = None) -> Page[MachineToken]:
        """All tokens, newest first, also those that have ended.

        Raises:
            PageTokenError: The page token is of no page.
            StoreError: The store does not answer.
        """
        key = (_TABLE.made_us, _TABLE.id)
        return self._database.read(
            lambda at: read_page(at, select(machine_tokens), key, _token, size=size, token=token)
        )

    def mark_used(self, token_id: str, now_us: int) -> None:
        """Writes the time of a use, if it is later than the one that is written.

        Raises:
            StoreError: The store does not answer.
        """
        is_later = or_(_TABLE.used_us.is_(None), _TABLE.used_us < now_us)
        marked = update(machine_tokens).where(_TABLE.id == token_id, is_later).values(used_us=now_us)
        self._database.write(lambda at: at.execute(marked), Domain.IDENTITY)


def _digest(row: Any) -> str:  # noqa: ANN401  a row has its query's columns
    document = [row.id, row.name, row.hash, row.roles, row.scopes, row.expires_us]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def _unknown(token_id: str) -> UnknownIdError:
    return UnknownIdError(f"there is no token `{token_id}`")


def _token(row: Any) -> MachineToken:  # noqa: ANN401  a row has its query's columns
    return MachineToken(
        id=row.id,
        name=row.name,
        roles=frozenset(Role(role) for role in row.roles),
        scopes=None if row.scopes is None else frozenset(Scope(scope) for scope in row.scopes),
        made_us=row.made_us,
        made_by=Actor(row.made_by, row.made_from),
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
        used_us=row.used_us,
        change=row.change,
    )
