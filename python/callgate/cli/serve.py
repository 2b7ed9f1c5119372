"""`callgate serve`."""

import shlex
import shutil
import signal
import sys
import threading
import time
from enum import Enum
from pathlib import Path
from typing import Annotated

import typer

from callgate import logs
from callgate._callgate import Engine, Server, version
from callgate.admin import AdminServer
from callgate.errors import CallgateError, ConfigError
from callgate.metrics import ServerCollector, registry

_DRAIN_EVERY_S = 0.2


class LogFormat(str, Enum):
    """How log lines are written."""

    JSON = "json"
    TEXT = "text"


class AuditMode(str, Enum):
    """What becomes of a decision that cannot be logged."""

    BEST_EFFORT = "best_effort"
    REQUIRED = "required"


def serve(
    policy: Annotated[
        Path, typer.Option(metavar="FILE_OR_DIR", help="A policy for every server, or a folder of SERVER.json|yaml.")
    ],
    listen: Annotated[str, typer.Option(metavar="ADDRESS", help="Where decisions are asked.")] = "127.0.0.1:9191",
    admin: Annotated[
        str, typer.Option(metavar="ADDRESS", help="Where metrics and health are asked.")
    ] = "127.0.0.1:9193",
    socket: Annotated[
        Path | None, typer.Option(metavar="PATH", help="A Unix socket to create for decisions, for this user alone.")
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Categories, risks and input schemas of tools.")
    ] = None,
    workers: Annotated[int, typer.Option(min=0, max=1024, help="Threads that decide; 0 for one per core.")] = 0,
    log_format: Annotated[LogFormat, typer.Option(help="How log lines are written to stderr.")] = LogFormat.TEXT,
    grace: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="How long a stop waits for what is in flight.")
    ] = 10.0,
    decision_log: Annotated[
        str | None, typer.Option(metavar="PATH", help="A file for one JSON line per decision; - for standard output.")
    ] = None,
    audit: Annotated[
        AuditMode, typer.Option(help="Without a line in the decision log: required denies, best_effort goes on.")
    ] = AuditMode.BEST_EFFORT,
) -> None:
    """Start the sidecar; SIGTERM and SIGINT stop it, SIGHUP reads the policies again."""
    stop, reload = threading.Event(), threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    signal.signal(signal.SIGHUP, lambda *_: reload.set())
    logs.configure(log_format.value)

    engine = Engine.from_file(policy, catalogue)
    server = Server(
        engine, listen, socket, workers, grace_ms=round(grace * 1000), audit=_decision_log(decision_log, audit)
    )
    collector = ServerCollector(server)
    collector.reloaded(ok=True, at_s=time.time())
    admin_server = AdminServer(admin, registry(collector))
    try:
        server.start()
        admin_server.start()
        admin_server.set_ready(ready=True)
        _greet(engine, server, admin_server.address, to_stderr=decision_log == "-")
        while not stop.wait(_DRAIN_EVERY_S):
            _log_events(server)
            if reload.is_set():
                reload.clear()
                _reload(engine, collector, policy, catalogue)
        admin_server.set_ready(ready=False)
        server.stop()
        _log_events(server)
    finally:
        admin_server.stop()


def _decision_log(path: str | None, mode: AuditMode) -> dict[str, object] | None:
    """The decision log as `Server` takes it."""
    if path is not None:
        return {"path": path, "mode": mode.value}
    if mode is AuditMode.REQUIRED:
        message = "`--audit required` needs a decision log; name one with --decision-log"
        raise ConfigError(message)
    return None


def _greet(engine: Engine, server: Server, admin: str, *, to_stderr: bool) -> None:
    """Says where it listens, whom it trusts, and how to ask it; standard output may belong to the decision log."""
    typer.echo(f"callgate {version()}", err=to_stderr)
    typer.echo(f"decisions: {server.address} (gRPC and HTTP)", err=to_stderr)
    if server.socket is not None:
        typer.echo(f"decisions: unix:{server.socket} (gRPC and HTTP, this user alone)", err=to_stderr)
    typer.echo(f"admin:     http://{admin} (/metrics, /healthz, /readyz)", err=to_stderr)
    typer.echo(
        "warning:   no grants are configured, so callers are trusted to name the grant that is charged", err=to_stderr
    )
    known = next((policy for policy in engine.policies if policy.tools), engine.policies[0])
    tool = known.tools[0] if known.tools else "some-tool"
    words = [*_this_program(), "check", "--target", str(server.address), "--grant", "demo", "--tool", tool]
    if known.server is not None:
        words += ["--server", known.server]
    typer.echo(f"ask it:    {shlex.join([*words, '--args', '{}'])}", err=to_stderr)


def _this_program() -> list[str]:
    """How the reader of the greeting can start this program: it need not be on the PATH of another shell."""
    started = Path(sys.argv[0])
    if started.name != "callgate":
        return [sys.executable, "-m", "callgate"]
    found = shutil.which("callgate")
    return ["callgate"] if found is not None and Path(found).samefile(started) else [str(started)]


def _reload(engine: Engine, collector: ServerCollector, policy: Path, catalogue: Path | None) -> None:
    """Puts the policies in force as they are on disk now; those before stay where they have a fault."""
    try:
        engine.reload_file(policy, catalogue)
    except CallgateError as error:
        collector.reloaded(ok=False, at_s=time.time())
        logs.log("error", "policy_reload_failed", {"error": str(error)})
    else:
        collector.reloaded(ok=True, at_s=time.time())
        versions = {policy.name: policy.version for policy in engine.policies}
        logs.log("info", "policy_reloaded", {"policies": ", ".join(f"{name}@{v}" for name, v in versions.items())})


def _log_events(server: Server) -> None:
    for level, event, fields in server.drain_events():
        logs.log(level, event, fields)
