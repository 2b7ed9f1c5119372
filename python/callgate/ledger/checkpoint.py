"""Checkpoints, as C2SP's `tlog-checkpoint` writes them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.ledger.note import Note, parse_note
from callgate.ledger.tree import parse_hash

if TYPE_CHECKING:
    from collections.abc import Iterable

    from callgate.ledger.note import PublicKey

_MOST_DIGITS: Final = 20


@dataclass(frozen=True)
class Checkpoint:
    """The size and the root of a log's tree, as a note says them; whether a key has signed it is asked apart."""

    origin: str
    size: int
    root: bytes
    note: str
    """The whole note."""

    def signer(self, keys: Iterable[PublicKey]) -> PublicKey | None:
        """The first of the keys that has signed it; None if none has."""
        note = parse_note(self.note)
        return next((key for key in keys if note.is_signed_by(key, self.origin)), None)


def parse_checkpoint(text: str) -> Checkpoint:
    """Reads a checkpoint of three lines with its signatures.

    Raises:
        ValueError: It is none.
    """
    note: Note = parse_note(text)
    lines = note.text.removesuffix("\n").split("\n")
    try:
        origin, digits, root = lines
    except ValueError:
        message = f"expected a checkpoint of three lines, got {len(lines)}"
        raise ValueError(message) from None
    if not origin or not digits.isascii() or not digits.isdigit() or len(digits) > _MOST_DIGITS:
        message = "expected the name of a log and the number of its entries"
        raise ValueError(message)
    size = int(digits)
    if str(size) != digits:
        message = "expected a number of entries without zeros in front"
        raise ValueError(message)
    return Checkpoint(origin, size, parse_hash(root), text)
