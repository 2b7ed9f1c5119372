"""The configuration that a sidecar serves, as `/readyz` describes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Serving:
    """The effective configuration."""

    since: datetime
    """The time at which it was read."""
    refused: str | None = None
    """The reason for which a newer one was refused, if there is one."""
    retried: bool = False
    """True if that reason may be temporary, so that the newer one is tried again."""

    def text(self) -> str:
        """One sentence if a newer one is refused, else nothing."""
        if self.refused is None:
            return ""
        again = "; it is tried again until it is in force" if self.retried else ""
        return f"serving the configuration of {self._since()}; the newer one is refused: {self.refused}{again}"

    def fields(self) -> dict[str, Any]:
        """The fields for programs."""
        return {
            "configuration_since": self._since(),
            "newer_configuration_refused": self.refused,
            "newer_configuration_retried": self.retried,
        }

    def _since(self) -> str:
        return self.since.isoformat(timespec="seconds").replace("+00:00", "Z")
