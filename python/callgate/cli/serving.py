"""A sidecar in this process: its parts from the start to the stop, and the signals between them."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import typer

from callgate._callgate import ApprovalQueue, Engine, ManagedGrants, Server
from callgate.cli.greeting import greet, link_shower
from callgate.cli.wake import Wake
from callgate.config.model import LogFormat
from callgate.control import logs
from callgate.control.admin_api import admin_face
from callgate.control.asking import queue_of
from callgate.control.background import BackgroundStream
from callgate.control.freeze_targets import managed_names, unknown_name
from callgate.control.logins import Logins
from callgate.control.metrics import ServerCollector, registry
from callgate.control.parts import Parts, add_known_documents
from callgate.control.plan_findings import known_tools
from callgate.control.port.certificate import admin_certificate
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.control.port.routes import Routes
from callgate.control.port.socket import ControlSocket
from callgate.control.recorded_resets import record_reset
from callgate.control.reload import Reading, Reloader
from callgate.control.sidecar import Plan, Source
from callgate.control.site import AdminSite
from callgate.control.status import status, waiting
from callgate.control.store_numbers import StoreNumbers
from callgate.control.watch import Watcher
from callgate.errors import ConfigError, StoreError
from callgate.store.targets import Target

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
        reading = Reading(self._source)
        self.log_format = reading.must_have_plan().config.log_format
        logs.configure(self.log_format.value, self._stderr)
        add_known_documents(self._source, reading)
        plan = reading.must_have_plan()
        engine = plan.engine()
        server, approvals = _server(plan, engine)
        numbers = StoreNumbers()
        collector = ServerCollector(server, numbers)
        collector.reloaded(ok=True, at_s=time.time())
        reloader = Reloader(self._source, reading, engine, server, collector)
        pages = Pages(registry(collector))
        pages.token = plan.bundle.admin_token
        admin = AdminServer(plan.config.admin.listen, pages, certificate=admin_certificate(plan.bundle))
        control = _Control(plan.config.state, pages)
        parts = Parts(self._source, (engine, approvals), reloader, numbers, self._tell_documents)
        pages.observer = collector.logins.report
        described = _administer(parts, engine, server, reloader, pages, admin.address, collector.logins)
        watcher = Watcher(self._tell_files) if plan.config.watch else None
        try:
            server.start()
            pages.serving = lambda: reloader.serving
            pages.routes = _routes(engine, server, reloader, parts, described)
            admin.start()
            control.start()
            pages.ready = True
            if watcher is not None:
                watcher.watch(reloader.files)
                watcher.start()
            # The engine may have read later versions of the files than the plan.
            self._changed = self._changed or not reloader.files.are_unchanged()
            greet(plan, engine, server, admin.address)
            parts.start()
            self._watch_over(server, reloader, pages, admin, parts, watcher)
            pages.ready = False
            server.stop()
            self._log_events(server)
            _close(engine)
        finally:
            if watcher is not None:
                watcher.stop()
            parts.stop()
            control.stop()
            admin.stop()
            self._stderr.drain(_LAST_LINES_S)

    def _watch_over(
        self,
        server: Server,
        reloader: Reloader,
        pages: Pages,
        admin: AdminServer,
        parts: Parts,
        watcher: Watcher | None,
    ) -> None:
        """Logs, reloads and keeps the pages up to date until a signal stops it."""
        while not self._stop:
            self._wake.wait(_DRAIN_EVERY_S)
            self._log_events(server)
            pages.failure = server.store_failure
            pages.upstream_faults = server.upstream_faults
            pages.freeze_fault = server.freeze_fault
            if self._documents_changed:
                self._documents_changed = False
                reloader.reload_documents()
                parts.reloaded()
            if self._files_changed:
                self._files_changed = False
                # One change may be told several times, also after it was read.
                self._changed = self._changed or not reloader.files.are_unchanged()
            if self._changed or reloader.is_due():
                self._reload(reloader)
                parts.reloaded()
                pages.token = reloader.plan.bundle.admin_token
                admin.certificate = admin_certificate(reloader.plan.bundle)
                if watcher is not None:
                    watcher.watch(reloader.files)

    def _reload(self, reloader: Reloader) -> None:
        if self._changed:
            self._changed = False
            reloader.reload()
        else:
            reloader.retry()

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


class _Control:
    """The control socket, if it can be had: decisions do not depend on it."""

    def __init__(self, state: Path, pages: Pages) -> None:
        self._state = state
        self._pages = pages
        self._socket: ControlSocket | None = None

    def start(self) -> None:
        """Creates it; a sidecar that cannot start has said why before."""
        try:
            self._socket = ControlSocket(self._state, self._pages)
        except ConfigError as error:
            logs.log("warning", "no_control_socket", {"error": str(error)})
        else:
            self._socket.start()

    def stop(self) -> None:
        if self._socket is not None:
            self._socket.stop()


def _server(plan: Plan, engine: Engine) -> tuple[Server, ApprovalQueue]:
    """The data plane, and the queue of its questions about calls that need a person's approval."""
    approvals = queue_of(plan.bundle)
    return plan.server(engine, approvals), approvals


def _administer(
    parts: Parts,
    engine: Engine,
    server: Server,
    reloader: Reloader,
    pages: Pages,
    admin: str,
    logins: Logins,
) -> Callable[[], dict[str, Any]]:
    """Adds the admin API and its pages to the parts of the control plane; the function that gives the state of all."""
    started = datetime.now(timezone.utc)

    def described() -> dict[str, Any]:
        return status(engine, server, reloader, pages, parts, admin=admin, grpc=face, started=started)

    face = admin_face(engine, server, reloader, parts.plane.changes, described, logins)
    parts.add(face, AdminSite(pages, face, lambda: reloader.plan.in_force, admin, link_shower(reloader.plan)))
    return described


def _routes(
    engine: Engine, server: Server, reloader: Reloader, parts: Parts, described: Callable[[], dict[str, Any]]
) -> Routes:
    def tools() -> set[str]:
        # A reload replaces the plan.
        return known_tools(reloader.plan)

    def servers_of(grant: str) -> list[str]:
        known = ManagedGrants(engine).servers(grant)
        return reloader.plan.servers() if known is None else known

    def unknown(target: Target) -> str | None:
        return unknown_name(reloader.plan, target, managed_names(engine))

    def to_look_at() -> dict[str, Any]:
        return waiting(server, parts)

    return Routes(
        engine,
        server,
        described,
        to_look_at,
        known_tools=tools,
        servers_of=servers_of,
        unknown_name=unknown,
        record_reset=lambda counts: record_reset(lambda: parts.plane.store, counts),
    )


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
