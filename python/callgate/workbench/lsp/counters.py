"""The counters of a policy: their names, and all places of one."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final

from callgate.config.document import parse_document
from callgate.config.faults import InvalidConfigError
from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.lsp.kinds import Kind
from callgate.workbench.lsp.tokens import token_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.document import Document, KeyPath
    from callgate.workbench.lsp.documents import OpenDocument
    from callgate.workbench.lsp.words import Token

_PLAIN: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_./-]*")
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


def counter_at(document: OpenDocument, offset: int) -> Token | None:
    """The name of a counter at an offset."""
    token = token_at(document.tokens, offset)
    is_name = document.kind is Kind.POLICY and token is not None and not token.is_key and is_counter(token.path)
    return token if is_name else None


def renamed(document: OpenDocument, offset: int, name: str) -> list[tuple[int, int, str]]:
    """The edits that give the counter at an offset another name: start, end and text of each.

    The strict reader says where the counter stands: each of these places is renamed, or none.

    Raises:
        RenameError: There is no counter, the name is no name, another counter has it (both would become one), the
            document has a fault, or a place is spelled so that it cannot be replaced.
    """
    path = _counter_near(document, offset)
    if path is None:
        raise RenameError(_NO_COUNTER)
    if not name or "\0" in name or "\n" in name:
        message = "expected a name of at least one character, on one line"
        raise RenameError(message)
    parsed = _parsed(document, document.text)
    names = dict(_counters_in(parsed.data))
    if path not in names:
        message = f"the counter at line {_line_of(parsed, path)} has no text as its name; put it in quotes first"
        raise RenameError(message)
    old = names[path]
    tokens: dict[KeyPath, list[Token]] = {}
    for one in _places(document):
        tokens.setdefault(one.path, []).append(one)
    at = {one: _place(parsed, one, old, tokens.get(one, [])) for one in names if names[one] == old}
    if not at[path].start <= offset <= at[path].end:
        # The cursor is in a comment, or on the key.
        raise RenameError(_NO_COUNTER)
    if name != old and name in {*names.values(), *_of_rate_limits(parsed.data)}:
        message = f"there is a counter {quoted(name)} already; both would count together"
        raise RenameError(message)
    edits = [(one.start, one.end, _spelled(document, one, name)) for one in at.values()]
    _check(document, edits, _with_names(parsed.data, dict.fromkeys(at, name), ()))
    return edits


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


def _place(parsed: Document, path: KeyPath, name: str, found: list[Token]) -> Token:
    """The one of the tokens at a path that is the name of its counter.

    Raises:
        RenameError: The name is not all of one token.
    """
    if len(found) == 1 and found[0].text == name:
        return found[0]
    reason = (
        "its name is spelled over several lines, or with an escape, an anchor or a tag"
        if found
        else "its name is block text, or does not begin on the line of its key"
    )
    message = (
        f"the counter {quoted(name)} at line {_line_of(parsed, path)} cannot be renamed: {reason}; write it on one line"
    )
    raise RenameError(message)


def _line_of(parsed: Document, path: KeyPath) -> int:
    return parsed.place(path, of_key=True)[0]


def _check(document: OpenDocument, edits: list[tuple[int, int, str]], expected: object) -> None:
    """Raises an error if the edits change anything else than names, as the strict reader sees it."""
    text = document.text
    for start, end, new in sorted(edits, reverse=True):
        text = text[:start] + new + text[end:]
    if _parsed(document, text).data != expected:
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


def _spelled(document: OpenDocument, token: Token, name: str) -> str:
    was_quoted = document.text[token.start] in "\"'"
    is_plain = _PLAIN.fullmatch(name) is not None and name.lower() not in {"true", "false", "null", "yes", "no"}
    return name if is_plain and not was_quoted and not document.is_json else json.dumps(name, ensure_ascii=False)
