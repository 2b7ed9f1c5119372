"""Entries of servers that are put behind callgate and back, with every other byte of their file as it is.

The new words are inserted before the old ones, whose text stays. So the original is in the entry itself, and taking the
inserted text away gives back the file to the byte.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from callgate.config.faults import InvalidConfigError
from callgate.errors import ConfigError
from callgate.text import is_text, quoted, visible
from callgate.workbench.clients.entries import HTTP, STDIO, UNKNOWN_FORM, Entry, entries_of, parse_client_file
from callgate.workbench.clients.variables import first_reference
from callgate.workbench.clients.wrapped import end_of_options, routed, wrapped_url

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from callgate.workbench.clients.entries import ClientFile
    from callgate.workbench.clients.nodes import Member, Node

_BETWEEN: Final = ", "
"""The text between inserted words and the ones after them."""


class UnchangeableError(ConfigError):
    """An entry that cannot be put behind callgate, or back."""


@dataclass(frozen=True, slots=True)
class Wrapping:
    """The command or the gateway before servers."""

    program: str = "callgate"
    options: tuple[str, ...] = ()
    """Options of `callgate wrap` but for `--server`, all as two words or one."""
    gateway: str = ""
    """URL of the gateway for servers over HTTP, without a path; empty for none."""


@dataclass(frozen=True, slots=True)
class _Edit:
    start: int
    end: int
    text: str


def wrap(entry: Entry, wrapping: Wrapping) -> str:
    """The text of the file with a server behind callgate.

    Raises:
        UnchangeableError: It cannot be put there; the message says why.
    """
    if not is_text(entry.name) or entry.name == "--":
        raise _refused(entry, "no option of a command can hold its name")
    if entry.kind == STDIO:
        if end_of_options(entry.command) is not None:
            raise _refused(entry, "it is behind `callgate wrap` already")
        _check_references(entry, wrapping)
        edits = _wrap_list(entry, wrapping) if entry.form.is_command_list else _wrap_command(entry, wrapping)
    else:
        edits = [_wrap_url(entry, wrapping)]
    text = _applied(entry.file.text, edits)
    back = unwrap(_again(entry, text))
    if back != entry.file.text:
        raise _refused(entry, "its layout could not be restored")
    return text


def unwrap(entry: Entry) -> str:
    """The text of the file with a server in front of callgate again.

    Raises:
        UnchangeableError: The server is not behind callgate, or its entry has another form than `wrap` gives it.
    """
    if entry.kind == STDIO:
        index = end_of_options(entry.command)
        if index is None:
            raise _refused(entry, "it is not behind `callgate wrap`")
        edits = _unwrap_list(entry, index) if entry.form.is_command_list else _unwrap_command(entry, index)
        text = _applied(entry.file.text, edits)
    else:
        text = _applied(entry.file.text, [_unwrap_url(entry)])
    after = _again(entry, text)
    if (after.command, after.url) != (entry.original_command if entry.command else (), entry.original_url):
        raise _refused(entry, "its entry has a form that this command does not know")
    return text


def _check_references(entry: Entry, wrapping: Wrapping) -> None:
    """Refuses words that the client would change before it starts callgate."""
    for word in _words(entry, wrapping, has_args=True):
        reference = first_reference(word, entry.form.variables)
        if reference is not None:
            reason = f"{quoted(word)} would go before its command, and its client puts a value in place of"
            raise _refused(entry, f"{reason} {quoted(reference)} there")


def _words(entry: Entry, wrapping: Wrapping, *, has_args: bool) -> list[str]:
    """The words before the server's own command.

    INVARIANT: `--server=NAME` as one word says that the entry had no `args`, so that `unwrap` knows it.
    """
    server = ["--server", entry.name] if has_args else [f"--server={entry.name}"]
    return [wrapping.program, "wrap", *server, *wrapping.options, "--"]


def _wrap_command(entry: Entry, wrapping: Wrapping) -> list[_Edit]:
    text = entry.file.text
    command, args = _member(entry, "command"), entry.node.get("args")
    program, *words = _words(entry, wrapping, has_args=args is not None)
    # The text of the original word stays, with its escapes.
    listed = _BETWEEN.join([*map(_literal, words), text[command.node.start : command.node.end]])
    replaced = _Edit(command.node.start, command.node.end, _literal(program))
    if args is not None:
        if args.items is None:
            raise _refused(entry, "its `args` are no list")
        between = _BETWEEN if args.items else ""
        return [replaced, _Edit(args.start + 1, args.start + 1, f"{listed}{between}")]
    return [replaced, _Edit(command.node.end, command.node.end, f"{_before_args(entry, command)}[{listed}]")]


def _before_args(entry: Entry, command: Member) -> str:
    """The text between the value of `command` and a list of arguments after it."""
    text = entry.file.text
    if not _is_toml(entry):
        return f'{_BETWEEN}"args": '
    if command.is_inline:
        return f"{_BETWEEN}args = "
    line = text.rfind("\n", 0, command.statement_start) + 1
    newline = "\r\n" if "\r\n" in text else "\n"
    return f"{newline}{text[line : command.key_start]}args = "


def _unwrap_command(entry: Entry, index: int) -> list[_Edit]:
    text = entry.file.text
    command, args = _member(entry, "command"), _member(entry, "args")
    items = _items(entry, args.node)
    # The list does not contain the program.
    first, rest = items[index], items[index + 1 :]
    restored = _Edit(command.node.start, command.node.end, text[first.start : first.end])
    inserted = f"{_before_args(entry, command)}["
    had_no_args = any(isinstance(item.value, str) and item.value.startswith("--server=") for item in items[: index - 1])
    if had_no_args and not rest and text.startswith(inserted, command.node.end):
        return [restored, _Edit(command.node.end, args.node.end, "")]
    return [restored, _without(entry, args.node.start + 1, first, rest)]


def _wrap_list(entry: Entry, wrapping: Wrapping) -> list[_Edit]:
    node = _member(entry, "command").node
    words = _BETWEEN.join(map(_literal, _words(entry, wrapping, has_args=True)))
    return [_Edit(node.start + 1, node.start + 1, f"{words}{_BETWEEN}")]


def _unwrap_list(entry: Entry, index: int) -> list[_Edit]:
    node = _member(entry, "command").node
    items = _items(entry, node)
    return [_without(entry, node.start + 1, items[index], items[index + 1 :])]


def _without(entry: Entry, start: int, last: Node, rest: Sequence[Node]) -> _Edit:
    """Takes the items of a list up to one away, with the comma after it."""
    text = entry.file.text
    if not rest:
        return _Edit(start, last.end, "")
    # Where somebody has laid the list out anew, its own white space goes with the words.
    is_ours = text.startswith(_BETWEEN, last.end)
    return _Edit(start, last.end + len(_BETWEEN) if is_ours else rest[0].start, "")


def _wrap_url(entry: Entry, wrapping: Wrapping) -> _Edit:
    if entry.kind != HTTP:
        reason = (
            "it speaks the older SSE, and the gateway only streamable HTTP; use the server's streamable HTTP endpoint, "
            "or a program that turns SSE into pipes, which is wrapped like every program"
            if entry.kind
            else UNKNOWN_FORM
        )
        raise _refused(entry, reason)
    if entry.headers:
        keys = ", ".join(f"`{key}`" for key in entry.headers)
        raise _refused(
            entry,
            f"it has {keys}, and its client would send the server's credentials to the gateway, which does not pass "
            "them on; put the fields into `servers.NAME.upstream.headers` of the gateway's configuration, remove "
            f"{keys} here, and repeat",
        )
    if not wrapping.gateway:
        raise _refused(entry, "it is reached over HTTP; name the gateway that stands before it with --gateway")
    if wrapped_url(entry.url) is not None:
        raise _refused(entry, "it is behind a gateway already")
    if not entry.url.lower().startswith(("http://", "https://")) or "#" in entry.url:
        raise _refused(entry, "its URL is not that of a server over HTTP, or has a fragment")
    try:
        parts = urlsplit(entry.url)
    except ValueError:
        raise _refused(entry, "its URL is not that of a server over HTTP") from None
    if "@" in parts.netloc:
        reason = "its URL has a user or a password, which the gateway refuses in the URL of an upstream"
        raise _refused(entry, f"{reason}; send the secret in `upstream.headers` there, take it out here, and repeat")
    start = _inside(entry, _url_node(entry))
    return _Edit(start, start, f"{routed(wrapping.gateway, entry.name)}#")


def _unwrap_url(entry: Entry) -> _Edit:
    wrapped = wrapped_url(entry.url)
    if wrapped is None:
        raise _refused(entry, "its URL is not one that `callgate clients wrap` writes")
    node = _url_node(entry)
    start = _inside(entry, node)
    prefix = f"{wrapped[0]}#"
    if not entry.file.text.startswith(prefix, start):
        raise _refused(entry, "its URL is written with escapes; take the gateway out of it by hand")
    return _Edit(start, start + len(prefix), "")


def _url_node(entry: Entry) -> Node:
    keys = (*entry.form.urls, *entry.form.sse_urls)
    return next(node for key in keys if (node := entry.node.get(key)) is not None and node.value == entry.url)


def _inside(entry: Entry, node: Node) -> int:
    """The beginning of a text behind its quotation marks."""
    text = entry.file.text
    if text.startswith(('"""', "'''"), node.start) and node.end - node.start > 5:  # noqa: PLR2004  both marks
        raise _refused(entry, "its URL stands on several lines")
    return node.start + 1


