"""Notices in the store: events of approvals, and the outbox of each receiver."""
