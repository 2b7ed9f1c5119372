"""`callgate serve`."""

import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Final

import typer

from callgate._callgate import ApprovalQueue, Engine, Server
from callgate.cli.greeting import greet, link_shower
from callgate.cli.options import CountersPlace, key_option
from callgate.cli.wake import Wake
from callgate.config.audit import Audit, AuditMode
from callgate.config.document import KeyPath
from callgate.config.listeners import Admin
from callgate.config.load import Option
from callgate.config.model import Config, LogFormat
from callgate.config.upstreams import Pinning, Upstream
from callgate.control import logs
from callgate.control.admin_api import admin_face
from callgate.control.asking import queue_of
from callgate.control.background import BackgroundStream
from callgate.control.certificate import admin_certificate
from callgate.control.http import AdminServer
from callgate.control.metrics import ServerCollector, registry
from callgate.control.pages import Pages
from callgate.control.parts import Parts, add_known_documents
from callgate.control.reload import Reading, Reloader
from callgate.control.routes import Routes
from callgate.control.sidecar import Plan, Source
from callgate.control.site import AdminSite
from callgate.control.socket import ControlSocket
from callgate.control.status import status
from callgate.control.store_numbers import StoreNumbers
from callgate.control.watch import Watcher
from callgate.errors import CallgateError, ConfigError, StoreError
from callgate.text import masked, quoted

_DRAIN_EVERY_S = 0.2
_LAST_LINES_S = 2.0
"""Longest wait at the end for a reader of stderr."""


EXAMPLES: Final = (
    "callgate serve --policy policy.yaml",
    "callgate serve --policy policy.yaml --upstream aws=http://127.0.0.1:8000/mcp",
    "callgate serve --config callgate.yaml",
)


def serve(
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="CALLGATE_CONFIG", help="The configuration: callgate.yaml, or JSON."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE_OR_DIR",
            help="Without --config: a policy for every server, or a folder of SERVER.json|yaml.",
        ),
    ] = None,
    upstream: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=URL",
            help="With --policy: an MCP server behind the gateway, as /mcp/NAME on the decision port; repeatable.",
        ),
    ] = None,
    pinning: Annotated[Pinning | None, key_option(Upstream, "pinning", note="Needs --upstream.")] = None,
    listen: Annotated[str | None, key_option(Config, "listen", metavar="ADDRESS")] = None,
    admin: Annotated[str | None, key_option(Admin, "listen", "--admin", metavar="ADDRESS")] = None,
    socket: Annotated[Path | None, key_option(Config, "socket", metavar="PATH")] = None,
    catalogue: Annotated[Path | None, key_option(Config, "catalogue", metavar="FILE")] = None,
    workers: Annotated[int | None, key_option(Config, "workers", metavar="N", min=0, max=1024)] = None,
    log_format: Annotated[LogFormat | None, key_option(Config, "log_format")] = None,
    grace: Annotated[float | None, key_option(Config, "grace", min=0, max=3600, metavar="SECONDS")] = None,
    state: Annotated[Path | None, key_option(Config, "state", metavar="DIR")] = None,
    counters: CountersPlace = None,
    decision_log: Annotated[Path | None, key_option(Audit, "path", "--decision-log", metavar="PATH")] = None,
    audit: Annotated[AuditMode | None, key_option(Audit, "mode", "--audit")] = None,
    watch: Annotated[bool | None, key_option(Config, "watch", "--watch/--no-watch")] = None,
) -> None:
    """Start the sidecar; SIGTERM and SIGINT stop it, SIGHUP reloads its files."""
    if upstream and config is None and policy is None:
        raise typer.BadParameter("calls through the gateway want a policy; give --policy", param_hint="--upstream")
    if (config is None) == (policy is None):
        raise typer.BadParameter("give either --config or --policy", param_hint="--config")
    if config is None and decision_log is None:
        if audit is AuditMode.REQUIRED:
            message = "`--audit required` needs a decision log; name one with --decision-log"
            raise ConfigError(message)
        audit = None
    if config is not None and upstream:
        message = "--upstream goes with --policy; in the configuration it is `servers.<name>.upstream`"
        raise typer.BadParameter(message, param_hint="--upstream")
    if pinning is not None and not upstream:
        message = "--pinning goes with --upstream; in the configuration it is `servers.<name>.upstream.pinning`"
        raise typer.BadParameter(message, param_hint="--pinning")
    given: dict[KeyPath, Option] = {
        **_upstreams(upstream or (), pinning),
        ("listen",): Option("--listen", listen),
        ("admin", "listen"): Option("--admin", admin),
        ("socket",): Option("--socket", socket),
        ("catalogue",): Option("--catalogue", catalogue),
        ("workers",): Option("--workers", workers),
        ("log_format",): Option("--log-format", log_format),
        ("grace",): Option("--grace", None if grace is None else f"{round(grace * 1000)}ms"),
        ("state",): Option("--state", state),
        ("counters", "store"): Option("--counters", counters),
        ("audit", "path"): Option("--decision-log", decision_log),
        ("audit", "mode"): Option("--audit", audit),
        ("watch",): Option("--watch", watch),
    }
    options = {path: option for path, option in given.items() if option.value is not None}
    # In memory means that nothing is left in this user's own folder.
    keeps_nothing = counters == "memory" and state is None
    with _temporary_folder() if keeps_nothing else nullcontext() as pins:
        _serve(Source(config, policy, options, None if pins is None else Path(pins)), log_format)