def _member(entry: Entry, key: str) -> Member:
    member = (entry.node.members or {}).get(key)
    if member is None:
        raise _refused(entry, f"it has no `{key}`")
    return member


def _items(entry: Entry, node: Node) -> list[Node]:
    if node.items is None:
        raise _refused(entry, "its command is no list")
    return node.items


def _applied(text: str, edits: Iterable[_Edit]) -> str:
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _again(entry: Entry, text: str) -> Entry:
    """The same entry in a changed text, whose other parts must be the same.

    Raises:
        UnchangeableError: Something else has changed.
    """
    try:
        file = parse_client_file(entry.place, entry.file.encoded(text))
    except InvalidConfigError as error:
        raise _refused(entry, f"its changed file could not be read again: {error}") from None
    found = next((one for one in entries_of(file) if one.path == entry.path), None)
    if found is None or _others(file, entry.path) != _others(entry.file, entry.path):
        raise _refused(entry, "its file is laid out in a way that this command cannot keep")
    return found


def _others(file: ClientFile, path: Sequence[str]) -> object:
    """The values of a file without the parts of an entry that are changed."""
    data = file.root.data()
    at = data
    for key in path:
        at = at[key]
    for key in ("command", "args", *file.place.client.form.urls, *file.place.client.form.sse_urls):
        at.pop(key, None)
    return data


def _literal(word: str) -> str:
    """A word in double quotes, as JSON and TOML write it alike."""
    # JSON takes a DEL as it is, and TOML does not.
    return json.dumps(word, ensure_ascii=False).replace("\x7f", "\\u007f")


def _is_toml(entry: Entry) -> bool:
    return entry.place.path.suffix == ".toml"


def _refused(entry: Entry, reason: str) -> UnchangeableError:
    return UnchangeableError(
        f"{visible(str(entry.place.path))}: {quoted(entry.name)} of {entry.place.client.title} is left: {reason}"
    )
