"""Notices changed files: a hint from the system where it gives one, and a look at the files in any case."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Final

import watchfiles

from callgate.config.files import fingerprint
from callgate.control import logs

if TYPE_CHECKING:
    from callgate.config.files import Files, Fingerprint

_STEP_MS: Final = 100
"""How often the system's events are fetched, and how long they must be quiet before files are looked at."""

_DEBOUNCE_MS: Final = 400
"""How long a stream of events can put that off."""

_LOOK_MS: Final = 2_000
"""How often files are looked at without an event: some file systems send none, and a watched folder may be replaced."""

_POLL_MS: Final = 500
"""The same where the system gives no events at all."""

_SETTLE_S: Final = 0.05
"""Files that change within this time are still being written."""

_SETTLE_LOOKS: Final = 40
_RETRY_LOOKS: Final = 120
_MOST_LINKS: Final = 40


class Watcher:
    """Calls `changed` on a thread of its own after one of the watched files is not what it was."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Takes what to call; `start` starts the thread."""
        self._changed = changed
        self._stop = Event()
        self._wake = Event()
        self._lock = Lock()
        self._paths: frozenset[Path] = frozenset()
        self._seen: Fingerprint = {}
        self._thread = Thread(target=self._run, name="callgate-watch", daemon=True)

    def watch(self, files: Files) -> None:
        """Watches these from now on; a change is whatever makes them differ from what they were when they were read."""
        with self._lock:
            if files.paths != self._paths:
                self._paths = frozenset(files.paths)
                self._wake.set()
            self._seen = files.seen

    def start(self) -> None:
        """Begins to watch."""
        self._thread.start()

    def stop(self) -> None:
        """Ends; returns when the thread has."""
        self._stop.set()
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            if self._stop.is_set():
                return
            try:
                self._look()
                with self._lock:
                    folders = sorted(str(folder) for folder in folders_of(self._paths))
                self._with_events(folders)
            except Exception as error:  # noqa: BLE001  whatever it is, it may pass, and nobody else looks at the files
                # Events are a hint alone. inotify's watches or instances may be used up, or a folder is gone.
                logs.log("warning", "watch_without_events", {"error": str(error) or type(error).__name__})
                self._without_events()

    def _with_events(self, folders: list[str]) -> None:
        for _ in watchfiles.watch(
            *folders,
            watch_filter=None,
            debounce=_DEBOUNCE_MS,
            step=_STEP_MS,
            stop_event=self._wake,
            rust_timeout=_LOOK_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
            ignore_permission_denied=True,
        ):
            self._look()
            with self._lock:
                if sorted(str(folder) for folder in folders_of(self._paths)) != folders:
                    return

    def _without_events(self) -> None:
        for _ in range(_RETRY_LOOKS):
            if self._wake.wait(_POLL_MS / 1000):
                return
            try:
                self._look()
            except Exception:  # noqa: BLE001, S112  as above: told already, and looked at again
                continue

    def _look(self) -> None:
        with self._lock:
            paths, seen = self._paths, self._seen
        now = fingerprint(paths)
        if now == seen:
            return
        for _ in range(_SETTLE_LOOKS):
            if self._stop.wait(_SETTLE_S):
                return
            before, now = now, fingerprint(paths)
            if now == before:
                break
        with self._lock:
            # Only where nobody has read them meanwhile. What comes after `now` is another change.
            changed = self._seen == seen and now != seen
            if changed:
                self._seen = now
        if changed:
            self._changed()


def folders_of(paths: Collection[Path]) -> set[Path]:
    """The folders in which something happens when one of these files or folders changes.

    For each the folder that names it, and the same for each symbolic link on the way: a ConfigMap's file is a link into
    `..data`, itself a link that is replaced. The nearest folder that is there where one is not.
    """
    folders: set[Path] = set()
    for path in paths:
        if _is_folder(path):
            folders.add(path.resolve())
        for link in _links(path):
            parent = link.parent
            while not _is_folder(parent) and parent != parent.parent:
                parent = parent.parent
            folders.add(parent)
    return folders


def _target(path: Path) -> Path | None:
    """Where a symbolic link leads; None for what is none."""
    try:
        return path.readlink()
    except OSError:
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # Nothing can be told of what may not be looked at.
        return False


def _links(path: Path) -> Iterator[Path]:
    """The path, and where every symbolic link in it leads: all of them in folders that are no links."""
    left = list(reversed((Path.cwd() / path).parts[1:]))
    at, hops = Path("/"), 0
    while left:
        part = left.pop()
        if part == "..":
            at = at.parent
            continue
        at /= part
        target = _target(at) if hops < _MOST_LINKS else None
        if target is not None:
            yield at
            hops += 1
            at = Path("/") if target.is_absolute() else at.parent
            left.extend(part for part in reversed(target.parts) if part != "/")
    yield at