def _temporary_folder() -> TemporaryDirectory[str]:
    # A store that hangs may still be open at the end.
    return TemporaryDirectory(prefix="callgate-", ignore_cleanup_errors=True)


def _serve(source: Source, log_format: LogFormat | None) -> None:
    running = _Running(source, log_format)
    try:
        running.run()
    except CallgateError as error:
        if running.log_format is not LogFormat.JSON:
            raise
        typer.echo(logs.json_line("error", "start_failed", {"error": masked(str(error))}), err=True)
        raise typer.Exit(2) from None


def _upstreams(texts: Sequence[str], pinning: Pinning | None) -> dict[KeyPath, Option]:
    """Servers behind the gateway, as their configuration keys."""
    given: dict[KeyPath, Option] = {}
    for text in texts:
        name, _, url = text.partition("=")
        path = ("servers", name, "upstream", "url")
        if not (name and url) or path in given:
            what = "a server twice" if path in given else quoted(text)
            message = f"expected NAME=URL once for each server, such as aws=http://127.0.0.1:8000/mcp, got {what}"
            raise typer.BadParameter(message, param_hint="--upstream")
        given[path] = Option("--upstream", url)
        given["servers", name, "upstream", "pinning"] = Option("--pinning", pinning)
    return given


class _Running:
    """A sidecar in this process, with its signal handlers."""

    def __init__(self, source: Source, log_format: LogFormat | None) -> None:
        self._source = source
        self.log_format = log_format
        """None until the configuration is read, if the command line does not say it."""
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
        described = _administer(parts, engine, server, reloader, pages, admin.address)
        watcher = Watcher(self._tell_files) if plan.config.watch else None
        try:
            server.start()
            pages.serving = lambda: reloader.serving
            pages.routes = _routes(engine, server, reloader, described)
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
    parts: Parts, engine: Engine, server: Server, reloader: Reloader, pages: Pages, admin: str
) -> Callable[[], dict[str, Any]]:
    """Adds the admin API and its pages to the parts of the control plane; the function that gives the state of all."""
    started = datetime.now(timezone.utc)

    def described() -> dict[str, Any]:
        return status(engine, server, reloader, pages, parts, admin=admin, grpc=face, started=started)

    face = admin_face(engine, server, reloader, parts.plane.changes, described)
    parts.add(face, AdminSite(pages, face, lambda: reloader.plan.in_force, admin, link_shower(reloader.plan)))
    return described


def _routes(engine: Engine, server: Server, reloader: Reloader, described: Callable[[], dict[str, Any]]) -> Routes:
    def known_tools() -> set[str]:
        # A reload replaces the plan.
        return reloader.plan.known_tools()

    def servers_of(grant: str) -> list[str]:
        return reloader.plan.servers_of(grant)

    return Routes(engine, server, described, known_tools=known_tools, servers_of=servers_of)


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
