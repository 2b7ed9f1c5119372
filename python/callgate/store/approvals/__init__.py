"""Approvals: asked for, answered, used, restored and ended, each change in one durable transaction."""
