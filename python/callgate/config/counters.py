"""Counters and reservations."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from callgate.config.fields import Count, Duration, Section, Store, within


class Counters(Section):
    """The live state of limits."""

    store: Store | None = None
    """`memory`, or `file:PATH`; a file in the state folder where not given. `counters: memory` is short for it."""

    flush_interval: Annotated[Duration, within(timedelta(milliseconds=10), timedelta(hours=1))] = timedelta(seconds=1)
    """How often the file is forced to the disk; what a power loss may cost."""

    capacity: Annotated[Count, Field(ge=1, le=1 << 32)] = 1 << 20
    """Counters that may be alive at once; at the cap, calls that need a new one are denied."""

    per_grant: Annotated[Count, Field(ge=1, le=1 << 32)] = 1 << 16
    """The same for the counters that one grant has made."""


class Reservations(Section):
    """Units that an allowed call took and may give back."""

    ttl: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(days=1))] = timedelta(seconds=30)
    """How long a reservation can be rolled back."""

    per_grant: Annotated[Count, Field(ge=1, le=1 << 16)] = 1 << 12
    """Reservations of one grant that can be open at once; beyond them its oldest is committed early."""

    per_pep: Annotated[Count, Field(ge=1, le=1 << 16)] = 1 << 15
    """The same for the reservations of one PEP. There are 65,536 in all."""
