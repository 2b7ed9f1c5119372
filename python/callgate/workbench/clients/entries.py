"""Servers in the configuration files of clients."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate.config.document import read_bytes
from callgate.config.faults import Fault, InvalidConfigError
from callgate.errors import ConfigError
from callgate.workbench.clients.jsonc import parse_jsonc
from callgate.workbench.clients.places import PROJECT, Place
from callgate.workbench.clients.toml_text import parse_toml
from callgate.workbench.clients.variables import Variables
from callgate.workbench.clients.wrapped import original_words, wrapped_url

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from callgate.workbench.clients.nodes import Node
    from callgate.workbench.clients.places import Form

STDIO: Final = "stdio"
HTTP: Final = "http"
SSE: Final = "sse"
UNKNOWN_FORM: Final = "it has neither a command whose words are texts nor a URL"
"""The reason against an entry that is not understood."""
_BOM: Final = "\ufeff"


@dataclass(frozen=True, slots=True)
class ClientFile:
    """A configuration file that was read."""

    place: Place
    content: bytes = field(repr=False)
    text: str = field(repr=False)
    """Without a byte order mark."""
    root: Node = field(repr=False)

    def encoded(self, text: str) -> bytes:
        """The bytes of a changed text."""
        return f"{_BOM if self.content.startswith(_BOM.encode()) else ''}{text}".encode()


@dataclass(frozen=True, slots=True)
class Entry:
    """A server in a configuration file."""

    file: ClientFile = field(repr=False)
    path: tuple[str, ...]
    """Keys from the top of the file to the entry."""
    node: Node = field(repr=False)
    name: str
    kind: str
    """`stdio`, `http` or `sse`; empty if it is none of them."""
    command: tuple[str, ...] = field(default=(), repr=False)
    """The words as they stand in the file."""
    url: str = field(default="", repr=False)
    is_disabled: bool = False

    @property
    def place(self) -> Place:
        """The file's place."""
        return self.file.place

    @property
    def form(self) -> Form:
        """The names of the parts of the entry."""
        return self.file.place.client.form

    @property
    def original_command(self) -> tuple[str, ...]:
        """The server's own command, also behind `callgate wrap`."""
        return original_words(self.command) or self.command

    @property
    def original_url(self) -> str:
        """The server's own URL, also behind the gateway."""
        wrapped = wrapped_url(self.url)
        return self.url if wrapped is None else wrapped[1]

    @property
    def headers(self) -> tuple[str, ...]:
        """Keys of header fields that the entry has."""
        return tuple(key for key in self.form.headers if (node := self.node.get(key)) is not None and node.data())

    def resolved(self, project: Path | None) -> Resolved:
        """The entry with the values of its variables, as its client would use it.

        Raises:
            UnresolvedError: A value is known to the client alone.
        """
        variables = Variables(self.form.variables, os.environ, project)
        given = _texts(self.node.get(self.form.environment))
        environment = {name: variables.filled(value) for name, value in given.items()}
        named = self.node.get("env_vars")
        for name in named.data() if named is not None and named.items is not None else ():
            if isinstance(name, str) and (value := variables.named(name)) is not None:
                environment.setdefault(name, value)
        folder = self.node.get("cwd")
        at = variables.filled(folder.value) if folder is not None and isinstance(folder.value, str) else None
        if at is None and self.place.scope == PROJECT and project is not None:
            at = str(project)
        return Resolved(
            command=tuple(variables.filled(word) for word in self.original_command),
            environment=environment,
            folder=None if at is None else Path(at),
            url=variables.filled(self.original_url),
            headers=self._header_values(variables),
            variables=frozenset(variables.used),
        )

    def _header_values(self, variables: Variables) -> dict[str, str]:
        headers = dict[str, str]()
        for key in self.form.headers:
            node = self.node.get(key)
            if key == "bearer_token_env_var":
                token = variables.named(node.value) if node is not None and isinstance(node.value, str) else None
                if token is not None:
                    headers["authorization"] = f"Bearer {token}"
                continue
            for name, value in _texts(node).items():
                filled = variables.named(value) if key == "env_http_headers" else variables.filled(value)
                if filled is not None:
                    headers[name] = filled
        return headers


