"""The counters of a policy: their names, and all places of one."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.config.document import parse_document
from callgate.config.faults import InvalidConfigError
from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.lsp.kinds import Kind
from callgate.workbench.lsp.places import Places

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from callgate.config.document import Document, KeyPath
    from callgate.workbench.lsp.documents import OpenDocument
    from callgate.workbench.lsp.words import Token

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
_QUOTED: Final = re.compile(r""" "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' """, re.DOTALL | re.VERBOSE)
_BLOCK_TEXT: Final = re.compile(r"""["']?counter["']?\s*:[ \t]*([|>][-+0-9]*)""")
_OF_ITEM: Final = 3
"""`limits`, the index and `counter`."""


class RenameError(ConfigError):
    """A name that a counter cannot get."""


def is_counter(path: KeyPath) -> bool:
    """True for the name of a limit's counter."""
    match path[-_OF_ITEM:]:
        case ("limits", int(), "counter"):
            return True
    return False


def counter_names(document: OpenDocument) -> list[str]:
    """The names of all counters, each once."""
    return list(dict.fromkeys(one.text for one in _places(document)))


@dataclass(frozen=True)
class _Counter:
    """A counter of a document without faults, with all places of its name."""

    parsed: Document
    name: str
    names: Collection[str]
    """The names of all counters of limits."""
    spans: Mapping[KeyPath, tuple[int, int]]
    """The start and end of each spelling of the name, with its quotes."""
    here: tuple[int, int]
    """The one at the cursor."""


def counter_at(document: OpenDocument, offset: int) -> tuple[int, int, str] | None:
    """The start and end of the counter's name at an offset, and the name; None if no such name is there.

    Raises:
        RenameError: The counter cannot get another name.
    """
    found = _counter_at(document, offset)
    return None if found is None else (*found.here, found.name)


def renamed(document: OpenDocument, offset: int, name: str) -> list[tuple[int, int, str]]:
    """The edits that give the counter at an offset another name: start, end and text of each.

    The strict reader says where the counter stands: each of these places is renamed, or none.

    Raises:
        RenameError: There is no counter, the name is no name, another counter has it (both would become one), the
            document has a fault, or a place is spelled so that it cannot be replaced.
    """
    found = _counter_at(document, offset)
    if found is None:
        raise RenameError(_NO_COUNTER)
    if not name or "\0" in name or "\n" in name:
        message = "expected a name of at least one character, on one line"
        raise RenameError(message)
    data = found.parsed.data
    if name != found.name and name in {*found.names, *_of_rate_limits(data)}:
        message = f"there is a counter {quoted(name)} already; both would count together"
        raise RenameError(message)
    edits = [(start, end, _spelled(document, start, name)) for start, end in found.spans.values()]
    _check(document, edits, _with_names(data, dict.fromkeys(found.spans, name), ()))
    return edits


def _counter_at(document: OpenDocument, offset: int) -> _Counter | None:
    path = _counter_near(document, offset)
    if path is None:
        return None
    parsed = _parsed(document, document.text)
    names = dict(_counters_in(parsed.data))
    if path not in names:
        message = f"the counter at line {_line_of(parsed, path)} has no text as its name; put it in quotes first"
        raise RenameError(message)
    places = Places(document.text)
    spans = {one: _span(places, parsed, one, name) for one, name in names.items() if name == names[path]}
    start, end = spans[path]
    # Otherwise the cursor is in a comment, or on the key.
    is_at_name = start <= offset <= end
    return _Counter(parsed, names[path], set(names.values()), spans, (start, end)) if is_at_name else None


_NO_COUNTER: Final = (
    "only the counter of a limit has a name that can be changed; that of `rate_limit` comes from its entry"
)


