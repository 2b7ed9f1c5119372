"""Forms of tools that were accepted on any replica, in this replica's files of pins.

A form is accepted here once its server lists it here too: the files hold nothing that this replica has not seen.
"""

from __future__ import annotations

from collections import defaultdict
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import pins_accept, pins_read
from callgate.control import logs
from callgate.control.failures import unexpected
from callgate.errors import CallgateError
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from callgate.control.changes import Changes
    from callgate.store.store import Store

_KIND: Final = "pins"
_LOOK_S: Final = 5.0
"""Interval at which listed forms are looked for that were accepted elsewhere before they were listed here."""

_STOP_S: Final = 2.0


class StorePins:
    """The part of the control plane that accepts here what was accepted elsewhere."""

    def __init__(self, folder: Callable[[], Path], changes: Changes) -> None:
        """Takes the function that gives the folder of pins, and the news of the store."""
        self._folder = folder
        self._changes = changes
        self._wake = Event()
        self._stopped = Event()
        self._thread: Thread | None = None
        self._accepted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._seen = 0

    def start(self, store: Store) -> None:
        """Begins on a thread of its own."""
        self._stopped.clear()
        self._wake.set()
        self._accepted.clear()
        self._seen = 0
        self._changes.listen(self._hear, [_KIND])
        self._thread = Thread(target=self._run, args=(store,), name="callgate-accepted", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends after the file that is written now."""
        self._changes.forget(self._hear)
        self._stopped.set()
        self._wake.set()
        if self._thread is not None:
            self._thread.join(_STOP_S)

    def _hear(self, _changed: frozenset[str]) -> None:
        self._wake.set()

    def _run(self, store: Store) -> None:
        failed: str | None = None
        while True:
            # Without accepted forms there is nothing to look for.
            self._wake.wait(_LOOK_S if self._accepted else None)
            self._wake.clear()
            if self._stopped.is_set():
                return
            try:
                self._read(store)
                self.accept_listed()
                failed = None
            except Exception as error:  # noqa: BLE001  whatever it is, it may pass
                text = masked(str(error)) if isinstance(error, CallgateError) else unexpected(error)
                if text != failed:
                    logs.log("warning", "store_pins_failed", {"error": text})
                failed = text
                self._stopped.wait(_LOOK_S)
                self._wake.set()

    def _read(self, store: Store) -> None:
        while found := store.pins.since(self._seen):
            for one in found:
                digests = self._accepted[one.pin.server, one.pin.tool]
                if one.is_deleted:
                    digests.discard(one.pin.digest)
                else:
                    digests.add(one.pin.digest)
            self._seen = found[-1].change

    def accept_listed(self) -> None:
        """Accepts forms that are listed here and accepted in the store.

        Raises:
            StoreError: A file of pins cannot be read or written.
        """
        folder = self._folder()
        for server in {server for server, _ in self._accepted}:
            for tool in _tools(folder, server):
                accepted = self._accepted.get((server, tool["tool"]), set())
                for form in tool["listed"]:
                    if form["digest"] in accepted:
                        self._accept(folder, server, tool, form["digest"], accepted)

    def _accept(self, folder: Path, server: str, tool: Mapping[str, Any], digest: str, accepted: set[str]) -> None:
        name, keeps_others = tool["tool"], any(form["digest"] in accepted for form in tool["pinned"])
        try:
            pins_accept(folder, server, [name], digest, keeps_others)
        except CallgateError as error:
            # It was listed twice in different forms, or another one was listed meanwhile.
            logs.log("warning", "pin_not_accepted", {"server": server, "tool": name, "error": str(error)})
        else:
            logs.log("info", "pin_accepted", {"server": server, "tool": name, "digest": digest[:12]})


def _tools(folder: Path, server: str) -> list[dict[str, Any]]:
    try:
        return [tool for one in pins_read(folder, server) for tool in one["tools"]]
    except CallgateError:
        # No list of this server was seen here yet, or its file cannot be read: then its calls say so.
        return []
