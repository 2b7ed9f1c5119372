"""The documents of the store that are not served in their newest version."""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING, Final

from callgate.control import logs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.control.reload_numbers import ReloadNumbers

_MOST: Final = 10
"""Most reasons of one part that are told."""


class Refusals:
    """The reasons, told once in the log, and in the status and a metric as long as they hold."""

    def __init__(self, numbers: ReloadNumbers) -> None:
        """Begins without reasons."""
        self._numbers = numbers
        self._lock = Lock()
        self._of: dict[str, str] = {}

    @property
    def text(self) -> str | None:
        """All reasons; None if there are none."""
        return "; ".join(self._of[part] for part in sorted(self._of)) or None

    def tell(self, part: str, reasons: Sequence[str]) -> None:
        """Replaces the reasons of one part of the documents; none ends them."""
        more = [f"and {len(reasons) - _MOST} more"] if len(reasons) > _MOST else []
        told = "; ".join([*reasons[:_MOST], *more])
        with self._lock:
            before = self._of.get(part)
            self._of = {name: text for name, text in {**self._of, part: told}.items() if text}
            self._numbers.are_documents_refused = bool(self._of)
        if told and told != before:
            logs.log("error", "store_documents_refused", {"error": told})