def _counter_near(document: OpenDocument, offset: int) -> KeyPath | None:
    """The counter whose key or name was the last to begin before an offset: its name may reach over several lines."""
    if document.kind is not Kind.POLICY:
        return None
    at = bisect_right(document.tokens, offset, key=lambda one: one.start) - 1
    path = document.tokens[at].path if at >= 0 else ()
    return path if is_counter(path) else None


def _parsed(document: OpenDocument, text: str) -> Document:
    try:
        # A half of a surrogate pair is a fault with a place.
        return parse_document(document.name, text.encode("utf-8", "surrogatepass"))
    except InvalidConfigError as error:
        fault = error.faults[0]
        message = f"the document has a fault at line {fault.line}: {fault.message}; mend it first"
        raise RenameError(message) from None


def _counters_in(value: object, path: KeyPath = ()) -> Iterator[tuple[KeyPath, str]]:
    """All places in parsed data that name a counter, with the name."""
    if isinstance(value, str) and is_counter(path):
        yield path, value
    elif isinstance(value, (dict, list)):
        for step, member in value.items() if isinstance(value, dict) else enumerate(value):
            yield from _counters_in(member, (*path, step))


def _span(places: Places, parsed: Document, path: KeyPath, name: str) -> tuple[int, int]:
    """The start and end of the name of a counter, with its quotes.

    Raises:
        RenameError: It is spelled so that its end is not certain.
    """
    text, start = places.text, places.offset_of(*parsed.place(path))
    block = _BLOCK_TEXT.match(text, places.offset_of(*parsed.place(path, of_key=True)))
    found = _QUOTED.match(text, start)
    if block is not None:
        start, reason = block.start(1), f"is block text (`{block[1]}`)"
    elif found is not None:
        return start, found.end()
    elif text.startswith(name, start):
        return start, start + len(name)
    else:
        reason = "goes over several lines without quotes"
    line, column = places.place(start)
    message = (
        f"the counter {quoted(name)} cannot be renamed: its name at line {line}, column {column} {reason}; "
        "write it on one line"
    )
    raise RenameError(message)


def _line_of(parsed: Document, path: KeyPath) -> int:
    return parsed.place(path, of_key=True)[0]


def _check(document: OpenDocument, edits: list[tuple[int, int, str]], expected: object) -> None:
    """Raises an error if the edits change anything else than names, as the strict reader sees it."""
    text = document.text
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    try:
        is_right = _parsed(document, text).data == expected
    except RenameError:
        is_right = False
    if not is_right:
        raise RenameError("this name cannot be written in all places of the counter; choose another one")


def _with_names(value: object, names: dict[KeyPath, str], path: KeyPath) -> object:
    """Parsed data with other names at some places."""
    if path in names:
        return names[path]
    if isinstance(value, dict):
        return {step: _with_names(member, names, (*path, step)) for step, member in value.items()}
    if isinstance(value, list):
        return [_with_names(member, names, (*path, step)) for step, member in enumerate(value)]
    return value


def _places(document: OpenDocument) -> list[Token]:
    return [one for one in document.tokens if not one.is_key and is_counter(one.path)]


def _of_rate_limits(data: dict[str, Any]) -> set[str]:
    """The names of the counters that `rate_limit` makes (docs/policy.md, section 1)."""
    found: set[str] = set()
    for section, start in (("tools", ""), ("categories", "category.")):
        entries = data.get(section)
        for key, entry in entries.items() if isinstance(entries, dict) else ():
            if isinstance(entry, dict) and "rate_limit" in entry:
                found.add(f"{start}{key}_rate")
    all_tools = data.get("all_tools")
    return {*found, "all_tools_rate"} if isinstance(all_tools, dict) and "rate_limit" in all_tools else found


def _spelled(document: OpenDocument, start: int, name: str) -> str:
    was_quoted = document.text[start] in "\"'"
    is_plain = _PLAIN.fullmatch(name) is not None and name.lower() not in {"true", "false", "null", "yes", "no"}
    return name if is_plain and not was_quoted and not document.is_json else json.dumps(name, ensure_ascii=False)
