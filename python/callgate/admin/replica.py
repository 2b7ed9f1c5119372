"""The reports of this replica to the store, by which the others list it."""

from __future__ import annotations

import json
import socket
from contextlib import suppress
from datetime import datetime
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from callgate import clock
from callgate.errors import CallgateError
from callgate.store.replicas import ReplicaReport

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.admin.ground import Ground

BEAT_S: Final = 10.0
"""Time between two reports."""


def report_of(name: str, status: Mapping[str, Any], now_us: int, stopped_us: int | None = None) -> ReplicaReport:
    """The report of a replica whose state is given as `callgate status --json` prints it."""
    started = datetime.fromisoformat(status["started"].replace("Z", "+00:00"))
    text = json.dumps(status, ensure_ascii=False, default=str)
    return ReplicaReport(name, socket.gethostname(), round(started.timestamp() * 1e6), now_us, stopped_us, text)


class ReplicaReports:
    """Reports the state of this replica until the stop."""

    def __init__(self, ground: Ground) -> None:
        """Takes the things that services work on."""
        self._ground = ground
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
            # The others see by the time of the last report that this one is lost.
            with suppress(CallgateError):
                status = self._ground.sidecar.status()
                stopped_us = now_us if is_last else None
                self._ground.store.replicas.report(report_of(self._ground.replica, status, now_us, stopped_us))
            if not is_last:
                self._stopped.wait(BEAT_S)
