"""The control plane beside a data plane that serves already.

Imported once decisions are made: its libraries take longer than everything before them. What could refuse the start was
checked before.
"""

from __future__ import annotations

from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from callgate._callgate import ManagedGrants
from callgate.cli.greeting import greet, link_shower
from callgate.control import logs
from callgate.control.admin_api import admin_face
from callgate.control.audit_sending import CheckpointSending
from callgate.control.audit_stream import AuditStream
from callgate.control.freeze_targets import managed_names, unknown_name
from callgate.control.metrics import ServerCollector, registry
from callgate.control.notices import page_url
from callgate.control.parts import Parts
from callgate.control.plan_findings import known_tools
from callgate.control.port.certificate import admin_certificate
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.control.port.routes import Routes
from callgate.control.port.socket import ControlSocket
from callgate.control.recorded_resets import record_reset
from callgate.control.reload import Reloader
from callgate.control.site import AdminSite
from callgate.control.status import status, waiting
from callgate.control.store_numbers import StoreNumbers
from callgate.control.telemetry import Telemetry
from callgate.control.watch import Watcher
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from callgate._callgate import Engine, Server
    from callgate.cli.started import Started
    from callgate.control.logins import Logins
    from callgate.store.targets import Target


class ControlPlane:
    """Reloads, the admin port, the control socket and the parts that use the store."""

    def __init__(self, started: Started, *, tell_files: Callable[[], None], tell_documents: Callable[[], None]) -> None:
        """Takes what runs; `tell_files` hears that files have changed, `tell_documents` that the store's have."""
        engine, server = started.engine, started.server
        plan = started.reading.must_have_plan()
        self._plan, self._engine, self._server = plan, engine, server
        self.reloader = Reloader(
            started.source, started.reading, engine, server, started.numbers, started.restored.refusals
        )
        """Reloads."""
        store_numbers = StoreNumbers()
        collector = ServerCollector(server, store_numbers, started.numbers)
        self._pages = Pages(registry(collector))
        self._pages.token = plan.bundle.admin_token
        self._pages.observer = collector.logins.report
        collector.is_ready = lambda: self._pages.is_ready
        self._admin = AdminServer(started.admin, self._pages, certificate=started.certificate)
        self._socket = _Socket(plan.config.state, self._pages)
        data_plane = (engine, started.approvals)
        self._parts = Parts(
            started.source,
            data_plane,
            started.restored,
            self.reloader,
            (store_numbers, collector.notices),
            lambda: page_url(self.reloader.plan.bundle, self._admin.address),
            tell_documents,
        )
        self._telemetry = Telemetry(server, plan.bundle.collector, self._parts.plane.changes, collector.telemetry)
        self._parts.add(self._telemetry)
        described = self._administer(collector.logins)
        self._parts.add(AuditStream(server, lambda: plan.config.audit, self._parts.plane.changes))
        self._pages.serving = lambda: self.reloader.serving
        self._pages.routes = _routes(engine, server, self.reloader, self._parts, described)
        self._watcher = Watcher(tell_files) if plan.config.watch else None
        self._sending = CheckpointSending(server, plan.config.audit) if plan.config.audit is not None else None

    def start(self) -> None:
        """Begins to answer operators and to watch the files."""
        self._admin.start()
        self._socket.start()
        self._pages.ready = True
        self._telemetry.begin()
        if self._watcher is not None:
            self._watcher.watch(self.reloader.files)
            self._watcher.start()

    def announce(self) -> None:
        """Says what is served, and begins to open the store."""
        greet(self._plan, self._engine, self._server, self._admin.address)
        self._parts.start()
        if self._sending is not None:
            self._sending.start()

    def look(self) -> None:
        """Takes over what `/readyz` says of the data plane."""
        self._pages.failure = self._server.store_failure
        self._pages.upstream_faults = self._server.upstream_faults
        self._pages.freeze_fault = self._server.freeze_fault

    def reload_documents(self) -> None:
        """Serves the newest documents of the store."""
        self.reloader.reload_documents()
        self._parts.reloaded()

    def reload(self, *, is_retry: bool) -> None:
        """Serves the files as they are now."""
        if is_retry:
            self.reloader.retry()
        else:
            self.reloader.reload()
        self._parts.reloaded()
        bundle = self.reloader.plan.bundle
        self._pages.token = bundle.admin_token
        self._admin.certificate = admin_certificate(bundle)
        if self._watcher is not None:
            self._watcher.watch(self.reloader.files)

    def end_readiness(self) -> None:
        """Says that the sidecar is about to stop."""
        self._pages.ready = False

    def stop(self) -> None:
        """Stops what was started, in a bounded time."""
        if self._watcher is not None:
            self._watcher.stop()
        self._parts.stop()
        self._telemetry.end()
        if self._sending is not None:
            self._sending.stop()
        self._socket.stop()
        self._admin.stop()

    def _administer(self, logins: Logins) -> Callable[[], dict[str, Any]]:
        """Adds the admin API and its pages to the parts; the function that gives the state of all."""
        began, engine, server, admin = datetime.now(timezone.utc), self._engine, self._server, self._admin.address
        reloader, pages, parts = self.reloader, self._pages, self._parts

        def described() -> dict[str, Any]:
            return status(engine, server, reloader, pages, parts, admin=admin, grpc=face, started=began)

        observed = self._telemetry.observe_call
        face = admin_face(engine, server, reloader, parts.plane.changes, described, logins, observed)
        parts.add(face, AdminSite(pages, face, lambda: reloader.plan.in_force, admin, link_shower(reloader.plan)))
        return described


class _Socket:
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
