"""Signed decision logs: their tree, keys and checkpoints, read without a sidecar.

Nothing here shares code with the writer of such a log, which is in Rust: the formats are their whole agreement.
"""
