"""The lines of a signed log that are no decisions: their kinds, and what they say."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any, Final

from callgate.ledger.tree import Frontier, parse_hash

BEGINNING: Final = b'{"kind":"'
"""Begins every line that is no decision."""

_KIND: Final = re.compile(rb'\{"kind":"([a-z]+)",')
_INDEX: Final = re.compile(rb',"index":(0|[1-9][0-9]{0,18})\}\Z')
_TIME: Final = re.compile(rb'"time":"([0-9TZ:.-]{20,32})"')


class Kind(str, Enum):
    """The kinds of lines."""

    FILE = "file"
    """The first line of a file: where in the log the file begins."""
    CHECKPOINT = "checkpoint"
    GAP = "gap"
    """Lines that were left out, with their number."""
    RESUME = "resume"
    """A start after which lines were signed that a writer before it had left unsigned."""
    KEY = "key"
    """The statement by which a key names the next one."""
    ADMIN = "admin"
    """A change by an administrator."""


def kind_of(line: bytes) -> str | None:
    """The kind of a line, by its beginning; None for a decision, and for a line that a crash has cut."""
    found = _KIND.match(line)
    return None if found is None or index_of(line) is None else found[1].decode()


def index_of(line: bytes) -> int | None:
    """The index at the end of a line; None if it has none."""
    found = _INDEX.search(line)
    return None if found is None else int(found[1])


def time_of(line: bytes) -> str | None:
    """The time in a line, as it is written; None if it has none."""
    found = _TIME.search(line)
    return None if found is None else found[1].decode()


def fields_of(line: bytes) -> dict[str, Any]:
    """The fields of a line.

    Raises:
        ValueError: It is no JSON object.
    """
    try:
        value = json.loads(line)
    except RecursionError:
        value = None
    if not isinstance(value, dict):
        message = "expected a JSON object"
        raise ValueError(message)  # noqa: TRY004  callers know one error
    return value


@dataclass(frozen=True)
class FileLine:
    """The first line of a file."""

    origin: str
    index: int
    frontier: Frontier
    """The tree before this line."""
    kept_from: int
    """The first entry that rotation has kept."""
    broken: str | None
    """The reason why the log before this one could not go on; None if there was none."""
    before: str | None
    """The last checkpoint of that log."""


def parse_file_line(line: bytes) -> FileLine:
    """Reads the first line of a file.

    Raises:
        ValueError: It is something else.
    """
    index = index_of(line)
    if kind_of(line) != Kind.FILE or index is None:
        message = "the file does not begin with a line of the kind `file`: it is no signed log"
        raise ValueError(message)
    fields = fields_of(line)
    origin, kept_from = fields.get("origin"), fields.get("kept_from")
    if not isinstance(origin, str) or not isinstance(kept_from, int):
        message = "expected `origin` and `kept_from` in the first line of the file"
        raise ValueError(message)  # noqa: TRY004  as above
    return FileLine(origin, index, _frontier(fields, index), kept_from, fields.get("break"), fields.get("before"))


@dataclass(frozen=True)
class CheckpointLine:
    """A line with a checkpoint."""

    note: str
    frontier: Frontier | None
    """The tree before this line, if the line has its hashes."""


def parse_checkpoint_line(line: bytes) -> CheckpointLine:
    """Reads the line of a checkpoint, which has one form for each checkpoint.

    Raises:
        ValueError: It is not as callgate writes it.
    """
    fields, index = fields_of(line), index_of(line)
    note, hashes = fields.get("note"), fields.get("hashes")
    if not isinstance(note, str) or index is None or line != _checkpoint_line(note, hashes, index):
        message = "the line of a checkpoint is not as callgate writes it"
        raise ValueError(message)
    return CheckpointLine(note, None if hashes is None else _frontier(fields, index))


def _checkpoint_line(note: str, hashes: object, index: int) -> bytes:
    fields = {"kind": Kind.CHECKPOINT.value, "note": note}
    shown = {**fields, "index": index} if hashes is None else {**fields, "hashes": hashes, "index": index}
    return json.dumps(shown, ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")


def _frontier(fields: dict[str, Any], index: int) -> Frontier:
    hashes = fields.get("hashes")
    if not isinstance(hashes, list) or not all(isinstance(one, str) for one in hashes):
        message = "expected the hashes of the tree"
        raise ValueError(message)
    return Frontier(index, [parse_hash(one) for one in hashes])
