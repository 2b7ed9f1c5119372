"""Forms of tools that were accepted on any replica, in this replica's files of pins.

A form is accepted here once its server lists it here too: the files hold nothing that this replica has not seen.
"""

from __future__ import annotations

import time
from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import pins_accept, pins_read
from callgate.config.pins import seen_tools
from callgate.control import logs
from callgate.control.worker import Worker
from callgate.errors import CallgateError
from callgate.store.model import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from callgate.control.changes import Changes
    from callgate.store.pins import Pin
    from callgate.store.store import Store

_KIND: Final = "pins"
_LOOK_S: Final = 5.0
"""Interval at which listed forms are looked for that were accepted elsewhere before they were listed here."""

_BY: Final = Actor("callgate", "")
_FIRST_LIST: Final = "the first list that a replica was shown"


class StorePins:
    """The part of the control plane that accepts tools here which were accepted at another replica."""

    def __init__(self, folder: Callable[[], Path], changes: Changes) -> None:
        """Takes the function that gives the folder of pins, and the news of the store."""
        self._folder = folder
        self._worker = Worker("callgate-accepted", self._work, (changes, [_KIND]), failure="store_pins_failed")
        self._accepted: defaultdict[tuple[str, str], set[str]] = defaultdict(set)
        self._differing = set[tuple[str, str, str]]()
        self._is_shared = False
        self._seen = 0

    def start(self, store: Store) -> None:
        """Begins on a thread of its own."""
        self._accepted.clear()
        self._seen = 0
        # One state folder has one file for each server; what is in it needs no store.
        self._is_shared = not store.database.is_sqlite
        self._worker.start(store)

    def stop(self) -> None:
        """Ends after the file that is written now."""
        self._worker.stop()

    def _work(self, store: Store) -> float | None:
        self._read(store)
        self.accept_listed()
        if self._is_shared:
            self.share_first_lists(store)
        # Without accepted forms, and without others to tell of first lists, there is nothing to look for.
        return _LOOK_S if self._accepted or self._is_shared else None

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
            for tool in seen_tools(folder, server):
                accepted = self._accepted.get((server, tool["tool"]), set())
                for form in tool["listed"]:
                    if form["digest"] in accepted:
                        self._accept(folder, server, tool, form["digest"], accepted)

    def share_first_lists(self, store: Store) -> None:
        """Writes to the store what was accepted here without a person, of tools of which the store knows nothing.

        Raises:
            StoreError: A file of pins cannot be read, or the store does not answer.
        """
        # SQLAlchemy takes long to import, and this file is read at the start.
        from callgate.store.pins import accepted_forms  # noqa: PLC0415

        folder = self._folder()
        new: list[Pin] = []
        for server in _servers(folder):
            for tool in seen_tools(folder, server):
                forms = accepted_forms(server, tool)
                if (server, tool["tool"]) not in self._accepted:
                    new += forms
                    continue
                self._tell_differing(server, tool["tool"], forms)
        if new:
            store.pins.accept_first(new, _BY, _FIRST_LIST, time.time_ns() // 1_000)
            self._read(store)

    def _tell_differing(self, server: str, tool: str, forms: list[Pin]) -> None:
        """Logs a tool of which this replica and the store have accepted nothing in common."""
        known = self._accepted[server, tool]
        if not known or not forms or any(form.digest in known for form in forms):
            return
        key = (server, tool, forms[-1].digest)
        if key not in self._differing:
            self._differing.add(key)
            fields = {"server": server, "tool": tool, "digest": forms[-1].digest[:12]}
            logs.log("warning", "pin_differs_from_store", fields)

    def _accept(self, folder: Path, server: str, tool: Mapping[str, Any], digest: str, accepted: set[str]) -> None:
        name, keeps_others = tool["tool"], any(form["digest"] in accepted for form in tool["pinned"])
        try:
            pins_accept(folder, server, [name], digest, keeps_others)
        except CallgateError as error:
            # It was listed twice in different forms, or another one was listed meanwhile.
            logs.log("warning", "pin_not_accepted", {"server": server, "tool": name, "error": str(error)})
        else:
            logs.log("info", "pin_accepted", {"server": server, "tool": name, "digest": digest[:12]})


def _servers(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    try:
        return [one["server"] for one in pins_read(folder)]
    except CallgateError:
        # Some file is damaged; those that the store knows are looked at all the same.
        return []
