"""A sidecar in this process: its decisions first, then everything else, until a signal stops it."""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import typer

from callgate.cli.imports import without_collection
from callgate.cli.started import Started
from callgate.cli.wake import Wake
from callgate.config.check import must_not_be_expired
from callgate.control import logs
from callgate.control.background import BackgroundStream
from callgate.control.port.address import BoundAddress
from callgate.control.port.certificate import admin_certificate
from callgate.control.reload import Reading
from callgate.control.reload_numbers import ReloadNumbers
from callgate.control.restored import RestoredStore, add_known_documents
from callgate.control.sidecar import queue_of
from callgate.errors import StoreError

if TYPE_CHECKING:
    from callgate._callgate import Engine, Server
    from callgate.cli.control_plane import ControlPlane
    from callgate.config.model import LogFormat
    from callgate.control.sidecar import Source

_DRAIN_EVERY_S = 0.2
_LAST_LINES_S = 2.0
"""Longest wait at the end for a reader of stderr."""


class ServingProcess:
    """A sidecar in this process, with its signal handlers."""

    def __init__(self, source: Source, log_format: LogFormat | None) -> None:
        """Takes the configuration's source, and the format of log lines if the command line says it."""
        self._source = source
        self.log_format = log_format
        """The format of log lines; None before the configuration is read, unless the command line names one."""
        self._wake = Wake()
        # Not `sys.stderr`: if it is not read, it must not block this process.
        self._stderr = BackgroundStream(_stderr())
        # Plain flags: signal handlers set them, and must never wait for a lock that this thread may hold.
        self._stop = False
        self._changed = False
        self._files_changed = False
        self._documents_changed = False

    def run(self) -> None:
        """Serves until a signal stops it."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._tell_stop())
        signal.signal(signal.SIGHUP, lambda *_: self._tell_changed())

        _raise_descriptor_limit()
        try:
            self.serve(self._started())
        finally:
            self._stderr.drain(_LAST_LINES_S)

    def _started(self) -> Started:
        """Reads the configuration and builds what decides; the admin port is bound, and nothing is served yet.

        Whatever could refuse the start is done here.
        """
        reading = Reading(self._source)
        self.log_format = reading.must_have_plan().config.log_format
        logs.configure(self.log_format.value, self._stderr)
        add_known_documents(self._source, reading)
        plan = reading.must_have_plan()
        must_not_be_expired(plan.bundle)
        engine = plan.engine()
        approvals = queue_of(plan.bundle)
        server = plan.server(engine, approvals)
        numbers = ReloadNumbers()
        numbers.reloaded(ok=True, at_s=time.time())
        certificate = admin_certificate(plan.bundle)
        admin = BoundAddress(plan.config.admin.listen)
        restored = RestoredStore(self._source, plan, engine, numbers)
        return Started(self._source, reading, engine, server, approvals, restored, numbers, admin, certificate)

    def serve(self, started: Started) -> None:
        """Serves decisions, and then everything else, until a signal ends it."""
        control: ControlPlane | None = None
        server = started.server
        try:
            server.start()
            try:
                # Here, because decisions are not to wait for these libraries.
                with without_collection():
                    from callgate.cli.control_plane import ControlPlane  # noqa: PLC0415

                control = ControlPlane(started, tell_files=self._tell_files, tell_documents=self._tell_documents)
                control.start()
                # The engine may have read later versions of the files than the plan.
                self._changed = self._changed or not control.reloader.files.are_unchanged()
                control.announce()
                self._watch_over(server, control)
            finally:
                if control is not None:
                    control.end_readiness()
                server.stop()
                self._log_events(server)
            _close(started.engine)
        finally:
            if control is not None:
                control.stop()
            started.admin.close()

    def _watch_over(self, server: Server, control: ControlPlane) -> None:
        """Logs, reloads and keeps the pages up to date until a signal stops it."""
        while not self._stop:
            self._wake.wait(_DRAIN_EVERY_S)
            self._log_events(server)
            control.look()
            if self._documents_changed:
                self._documents_changed = False
                control.reload_documents()
            if self._files_changed:
                self._files_changed = False
                # One change may be told several times, also after it was read.
                self._changed = self._changed or not control.reloader.files.are_unchanged()
            if self._changed or control.reloader.is_due():
                is_retry, self._changed = not self._changed, False
                control.reload(is_retry=is_retry)

    def _tell_stop(self) -> None:
        self._stop = True
        self._wake.up()

    def _tell_changed(self) -> None:
        self._changed = True
        self._wake.up()

    def _tell_files(self) -> None:
        self._files_changed = True
        self._wake.up()

    def _tell_documents(self) -> None:
        self._documents_changed = True
        self._wake.up()

    def _log_events(self, server: Server) -> None:
        if lost := self._stderr.take_lost():
            logs.log("warning", "log_lines_lost", {"lines": lost})
        for level, event, fields in server.drain_events():
            logs.log(level, event, fields)


def _raise_descriptor_limit() -> None:
    """Raises the limit of file descriptors to the system's maximum: each connection needs one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # If it is refused, the current limit stays.
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _close(engine: Engine) -> None:
    """Writes the counters to disk. A loss must not look like a normal stop."""
    try:
        engine.close()
    except StoreError as error:
        logs.log("error", "counters_lost", {"error": str(error)})
        raise typer.Exit(1) from None


def _stderr() -> int:
    """A file descriptor for log lines, even if the process was started without stderr."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
