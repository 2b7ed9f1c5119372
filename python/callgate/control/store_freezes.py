"""The freezes of the store in the engine of this process.

What was read last stays in force while the store does not answer. It is also written to the state folder, so that a
start obeys it before it has read the store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from callgate import clock
from callgate._callgate import freezes_read
from callgate.config.freezes import Freeze, keep_known
from callgate.config.tokens import unix_us
from callgate.control import logs
from callgate.errors import ConfigError
from callgate.store.targets import Target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from callgate._callgate import Engine
    from callgate.control.changes import Changes
    from callgate.store.store import Store

_KIND: Final = "freezes"
_LONGEST_REASON: Final = 1_000


class StoreFreezes:
    """The part of the control plane that obeys the store's freezes."""

    def __init__(self, engine: Engine, changes: Changes, known: Path | None) -> None:
        """Takes the engine, and the file of the freezes that were read last; None where nothing is kept."""
        self._engine = engine
        self._changes = changes
        self._known = known
        self._store: Store | None = None
        self._in_force: dict[Target, Freeze] = {}

    @property
    def in_force(self) -> list[Freeze]:
        """The freezes of the store, as they were read last."""
        return list(self._in_force.values())

    def restore(self) -> None:
        """Obeys the freezes that an earlier run read last; to be called before calls are answered."""
        if self._known is None:
            return
        try:
            self._obey(map(Freeze.of_row, freezes_read(self._known)))
        except ConfigError as error:
            logs.log("error", "store_freezes_unknown", {"error": str(error)})

    def start(self, store: Store) -> None:
        """Reads the freezes, and again after each change.

        Raises:
            StoreError: The store does not answer.
        """
        self._store = store
        self._read(frozenset())
        self._changes.listen(self._read, [_KIND])

    def stop(self) -> None:
        """Stops reading; freezes that were read stay in force."""
        self._changes.forget(self._read)
        self._store = None

    def _read(self, _changed: frozenset[str]) -> None:
        if self._store is None:
            return
        stored = self._store.freezes.in_force(clock.now_us())
        freezes = [replace(one, reason=_one_line(one.reason)) for one in map(Freeze.of_stored, stored)]
        self._obey(freezes)
        if self._known is None:
            return
        try:
            keep_known(self._known, freezes)
        except (OSError, ConfigError) as error:
            logs.log("warning", "store_freezes_not_kept", {"error": str(error)})

    def _obey(self, freezes: Iterable[Freeze]) -> None:
        """Puts these freezes in the place of those before; at no moment is one missing that is in both."""
        wanted: dict[Target, Freeze] = {}
        for freeze in freezes:
            other = wanted.get(freeze.target)
            # The engine holds one freeze for each target: the one that ends last.
            if other is None or (other.until is not None and (freeze.until is None or freeze.until > other.until)):
                wanted[freeze.target] = freeze
        obeyed = {self._begin(freeze): freeze for freeze in wanted.values()}
        for target in self._in_force.keys() - obeyed.keys():
            self._engine.thaw(server=target.server, tool=target.tool, grant=target.grant)
        if obeyed != self._in_force:
            logs.log("info", "store_freezes_changed", {"freezes": len(obeyed)})
        self._in_force = obeyed

    def _begin(self, freeze: Freeze) -> Target:
        """Freezes the calls, or more of them if the engine does not accept the target; returns what was frozen."""
        target, reason = freeze.target, _one_line(freeze.reason)
        for wider in (target, Target(server=target.server), Target()):
            try:
                self._engine.freeze(
                    reason=reason,
                    server=wider.server,
                    tool=wider.tool,
                    grant=wider.grant,
                    until_us=unix_us(freeze.until),
                )
            except ConfigError as error:  # noqa: PERF203  what is wider may be accepted
                logs.log("error", "store_freeze_widened", {"calls": str(target), "error": str(error)})
            else:
                return wider
        raise AssertionError  # all calls can be frozen


def _one_line(reason: str) -> str:
    """The reason as the engine accepts it."""
    line = "".join(character if character.isprintable() else " " for character in reason).strip()
    return line[:_LONGEST_REASON] or "no reason is given"
