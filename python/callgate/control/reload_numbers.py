"""The numbers of reloads, which metrics show."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class ReloadNumbers:
    """Counts of one process."""

    counts: dict[str, int] = field(default_factory=lambda: {"success": 0, "failure": 0})
    """The attempts by their result."""
    reloaded_at_s: float | None = None
    """The Unix time at which the policies in force were read."""
    is_refused: bool = False
    """True if the newest configuration is refused and an older one is in force."""
    are_documents_refused: bool = False
    """True if documents of the store are not served in their newest version."""

    def reloaded(self, *, ok: bool, at_s: float) -> None:
        """Counts a reload at Unix time `at_s`; only success moves the timestamp."""
        self.counts["success" if ok else "failure"] += 1
        self.is_refused = not ok
        if ok:
            self.reloaded_at_s = at_s
