"""Non-blocking log output: a full pipe must not delay the sidecar or its end."""

from __future__ import annotations

import os
import time
from queue import Empty, Full, Queue
from threading import Lock, Thread
from typing import Final

LINES: Final = 10_000
"""Lines that wait for a reader; more are counted and dropped."""


class BackgroundStream:
    """A text stream for a log handler; a thread writes it to a file descriptor without another buffer."""

    def __init__(self, descriptor: int, lines: int = LINES) -> None:
        """Takes the file descriptor and the number of lines that may wait."""
        self._descriptor = descriptor
        self._waiting: Queue[str] = Queue(lines)
        self._lost = 0
        self._lost_lock = Lock()
        # A daemon thread, because a missing reader must not keep the process alive.
        Thread(target=self._run, name="callgate-log", daemon=True).start()

    def write(self, text: str) -> None:
        """Takes one line, or drops it if too many wait."""
        try:
            self._waiting.put_nowait(text)
        except Full:
            with self._lost_lock:
                self._lost += 1

    def flush(self) -> None:
        """Ignores the call, which a handler makes after every line; `drain` is for the end."""

    def drain(self, timeout_s: float) -> bool:
        """Waits until everything is written; returns false if that takes too long."""
        end = time.monotonic() + timeout_s
        # `Queue.join` has no timeout.
        while self._waiting.unfinished_tasks:
            if time.monotonic() >= end:
                return False
            time.sleep(0.005)
        return True

    def take_lost(self) -> int:
        """The number of lines dropped since the last call; 0 until there is room for a report."""
        if self._waiting.full():
            return 0
        with self._lost_lock:
            lost, self._lost = self._lost, 0
        return lost

    def _run(self) -> None:
        while True:
            batch = [self._waiting.get()]
            try:
                while len(batch) < LINES:
                    batch.append(self._waiting.get_nowait())
            except Empty:
                pass
            self._write("".join(batch).encode(errors="backslashreplace"))
            for _ in batch:
                self._waiting.task_done()

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError:
            # The reader is gone, so there is no place for a report.
            return
