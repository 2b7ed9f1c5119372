"""The signed decision log in the store: its checkpoints go there, and admin changes come from there into the log.

A row of the admin audit is the record of a change. The line about it follows within seconds, in the log of each
replica, at least once: commands change the store without any replica, and no replica is always there.
"""

from __future__ import annotations

import json
import secrets
import time
from typing import TYPE_CHECKING, Final

from callgate import clock
from callgate.approvals.times import exact_instant
from callgate.control import logs
from callgate.control.worker import Worker
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate._callgate import Server
    from callgate.config.audit import Audit
    from callgate.control.changes import Changes
    from callgate.store.audit import Recorded
    from callgate.store.audit_logs import AuditLog
    from callgate.store.store import Store

_EVERY_S: Final = 5.0
_SOON_S: Final = 0.5
"""The pause until the next look for the first checkpoint of a new log."""

_PATIENCE_S: Final = 45.0
"""The time after which another writer of the stream is no predecessor that has just ended."""

_SETTLED_US: Final = 30_000_000
"""The age of a record from which on none with a lower number is about to appear: PostgreSQL gives numbers early."""

_PAGE: Final = 500


class AuditStream:
    """The part of the control plane that keeps the store and the signed log in step."""

    def __init__(self, server: Server, audit: Callable[[], Audit | None], changes: Changes) -> None:
        """Takes the data plane, the configuration of its log, and the news of the store."""
        self._server = server
        self._audit = audit
        self._holder = secrets.token_hex(8)
        self._store: Store | None = None
        # Numbers of records whose lines were given to the log, which loses none while it runs.
        self._given = set[int]()
        self._refused_since: float | None = None
        self._is_claimed = False
        # The store has another continuation of the log: that stays so until somebody has moved the log away.
        self._is_forked = False
        self._began_us = clock.now_us()
        self._told: str | None = None
        self._published: tuple[str, int] | None = None
        self._worker = Worker("callgate-audit-stream", self._work, (changes, []), failure="audit_stream_failed")

    def start(self, store: Store) -> None:
        """Begins on a thread of its own, if the log is signed."""
        audit = self._audit()
        if audit is not None and audit.key_file is not None:
            self._store = store
            self._worker.start(store)

    def stop(self) -> None:
        """Ends, and lets another process have the stream."""
        store, self._store = self._store, None
        if store is None:
            return
        self._worker.stop()
        head = self._server.audit_head()
        if head is None:
            return
        try:
            # The last lines were signed when the data plane ended.
            self._work(store)
            store.audit_logs.release(head[1], self._holder)
        except CallgateError as error:
            logs.log("warning", "audit_stream_failed", {"error": str(error)})

    def _work(self, store: Store) -> float:
        """Does all that is due; returns the seconds until it is due again."""
        from callgate.store.audit_logs import CheckpointConflictError, StreamInUseError  # noqa: PLC0415  SQLAlchemy

        head, audit = self._server.audit_head(), self._audit()
        if head is None or audit is None:
            return _SOON_S
        note, origin, size, admin_number = head
        try:
            log = store.audit_logs.claim(
                origin,
                audit.stream_name(),
                self._holder,
                clock.now_us(),
                since_us=self._began_us,
                is_renewal=self._is_claimed,
            )
        except StreamInUseError as error:
            self._refuse(str(error))
            return _EVERY_S
        self._refused_since, self._is_claimed = None, True
        self._server.set_audit_contested(self._is_forked)
        until = self._give(store, log, admin_number)
        try:
            if self._published != (origin, size) or until is not None:
                store.audit_logs.publish(origin, size, note, clock.now_us(), admin_until=until)
                self._published = (origin, size)
        except CheckpointConflictError as error:
            self._is_forked = True
            self._server.set_audit_contested(True)
            self._tell("audit_checkpoint_conflict", str(error))
        else:
            self._told = None
        return _EVERY_S

    def _give(self, store: Store, log: AuditLog, written: int | None) -> int | None:
        """Gives the log the records that it has not; the number up to which all are signed, if that is new."""
        settled_us = clock.now_us() - _SETTLED_US
        until = after = log.admin_until
        is_whole = True
        while True:
            page = store.audit.after(after, size=_PAGE)
            for record in page:
                after = record.number
                if record.number not in self._given:
                    if not self._server.record_in_audit(line_of(record)):
                        # Too many wait: the rest comes next time.
                        return self._moved(log, until)
                    self._given.add(record.number)
                    is_whole = False
                is_written = written is not None and record.number <= written
                is_whole = is_whole and is_written and record.at_us <= settled_us
                until = record.number if is_whole else until
            if len(page) < _PAGE:
                return self._moved(log, until)

    def _moved(self, log: AuditLog, until: int) -> int | None:
        self._given = {number for number in self._given if number > until}
        return until if until > log.admin_until else None

    def _refuse(self, message: str) -> None:
        """Says that another process writes the stream, once it is no predecessor of this one."""
        now_s = time.monotonic()
        if self._refused_since is None:
            self._refused_since = now_s
        if now_s - self._refused_since >= _PATIENCE_S:
            self._server.set_audit_contested(True)
            self._tell("audit_stream_in_use", f"{message}; give each replica an `audit.stream` of its own")

    def _tell(self, event: str, message: str) -> None:
        if self._told != message:
            self._told = message
            logs.log("error", event, {"error": message})


def line_of(record: Recorded) -> str:
    """The line about a change in the log."""
    change = record.change
    fields = {
        "kind": "admin",
        "number": record.number,
        "time": exact_instant(record.at_us),
        "actor": change.by.name,
        "source": change.by.source,
        "action": change.action,
        "object_kind": change.kind,
        "object_id": change.object_id,
        "digest_before": change.digest_before,
        "digest_after": change.digest_after,
        "reason": change.reason,
    }
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
