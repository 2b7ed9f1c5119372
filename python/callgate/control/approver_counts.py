"""Warnings about policies that ask more people than the store has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.control import logs
from callgate.control.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from callgate.control.changes import Changes
    from callgate.store.store import Store

_KIND: Final = "people"


class ApproverCounts:
    """The part of the control plane that compares policies with people, at the start and when either changes."""

    def __init__(self, warnings: Callable[[Sequence[frozenset[str]] | None], list[str]], changes: Changes) -> None:
        """Takes the function from the groups of each approver (None: no people) to warnings, and the store's news."""
        self._warnings = warnings
        # On a thread of its own: there may be many policies.
        self._worker = Worker("callgate-approvers", self._work, (changes, [_KIND]), failure="approvers_not_compared")
        self._told = set[str]()

    def start(self, store: Store) -> None:
        """Begins to look."""
        self._worker.start(store)

    def stop(self) -> None:
        """Looks no more."""
        self._worker.stop()

    def look_again(self) -> None:
        """Looks at policies that have changed; returns at once."""
        self._worker.wake()

    def _work(self, store: Store) -> None:
        """Logs new warnings. Without local people the approvers are unknown."""
        found = self._warnings(store.people.approver_groups())
        for warning in found:
            if warning not in self._told:
                logs.log("warning", "configuration_warning", {"warning": warning})
        self._told = set(found)
