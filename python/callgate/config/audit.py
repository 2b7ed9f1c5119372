"""The decision log."""

from __future__ import annotations

from datetime import timedelta
from enum import Enum
from typing import Annotated, Any

from pydantic import Field

from callgate.config.fields import Count, Duration, FilePath, Section, Size, within


class AuditMode(str, Enum):
    """The treatment of a decision that cannot be logged."""

    BEST_EFFORT = "best_effort"
    REQUIRED = "required"


class Audit(Section):
    """One JSON line for each decision."""

    path: FilePath
    """File of the decision log, one JSON line per decision; `-` is standard output."""

    mode: AuditMode = AuditMode.BEST_EFFORT
    """Treatment of a decision that cannot be logged: `best_effort` drops and counts its line, `required` denies it."""

    max_bytes: Size = 256 << 20
    """A file of this size is rotated; 0 for never."""

    max_age: Annotated[Duration, within(timedelta(), timedelta(days=366))] = timedelta()
    """A file of this age is rotated, in whole seconds; 0 for never."""

    keep: Annotated[Count, Field(ge=1, le=1000)] = 8
    """Number of rotated files that are kept."""

    sync_interval: Annotated[Duration, within(timedelta(), timedelta(hours=1))] = timedelta(seconds=1)
    """Interval at which lines are forced to the disk; 0 for never."""

    def server_keywords(self) -> dict[str, Any]:
        """The argument `audit` of `Server`."""
        keywords = super().server_keywords()
        max_age_ms = keywords.pop("max_age_ms")
        return {**keywords, "max_age_s": -(-max_age_ms // 1000)}
