"""Counters and reservations."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Annotated, Final

from pydantic import AfterValidator, Field, WithJsonSchema

from callgate.config.fields import Count, Duration, FilePath, Section, Store, within
from callgate.config.shared_place import SHARED_PATTERN, parse_shared


def _url(value: str) -> str:
    parse_shared(value)
    return value


def _prefix(value: str) -> str:
    if not re.fullmatch(_PREFIX, value):
        message = "expected 1 to 64 letters, digits and `._:-`"
        raise ValueError(message)
    return value


_PREFIX: Final = r"[A-Za-z0-9._:-]{1,64}"

SharedUrl = Annotated[str, AfterValidator(_url), WithJsonSchema({"type": "string", "pattern": f"^{SHARED_PATTERN}$"})]
"""The URL of shared counters."""


class SharedCounters(Section):
    """Counters that several callgates share through Redis."""

    url: SharedUrl
    """URL of Redis: `redis://USER@HOST:PORT/DB`, `rediss://...` for TLS, `unix:///PATH`,
    `redis+sentinel://HOST:PORT,HOST:PORT/MASTER`, or `redis+cluster://HOST:PORT,HOST:PORT`; never with a password."""

    password_file: FilePath | None = None
    """File of the password, read at the start; white space around it is ignored."""

    ca_file: FilePath | None = None
    """PEM file of the authorities that are trusted in place of the system's, read at the start; for TLS alone."""

    budget: Annotated[Duration, within(timedelta(milliseconds=1), timedelta(seconds=2))] = timedelta(milliseconds=50)
    """Longest time that a call waits for Redis."""

    prefix: Annotated[str, AfterValidator(_prefix), WithJsonSchema({"type": "string", "pattern": f"^{_PREFIX}$"})] = (
        "callgate"
    )
    """Text before every key in Redis: callgates share their counts if they have the same."""

    lease: Annotated[Duration, within(timedelta(seconds=1), timedelta(minutes=1))] = timedelta(seconds=10)
    """Time for which units that a callgate has taken ahead stay its own while nothing is heard of it."""


class Counters(Section):
    """The live state of limits."""

    store: Store | None = None
    """Place of the counters: `memory`, or `file:PATH`; a file in the state folder by default. In a file,
    `counters: memory` is short for this key, and `counters: redis://...` for `counters.shared.url`."""

    flush_interval: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(hours=1))] = timedelta(seconds=1)
    """Interval at which the file is forced to the disk; a power loss may cost the counts of one interval."""

    capacity: Annotated[Count, Field(ge=1, le=1 << 32)] = 1 << 20
    """Highest number of live counters in this process; at the cap, calls that need a new one are denied."""

    per_grant: Annotated[Count, Field(ge=1, le=1 << 32)] = 1 << 16
    """Highest number of live counters of one grant in this process."""

    shared: SharedCounters | None = None
    """Counters that several callgates share through Redis; needs `grant_key_file`, the same for all of them."""

    recovery: Annotated[Duration, within(timedelta(seconds=1), timedelta(days=366))] | None = None
    """Time for which limits refuse after Redis has lost counts or failed over, and at most their window; by default
    their window. Where quotas are lent, their time comes on top of the window."""


class Reservations(Section):
    """Units that an allowed call took and may return."""

    ttl: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(days=1))] = timedelta(seconds=30)
    """Time in which a reservation can be rolled back."""

    per_grant: Annotated[Count, Field(ge=1, le=1 << 16)] = 1 << 12
    """Highest number of open reservations of one grant; beyond it, the grant's oldest one is committed early."""

    per_pep: Annotated[Count, Field(ge=1, le=1 << 16)] = 1 << 15
    """Highest number of open reservations of one PEP. There are 65,536 in all."""
