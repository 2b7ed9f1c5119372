"""The tables, a file for each concept. Migrations make them; a test compares the two."""

from callgate.store.tables.approvals import answers, approvals, evidence
from callgate.store.tables.audit import admin_audit, audit_checkpoints, audit_logs, telemetry_cursors
from callgate.store.tables.base import changes, metadata
from callgate.store.tables.documents import accepted_pins, document_versions, documents
from callgate.store.tables.freezes import freezes
from callgate.store.tables.identity import login_attempts, login_links, machine_tokens, people, sessions, used_logins
from callgate.store.tables.notices import notice_events, notice_receivers, notices
from callgate.store.tables.passkeys import passkey_challenges, passkeys
from callgate.store.tables.permits import permit_uses, permits
from callgate.store.tables.proposals import proposals
from callgate.store.tables.requests import admin_requests, replicas

__all__ = [
    "accepted_pins",
    "admin_audit",
    "admin_requests",
    "answers",
    "approvals",
    "audit_checkpoints",
    "audit_logs",
    "changes",
    "document_versions",
    "documents",
    "evidence",
    "freezes",
    "login_attempts",
    "login_links",
    "machine_tokens",
    "metadata",
    "notice_events",
    "notice_receivers",
    "notices",
    "passkey_challenges",
    "passkeys",
    "people",
    "permit_uses",
    "permits",
    "proposals",
    "replicas",
    "sessions",
    "telemetry_cursors",
    "used_logins",
]
