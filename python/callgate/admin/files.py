"""Servers, policies and grants of configuration files, which the admin API shows and never changes."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from callgate.config.folder import documents_in
from callgate.store.documents import DocumentKind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from callgate.admin.sidecar import Plan


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
    """The documents of one configuration."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self._of: dict[DocumentKind, dict[str, FileDocument]] = {
            kind: dict(sorted((one.id, one) for one in documents(plan)))
            for kind, documents in (
                (DocumentKind.SERVERS, _servers),
                (DocumentKind.POLICIES, _policies),
                (DocumentKind.GRANTS, _grants),
            )
        }
        self._ids = {kind: list(documents) for kind, documents in self._of.items()}

    def get(self, kind: DocumentKind, name: str) -> FileDocument | None:
        return self._of[kind].get(name)

    def page(self, kind: DocumentKind, after: str, size: int) -> list[FileDocument]:
        ids = self._ids[kind]
        begin = bisect_right(ids, after)
        return [self._of[kind][name] for name in ids[begin : begin + size]]


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


def _servers(plan: Plan) -> Iterator[FileDocument]:
    loaded = plan.bundle.loaded
    for name, server in loaded.config.servers.items():
        content = server.model_dump_json(exclude_defaults=True)
        yield FileDocument(name, content, _place(loaded.fault(("servers", name), "")))


def _policies(plan: Plan) -> Iterator[FileDocument]:
    if plan.policy is not None:
        for file in documents_in(plan.policy) if plan.policy.is_dir() else [plan.policy]:
            try:
                content = file.read_text("utf-8-sig")
            except (OSError, ValueError):
                # It is gone or damaged; the engine goes on with what it has read.
                continue
            yield FileDocument(file.stem, content, f"{file}:1:1")
    for key, (file_name, content_bytes) in plan.bundle.policies.items():
        yield FileDocument(key, content_bytes.decode("utf-8-sig", "replace"), f"{file_name}:1:1")


def _grants(plan: Plan) -> Iterator[FileDocument]:
    for placed in plan.bundle.grants or ():
        content = placed.grant.model_dump_json(exclude_defaults=True)
        yield FileDocument(placed.grant.id, content, _place(placed.fault(placed.path, "")))


def _place(fault: object) -> str:
    # What came from the environment has no place in a file.
    file = getattr(fault, "file", None)
    return "the environment" if file is None else f"{file}:{getattr(fault, 'line', 1)}:{getattr(fault, 'column', 1)}"


class NoFiles:
    """No configuration files."""

    def get(self, kind: DocumentKind, name: str) -> FileDocument | None:  # noqa: ARG002  as `FileDocuments` has it
        """None."""
        return None

    def page(self, kind: DocumentKind, after: str, size: int) -> list[FileDocument]:  # noqa: ARG002  likewise
        """Nothing."""
        return []
