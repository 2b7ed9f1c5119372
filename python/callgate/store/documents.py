"""Grants, servers and policies that are managed while callgate runs, with every version.

What the configuration's files hold is not here. Callers refuse an id that is in both.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from sqlalchemy import and_, bindparam, insert, select, update

from callgate.store import audit
from callgate.store.changes import Kind, next_numbers
from callgate.store.database import Domain
from callgate.store.errors import ConflictError, UnknownIdError
from callgate.store.model import Actor
from callgate.store.pages import MOST
from callgate.store.statements import Statement
from callgate.store.tables import document_versions, documents

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.engine import Connection

    from callgate.store.database import Database

_AT_ONCE: Final = 500
_HEAD: Final = documents.c
_VERSION: Final = document_versions.c
_SAME_VERSION: Final = and_(_HEAD.kind == _VERSION.kind, _HEAD.id == _VERSION.id, _HEAD.version == _VERSION.version)
_CHANGE_HEAD: Final = (
    update(documents)
    .where(_HEAD.kind == bindparam("new_kind"), _HEAD.id == bindparam("new_id"))
    .values(version=bindparam("new_version"), is_deleted=bindparam("new_is_deleted"), change=bindparam("new_change"))
)
# Each call of a managed grant that needs an approval looks for the owner.
_IN_FORCE: Final = Statement(
    select(document_versions)
    .join(documents, _SAME_VERSION)
    .where(_VERSION.kind == bindparam("of_kind"), _VERSION.id == bindparam("of_id"), _HEAD.is_deleted.is_(False))
)


class DocumentKind(str, Enum):
    """A kind of documents."""

    GRANTS = "grants"
    SERVERS = "servers"
    POLICIES = "policies"


@dataclass(frozen=True)
class Version:
    """A version of a document."""

    id: str
    version: int
    content: str | None
    """The document as JSON; None for the version that deleted it."""
    digest: str | None
    """SHA-256 of the content, as hex digits."""
    made_us: int
    made_by: Actor
    reason: str


@dataclass(frozen=True)
class Delta:
    """The documents that changed after a number."""

    versions: tuple[Version, ...]
    """The versions in force, in the order of their last changes."""
    change: int
    """The number to read on from."""


@dataclass(frozen=True)
class Edit:
    """A new version of a document."""

    id: str
    content: str | None
    """The document as JSON; None deletes it."""
    expected: int | None = None
    """The version that the editor has seen, 0 for none; None replaces any."""


class Documents:
    """The documents of one kind."""

    def __init__(self, database: Database, kind: DocumentKind) -> None:
        """Takes the database and the kind."""
        self._database = database
        self._kind = kind

    def put(self, edits: Sequence[Edit], by: Actor, reason: str, now_us: int) -> list[int]:
        """Writes new versions, all or none, each with a record in the admin audit; the numbers of the versions.

        Raises:
            ConflictError: A document has another version in force than the editor has seen.
            UnknownIdError: A document that is to be deleted is not there.
            StoreError: The store does not answer.
        """
        return self._database.write(
            lambda at: _Edits(self._kind, by, reason, now_us).put(at, edits), Domain.ADMINISTRATION
        )

    def get(self, name: str, version: int | None = None) -> Version:
        """A version of a document; by default the one in force.

        Raises:
            UnknownIdError: There is none.
            StoreError: The store does not answer.
        """
        found = self._database.read(lambda at: self._find(at, name, version))
        if not found:
            message = (
                f"there is no {'document' if version is None else f'version {version}'} `{name}` of {self._kind.value}"
            )
            raise UnknownIdError(message)
        return _version(found[0])

    def versions(self, name: str, *, before: int | None = None, size: int = 100) -> list[Version]:
        """The versions of a document, newest first, also of a deleted one."""
        query = select(document_versions).where(_VERSION.kind == self._kind.value, _VERSION.id == name)
        if before is not None:
            query = query.where(_VERSION.version < before)
        return self._read(query.order_by(_VERSION.version.desc()).limit(max(1, min(size, MOST))))

    def page(self, *, after: str = "", size: int = 100) -> list[Version]:
        """The versions in force in the order of their ids; `after` is the last id of the page before."""
        query = (
            select(document_versions)
            .join(documents, _SAME_VERSION)
            .where(_HEAD.kind == self._kind.value, _HEAD.id > after, _HEAD.is_deleted.is_(False))
        )
        return self._read(query.order_by(_HEAD.id).limit(max(1, min(size, MOST))))

    def mentioning(self, text: str, *, after: str = "", size: int = 100) -> list[Version]:
        """The versions in force whose content has a text in it, in the order of their ids; reads all documents.

        A database may find a text in other letters' case too.
        """
        query = (
            select(document_versions)
            .join(documents, _SAME_VERSION)
            .where(_HEAD.kind == self._kind.value, _HEAD.id > after, _HEAD.is_deleted.is_(False))
            .where(_VERSION.content.contains(text, autoescape=True))
        )
        return self._read(query.order_by(_HEAD.id).limit(max(1, min(size, MOST))))

    def since(self, change: int, *, size: int = MOST) -> Delta:
        """The documents that changed after a number, deleted ones too: what a replica does not know yet."""
        query = (
            select(document_versions, _HEAD.change)
            .join(documents, _SAME_VERSION)
            .where(_HEAD.kind == self._kind.value, _HEAD.change > change)
            .order_by(_HEAD.change)
            .limit(size)
        )

        def work(connection: Connection) -> Delta:
            rows = list(connection.execute(query))
            return Delta(tuple(_version(row) for row in rows), rows[-1].change if rows else change)

        return self._database.read(work)

    def _find(self, connection: Connection, name: str, version: int | None) -> Sequence[Any]:
        if version is None:
            return _IN_FORCE.rows(connection, {"of_kind": self._kind.value, "of_id": name})
        of_id = (_VERSION.kind == self._kind.value, _VERSION.id == name)
        return connection.execute(select(document_versions).where(*of_id, _VERSION.version == version)).all()

    def _read(self, query: Any) -> list[Version]:  # noqa: ANN401  a query of many columns
        return self._database.read(lambda at: [_version(row) for row in at.execute(query)])


@dataclass(frozen=True)
class _Head:
    """The version in force while edits are applied."""

    version: int = 0
    digest: str | None = None
    is_deleted: bool = True

    @property
    def seen(self) -> int:
        """The version that an editor sees: 0 for none."""
        return 0 if self.is_deleted else self.version


class _Edits:
    """Edits in one transaction: read with one statement and written with a few, because an import has thousands."""

    def __init__(self, kind: DocumentKind, by: Actor, reason: str, now_us: int) -> None:
        self._kind = kind
        self._by = by
        self._reason = reason
        self._now_us = now_us
        self._heads: dict[str, _Head] = {}
        self._versions: list[dict[str, Any]] = []
        self._changes: list[audit.Change] = []

    def put(self, connection: Connection, edits: Sequence[Edit]) -> list[int]:
        """Applies them in their order."""
        if not edits:
            return []
        stored = self._read(connection, {edit.id for edit in edits})
        self._heads = dict(stored)
        numbers = [self._put(edit) for edit in edits]
        changed = sorted({edit.id for edit in edits})
        changes = next_numbers(connection, Kind(self._kind.value), len(changed))
        heads = [self._head_row(name, number) for name, number in zip(changed, changes, strict=True)]
        new = [row for row in heads if row["id"] not in stored]
        if new:
            connection.execute(insert(documents), new)
        old = [{f"new_{name}": value for name, value in row.items()} for row in heads if row["id"] in stored]
        if old:
            connection.execute(_CHANGE_HEAD, old)
        connection.execute(insert(document_versions), self._versions)
        audit.record(connection, self._changes, self._now_us)
        return numbers

    def _read(self, connection: Connection, names: set[str]) -> dict[str, _Head]:
        query = (
            select(documents, _VERSION.digest)
            .join(document_versions, _SAME_VERSION)
            .where(_HEAD.kind == self._kind.value)
        )
        wanted = sorted(names)
        rows: list[Any] = []
        # A statement of SQLite has at most 32,766 values.
        for begin in range(0, len(wanted), _AT_ONCE):
            rows += connection.execute(query.where(_HEAD.id.in_(wanted[begin : begin + _AT_ONCE])))
        return {row.id: _Head(row.version, row.digest, row.is_deleted) for row in rows}

    def _put(self, edit: Edit) -> int:
        head = self._heads.get(edit.id, _Head())
        if edit.expected is not None and edit.expected != head.seen:
            message = (
                f"`{edit.id}` of {self._kind.value} has version {head.seen} by now, not {edit.expected}; read it again"
            )
            raise ConflictError(message, head.seen)
        if edit.content is None and not head.seen:
            message = f"there is no `{edit.id}` of {self._kind.value} to delete"
            raise UnknownIdError(message)
        version = head.version + 1
        digest = None if edit.content is None else hashlib.sha256(edit.content.encode()).hexdigest()
        self._heads[edit.id] = _Head(version, digest, edit.content is None)
        self._versions.append(
            {
                "kind": self._kind.value,
                "id": edit.id,
                "version": version,
                "content": edit.content,
                "digest": digest,
                "made_us": self._now_us,
                "made_by": self._by.name,
                "made_from": self._by.source,
                "reason": self._reason,
            }
        )
        action = "delete" if edit.content is None else "change" if head.seen else "create"
        change = audit.Change(self._by, action, self._kind.value, edit.id, self._reason, head.digest, digest)
        self._changes.append(change)
        return version

    def _head_row(self, name: str, number: int) -> dict[str, Any]:
        head = self._heads[name]
        return {
            "kind": self._kind.value,
            "id": name,
            "version": head.version,
            "is_deleted": head.is_deleted,
            "change": number,
        }


def _version(row: Any) -> Version:  # noqa: ANN401  a row has its query's columns
    by = Actor(row.made_by, row.made_from)
    return Version(row.id, row.version, row.content, row.digest, row.made_us, by, row.reason)
