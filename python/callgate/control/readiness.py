"""Which configuration a sidecar serves, as `/readyz` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime


@dataclass(frozen=True)
class Serving:
    """The configuration in force."""

    since: datetime
    """When it was read."""
    refused: str | None = None
    """Why a newer one is not in force."""
    retried: bool = False
    """Whether that may pass by itself, so that it is read again until it is in force."""

    def text(self) -> str:
        """One sentence where a newer one is refused, else nothing."""
        if self.refused is None:
            return ""
        again = "; it is tried again until it is in force" if self.retried else ""
        return f"serving the configuration of {self._since()}; the newer one is refused: {self.refused}{again}"

    def fields(self) -> dict[str, Any]:
        """The same for programs."""
        return {
            "configuration_since": self._since(),
            "newer_configuration_refused": self.refused,
            "newer_configuration_retried": self.retried,
        }

    def _since(self) -> str:
        return self.since.isoformat(timespec="seconds").replace("+00:00", "Z")
