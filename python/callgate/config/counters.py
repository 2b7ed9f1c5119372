"""Counters and reservations."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from callgate.config.fields import Count, Duration, Section, Store, within


class Counters(Section):
    """The live state of limits."""

    store: Store | None = None
    """Place of the counters: `memory`, or `file:PATH`; a file in the state folder by default. In a file,
    `counters: memory` is short for this key."""

    flush_interval: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(hours=1))] = timedelta(seconds=1)
    """Interval at which the file is forced to the disk; a power loss may cost the counts of one interval."""

    capacity: Annotated[Count, Field(ge=1, le=1 << 32)] = 1 << 20
    """Highest number of live counters in this process; at the cap, calls that need a new one are denied."""

    per_grant: Annotated[Count, Field(ge=1, le=1 << 32)] = 1 << 16
    """Highest number of live counters of one grant in this process."""


class Reservations(Section):
    """Units that an allowed call took and may return."""

    ttl: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(days=1))] = timedelta(seconds=30)
    """Time in which a reservation can be rolled back."""

    per_grant: Annotated[Count, Field(ge=1, le=1 << 16)] = 1 << 12
    """Highest number of open reservations of one grant; beyond it, the grant's oldest one is committed early."""

    per_pep: Annotated[Count, Field(ge=1, le=1 << 16)] = 1 << 15
    """Highest number of open reservations of one PEP. There are 65,536 in all."""
