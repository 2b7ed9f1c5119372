"""Attempts to log in, by which guessing is slowed, also over a restart and on all replicas.

An attempt is written as failed before the password is looked at, and forgiven if it was right: of a thousand that come
at once, all but a few are refused. What is counted is the name at a source, the name, the source, and links at a
source. Each has a number of free failures; from then on the time until the next attempt doubles, up to a bound.

Unknown names count as known ones do, so that nobody learns which exist. Rows are named by 16 bits of a digest: an
attacker cannot fill the disk, and a password that was typed in place of a name is not kept. Two names share a row once
in 65,536 times, and are slowed together then.

The trade-off: long delays for a name would let an attacker lock its person out, short ones let many sources guess
more. So the bound of a name over all sources is low, and the bound of a name at one source is high. At a source where
the person has logged in before, only the failures of this name at this source count, in a row of their own. Who shares
the attacker's source waits with the attacker. A new password ends the delays of its person.
"""

from __future__ import annotations

import hashlib
import ipaddress
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects import postgresql, sqlite

from callgate.store.database import Domain
from callgate.store.people import read_person
from callgate.store.tables import login_attempts

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

SECOND_US: Final = 1_000_000
FORGOTTEN_US: Final = 24 * 3_600 * SECOND_US
"""The time after the last failure when a row begins anew."""

KNOWN_US: Final = 30 * 24 * 3_600 * SECOND_US
"""The time for which a source is known as one of a person."""

_TABLE: Final = login_attempts.c


class _Kind(str, Enum):
    """The thing whose failures a row counts."""

    PAIR = "pair"
    """A name at a source."""
    NAME = "name"
    SOURCE = "source"
    LINK = "link"
    """One-time links at a source."""
    KNOWN = "known"
    """A name that has logged in at a source; no failures."""


@dataclass(frozen=True)
class _Delay:
    """The time between attempts."""

    free: int
    """Failures after which the first delay comes."""
    longest_us: int

    def after(self, failures: int) -> int:
        """The delay after so many failures."""
        if failures < self.free:
            return 0
        # A larger exponent would only make a larger number.
        return min(SECOND_US << min(failures - self.free, 20), self.longest_us)


_DELAYS: Final = {
    _Kind.PAIR: _Delay(3, 300 * SECOND_US),
    _Kind.NAME: _Delay(10, 30 * SECOND_US),
    _Kind.SOURCE: _Delay(20, 60 * SECOND_US),
    # Nobody guesses 256 bits. The bound is low because an agent on loopback shares the source of its operator.
    _Kind.LINK: _Delay(5, 10 * SECOND_US),
}


@dataclass(frozen=True)
class Attempt:
    """A login of a name, or of a link if there is no name."""

    name: str | None
    source: str
    """The address that it comes from, without a port."""

    def keys(self, *, is_known: bool) -> dict[_Kind, str]:
        """The keys of the rows that count it."""
        source = _network(self.source)
        if self.name is None:
            return {_Kind.LINK: _bits(source)}
        pair = self.known_key() if is_known else _bits(f"{self.name}\0{source}")
        return {_Kind.PAIR: pair, _Kind.NAME: _bits(self.name), _Kind.SOURCE: _bits(source)}

    def known_key(self) -> str:
        """The key of a name at a source where it has logged in: whole, so that nobody else has it.

        There are no more of them than successful logins.
        """
        return _digest(f"{self.name}\0{_network(self.source)}")


