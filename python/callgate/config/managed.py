"""Grants, servers and policies of the store, put together with those of files.

Files own what they hold: an id that stands in both is a fault, whose message names both places. What files hold may
name only what files hold, so that a start needs no store; what the store holds may name both.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final, TypeVar

from pydantic import ValidationError

from callgate.config import shape
from callgate.config.bundle import Placed
from callgate.config.check import faults_of as combination_faults
from callgate.config.document import parse_document
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.fields import Section
from callgate.config.grants import Grant
from callgate.config.load import faults_of
from callgate.config.servers import Server
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from callgate.config.bundle import Bundle
    from callgate.config.document import Document

GRANTS: Final = "grants"
SERVERS: Final = "servers"
POLICIES: Final = "policies"
KINDS: Final = (POLICIES, SERVERS, GRANTS)
"""The kinds of documents, as the store names them."""

PREFIX: Final = "store:"
"""Begins the names of documents that are in no file."""

_Section = TypeVar("_Section", bound=Section)

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
    def name(self) -> str:
        """The name in messages, in the place of a file; its suffix tells the format."""
        suffix = "json" if self.kind != POLICIES or self.content.lstrip().startswith("{") else "yaml"
        return f"{PREFIX}{self.kind}/{self.id}.{suffix}"

    @cached_property
    def grant(self) -> Placed:
        """The grant.

        Raises:
            InvalidConfigError: It is none.
        """
        document = self._document()
        grant = _section(document, Grant)
        if grant.id != self.id:
            message = f"expected the id {quoted(self.id)}, under which the store keeps it, got {quoted(grant.id)}"
            raise InvalidConfigError([document.fault(("id",), message)])
        return Placed(grant, (), document.fault)

    @cached_property
    def server(self) -> Server:
        """The server.

        Raises:
            InvalidConfigError: It is none, or it names files of this machine.
        """
        document = self._document()
        server = _section(document, Server)
        if server.upstream is not None and (server.upstream.ca is not None or server.upstream.headers):
            # Whoever may change servers would read every file and every variable of the sidecar.
            message = "`ca` and `headers` read files and variables of this machine, so they stand in files alone"
            raise InvalidConfigError([document.fault(("upstream",), message)])
        return server

    def _document(self) -> Document:
        return parse_document(self.name, self.content.encode("utf-8", "surrogatepass"))


class ManagedDocuments:
    """The documents of the store as one replica knows them. A change replaces all of them at once."""

    def __init__(self) -> None:
        """Begins without documents."""
        self.documents: tuple[ManagedDocument, ...] = ()


def merged(bundle: Bundle, documents: Iterable[ManagedDocument]) -> Bundle:
    """The configuration with these documents beside what files hold.

    Raises:
        InvalidConfigError: They cannot be in force together; all that was found.
    """
    new = _Merge(bundle)
    faults = [fault for document in documents for fault in new.add(document)]
    both = new.bundle()
    if not faults:
        faults = list(combination_faults(both))
    if faults:
        raise InvalidConfigError(faults)
    return both


def is_managed(name: str) -> bool:
    """True if the name of a policy's file is that of a document in the store."""
    return name.startswith(PREFIX)


class _Merge:
    def __init__(self, files: Bundle) -> None:
        self._files = files
        self._policies = dict(files.policies)
        self._servers = dict(files.config.servers)
        self._upstreams: dict[str, Mapping[str, Any]] = dict(files.upstreams)
        self._grants = list(files.grants or ())
        self._grant_ids = {placed.grant.id: placed for placed in self._grants}

    def add(self, document: ManagedDocument) -> Iterator[Fault]:
        """Adds a document, or gives the reasons against it."""
        try:
            if document.kind == POLICIES:
                yield from self._add_policy(document)
            elif document.kind == SERVERS:
                yield from self._add_server(document)
            else:
                yield from self._add_grant(document)
        except InvalidConfigError as error:
            yield from error.faults

    def bundle(self) -> Bundle:
        """All together."""
        files = self._files
        config = files.config.model_copy(update={"servers": self._servers})
        return replace(
            files,
            loaded=replace(files.loaded, config=config),
            policies=self._policies,
            grants=None if files.grants is None else tuple(self._grants),
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

    def _add_grant(self, document: ManagedDocument) -> Iterator[Fault]:
        if self._files.grants is None:
            # Without the store, such a sidecar would admit everybody under any name.
            message = (
                f"the grant {quoted(document.id)} of the store has no effect, because no grants are configured; write "
                "`grants: []` in the configuration, after which a grant is needed to call"
            )
            yield self._files.loaded.fault((), message)
            return
        if (placed := self._grant_ids.get(document.id)) is not None:
            yield _in_both(document, placed.fault((*placed.path, "id"), ""))
            return
        self._grants.append(document.grant)


def _in_both(document: ManagedDocument, place: Fault) -> Fault:
    message = (
        f"the {_NOUNS[document.kind]} {quoted(document.id)} stands here and in the store ({document.name}, version "
        f"{document.version}); take it out of one of them"
    )
    return replace(place, message=message)


def _section(document: Document, section: type[_Section]) -> _Section:
    try:
        return section(**document.data)
    except ValidationError as error:
        raise InvalidConfigError(faults_of(error, document.fault, shape.Shape(section=section))) from None
