"""The reports of this replica to the store, by which the others list it."""

from __future__ import annotations

import json
import socket
from datetime import datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from callgate import clock
from callgate.errors import CallgateError
from callgate.store.replicas import ReplicaReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate.admin.ground import Ground

BEAT_S: Final = 10.0
"""Time between two reports."""


def report_of(name: str, status: Mapping[str, Any], now_us: int, stopped_us: int | None = None) -> ReplicaReport:
    """The report of a replica whose state is given as `callgate status --json` prints it."""
    started = datetime.fromisoformat(status["started"].replace("Z", "+00:00"))
    # In ASCII: a path may have bytes that are not text, which PostgreSQL and messages cannot hold.
    text = json.dumps(status, default=str)
    return ReplicaReport(name, socket.gethostname(), round(started.timestamp() * 1e6), now_us, stopped_us, text)


class ReplicaReports:
    """Reports the state of this replica until the stop."""

    def __init__(self, ground: Ground, unexpected: Callable[[Exception], None] = lambda _: None) -> None:
        """Takes the things that services work on, and the function that is told of errors which nobody expected."""
        self._ground = ground
        self._unexpected = unexpected
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="callgate-replica", daemon=True)

    def start(self) -> None:
        """Begins to report."""
        self._thread.start()

    def stop(self) -> None:
        """Reports the stop, and ends."""
        self._stopped.set()
        self._thread.join(BEAT_S)

    def _run(self) -> None:
        is_last = False
        while not is_last:
            is_last = self._stopped.is_set()
            now_us = clock.now_us()
            try:
                status = self._ground.sidecar.status()
                stopped_us = now_us if is_last else None
                self._ground.store.replicas.report(report_of(self._ground.replica, status, now_us, stopped_us))
            except CallgateError:
                # The others see by the time of the last report that this one is lost.
                pass
            except Exception as error:  # noqa: BLE001  it may pass, and without this thread it would be lost for good
                self._unexpected(error)
            if not is_last:
                self._stopped.wait(BEAT_S)
