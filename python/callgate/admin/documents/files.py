"""Servers, policies and grants of configuration files, which the admin API shows and never changes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol

from callgate.config.folder import documents_in

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from callgate.admin.sidecar import Plan
    from callgate.config.bundle import Placed
    from callgate.config.faults import Fault
    from callgate.config.servers import Server
    from callgate.store.documents import DocumentKind


@dataclass(frozen=True)
class FileDocument:
    """A document of a configuration file."""

    id: str
    content: str
    """The document in the form in which the store keeps it."""
    place: str
    """The place as `file:line:column`."""


class FileDocuments(Protocol):
    """The documents of configuration files."""

    def get(self, kind: DocumentKind, name: str) -> FileDocument | None:
        """The document of this id; None if no file has it."""

    def page(self, kind: DocumentKind, after: str, size: int) -> Sequence[FileDocument]:
        """The documents in the order of their ids; `after` is the last id of the page before."""


class _Index:
    """The documents of one configuration, made when they are asked for: there may be many."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        # By the values of `DocumentKind`, whose room imports SQLAlchemy: a start has no time for that.
        self._of: dict[str, dict[str, Callable[[], FileDocument]]] = {
            "servers": dict(_servers(plan)),
            "policies": dict(_policies(plan)),
            "grants": dict(_grants(plan)),
        }
        self._ids = {kind: sorted(documents) for kind, documents in self._of.items()}

    def get(self, kind: DocumentKind, name: str) -> FileDocument | None:
        make = self._of[kind.value].get(name)
        return None if make is None else make()

    def page(self, kind: DocumentKind, after: str, size: int) -> list[FileDocument]:
        ids = self._ids[kind.value]
        begin = bisect_right(ids, after)
        return [self._of[kind.value][name]() for name in ids[begin : begin + size]]


class PlanFiles:
    """The documents of the configuration in force."""

    def __init__(self, plan: Callable[[], Plan]) -> None:
        """Takes the function that gives the configuration, which a reload replaces."""
        self._plan = plan
        self._index: _Index | None = None

    def get(self, kind: DocumentKind, name: str) -> FileDocument | None:
        """The document of this id; None if no file has it."""
        return self._current().get(kind, name)

    def page(self, kind: DocumentKind, after: str, size: int) -> list[FileDocument]:
        """The documents in the order of their ids."""
        return self._current().page(kind, after, size)

    def _current(self) -> _Index:
        plan, index = self._plan(), self._index
        if index is None or index.plan is not plan:
            # Two threads may make it at once, which does no harm.
            index = self._index = _Index(plan)
        return index


def _servers(plan: Plan) -> Iterator[tuple[str, Callable[[], FileDocument]]]:
    loaded = plan.bundle.loaded

    def made(name: str, server: Server) -> FileDocument:
        place = _place(loaded.fault(("servers", name), "", of_key=True))
        return FileDocument(name, server.model_dump_json(exclude_defaults=True), place)

    for name, server in loaded.config.servers.items():
        yield name, partial(made, name, server)


def _policies(plan: Plan) -> Iterator[tuple[str, Callable[[], FileDocument]]]:
    if plan.policy is not None:
        for file in documents_in(plan.policy) if plan.policy.is_dir() else [plan.policy]:
            try:
                content = file.read_text("utf-8-sig")
            except (OSError, ValueError):
                # It is gone or damaged; the engine goes on with what it has read.
                continue
            yield file.stem, partial(FileDocument, file.stem, content, f"{file}:1:1")
    for key, (file_name, content_bytes) in plan.bundle.policies.items():
        yield key, partial(FileDocument, key, content_bytes.decode("utf-8-sig", "replace"), f"{file_name}:1:1")


def _grants(plan: Plan) -> Iterator[tuple[str, Callable[[], FileDocument]]]:
    def made(placed: Placed) -> FileDocument:
        content = placed.grant.model_dump_json(exclude_defaults=True)
        return FileDocument(placed.grant.id, content, _place(placed.fault((*placed.path, "id"), "")))

    for placed in plan.bundle.grants or ():
        yield placed.grant.id, partial(made, placed)


def _place(fault: Fault) -> str:
    # A value from the environment has no place in a file.
    return "the environment" if fault.file is None else f"{fault.file}:{fault.line}:{fault.column}"
