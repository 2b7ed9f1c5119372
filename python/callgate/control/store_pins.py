"""Forms of tools that were accepted on any replica, in this replica's files of pins.

A form is accepted here once its server lists it here too. A replica that had no file of a server, such as that of a new
pod, begins with what the store has as accepted, and not with the first list that it is shown.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

from callgate import clock
from callgate._callgate import pins_accept, pins_read
from callgate.config.pins import seen_tools
from callgate.control import logs
from callgate.control.adopted_pins import put_in_place
from callgate.control.worker import Worker
from callgate.errors import CallgateError
from callgate.store.model import Actor

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from pathlib import Path

    from callgate.control.changes import Changes
    from callgate.store.pins import Pin
    from callgate.store.store import Store

_KIND: Final = "pins"
_LOOK_S: Final = 5.0
"""Interval at which listed forms are looked for that were accepted elsewhere before they were listed here."""

_BY: Final = Actor("callgate", "")
_FIRST_LIST: Final = "the first list that a replica was shown"
_FURTHER_LIST: Final = "accepted on a replica beside what the store has, such as for another variant of clients"


class StorePins:
    """The part of the control plane that accepts tools here which were accepted at another replica."""

    def __init__(
        self, folder: Callable[[], Path], changes: Changes, endpoints: Callable[[], Mapping[str, str]] | None = None
    ) -> None:
        """To be called before the data plane is shown a list, so that what it accepts is known to be newer than this.

        Args:
            folder: Gives the folder of pins.
            changes: The news of the store.
            endpoints: Gives the URLs of the servers whose tools are pinned; None if no other replica shares the store.
        """
        self._folder = folder
        self._endpoints = endpoints
        self._recorded = None if endpoints is None else _recorded(folder())
        """The servers that had a file before this process; None if that is not known."""
        self._settled = set[str]()
        """Further ones, of which it is decided whose pins they have."""
        self._known_before: frozenset[str] | None = None
        """The servers of which the store had pins when it was opened first."""
        self._forms: dict[tuple[str, str, str], Pin] = {}
        """All forms that the store has or had as accepted."""
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
        if self._is_shared:
            self.adopt()
        self.accept_listed()
        if self._is_shared:
            self.share_first_lists(store)
        # Without accepted forms, and without others to tell of first lists, there is nothing to look for.
        return _LOOK_S if self._accepted or self._is_shared else None

    def _read(self, store: Store) -> None:
        while found := store.pins.since(self._seen):
            for one in found:
                digests = self._accepted[one.pin.server, one.pin.tool]
                self._forms[one.pin.server, one.pin.tool, one.pin.digest] = one.pin
                if one.is_deleted:
                    digests.discard(one.pin.digest)
                else:
                    digests.add(one.pin.digest)
            self._seen = found[-1].change

    def adopt(self) -> None:
        """Begins with the pins of the store where this replica had none, in the place of a first list shown to it.

        Raises:
            CallgateError: A file of pins cannot be read or written.
        """
        accepted: defaultdict[str, list[Pin]] = defaultdict(list)
        for (server, tool), digests in self._accepted.items():
            accepted[server] += [self._forms[server, tool, digest] for digest in sorted(digests)]
        known = frozenset(server for server, pins in accepted.items() if pins)
        if self._known_before is None:
            self._known_before = known
        if self._endpoints is None or self._recorded is None:
            return
        folder = self._folder()
        for server, url in self._endpoints().items():
            if server not in known or server in self._recorded or server in self._settled:
                continue
            tools = seen_tools(folder, server)
            # What came to the store since may be the list of this replica.
            if server in self._known_before or not tools or any(self._differs(server, tool) for tool in tools):
                _adopt(folder, server, url, accepted[server])
            self._settled.add(server)

    def _differs(self, server: str, tool: Mapping[str, Any]) -> bool:
        known = self._accepted.get((server, tool["tool"]))
        forms = {form["digest"] for form in tool["pinned"]}
        return known is not None and known != set() and forms != set() and known.isdisjoint(forms)

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
        """Writes to the store what was accepted here of first lists: tools, and further forms of tools that it has.

        Raises:
            StoreError: A file of pins cannot be read, or the store does not answer.
        """
        # SQLAlchemy takes long to import, and this file is read at the start.
        from callgate.store.pins import accepted_forms  # noqa: PLC0415

        folder = self._folder()
        new: list[Pin] = []
        further: list[Pin] = []
        for server in _servers(folder):
            for tool in seen_tools(folder, server):
                forms = accepted_forms(server, tool)
                if (server, tool["tool"]) not in self._accepted:
                    new += forms
                elif self._differs(server, tool):
                    self._tell_differing(server, tool["tool"], forms[-1].digest)
                elif self._accepted[server, tool["tool"]]:
                    further += [one for one in forms if (server, one.tool, one.digest) not in self._forms]
        if new:
            store.pins.accept_first(new, _BY, _FIRST_LIST, clock.now_us())
        if further:
            store.pins.accept_further(further, _BY, _FURTHER_LIST, clock.now_us())
        if new or further:
            self._read(store)
            self._settle({pin.server for pin in new})

    def _settle(self, servers: Collection[str]) -> None:
        """Keeps the first lists of these servers, unless another replica was faster with another list."""
        folder = self._folder()
        for server in servers:
            if not any(self._differs(server, tool) for tool in seen_tools(folder, server)):
                self._settled.add(server)

    def _tell_differing(self, server: str, tool: str, digest: str) -> None:
        """Logs a tool of which this replica and the store have accepted nothing in common."""
        if (server, tool, digest) not in self._differing:
            self._differing.add((server, tool, digest))
            logs.log("warning", "pin_differs_from_store", {"server": server, "tool": tool, "digest": digest[:12]})

    def _accept(self, folder: Path, server: str, tool: Mapping[str, Any], digest: str, accepted: set[str]) -> None:
        name, keeps_others = tool["tool"], any(form["digest"] in accepted for form in tool["pinned"])
        try:
            pins_accept(folder, server, [name], digest, keeps_others)
        except CallgateError as error:
            # It was listed twice in different forms, or another one was listed meanwhile.
            logs.log("warning", "pin_not_accepted", {"server": server, "tool": name, "error": str(error)})
        else:
            logs.log("info", "pin_accepted", {"server": server, "tool": name, "digest": digest[:12]})


def _recorded(folder: Path) -> frozenset[str] | None:
    try:
        return frozenset(one["server"] for one in pins_read(folder)) if folder.is_dir() else frozenset()
    except CallgateError:
        # Some file is damaged: the tools of its server were recorded, and nothing takes their place.
        return None


def _adopt(folder: Path, server: str, url: str, pins: list[Pin]) -> None:
    differing = put_in_place(folder, server, url, pins)
    if differing is None:
        logs.log("warning", "pins_of_another_endpoint", {"server": server, "url": url})
    elif differing:
        tools = {state: ", ".join(name for name, one in differing if one == state) for state in ("changed", "new")}
        logs.log(
            "warning", "first_list_replaced", {"server": server, **{key: one for key, one in tools.items() if one}}
        )
    else:
        logs.log("info", "pins_taken_from_store", {"server": server, "tools": len({pin.tool for pin in pins})})


def _servers(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    try:
        return [one["server"] for one in pins_read(folder)]
    except CallgateError:
        # Some file is damaged; those that the store knows are looked at all the same.
        return []
