"""Small changes of YAML and JSON files that leave every other character as it is.

A change is made in the text, at the places that callgate's own reader gives. The reader then reads the result again: if
that is not the intended value, the change is refused. So a layout that these functions do not understand is never
damaged.
"""

from __future__ import annotations

import copy
import difflib
import json
import re
from typing import TYPE_CHECKING, Any, Final

from callgate.workbench import notation
from callgate.workbench.layout import DocumentText, lines_of, value_at

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.config.document import Document, KeyPath

_NOTHING: Final = re.compile(r"[ \t]*(#.*)?")


def append_item(document: Document, path: KeyPath, item: Mapping[str, Any]) -> Document:
    """Adds an item to the end of a list, in the layout of the item before it.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = DocumentText(document)
    wanted = copy.deepcopy(document.data)
    items = value_at(wanted, path)
    count = len(items)
    items.append(dict(item))
    if count == 0 and not text.is_flow(path[:-1]):
        return text.edited(wanted, *_first_line(text, path, item))
    if text.is_flow(path):
        return text.edited(wanted, *_flow_append(text, path, count, item))
    start, dash = text.dash(path, count - 1)
    end = text.item_end(path, count - 1, count, dash)
    indent = " " * dash
    last = text.offset((*path, count - 1))
    if text.is_flow((*path, count - 1)):
        lines = [f"{indent}- {notation.flow(item, quote=text.is_quoted((*path, count - 1)))}"]
    else:
        # The dash may be alone on its line.
        same_line = text.text.find("\n", start, last) < 0
        gap = text.column(last) - dash - 1 if same_line else 1
        lines = notation.block(item, " " * dash + "-" + " " * gap, " " * (dash + 1 + gap))
    return text.edited(wanted, (end, end, text.lines_at(end, lines)))


def add_list(document: Document, key: str, item: Mapping[str, Any]) -> Document:
    """Adds a list of one item under a new key at the top.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = DocumentText(document)
    wanted = {**document.data, key: [dict(item)]}
    if text.at(text.offset(())) != "{":
        end = len(text.text)
        lines = [f"{key}:", *notation.block(item, "  - ", "    ")]
        return text.edited(wanted, (end, end, text.lines_at(end, lines)))
    last = list(document.data)[-1]
    end = text.end((last,))
    start = text.offset((last,), of_key=True)
    before = text.before(start)
    between = f"{text.newline}{before}" if not before.strip() else " "
    return text.edited(wanted, (end, end, f",{between}{json.dumps(key)}: [{notation.flow(item, quote=True)}]"))


def remove_item(document: Document, path: KeyPath) -> Document:
    """Takes an item out of a list, with the comments inside it; comments before and after it stay.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = DocumentText(document)
    *parent, index = path
    items = tuple(parent)
    wanted = copy.deepcopy(document.data)
    rest = value_at(wanted, items)
    count = len(rest)
    del rest[index]
    if text.is_flow(items):
        return text.edited(wanted, *_flow_remove(text, items, int(index), count))
    start, dash = text.dash(items, int(index))
    end = text.item_end(items, int(index), count, dash)
    removal = (text.line_start(start), end, "")
    if rest:
        return text.edited(wanted, removal)
    colon = text.colon(items)
    return text.edited(wanted, (colon + 1, colon + 1, " []"), removal)


def remove_member(document: Document, path: KeyPath) -> Document:
    """Takes a key with its value out of a section, with the comments inside it; comments before and after it stay.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = DocumentText(document)
    wanted = copy.deepcopy(document.data)
    *parent, key = path
    section = tuple(parent)
    keys = list(value_at(wanted, section))
    del value_at(wanted, section)[key]
    start = text.offset(path, of_key=True)
    if text.is_flow(section):
        index = keys.index(key)
        before = None if index == 0 else text.comma(text.end((*section, keys[index - 1])))
        return text.edited(wanted, *_flow_cut(text, (start, text.end(path)), before, is_last=index + 1 == len(keys)))
    end = text.member_end(path)
    removal = (text.line_start(start), end, "")
    if text.before(start).strip():
        # The first key of a list item stands behind the dash.
        raise text.refusal()
    if len(keys) > 1:
        return text.edited(wanted, removal)
    colon = text.colon(section)
    return text.edited(wanted, (colon + 1, colon + 1, " {}"), removal)