class Attempts:
    """Attempts to log in."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def wait_us(self, attempt: Attempt, now_us: int) -> int:
        """The time until the attempt may be made; 0 for now.

        Raises:
            StoreError: The store does not answer.
        """
        return self._database.read(lambda at: _read(at, attempt, now_us).wait_us(now_us))

    def begin(self, attempt: Attempt, now_us: int) -> int:
        """Counts the attempt as failed and returns 0, or returns the time until it may be made.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> int:
            counts = _read(connection, attempt, now_us)
            wait_us = counts.wait_us(now_us)
            if not wait_us:
                for kind, row in counts.rows.items():
                    _write(connection, kind, row.key, row.failures + 1, now_us)
            return wait_us

        return self._database.write(work, Domain.IDENTITY)

    def forget(self, now_us: int) -> int:
        """Deletes rows that count no more; returns their number.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> int:
            known = _TABLE.kind == _Kind.KNOWN.value
            old = connection.execute(delete(login_attempts).where(known, _TABLE.last_us <= now_us - KNOWN_US))
            over = delete(login_attempts).where(~known, _TABLE.last_us <= now_us - FORGOTTEN_US)
            return old.rowcount + connection.execute(over).rowcount

        return self._database.write(work, Domain.IDENTITY)


def forgive(connection: Connection, attempt: Attempt, now_us: int) -> None:
    """Takes the failure of a right attempt back, within a transaction.

    The source's other failures stay: they may be an attacker's, who has a name and password too.
    """
    for kind, row in _read(connection, attempt, now_us).rows.items():
        left = 0 if kind in {_Kind.PAIR, _Kind.LINK} else row.failures - 1
        if left > 0:
            _write(connection, kind, row.key, left, row.last_us)
        else:
            connection.execute(delete(login_attempts).where(_TABLE.kind == kind.value, _TABLE.key == row.key))
    if attempt.name is not None:
        _write(connection, _Kind.KNOWN, attempt.known_key(), 0, now_us)


@dataclass(frozen=True)
class _Row:
    """A row as it counts now."""

    key: str
    failures: int = 0
    last_us: int = 0


@dataclass(frozen=True)
class _Counts:
    """The rows of an attempt."""

    rows: dict[_Kind, _Row]
    is_known: bool

    def wait_us(self, now_us: int) -> int:
        """The time until the attempt may be made."""
        rows = {kind: row for kind, row in self.rows.items() if kind is _Kind.PAIR or not self.is_known}
        return max(_wait_us(row, _DELAYS[kind].after(row.failures), now_us) for kind, row in rows.items())


def _wait_us(row: _Row, delay_us: int, now_us: int) -> int:
    # Replicas' clocks differ a little. A clock that was far ahead must not keep everybody out until then.
    return row.last_us + delay_us - now_us if abs(now_us - row.last_us) < delay_us else 0


def _read(connection: Connection, attempt: Attempt, now_us: int) -> _Counts:
    person = None if attempt.name is None else read_person(connection, attempt.name)
    password_us = 0 if person is None else person.password_us
    is_known = attempt.name is not None and _is_known(connection, attempt, now_us)
    rows = {kind: _Row(key) for kind, key in attempt.keys(is_known=is_known).items()}
    for kind, empty in rows.items():
        query = select(login_attempts).where(_TABLE.kind == kind.value, _TABLE.key == empty.key)
        row = connection.execute(query).one_or_none()
        if row is None or row.last_us <= now_us - FORGOTTEN_US:
            continue
        # A new password ends the delays of its person.
        if kind is _Kind.SOURCE or row.last_us >= password_us:
            rows[kind] = _Row(empty.key, row.failures, row.last_us)
    return _Counts(rows, is_known)


def _is_known(connection: Connection, attempt: Attempt, now_us: int) -> bool:
    query = select(_TABLE.last_us).where(_TABLE.kind == _Kind.KNOWN.value, _TABLE.key == attempt.known_key())
    last_us = connection.execute(query).scalar_one_or_none()
    return last_us is not None and last_us > now_us - KNOWN_US


def _write(connection: Connection, kind: _Kind, key: str, failures: int, last_us: int) -> None:
    insert = (sqlite if connection.dialect.name == "sqlite" else postgresql).insert(login_attempts)
    values = {"failures": failures, "last_us": last_us}
    statement = insert.values(kind=kind.value, key=key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=[_TABLE.kind, _TABLE.key], set_=values))


def _network(source: str) -> str:
    """The source as it is counted: who has one address of IPv6 has the 2**64 beside it."""
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        return source
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    mapped = address.ipv4_mapped
    return str(ipaddress.ip_network((address.packed, 64), strict=False)) if mapped is None else str(mapped)


def _bits(text: str) -> str:
    return _digest(text)[:4]


def _digest(text: str) -> str:
    # A name may hold lone surrogates.
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
