"""Detection of changed files: by events of the system if it sends them, and by polling in any case."""

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
"""Interval at which the system's events are fetched, and the silence after them before files are examined."""

_DEBOUNCE_MS: Final = 400
"""Longest delay that a stream of events can cause."""

_LOOK_MS: Final = 2_000
"""Interval of polling beside events: some file systems send none, and a watched folder may be replaced."""

_POLL_MS: Final = 500
"""Interval of polling if the system sends no events at all."""

_SETTLE_S: Final = 0.05
"""Silence after which a changed file counts as completely written."""

_SETTLE_LOOKS: Final = 40
_RETRY_LOOKS: Final = 120
_MOST_LINKS: Final = 40


class Watcher:
    """Calls `changed` on its own thread after one of the watched files has changed."""

    def __init__(self, changed: Callable[[], None]) -> None:
        """Takes the callback; `start` starts the thread."""
        self._changed = changed
        self._stop = Event()
        self._wake = Event()
        self._lock = Lock()
        self._paths: frozenset[Path] = frozenset()
        self._seen: Fingerprint = {}
        self._thread = Thread(target=self._run, name="callgate-watch", daemon=True)

    def watch(self, files: Files) -> None:
        """Watches these files from now on; a change is any difference from their state when they were read."""
        with self._lock:
            if files.paths != self._paths:
                self._paths = frozenset(files.paths)
                self._wake.set()
            self._seen = files.seen

    def start(self) -> None:
        """Starts the watch."""
        self._thread.start()

    def stop(self) -> None:
        """Stops the thread and waits for its end."""
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
                # Events are only a hint. inotify's watches or instances may be used up, or a folder is gone.
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
            # Only if nobody has read them in the meantime. A change after `now` is a new one.
            changed = self._seen == seen and now != seen
            if changed:
                self._seen = now
        if changed:
            self._changed()


def folders_of(paths: Collection[Path]) -> set[Path]:
    """The folders whose entries change when one of these files or folders changes.

    These are the folder of each path, and the folder of each symbolic link on the way: a file of a ConfigMap is a link
    into `..data`, itself a link that is replaced. A missing folder is replaced by its nearest existing ancestor.
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
    """The target of a symbolic link; None if the path is not a link."""
    try:
        return path.readlink()
    except OSError:
        return None


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:
        # Nothing is known of a path without the permission to read it.
        return False


def _links(path: Path) -> Iterator[Path]:
    """The path and the target of every symbolic link in it, all with resolved folders."""
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
