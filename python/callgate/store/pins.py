"""Accepted pins, which replicas share. The files of pins stay: they are each replica's cache."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import delete, insert, select, update

from callgate.store import audit
from callgate.store.changes import Kind, next_numbers
from callgate.store.database import Domain
from callgate.store.model import Actor
from callgate.store.pages import MOST
from callgate.store.tables import accepted_pins

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

_TABLE: Final = accepted_pins.c


@dataclass(frozen=True)
class Pin:
    """An accepted form of a tool."""

    server: str
    tool: str
    digest: str
    definition: str
    """The tool's description as JSON."""


@dataclass(frozen=True)
class StoredPin:
    """An accepted form as it is stored."""

    pin: Pin
    accepted_us: int
    accepted_by: str
    is_deleted: bool
    change: int


def accepted_forms(server: str, tool: Mapping[str, Any]) -> list[Pin]:
    """The accepted forms of a tool of a file of pins, as `pins_read` gives it."""
    return [Pin(server, tool["tool"], form["digest"], definition_of(form)) for form in tool["pinned"]]


def definition_of(form: Mapping[str, Any]) -> str:
    """The members of a definition of a file of pins, each of which is JSON already, as one object."""
    members = form["members"]
    pairs = members.items() if isinstance(members, dict) else members
    return "{" + ", ".join(f"{json.dumps(name)}: {text}" for name, text in pairs) + "}"


class Pins:
    """Accepted pins."""

    def __init__(self, database: Database) -> None:
        """Takes the database."""
        self._database = database

    def accept(self, pins: Sequence[Pin], by: Actor, reason: str, now_us: int) -> None:
        """Accepts forms of tools, all or none, beside those that are accepted already.

        Raises:
            StoreError: The store does not answer.
        """
        self._put(pins, by, reason, now_us, is_deleted=False)

    def accept_first(self, pins: Sequence[Pin], by: Actor, reason: str, now_us: int) -> None:
        """Likewise, without the tools of which the store has had a form already: people may have replaced it.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            known = select(_TABLE.tool).where(_TABLE.server.in_({pin.server for pin in pins}))
            rows = connection.execute(known.add_columns(_TABLE.server))
            there = {(row.server, row.tool) for row in rows}
            new = [pin for pin in pins if (pin.server, pin.tool) not in there]
            if new:
                _put_all(connection, new, by, reason, now_us, is_deleted=False)

        self._database.write(work, Domain.ADMINISTRATION)

    def accept_further(self, pins: Sequence[Pin], by: Actor, reason: str, now_us: int) -> None:
        """Accepts forms of tools that the store has, without those that it has or had: people may have replaced them.

        Raises:
            StoreError: The store does not answer.
        """

        def work(connection: Connection) -> None:
            known = select(_TABLE.server, _TABLE.tool, _TABLE.digest)
            rows = connection.execute(known.where(_TABLE.server.in_({pin.server for pin in pins})))
            there = {(row.server, row.tool, row.digest) for row in rows}
            new = [pin for pin in pins if (pin.server, pin.tool, pin.digest) not in there]
            if new:
                _put_all(connection, new, by, reason, now_us, is_deleted=False)

        self._database.write(work, Domain.ADMINISTRATION)

    def forget(self, pins: Sequence[Pin], by: Actor, reason: str, now_us: int) -> None:
        """Takes the acceptance back; unknown ones are left out.

        Raises:
            StoreError: The store does not answer.
        """
        self._put(pins, by, reason, now_us, is_deleted=True)

    def of_server(self, server: str) -> list[StoredPin]:
        """All pins of a server, also those that were taken back.

        Raises:
            StoreError: The store does not answer.
        """
        query = select(accepted_pins).where(_TABLE.server == server).order_by(_TABLE.change)
        return self._database.read(lambda at: [_stored(row) for row in at.execute(query)])

    def since(self, change: int, *, size: int = MOST) -> list[StoredPin]:
        """The pins that changed after a number, in the order of their last changes; also those that were taken back."""
        query = select(accepted_pins).where(_TABLE.change > change).order_by(_TABLE.change).limit(size)
        return self._database.read(lambda at: [_stored(row) for row in at.execute(query)])

    def _put(self, pins: Sequence[Pin], by: Actor, reason: str, now_us: int, *, is_deleted: bool) -> None:
        if pins:
            self._database.write(
                lambda at: _put_all(at, pins, by, reason, now_us, is_deleted=is_deleted), Domain.ADMINISTRATION
            )


def _put_all(
    connection: Connection, pins: Sequence[Pin], by: Actor, reason: str, now_us: int, *, is_deleted: bool
) -> None:
    for pin, number in zip(pins, next_numbers(connection, Kind.PINS, len(pins)), strict=True):
        same = (_TABLE.server == pin.server, _TABLE.tool == pin.tool, _TABLE.digest == pin.digest)
        if is_deleted:
            forgotten = update(accepted_pins).where(*same, _TABLE.is_deleted.is_(False))
            if not connection.execute(forgotten.values(is_deleted=True, change=number)).rowcount:
                continue
        else:
            connection.execute(delete(accepted_pins).where(*same))
            connection.execute(
                insert(accepted_pins).values(
                    server=pin.server,
                    tool=pin.tool,
                    digest=pin.digest,
                    definition=pin.definition,
                    accepted_us=now_us,
                    accepted_by=by.name,
                    is_deleted=False,
                    change=number,
                )
            )
        action, name = ("forget" if is_deleted else "accept"), f"{pin.server}/{pin.tool}"
        digests = (pin.digest, None) if is_deleted else (None, pin.digest)
        audit.record(connection, [audit.Change(by, action, Kind.PINS.value, name, reason, *digests)], now_us)


def _stored(row: Any) -> StoredPin:  # noqa: ANN401  a row has its query's columns
    pin = Pin(row.server, row.tool, row.digest, row.definition)
    return StoredPin(pin, row.accepted_us, row.accepted_by, row.is_deleted, row.change)
