"""A store, a clock by hand, and identities over them."""

from __future__ import annotations

from support.identities import clock, identities, passwords, store

__all__ = ["clock", "identities", "passwords", "store"]
