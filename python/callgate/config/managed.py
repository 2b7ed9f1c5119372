"""Servers and policies of the store, put together with those of files; grants of the store are no part of it.

Files own what they hold: an id that stands in both is a fault, whose message names both places. What files hold may
name only what files hold, so that a start needs no store; what the store holds may name both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from callgate.config.bundle import Placed
from callgate.config.check import faults_of as combination_faults
from callgate.config.document import parse_document
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.judge import grant_of, read_from, server_of
from callgate.config.policies import file_name
from callgate.errors import CallgateError, ConfigError, PolicyError
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from callgate.config.bundle import Bundle
    from callgate.config.document import Document
    from callgate.config.servers import Server

GRANTS: Final = "grants"
SERVERS: Final = "servers"
POLICIES: Final = "policies"
KINDS: Final = (POLICIES, SERVERS)
"""The kinds of documents that are put together, as the store names them."""

PREFIX: Final = "store:"
"""Begins the names of documents that are in no file."""

_NOUNS: Final = {GRANTS: "grant", SERVERS: "server", POLICIES: "policy"}


@dataclass(frozen=True)
class ManagedDocument:
    """The version of a document that is in force in the store."""

    kind: str
    id: str
    version: int
    content: str = field(repr=False)
    """A grant or a server as JSON, as it stands in a configuration; a policy as JSON or YAML."""

    @property
    def key(self) -> tuple[str, str]:
        """The kind and the id, which all versions share."""
        return self.kind, self.id

    @property
    def name(self) -> str:
        """The name in messages, in the place of a file; its suffix tells the format."""
        return f"{PREFIX}{self.kind}/{file_name(self.id, self.content) if self.kind == POLICIES else f'{self.id}.json'}"

    @cached_property
    def grant(self) -> Placed:
        """The grant.

        Raises:
            InvalidConfigError: It is none.
        """
        document = self.document
        return Placed(read_from(document, lambda data: grant_of(data, self.id)), (), document.fault)

    @cached_property
    def server(self) -> Server:
        """The server.

        Raises:
            InvalidConfigError: It is none, or it names files of this machine.
        """
        return read_from(self.document, server_of)

    @property
    def document(self) -> Document:
        """The content with its places.

        Raises:
            InvalidConfigError: It is not well formed.
        """
        return parse_document(self.name, self.content.encode("utf-8", "surrogatepass"))


class ManagedDocuments:
    """The documents of the store as one replica knows them. A change replaces all of them at once."""

    def __init__(self) -> None:
        """Begins without documents."""
        self.newest: tuple[ManagedDocument, ...] = ()
        """The documents that were read last."""
        self.in_force: tuple[ManagedDocument, ...] = ()
        """The documents that are served: older versions of those whose newest one cannot be."""


class DocumentsError(InvalidConfigError):
    """Documents of the store cannot be served.

    Attributes:
        names: The names of those at fault; without any, it cannot be told which are.
    """

    def __init__(self, faults: Sequence[Fault], names: Iterable[str]) -> None:
        """Takes the faults, and the names of the documents."""
        super().__init__(faults)
        self.names = frozenset(names)


def merged(bundle: Bundle, documents: Iterable[ManagedDocument]) -> Bundle:
    """The configuration with these documents beside what files hold.

    Raises:
        DocumentsError: They cannot be in force together; all that was found.
    """
    new, found, servers = _Merge(bundle), list[tuple[str, Fault]](), dict[str, str]()
    for document in documents:
        found += [(document.name, fault) for fault in new.add(document)]
        if document.kind == SERVERS:
            servers[document.id] = document.name
    if found:
        raise DocumentsError([fault for _, fault in found], (name for name, _ in found))
    both = new.bundle()
    if faults := [_replaced(fault, servers) for fault in combination_faults(both)]:
        raise DocumentsError(faults, (fault.file for fault in faults if fault.file and is_managed(fault.file)))
    return both


def _replaced(fault: Fault, servers: Mapping[str, str]) -> Fault:
    """The fault in the document of a server, if it is one of these: the checks look for it in the configuration."""
    path = fault.path or ()
    name = servers.get(str(path[1])) if path[:1] == ("servers",) and len(path) > 1 else None
    return fault if name is None else replace(fault, file=name, line=1, column=1)


def settle(
    documents: Sequence[ManagedDocument],
    before: Sequence[ManagedDocument],
    attempt: Callable[[tuple[ManagedDocument, ...]], None],
) -> tuple[tuple[ManagedDocument, ...], list[CallgateError]]:
    """Serves as many documents as can be: one that cannot is replaced by its version of before, or left out.

    So one faulty document does not keep the others from being served, such as the revocation of a grant.

    Args:
        documents: The newest versions.
        before: Those that are served now.
        attempt: Serves these documents, or raises the reason against it.

    Returns:
        The documents that are served, and the reasons against the others.
    """
    wanted, served = {one.key: one for one in documents}, {one.key: one for one in before}
    errors: list[CallgateError] = []
    while True:
        try:
            attempt(tuple(wanted.values()))
        except CallgateError as error:  # noqa: PERF203  each attempt has fewer of the newest
            names = _names(error)
            faulty = [key for key, one in wanted.items() if one.name in names]
            if not faulty:
                some, more = _one_by_one(wanted, served, attempt)
                return some, [*errors, *more]
            errors.append(error)
            for key in faulty:
                older, newer = served.get(key), wanted.pop(key)
                if older is not None and older != newer:
                    wanted[key] = older
        else:
            return tuple(wanted.values()), errors


def _one_by_one(
    wanted: Mapping[tuple[str, str], ManagedDocument],
    served: Mapping[tuple[str, str], ManagedDocument],
    attempt: Callable[[tuple[ManagedDocument, ...]], None],
) -> tuple[tuple[ManagedDocument, ...], list[CallgateError]]:
    """Works like `settle` where no reason names a document: the data plane judges addresses, for instance."""
    current = dict(served)
    known = {**served, **wanted}
    waiting = [key for key in known if served.get(key) != wanted.get(key)]
    while True:
        errors = list[CallgateError]()
        refused = list[tuple[str, str]]()
        for key in waiting:
            tried = {name: one for name, one in current.items() if name != key}
            if key in wanted:
                tried[key] = wanted[key]
            try:
                attempt(tuple(tried.values()))
            except CallgateError as error:
                refused.append(key)
                errors.append(error if _names(error) else ConfigError(f"{known[key].name}: {error}"))
            else:
                current = tried
        # One may need another that came later, such as a server its policy.
        if not refused or len(refused) == len(waiting):
            return tuple(current.values()), errors
        waiting = refused


def _names(error: CallgateError) -> frozenset[str]:
    """The names of the documents that are at fault."""
    if isinstance(error, DocumentsError):
        return error.names
    if isinstance(error, InvalidConfigError):
        return frozenset(fault.file for fault in error.faults if fault.file is not None)
    return frozenset({error.file}) if isinstance(error, PolicyError) else frozenset()


def is_managed(name: str) -> bool:
    """True if the name of a policy's file is that of a document in the store."""
    return name.startswith(PREFIX)


