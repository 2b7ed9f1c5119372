"""Documents of one kind, of files and of the store, behind one face: etags, pages, conflicts."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import grpc

from callgate.admin.calls.errors import AdminError, failed_precondition, invalid, not_found
from callgate.store.documents import DocumentKind, Documents, Edit, Version
from callgate.store.errors import ConflictError, UnknownIdError
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.admin.documents.files import FileDocuments
    from callgate.admin.sidecar import Sidecar
    from callgate.store.model import Actor
    from callgate.store.store import Store

_NOUNS: Final = {
    DocumentKind.SERVERS: "server",
    DocumentKind.POLICIES: "policy",
    DocumentKind.GRANTS: "grant",
}
_ETAG: Final = re.compile(r'"([1-9][0-9]{0,9})-([0-9a-f]{12})"')
_DIGEST: Final = 12
_IN_FILES: Final = "f"
_IN_STORE: Final = "s"
ANY: Final = "*"
"""The etag that any version has, as in HTTP."""


@dataclass(frozen=True)
class Held:
    """A document in force, of the store or of a file."""

    id: str
    content: str
    version: Version | None
    """The version of the store; None for a document of a file."""
    place: str = ""
    """The place of a document of a file."""

    @property
    def etag(self) -> str:
        """The etag of its version; empty for a document of a file."""
        return "" if self.version is None else etag_of(self.version)


class AdminDocuments:
    """The documents of one kind."""

    def __init__(self, store: Store, files: FileDocuments, kind: DocumentKind) -> None:
        """Takes the store, the configuration files and the kind."""
        self._files = files
        self._kind = kind
        self._noun = _NOUNS[kind]
        self.stored: Documents = {
            DocumentKind.SERVERS: store.servers,
            DocumentKind.POLICIES: store.policies,
            DocumentKind.GRANTS: store.grants,
        }[kind]
        """The documents of the store alone."""

    def __contains__(self, name: object) -> bool:
        """True if there is a document of this id."""
        return self.find(str(name)) is not None

    def find(self, name: str) -> Held | None:
        """The document of an id; None if there is none.

        Raises:
            StoreError: The store does not answer.
        """
        file = self._files.get(self._kind, name)
        if file is not None:
            return Held(file.id, file.content, None, file.place)
        try:
            version = self.stored.get(name)
        except UnknownIdError:
            return None
        return Held(version.id, version.content or "", version)

    def get(self, name: str) -> Held:
        """The document of an id.

        Raises:
            AdminError: NOT_FOUND.
            StoreError: The store does not answer.
        """
        held = self.find(name)
        if held is None:
            message = f"there is no {self._noun} `{name}`"
            raise not_found(message)
        return held

    def page(self, position: str | None, size: int) -> tuple[list[Held], str | None]:
        """Documents, those of files first, each in the order of their ids, and the place where the next page begins.

        Raises:
            StoreError: The store does not answer.
        """
        # Not merged: databases order texts in their own ways.
        in_store, after = (position or _IN_FILES)[:1] == _IN_STORE, (position or _IN_FILES)[1:]
        found: list[Held] = []
        if not in_store:
            files = self._files.page(self._kind, after, size + 1)
            found = [Held(one.id, one.content, None, one.place) for one in files]
            after = ""
        if len(found) <= size:
            stored = self.stored.page(after=after, size=size + 1 - len(found))
            found += [Held(one.id, one.content or "", one) for one in stored]
        if len(found) <= size:
            return found, None
        last = found[size - 1]
        return found[:size], f"{_IN_FILES if last.version is None else _IN_STORE}{last.id}"

    def must_be_used(self, sidecar: Sidecar) -> None:
        """Refuses a document that would have no effect.

        Raises:
            AdminError: FAILED_PRECONDITION, with the reason.
        """
        reason = sidecar.unused_documents(self._kind)
        if reason is not None:
            raise failed_precondition(f"a {self._noun} of the store would have no effect: {reason}", reason="UNUSED")

    def must_be_servable(self, sidecar: Sidecar, name: str, content: str) -> None:
        """Refuses a document that this replica could not serve beside those that it serves now.

        Raises:
            AdminError: FAILED_PRECONDITION, with the reason.
        """
        # A document of a file is refused as such, by its etag or its id.
        if self._files.get(self._kind, name) is not None:
            return
        reason = sidecar.refusal(self._kind, name, content)
        if reason is not None:
            raise failed_precondition(f"the {self._noun} could not be served: {reason}", reason="UNSERVABLE")

    def must_be_new(self, name: str) -> None:
        """Refuses a document of an id that is taken.

        Raises:
            AdminError: ALREADY_EXISTS.
            StoreError: The store does not answer.
        """
        self._refuse_existing(name, is_never_reused=False)
        if self.find(name) is not None:
            raise self._exists(name)

    def create(self, name: str, content: str, by: Actor, reason: str, now_us: int, *, is_never_reused: bool) -> Held:
        """Stores a new document.

        Raises:
            AdminError: ALREADY_EXISTS.
            StoreError: The store does not answer.
        """
        self._refuse_existing(name, is_never_reused=is_never_reused)
        try:
            self.stored.put([Edit(name, content, 0)], by, reason, now_us)
        except ConflictError:
            raise self._exists(name) from None
        return self.get(name)

    def create_all(self, contents: Mapping[str, str], by: Actor, reason: str, now_us: int) -> list[Held]:
        """Stores many new documents by id, with few statements, whatever their ids were once.

        Raises:
            AdminError: ALREADY_EXISTS, and none is stored.
            StoreError: The store does not answer.
        """
        for name in contents:
            self._refuse_existing(name, is_never_reused=False)
        try:
            edits = [Edit(name, content, 0) for name, content in contents.items()]
            numbers = self.stored.put(edits, by, reason, now_us)
        except ConflictError as error:
            raise AdminError(grpc.StatusCode.ALREADY_EXISTS, str(error)) from None
        return [
            # Not read again: other writers wait for the transaction.
            Held(name, content, Version(name, number, content, _digest(content), now_us, by, reason))
            for (name, content), number in zip(contents.items(), numbers, strict=True)
        ]

    def replace(self, held: Held, content: str, etag: str, by: Actor, reason: str, now_us: int) -> Held:
        """Stores a new version of a document that was read in the same transaction.

        Raises:
            AdminError: ABORTED if it has another etag.
            StoreError: The store does not answer.
        """
        self._put(held, content, etag, by, reason, now_us)
        return self.get(held.id)

    def delete(self, held: Held, etag: str, by: Actor, reason: str, now_us: int) -> None:
        """Deletes a document that was read in the same transaction.

        Raises:
            AdminError: ABORTED if it has another etag.
            StoreError: The store does not answer.
        """
        self._put(held, None, etag, by, reason, now_us)

    def _put(self, held: Held, content: str | None, etag: str, by: Actor, reason: str, now_us: int) -> None:
        self.check_etag(held, etag)
        expected = None if held.version is None else held.version.version
        self.stored.put([Edit(held.id, content, expected)], by, reason, now_us)

    def check_etag(self, held: Held, etag: str) -> None:
        """Refuses a change of a version that the editor has not seen.

        Raises:
            AdminError: ABORTED, with the present etag; INVALID_ARGUMENT for a text that is no etag.
        """
        if etag in {"", ANY, held.etag}:
            return
        given = _ETAG.fullmatch(etag)
        if not given:
            raise invalid("etag", "expected the etag of an answer, in its quotes, or nothing")
        version = held.version
        message = f"the {self._noun} `{held.id}` has changed since version {given[1]}, which you have"
        metadata = {"etag": held.etag, "seen_version": given[1]}
        if version is not None:
            metadata |= {"version": str(version.version), "changed_by": version.made_by.name}
            reason = f" ({quoted(version.reason)})" if version.reason else ""
            message += f": {version.made_by.name} made version {version.version}{reason}"
            if self._kind is DocumentKind.POLICIES and int(given[1]) < version.version:
                message += f"; `DiffPolicy` with `from_version` {given[1]} shows what is different"
        message += "; read it again, and repeat your change on it"
        raise AdminError(grpc.StatusCode.ABORTED, message, reason="ETAG_MISMATCH", metadata=metadata)

    def must_be_stored(self, held: Held) -> Held:
        """Refuses a change of a document of a file.

        Raises:
            AdminError: FAILED_PRECONDITION, with the place.
        """
        if held.version is None:
            message = (
                f"the {self._noun} `{held.id}` is configured at {held.place}: change it there; this API changes only "
                "what it has created"
            )
            raise failed_precondition(message, reason="FILE_OWNED")
        return held

    def _refuse_existing(self, name: str, *, is_never_reused: bool) -> None:
        file = self._files.get(self._kind, name)
        if file is not None:
            raise self._exists(name, f" at {file.place}")
        if is_never_reused and self.stored.versions(name, size=1):
            raise self._exists(name)

    def _exists(self, name: str, where: str = "") -> AdminError:
        message = f"there is a {self._noun} `{name}` already{where}; choose another id, or update it"
        return AdminError(grpc.StatusCode.ALREADY_EXISTS, message)


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()


def etag_of(version: Version) -> str:
    """The etag of a version, in quotes. Its digest tells versions of a restored backup from those that were lost."""
    return f'"{version.version}-{(version.digest or "0" * _DIGEST)[:_DIGEST]}"'
