"""Writing that makes nobody wait: what goes to a pipe that is full must not hold up the sidecar, nor its end."""

from __future__ import annotations

import os
import time
from queue import Empty, Full, Queue
from threading import Lock, Thread
from typing import Final

LINES: Final = 10_000
"""How many lines wait for a reader; more are counted and left out."""


class BackgroundStream:
    """A text stream for a log handler that a thread writes to a file descriptor, without a buffer in between."""

    def __init__(self, descriptor: int, lines: int = LINES) -> None:
        """Takes the file descriptor, and how many lines may wait."""
        self._descriptor = descriptor
        self._waiting: Queue[str] = Queue(lines)
        self._lost = 0
        self._lost_lock = Lock()
        # A daemon, as a reader that never comes must not keep the process alive.
        Thread(target=self._run, name="callgate-log", daemon=True).start()

    def write(self, text: str) -> None:
        """Takes one line, or leaves it out when too many wait."""
        try:
            self._waiting.put_nowait(text)
        except Full:
            with self._lost_lock:
                self._lost += 1

    def flush(self) -> None:
        """Does nothing, as a handler calls it after every line; `drain` is for the end."""

    def drain(self, timeout_s: float) -> bool:
        """Waits until everything is written, and says whether it is."""
        end = time.monotonic() + timeout_s
        # `Queue.join` knows no time-out.
        while self._waiting.unfinished_tasks:
            if time.monotonic() >= end:
                return False
            time.sleep(0.005)
        return True

    def take_lost(self) -> int:
        """Lines left out since the last call, once there is room to say so."""
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
            # Nobody reads any more; there is nowhere to say so.
            return
