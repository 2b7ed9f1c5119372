"""Errors about ids that nothing has: approvals and permits have ids of one form, and decisions name either."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from sqlalchemy import select

from callgate.store.errors import UnknownIdError
from callgate.store.tables import approvals, permits

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

Noun = Literal["approval", "permit"]

_OTHERS: Final = {"approval": ("a permit", "permits", permits), "permit": ("an approval", "approvals", approvals)}


def unknown_id(connection: Connection, noun: Noun, id_: str) -> UnknownIdError:
    """The error for an id that no approval has, or no permit; it names the command for an id of the other kind."""
    other, command, table = _OTHERS[noun]
    if connection.execute(select(table.c.id).where(table.c.id == id_)).first() is not None:
        return UnknownIdError(f"`{id_}` is {other}; see `callgate {command} show {id_}`")
    return UnknownIdError(f"there is no {noun} `{id_}`")
