"""Passkeys of people, local ones and those of issuers, and challenges that are used once."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, update

from callgate.store import audit
from callgate.store.database import Domain
from callgate.store.errors import ConflictError, UnknownIdError
from callgate.store.model import Person
from callgate.store.tables.passkeys import passkey_challenges, passkeys

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database
    from callgate.store.model import Actor

MOST_OF_PERSON: Final = 10
"""Passkeys of one person."""

MOST_CHALLENGES: Final = 20
"""Challenges of one session that wait; a new one ends the oldest."""

KIND: Final = "passkeys"
"""The kind of records in the admin audit."""

_KEY: Final = passkeys.c
_CHALLENGE: Final = passkey_challenges.c


@dataclass(frozen=True)
class Passkey:
    """A passkey of a person."""

    id: str
    person: Person
    name: str
    public_key: bytes = field(repr=False)
    sign_count: int
    transports: tuple[str, ...]
    made_us: int
    made_from: str
    used_us: int | None = None


@dataclass(frozen=True)
class Challenge:
    """A challenge that was given to one session for one purpose."""

    digest: str
    session_hash: str
    purpose: str
    """SHA-256 of what it is for."""
    until_us: int


class Passkeys:
    """Passkeys and challenges."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def of(self, person: Person) -> list[Passkey]:
        """The passkeys of a person, the oldest first.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(passkeys).where(*_of(person)).order_by(_KEY.made_us, _KEY.id)
        return self._database.read(lambda at: [_passkey(row) for row in at.execute(query)])

    def every(self) -> list[Passkey]:
        """All passkeys, in the order of their people.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(passkeys).order_by(_KEY.issuer, _KEY.subject, _KEY.made_us, _KEY.id)
        return self._database.read(lambda at: [_passkey(row) for row in at.execute(query)])

    def add(self, passkey: Passkey, by: Actor, now_us: int) -> None:
        """Stores a new passkey; recorded in the admin audit.

        Raises:
            ConflictError: There is one of this id, or the person has too many.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            if connection.execute(select(_KEY.id).where(_KEY.id == passkey.id)).first() is not None:
                raise ConflictError("this passkey is registered already", 0)
            own = connection.execute(select(_KEY.id).where(*_of(passkey.person))).all()
            if len(own) >= MOST_OF_PERSON:
                message = f"you have {MOST_OF_PERSON} passkeys already; remove one first"
                raise ConflictError(message, 0)
            connection.execute(insert(passkeys).values(**_values(passkey)))
            change = audit.Change(by, "create", KIND, passkey.id, passkey.name, None, _digest(passkey))
            audit.record(connection, [change], now_us)

        self._database.write(work, Domain.IDENTITY)

    def remove(self, passkey_id: str, person: Person | None, by: Actor, reason: str, now_us: int) -> Passkey:
        """Removes a passkey, of this person if one is given; recorded in the admin audit.

        Raises:
            UnknownIdError: There is none.
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> Passkey:
            row = connection.execute(select(passkeys).where(_KEY.id == passkey_id)).one_or_none()
            found = None if row is None else _passkey(row)
            if found is None or person not in {None, found.person}:
                message = f"there is no passkey `{passkey_id}`"
                raise UnknownIdError(message)
            connection.execute(delete(passkeys).where(_KEY.id == passkey_id))
            change = audit.Change(by, "delete", KIND, passkey_id, reason, _digest(found), None)
            audit.record(connection, [change], now_us)
            return found

        return self._database.write(work, Domain.IDENTITY)

    def challenge(self, challenge: Challenge, now_us: int) -> None:
        """Stores a challenge.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            connection.execute(insert(passkey_challenges).values(**vars(challenge)))
            own = _CHALLENGE.session_hash == challenge.session_hash
            kept = select(_CHALLENGE.digest).where(own).order_by(_CHALLENGE.until_us.desc(), _CHALLENGE.digest)
            old = _CHALLENGE.digest.not_in(kept.limit(MOST_CHALLENGES))
            connection.execute(delete(passkey_challenges).where(own, old, _CHALLENGE.digest != challenge.digest))
            connection.execute(delete(passkey_challenges).where(_CHALLENGE.until_us <= now_us))

        self._database.write(work, Domain.IDENTITY)

    def take(self, digest: str, session_hash: str, purpose: str, now_us: int) -> bool:
        """Uses a challenge up; false if it was not given to this session for this purpose, or was used, or is over.

        It is used up in any case.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> bool:
            taken = delete(passkey_challenges).where(_CHALLENGE.digest == digest).returning(*_CHALLENGE)
            row = connection.execute(taken).one_or_none()
            return (
                row is not None and (row.session_hash, row.purpose) == (session_hash, purpose) and now_us < row.until_us
            )

        return self._database.write(work, Domain.IDENTITY)

    def used(self, passkey: Passkey, sign_count: int, now_us: int) -> bool:
        """Writes a use; false if the passkey was removed or used since it was read, so that two uses count as one.

        Raises:
            StoreError: The store does not answer.
        """
        used = (
            update(passkeys)
            .where(_KEY.id == passkey.id, _KEY.sign_count == passkey.sign_count)
            .values(sign_count=sign_count, used_us=now_us)
        )
        return self._database.write(lambda at: at.execute(used).rowcount == 1, Domain.IDENTITY)


def forget_passkeys(connection: Connection, person: Person, by: Actor, now_us: int) -> None:
    """Removes the passkeys of a person who is removed, within a transaction; recorded in the admin audit."""
    gone = [_passkey(row) for row in connection.execute(select(passkeys).where(*_of(person)))]
    if gone:
        connection.execute(delete(passkeys).where(*_of(person)))
        why = "the person was removed"
        changes = [audit.Change(by, "delete", KIND, one.id, why, _digest(one), None) for one in gone]
        audit.record(connection, changes, now_us)


def _of(person: Person) -> tuple[Any, ...]:
    return _KEY.issuer == person.issuer, _KEY.subject == person.subject


def _values(passkey: Passkey) -> dict[str, Any]:
    return {
        "id": passkey.id,
        "issuer": passkey.person.issuer,
        "subject": passkey.person.subject,
        "name": passkey.name,
        "public_key": passkey.public_key,
        "sign_count": passkey.sign_count,
        "transports": list(passkey.transports),
        "made_us": passkey.made_us,
        "made_from": passkey.made_from,
        "used_us": passkey.used_us,
    }


def _digest(passkey: Passkey) -> str:
    document = [passkey.id, passkey.person.issuer, passkey.person.subject, passkey.public_key.hex()]
    return hashlib.sha256(json.dumps(document).encode()).hexdigest()


def _passkey(row: Any) -> Passkey:  # noqa: ANN401  a row has its query's columns
    return Passkey(
        row.id,
        Person(row.issuer, row.subject),
        row.name,
        bytes(row.public_key),
        row.sign_count,
        tuple(row.transports),
        row.made_us,
        row.made_from,
        row.used_us,
    )
