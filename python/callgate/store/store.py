"""The store as the rest of callgate uses it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.store.approvals.given import void_answers
from callgate.store.approvals.repository import Approvals
from callgate.store.attempts import Attempts
from callgate.store.audit import AdminAudit
from callgate.store.audit_logs import AuditLogs
from callgate.store.changes import Kind, last_numbers
from callgate.store.documents import DocumentKind, Documents
from callgate.store.freezes import Freezes
from callgate.store.model import PENDING_IN_ALL, PENDING_PER_GRANT
from callgate.store.notices.outbox import Notices
from callgate.store.notices.receivers import NoticeReceivers
from callgate.store.open import open_database
from callgate.store.passkeys import Passkeys
from callgate.store.people import People
from callgate.store.permits import Permits
from callgate.store.pins import Pins
from callgate.store.proposals import Proposals
from callgate.store.replicas import Replicas
from callgate.store.requests import Requests
from callgate.store.sessions import Sessions
from callgate.store.telemetry import TelemetryCursors
from callgate.store.tokens import Tokens
from callgate.store.watcher import Watcher

if TYPE_CHECKING:
    from callgate.store.database import Database
    from callgate.store.place import Place


class Store:
    """One open store. Its methods may be called from every thread; they block until the database answers."""

    def __init__(self, database: Database, *, per_grant: int = PENDING_PER_GRANT, in_all: int = PENDING_IN_ALL) -> None:
        """Takes an open database, and the highest numbers of pending approvals, of one grant and in all."""
        self.database = database
        self.approvals = Approvals(database, per_grant=per_grant, in_all=in_all)
        self.permits = Permits(database)
        self.freezes = Freezes(database)
        self.grants = Documents(database, DocumentKind.GRANTS)
        self.servers = Documents(database, DocumentKind.SERVERS)
        self.policies = Documents(database, DocumentKind.POLICIES)
        self.pins = Pins(database)
        self.people = People(database, void_answers)
        self.passkeys = Passkeys(database)
        self.tokens = Tokens(database)
        self.sessions = Sessions(database)
        self.attempts = Attempts(database)
        self.notices = Notices(database)
        self.notice_receivers = NoticeReceivers(database)
        self.audit = AdminAudit(database)
        self.audit_logs = AuditLogs(database)
        self.requests = Requests(database)
        self.telemetry = TelemetryCursors(database)
        self.proposals = Proposals(database)
        self.replicas = Replicas(database)

    @property
    def place(self) -> Place:
        """The file or the URL."""
        return self.database.place

    def last_changes(self) -> dict[Kind, int]:
        """The number of the last change of each kind."""
        return self.database.read(last_numbers)

    def watcher(self) -> Watcher:
        """Waits for changes by any replica; for one thread."""
        return Watcher(self.database)

    def close(self) -> None:
        """Closes all connections."""
        self.database.close()


def open_store(
    place: Place, *, migrate: bool | None = None, per_grant: int = PENDING_PER_GRANT, in_all: int = PENDING_IN_ALL
) -> Store:
    """Opens the store, and makes it if there is none; see `open.open_database` and `Store`.

    Raises:
        StoreError: It cannot be used, with the reason.
    """
    return Store(open_database(place, migrate=migrate), per_grant=per_grant, in_all=in_all)
