"""The policies and servers of the store in force: read, and read on after each change by any replica.

A changed document is taken into use as a changed file is: the whole configuration is compiled anew, but for grants,
which `store_grants.py` reads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.config.managed import KINDS, POLICIES, SERVERS, ManagedDocument
from callgate.control import logs
from callgate.control.known_documents import write_known
from callgate.control.worker import Worker
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from callgate.config.managed import ManagedDocuments
    from callgate.control.changes import Changes
    from callgate.store.documents import Documents
    from callgate.store.store import Store


class StoreDocuments:
    """The part of the control plane that reads documents."""

    def __init__(
        self, managed: ManagedDocuments, changes: Changes, known: Path | None, changed: Callable[[], None]
    ) -> None:
        """Takes the documents to keep up to date, the news of the store, and the function that asks for a reload.

        `known` is the file of the documents that were read last; None where nothing is kept.
        """
        self._managed = managed
        self._known = known
        self._changed = changed
        self._worker = Worker("callgate-documents", self._read, (changes, KINDS), failure="store_documents_not_read")
        self._documents: dict[tuple[str, str], ManagedDocument] = {}
        self._seen: dict[str, int] = {}

    def start(self, store: Store) -> None:
        """Begins to read on a thread of its own: there may be many."""
        self._documents, self._seen = {}, {}
        self._worker.start(store)

    def stop(self) -> None:
        """Stops reading; documents that were read stay in force."""
        self._worker.stop()

    def _read(self, store: Store) -> None:
        """Reads new documents, and asks for a reload if there are any."""
        last = store.last_changes()
        if any(last[kind] < self._seen.get(kind.value, 0) for kind in last):
            # An older state of the database was brought back.
            self._documents, self._seen = {}, {}
        for kind, documents in ((POLICIES, store.policies), (SERVERS, store.servers)):
            self._read_kind(kind, documents)
        if self._worker.is_stopped:
            return
        now = tuple(self._documents[key] for key in sorted(self._documents))
        if now == self._managed.newest:
            return
        self._managed.newest = now
        if self._known is not None:
            try:
                write_known(self._known, now)
            except OSError as error:
                logs.log("warning", "store_documents_not_kept", {"error": reason_of(error)})
        self._changed()

    def _read_kind(self, kind: str, documents: Documents) -> None:
        while not self._worker.is_stopped:
            delta = documents.since(self._seen.get(kind, 0))
            if not delta.versions:
                return
            for version in delta.versions:
                if version.content is None:
                    self._documents.pop((kind, version.id), None)
                else:
                    held = ManagedDocument(kind, version.id, version.version, version.content)
                    self._documents[kind, version.id] = held
            self._seen[kind] = delta.change
