"""Approvals and permits as messages, and the feed of their changes."""