def set_member(document: Document, path: KeyPath, key: str, value: str, *, after: str) -> Document:
    """Gives a key of a section a text as its value, in place of the one before; a new key comes after another key.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = DocumentText(document)
    wanted = copy.deepcopy(document.data)
    section = value_at(wanted, path)
    is_new = key not in section
    section[key] = value
    if not is_new:
        start, end = text.offset((*path, key)), text.end((*path, key))
        return text.edited(wanted, (start, end, notation.scalar(value, quote=text.is_quoted((*path, key)))))
    quote, end = text.is_quoted((*path, after), of_key=True), text.end((*path, after))
    if text.is_flow(path):
        return text.edited(wanted, (end, end, f", {notation.member(key, value, quote=quote)}"))
    column = text.column(text.offset((*path, after), of_key=True))
    line = text.line_end(end)
    return text.edited(
        wanted, (line, line, text.lines_at(line, [" " * column + notation.member(key, value, quote=quote)]))
    )


def into_list(document: Document, path: KeyPath, key: str, names: tuple[str, str], until: str) -> Document:
    """Replaces `key: VALUE` in a section by a list with one section, `LIST: [{NAME: VALUE, until: UNTIL}]`.

    The value stays where it is, with the comment after it.

    Args:
        document: The file.
        path: The section.
        key: The key that is replaced.
        names: The key of the list, and the key of the value in it.
        until: The value of `until`.

    Raises:
        UneditableError: The layout cannot be kept.
    """
    text = DocumentText(document)
    wanted = copy.deepcopy(document.data)
    section = value_at(wanted, path)
    list_name, name = names
    section[list_name] = [{name: section.pop(key), "until": until}]
    key_start, start, end = text.offset((*path, key), of_key=True), text.offset((*path, key)), text.end((*path, key))
    quote = text.is_quoted((*path, key), of_key=True)
    if text.is_flow(path):
        opened = f"{notation.scalar(list_name, quote=quote)}: [{{{notation.scalar(name, quote=quote)}: "
        return text.edited(
            wanted, (key_start, start, opened), (end, end, f", {notation.member('until', until, quote=quote)}}}]")
        )
    inner = " " * text.column(key_start) + text.step(path)
    opened = f"{list_name}:{text.newline}{inner}- {name}: "
    line = text.line_end(end)
    added = text.lines_at(line, [f"{inner}  {notation.member('until', until, quote=False)}"])
    return text.edited(wanted, (key_start, start, opened), (line, line, added))


def diff(before: Document, after: Document) -> str:
    """The change as a unified diff."""
    one, other = (lines_of(document.text) for document in (before, after))
    lines = difflib.unified_diff(one, other, before.file, after.file)
    return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


def _first_line(text: DocumentText, path: KeyPath, item: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    """Turns `key: []` into a list in lines."""
    colon, end = text.colon(path), text.end(path)
    indent = " " * (text.column(text.offset(path, of_key=True)) + 2)
    line = text.line_end(end)
    added = text.lines_at(line, notation.block(item, f"{indent}- ", f"{indent}  "))
    return [(colon + 1, end, ""), (line, line, added)]


def _flow_append(text: DocumentText, path: KeyPath, count: int, item: Mapping[str, Any]) -> list[tuple[int, int, str]]:
    if count == 0:
        inside = text.offset(path) + 1
        return [(inside, inside, notation.flow(item, quote=_is_json(text)))]
    last = (*path, count - 1)
    begin, end = text.offset(last), text.end(last)
    written = notation.flow(item, quote=text.is_quoted(last) or _is_json(text))
    before = text.before(begin)
    if before.strip():
        return [(end, end, f", {written}")]
    if "\n" in text.text[begin:end] and _is_json(text):
        key = text.before(text.offset((*last, next(iter(value_at(text.document.data, last)))), of_key=True))
        step = len(key) - len(before)
        written = json.dumps(item, ensure_ascii=False, indent=max(step, 1)).replace("\n", f"{text.newline}{before}")
    comma = text.comma(end)
    after = end if comma is None else comma + 1
    line = text.line_end(after)
    rest = text.text[after:line].rstrip("\r\n")
    if rest.strip() and _NOTHING.fullmatch(rest):
        # A comment belongs to the item before it.
        at = after + len(rest)
        changes = [(at, at, f"{text.newline}{before}{written}{'' if comma is None else ','}")]
        return changes if comma is not None else [(end, end, ","), *changes]
    return [(end, end, f",{text.newline}{before}{written}")]


def _flow_remove(text: DocumentText, items: KeyPath, index: int, count: int) -> list[tuple[int, int, str]]:
    span = text.offset((*items, index)), text.end((*items, index))
    before = None if index == 0 else text.comma(text.end((*items, index - 1)))
    return _flow_cut(text, span, before, is_last=index + 1 == count)


def _flow_cut(
    text: DocumentText, span: tuple[int, int], before: int | None, *, is_last: bool
) -> list[tuple[int, int, str]]:
    """Takes a part out of brackets; `before` is the comma before it."""
    start, end = span
    changes = []
    comma = text.comma(end)
    if comma is not None:
        end = comma + 1
    elif before is not None:
        changes.append((before, before + 1, ""))
    line = text.line_end(end)
    if not text.before(start).strip() and not text.text[end:line].strip():
        return [*changes, (text.line_start(start), line, "")]
    if comma is not None and not is_last:
        end += len(text.text[end:]) - len(text.text[end:].lstrip(" \t"))
    elif changes:
        start -= len(text.before(start)) - len(text.before(start).rstrip(" \t"))
    return [*changes, (start, end, "")]


def _is_json(text: DocumentText) -> bool:
    return text.document.file.endswith(".json")
