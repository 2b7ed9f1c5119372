"""Limits (`docs/policy.md` section 4)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from decimal import Decimal

    from callgate.config.document import KeyPath
    from callgate.workbench.rules.conditions import Path


@dataclass(frozen=True)
class Window:
    """The time in which units stay taken."""

    align: Literal["sliding", "calendar"]
    ms: int | None = None
    """Length in milliseconds; None for a calendar window."""
    period: str | None = None
    """`minute`, `hour`, `day`, `week` or `month` of a calendar window."""


@dataclass(frozen=True)
class Limit:
    """One limit of an entry, or the one that `rate_limit` stands for."""

    pointer: str
    """The rule pointer of a refusal."""
    counter: str
    window: Window
    max: int | Decimal
    """Units per window."""
    scope: tuple[str, ...]
    """`grant`, `session`, `tool`, `server`, `global` and paths of arguments: sorted, none twice."""
    cost: int | Decimal | Path
    """Units of a call, or the path of an argument that says them."""
    asks_at_max: bool
    at: KeyPath
    on_deny: str | None = None

    @property
    def count(self) -> tuple[str, Window, tuple[str, ...]]:
        """The identity of its count within the policy: limits with an equal one share it."""
        return self.counter, self.window, self.scope
