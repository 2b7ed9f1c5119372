"""The grants of the store in force: a change of one of a million changes this one alone."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from callgate.config.managed import GRANTS, ManagedDocument
from callgate.control import logs
from callgate.control.known_grants import (
    NAME,
    Mark,
    append_known,
    is_whole,
    mark_line,
    put_line,
    remove_line,
    write_known,
)
from callgate.control.worker import Worker
from callgate.errors import CallgateError, ConfigError
from callgate.store.errors import UnknownIdError
from callgate.text import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate._callgate import ManagedGrants
    from callgate.control.changes import Changes
    from callgate.control.refusals import Refusals
    from callgate.store.documents import Delta, Version
    from callgate.store.store import Store

_PART: Final = "grants"
_SPARE_LINES: Final = 10_000
"""Lines for changes that a file may have beside one for each grant, before it is written anew."""


class _StoppedError(Exception):
    """The work is to end before all grants are read."""


class StoreGrants:
    """The part of the control plane that reads grants."""

    def __init__(self, grants: ManagedGrants, changes: Changes, state: Path | None, refusals: Refusals) -> None:
        """Takes the grants of the engine, the news of the store, and the place for reasons against grants.

        `state` is the folder for the grants that were read last; None where nothing is kept.
        """
        self._grants = grants
        self._known = None if state is None else state / NAME
        self._refusals = refusals
        self._worker = Worker("callgate-grants", self._work, (changes, (GRANTS,)), failure="store_grants_not_read")
        # The last mark of the file; None if the file is to be written anew from another store's grants.
        self._seen: Mark | None = None
        # The number of the last change that the engine obeys.
        self._obeyed = 0
        self._lines = 0
        # A line of the file has no end: nothing can be added to it.
        self._is_torn = False
        self._is_reloaded = False
        # By id. A reload may mend both.
        self._refused: dict[str, str] = {}
        self._unserved: dict[str, str] = {}

    def restore(self) -> None:
        """Serves the grants that an earlier run read last; to be called before calls are answered."""
        if self._known is None or not self._known.exists():
            return
        try:
            mark, self._lines, _ = self._grants.read_file(self._known)
        except ConfigError as error:
            logs.log("error", "store_grants_unknown", {"error": str(error)})
        else:
            self._follow(Mark.read(mark))
            self._is_torn = not is_whole(self._known)

    def start(self, store: Store) -> None:
        """Begins to read on a thread of its own: there may be many."""
        self._worker.start(store)

    def stop(self) -> None:
        """Stops reading; grants that were read stay in force."""
        self._worker.stop()

    def reloaded(self) -> None:
        """Retries grants that did not fit the configuration before."""
        self._is_reloaded = True
        self._worker.wake()

    def _work(self, store: Store) -> None:
        """Reads new documents, and reports those that cannot be served."""
        if self._is_reloaded:
            self._is_reloaded = False
            self._try_again(store)
        if self._is_of(store):
            self._read_on(store)
            if self._is_torn or self._lines > 2 * len(self._grants) + _SPARE_LINES:
                self._write_anew(store)
        else:
            self._read_all(store)
        reasons = {**self._unserved, **self._refused}
        self._refusals.tell(_PART, [reasons[name] for name in sorted(reasons)])

    def _try_again(self, store: Store) -> None:
        """Tries again what was refused, and looks which grants name what the configuration does not have now."""
        for name in list(self._refused):
            with suppress(UnknownIdError):
                self._put([store.grants.get(name)])
        self._unserved = {name: _told(name, fault) for name, fault in self._grants.unserved()}

    def _is_of(self, store: Store) -> bool:
        """True if the grants that were read last are of this store, and of no later state of it."""
        seen = self._seen
        if seen is None:
            return False
        try:
            version = store.grants.get(seen.id, seen.version)
        except UnknownIdError:
            return False
        return version.made_us == seen.made_us and _last_change(store) >= seen.change

    def _follow(self, mark: Mark | None) -> None:
        """Goes on from the state of the file, which the engine has read."""
        self._seen, self._obeyed = mark, 0 if mark is None else mark.change

    def _read_on(self, store: Store) -> None:
        while not self._worker.is_stopped and (delta := store.grants.since(self._obeyed)).versions:
            grants, removed = self._obey(delta)
            self._seen = _mark(delta)
            self._append([*map(put_line, grants.values()), *map(remove_line, removed), mark_line(self._seen)])

    def _obey(self, delta: Delta) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Puts changes in force, and returns them: grants by id, and ids of those that are gone."""
        grants, removed = self._put(delta.versions)
        self._obeyed = delta.change
        return grants, removed

    def _read_all(self, store: Store) -> None:
        """Reads all grants into a new file, and serves these alone.

        The grants of the file before are of another store, or of another state of this one. They stay in force until
        then, and new changes are obeyed meanwhile: to read a million grants takes a minute.
        """
        self._refused, self._seen, self._obeyed = {}, None, _last_change(store)
        with ExitStack() as stack:
            path = self._known
            if path is None:
                # Not otherwise: in a container with a read-only root there may be no folder for temporary files.
                path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="callgate-"))) / NAME
            if self._write(path, store):
                mark, self._lines, faults = self._grants.read_file(path)
                # Only now: a reader that breaks off before has served nothing, and begins anew.
                self._follow(Mark.read(mark))
                self._refused.update({name: _told(name, fault) for name, fault in faults})
                self._unserved = {name: _told(name, fault) for name, fault in self._grants.unserved()}

    def _write_anew(self, store: Store) -> None:
        """Writes the file anew, with one line for each grant. The engine obeys all of them already."""
        if self._known is None:
            self._lines = 0
        else:
            self._write(self._known, store)

    def _write(self, path: Path, store: Store) -> bool:
        """Writes all grants of the store to a file; false if the work is to end before."""
        lines = 0

        def counted() -> Iterator[str]:
            nonlocal lines
            for line in self._all_lines(store):
                lines += 1
                yield line

        try:
            write_known(path, counted())
        except _StoppedError:
            return False
        except OSError as error:
            self._keep_nothing(error)
            raise ConfigError(f"`{path}` cannot be written: {reason_of(error)}") from None
        self._lines, self._is_torn = lines, False
        return True

    def _all_lines(self, store: Store) -> Iterator[str]:
        """The lines of a new file; between the pages that it reads, new changes are obeyed."""
        change, mark = 0, None
        while (delta := store.grants.since(change)).versions:
            if self._worker.is_stopped:
                # The file before has all grants.
                raise _StoppedError
            grants, _, refused = _parsed(delta.versions)
            self._refused.update(refused)
            yield from map(put_line, grants.values())
            change, mark = delta.change, _mark(delta)
            while (news := store.grants.since(self._obeyed)).versions:
                self._obey(news)
        if mark is not None:
            yield mark_line(mark)

    def _put(self, versions: Sequence[Version]) -> tuple[dict[str, dict[str, Any]], list[str]]:
        """Puts these documents in force; returns their grants by id, and the ids of those that are gone."""
        grants, removed, refused = _parsed(versions)
        for version in versions:
            self._refused.pop(version.id, None)
        for name in (*grants, *removed):
            self._unserved.pop(name, None)
        self._refused.update(refused)
        if grants or removed:
            faults = self._grants.change(list(grants.values()), removed)
            self._refused.update({name: _told(name, fault) for name, fault in faults})
            unserved = self._grants.unserved(list(grants))
            self._unserved.update({name: _told(name, fault) for name, fault in unserved})
        return grants, removed

    def _append(self, lines: list[str]) -> None:
        self._lines += len(lines)
        if self._known is None or self._is_torn:
            return
        try:
            append_known(self._known, lines)
        except OSError as error:
            self._keep_nothing(error)

    def _keep_nothing(self, error: OSError) -> None:
        """Removes the file, which is out of date from now on: the next start reads all grants of the store."""
        if self._known is not None:
            logs.log("warning", "store_grants_not_kept", {"error": reason_of(error)})
            with suppress(OSError):
                self._known.unlink(missing_ok=True)
            self._known = None


def _parsed(versions: Sequence[Version]) -> tuple[dict[str, dict[str, Any]], list[str], dict[str, str]]:
    """The grants of these documents as the engine takes them, the ids of those that are gone, and faults by id."""
    grants, removed, refused = dict[str, dict[str, Any]](), list[str](), dict[str, str]()
    for version in versions:
        if version.content is None:
            removed.append(version.id)
            continue
        try:
            placed = ManagedDocument(GRANTS, version.id, version.version, version.content).grant
        except CallgateError as error:
            refused[version.id] = str(error)
        else:
            grants[version.id] = placed.grant.server_keywords()
    return grants, removed, refused


def _last_change(store: Store) -> int:
    return {kind.value: number for kind, number in store.last_changes().items()}[GRANTS]


def _mark(delta: Delta) -> Mark:
    last = delta.versions[-1]
    return Mark(delta.change, last.id, last.version, last.made_us)


def _told(name: str, fault: str) -> str:
    return f"{ManagedDocument(GRANTS, name, 0, '').name}: {fault}"