class _Merge:
    def __init__(self, files: Bundle) -> None:
        self._files = files
        self._policies = dict(files.policies)
        self._servers = dict(files.config.servers)
        self._upstreams: dict[str, Mapping[str, Any]] = dict(files.upstreams)

    def add(self, document: ManagedDocument) -> Iterator[Fault]:
        """Adds a document, or gives the reasons against it."""
        try:
            if document.kind == POLICIES:
                yield from self._add_policy(document)
            else:
                yield from self._add_server(document)
        except InvalidConfigError as error:
            yield from error.faults

    def bundle(self) -> Bundle:
        """The configuration of the files with the managed documents."""
        files = self._files
        config = files.config.model_copy(update={"servers": self._servers})
        return replace(
            files,
            loaded=replace(files.loaded, config=config),
            policies=self._policies,
            upstreams=self._upstreams,
        )

    def _add_policy(self, document: ManagedDocument) -> Iterator[Fault]:
        if document.id in self._files.policies:
            yield _in_both(document, Fault("", self._files.policies[document.id][0]))
            return
        self._policies[document.id] = (document.name, document.content.encode("utf-8", "surrogatepass"))

    def _add_server(self, document: ManagedDocument) -> Iterator[Fault]:
        if document.id in self._files.config.servers:
            yield _in_both(document, self._files.loaded.fault(("servers", document.id), "", of_key=True))
            return
        server = document.server
        self._servers[document.id] = server
        if server.upstream is not None:
            self._upstreams[document.id] = {**server.upstream.server_keywords(), "ca": None, "headers": []}


def _in_both(document: ManagedDocument, place: Fault) -> Fault:
    message = (
        f"the {_NOUNS[document.kind]} {quoted(document.id)} stands here and in the store ({document.name}, version "
        f"{document.version}); take it out of one of them"
    )
    return replace(place, message=message)
