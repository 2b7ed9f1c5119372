"""Statements about audit keys: since when and until when a key signs, and which key came before it.

A statement is a note that its own key has signed, and also the key before it, if there is one. The file of a public key
has the statements of all keys up to it, the oldest first.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Final

from callgate.ledger.note import Note, PublicKey, notes_in, parse_note, public_key
from callgate.ledger.tree import parse_hash

HEADER: Final = "callgate audit key v1"
NAME: Final = "callgate-audit-key"
"""The name of keys in signatures of statements."""

_NEVER: Final = "never"


@dataclass(frozen=True)
class Statement:
    """The statement of a note about a key; its signatures are verified apart."""

    key: PublicKey
    created: datetime
    expires: datetime | None
    """None if it signs without an end."""
    former: PublicKey | None
    """The key before it; None if it is the first."""
    note: str

    def is_signed_by(self, key: PublicKey) -> bool:
        """True if the key has signed the statement."""
        return parse_note(self.note).is_signed_by(key, NAME)

    def has_expired(self, at: datetime) -> bool:
        """True if the key signs nothing any more."""
        return self.expires is not None and at >= self.expires


def text_of(key: PublicKey, created: datetime, expires: datetime | None, former: PublicKey | None) -> str:
    """The text of a statement, which is to be signed."""
    lines = [HEADER, f"key {key}", f"created {_instant(created)}"]
    lines.append(f"expires {_NEVER if expires is None else _instant(expires)}")
    if former is not None:
        lines.append(f"after {former}")
    return "\n".join(lines) + "\n"


def parse_statement(text: str) -> Statement:
    """Reads one statement.

    Raises:
        ValueError: It is none.
    """
    note: Note = parse_note(text)
    header, *fields = note.text.removesuffix("\n").split("\n")
    named: dict[str, str] = {}
    for field in fields:
        name, _, value = field.partition(" ")
        named[name] = value
    if header != HEADER or [field.partition(" ")[0] for field in fields] not in (
        ["key", "created", "expires"],
        ["key", "created", "expires", "after"],
    ):
        message = f"expected a statement about a key, which begins with `{HEADER}`"
        raise ValueError(message)
    return Statement(
        key=public_key(parse_hash(named["key"])),
        created=_moment(named["created"]),
        expires=None if named["expires"] == _NEVER else _moment(named["expires"]),
        former=public_key(parse_hash(named["after"])) if "after" in named else None,
        note=text,
    )


def parse_statements(text: str) -> list[Statement]:
    """Reads the file of a public key: each key names the one before it.

    Raises:
        ValueError: It has another form.
    """
    statements = [parse_statement(note) for note in notes_in(text)]
    if not statements:
        message = f"expected statements about keys, which begin with `{HEADER}`"
        raise ValueError(message)
    former: PublicKey | None = None
    for statement in statements:
        if statement.former != former:
            message = "the statements do not follow one another: each has to name the key before it"
            raise ValueError(message)
        former = statement.key
    return statements


def _instant(moment: datetime) -> str:
    return moment.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def _moment(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
