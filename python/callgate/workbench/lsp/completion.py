"""Keys and values that may be typed at a place."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.workbench.lsp.counters import counter_names, is_counter
from callgate.workbench.lsp.schema import allowed_values, descriptions, suggested_values
from callgate.workbench.lsp.tokens import cursor_at, token_at
from callgate.workbench.lsp.words import end_of_line

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.document import KeyPath
    from callgate.workbench.lsp.documents import OpenDocument
    from callgate.workbench.lsp.schema import Node
    from callgate.workbench.lsp.words import Cursor

_PLAIN: Final = re.compile(r"[A-Za-z_/$][A-Za-z0-9_./*$-]*|[0-9]+(ms|[smhdw])")
_CLOSED: Final = {'"': re.compile(r'"(?:[^"\\\n]|\\.)*"'), "'": re.compile(r"'(?:[^'\n]|'')*'")}
"""A quoted text with both quotes, by its quote."""
_BETWEEN_WORDS: Final = re.compile(r"[,}\]]|:(?:[ \t]|$)|[ \t]#")
_NO_TEXT: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that some readers of YAML take for something else than text."""


@dataclass(frozen=True)
class Suggestion:
    """One text that may be typed."""

    label: str
    start: int
    """Offset of the text that it replaces."""
    end: int
    text: str
    is_key: bool
    is_required: bool = False
    description: str = ""


def suggestions(document: OpenDocument, offset: int) -> list[Suggestion]:
    """The keys or values for an offset: required keys first, then in the order of the schema."""
    cursor = None if document.schema is None else cursor_at(document.text, offset)
    if cursor is None:
        return []
    if not cursor.is_key:
        return _values(document, cursor, offset)
    found = _keys(document, cursor, offset)
    # An item of a list may be a mapping or a plain value.
    return found or _values(document, cursor, offset)


def _keys(document: OpenDocument, cursor: Cursor, offset: int) -> list[Suggestion]:
    start, end = _span(document, cursor, offset)
    beside = {one.text for one in document.keys_in(cursor.path) if not one.start <= offset <= one.end}
    needs_colon = not re.compile(r"[ \t]*:").match(document.text, end)
    found: dict[str, Suggestion] = {}
    values = {path: document.values[path] for name in beside if (path := (*cursor.path, name)) in document.values}
    for node in _nodes(document, cursor, values):
        required = node.get("required", ())
        for name, member in node.get("properties", {}).items():
            if name in beside or not isinstance(member, dict):
                continue
            known = found.get(name)
            described = known.description if known else ""
            if not described:
                described = "\n\n".join(_described(document, cursor, name))
            is_required = name in required or bool(known and known.is_required)
            text = _quoted(name, document) + (": " if needs_colon else "")
            found[name] = Suggestion(
                name, start, end, text, is_key=True, is_required=is_required, description=described
            )
    return sorted(found.values(), key=lambda one: not one.is_required)


def _values(document: OpenDocument, cursor: Cursor, offset: int) -> list[Suggestion]:
    start, end = _span(document, cursor, offset)
    # What is half typed here rules nothing out.
    beside = {path: text for path, text in document.values.items() if path != cursor.path}
    nodes, schema = _nodes(document, cursor, beside), document.schema
    fitting = {
        _spelled(one, document): one if isinstance(one, str) else json.dumps(one)
        for one in (*allowed_values(nodes), *suggested_values(nodes))
        if schema is None or not schema.excludes(cursor.path, one, beside)
    }
    found = {spelled: (label, _meaning(document, cursor, label, beside)) for spelled, label in fitting.items()}
    if is_counter(cursor.path):
        # There may be thousands, all with the meaning of their member.
        meaning = "\n\n".join(descriptions(nodes))
        found |= {_spelled(one, document): (one, meaning) for one in counter_names(document)}
    return [
        Suggestion(label, start, end, spelled, is_key=False, description=meaning)
        for spelled, (label, meaning) in found.items()
    ]


def _meaning(document: OpenDocument, cursor: Cursor, value: str, beside: Mapping[KeyPath, str]) -> str:
    """The meaning of a value: an operator has one of its own."""
    return "\n\n".join(descriptions(_nodes(document, cursor, {**beside, cursor.path: value})))


def _nodes(document: OpenDocument, cursor: Cursor, values: Mapping[KeyPath, str]) -> list[Node]:
    return [] if document.schema is None else document.schema.at(cursor.path, values)


def _described(document: OpenDocument, cursor: Cursor, name: str) -> list[str]:
    if document.schema is None:
        return []
    return descriptions(document.schema.at((*cursor.path, name), document.values))


def _span(document: OpenDocument, cursor: Cursor, offset: int) -> tuple[int, int]:
    """The word at the cursor, which a suggestion replaces; with the quotes around it."""
    text, token = document.text, token_at(document.tokens, offset)
    is_typed = token is not None and token.is_key == cursor.is_key
    start = token.start if token is not None and is_typed else min(cursor.start, offset)
    if start < offset and text[start] in _CLOSED:
        return start, _end_of_quoted(text, start, offset)
    if token is not None and is_typed:
        return token.start, token.end
    word = re.compile(r"""["']?[^\s"',:\[\]{}#]*""").match(text, start)
    return start, max(offset, word.end()) if word else offset


def _end_of_quoted(text: str, start: int, offset: int) -> int:
    """The end of the quoted word with the cursor in it.

    A quote that was just opened has no end: what follows belongs to the document, also if a later quote seems to
    close it.
    """
    closed = _CLOSED[text[start]].match(text, start, end_of_line(text, start))
    if closed is None or closed.end() <= offset or _BETWEEN_WORDS.search(text, offset, closed.end() - 1):
        return offset
    return closed.end()


def _quoted(text: str, document: OpenDocument) -> str:
    """A text as the document spells it."""
    if document.is_json:
        return json.dumps(text, ensure_ascii=False)
    is_plain = _PLAIN.fullmatch(text) is not None and text.lower() not in _NO_TEXT
    return text if is_plain else json.dumps(text, ensure_ascii=False)


def _spelled(value: object, document: OpenDocument) -> str:
    return _quoted(value, document) if isinstance(value, str) else json.dumps(value)