@dataclass(frozen=True, slots=True)
class Resolved:
    """A server as its client starts or reaches it; everything here may be a secret."""

    command: tuple[str, ...] = field(repr=False)
    environment: Mapping[str, str] = field(repr=False)
    folder: Path | None
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    variables: frozenset[str]
    """Names of the variables of this process whose values are in the other parts."""


def read_client_file(place: Place) -> ClientFile:
    """Reads a configuration file.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It is not well formed.
    """
    return parse_client_file(place, read_bytes(place.path))


def parse_client_file(place: Place, content: bytes) -> ClientFile:
    """Works like `read_client_file`, on bytes that were read before."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise InvalidConfigError([Fault("the file is not UTF-8", str(place.path), 1, 1)]) from None
    parse = parse_toml if place.path.suffix == ".toml" else parse_jsonc
    if not text.strip():
        text_root = parse_jsonc(str(place.path), "{}")
        return ClientFile(place, content, text, text_root)
    return ClientFile(place, content, text, parse(str(place.path), text))


def entries_of(file: ClientFile) -> list[Entry]:
    """The servers of a file, in its order."""
    return [
        _entry(file, (*path, name), node)
        for pattern in file.place.client.form.servers
        for path, servers in _matching(file.root, pattern, ())
        for name, node in servers.objects()
    ]


def read_all(places: list[Place]) -> tuple[list[Entry], list[ConfigError]]:
    """The servers of all files, and the errors of those that cannot be read."""
    entries, errors = list[Entry](), list[ConfigError]()
    for place in places:
        try:
            entries += entries_of(read_client_file(place))
        except ConfigError as error:  # noqa: PERF203  one bad file must not hide the others
            errors.append(error)
    return entries, errors


def _matching(node: Node, pattern: tuple[str, ...], path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], Node]]:
    if not pattern:
        yield path, node
        return
    first, *rest = pattern
    for key, inner in node.objects():
        if first in ("*", key):
            yield from _matching(inner, tuple(rest), (*path, key))


def _entry(file: ClientFile, path: tuple[str, ...], node: Node) -> Entry:
    form = file.place.client.form
    key, off = form.disabled
    switch = node.get(key)
    is_disabled = switch is not None and switch.value is off
    command = _words(node, form)
    if command:
        return Entry(file, path, node, path[-1], STDIO, command=command, is_disabled=is_disabled)
    named = _text(node, "type")
    for urls, usual in ((form.urls, HTTP), (form.sse_urls, SSE)):
        for url_key in urls:
            url = _text(node, url_key)
            if url:
                kind = (
                    SSE if named == "sse" else HTTP if named in ("http", "streamable-http", "streamableHttp") else usual
                )
                return Entry(file, path, node, path[-1], kind, url=url, is_disabled=is_disabled)
    return Entry(file, path, node, path[-1], "", is_disabled=is_disabled)


def _words(node: Node, form: Form) -> tuple[str, ...]:
    command, args = node.get("command"), node.get("args")
    if form.is_command_list:
        words = [] if command is None or command.items is None else command.data()
    else:
        words = [] if command is None else [command.data()]
        words += [] if args is None or args.items is None else args.data()
    return tuple(words) if all(isinstance(word, str) for word in words) else ()


def _text(node: Node, key: str) -> str:
    found = node.get(key)
    return found.value if found is not None and isinstance(found.value, str) else ""


def _texts(node: Node | None) -> dict[str, str]:
    """The members of an object as texts, as clients pass them to a program."""
    data: Any = {} if node is None or node.members is None else node.data()
    return {key: value if isinstance(value, str) else _plain(value) for key, value in data.items() if value is not None}


def _plain(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
