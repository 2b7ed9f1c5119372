"""The greeting of `callgate serve`: its addresses, its trust settings, and a command for a first decision."""

import shlex
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import typer

from callgate._callgate import Engine, Server, version
from callgate.config.model import LogFormat
from callgate.control.logs import json_line
from callgate.control.plan_findings import warnings_of
from callgate.control.sidecar import Plan


def link_shower(plan: Plan) -> Callable[[str], None] | None:
    """Shows a one-time link on the terminal; None without one: elsewhere output is kept, and others may read it."""
    err = plan.config.audit is not None and str(plan.config.audit.path) == "-"
    stream = sys.stderr if err else sys.stdout
    if plan.config.log_format is LogFormat.JSON or stream is None or not stream.isatty():
        return None
    return lambda url: typer.echo(f"log in:    {url} (works once, for ten minutes)", err=err)


def greet(plan: Plan, engine: Engine, server: Server, admin: str) -> None:
    """Prints it on stdout, or on stderr if stdout belongs to the decision log: as text, or as JSON if logs are JSON.

    The last line is a command, or contains it.
    """
    err = plan.config.audit is not None and str(plan.config.audit.path) == "-"
    over = "gRPC and HTTP, TLS" if plan.config.tls is not None else "gRPC and HTTP"
    who = "this user alone" if plan.config.peps is None else "peps alone"
    decisions, gateway = list[str](), list[str]()
    if server.address is not None:
        decisions.append(f"{server.address} ({over})")
    if server.socket is not None:
        decisions.append(f"unix:{server.socket} (gRPC and HTTP, {who})")
    if server.address is not None:
        scheme = "https" if plan.config.tls is not None else "http"
        gateway += [
            f"{scheme}://{server.address}/mcp/{quote(name, safe='')}"
            for name, known in plan.config.servers.items()
            if known.upstream is not None
        ]
    ask = shlex.join(_question(plan, engine, server))
    if plan.config.log_format is LogFormat.JSON:
        for warning in warnings_of(plan):
            typer.echo(json_line("warning", "configuration_warning", {"warning": warning}), err=err)
        fields = {
            "version": version(),
            "decisions": decisions,
            "gateway": gateway,
            "admin": f"{_admin_scheme(plan)}://{admin}",
            "ask": ask,
        }
        typer.echo(json_line("info", "serving", fields), err=err)
        return
    typer.echo(f"callgate {version()}", err=err)
    for place in decisions:
        typer.echo(f"decisions: {place}", err=err)
    for url in gateway:
        typer.echo(f"gateway:   {url}", err=err)
    typer.echo(f"admin:     {_admin_scheme(plan)}://{admin} (/metrics, /healthz, /readyz, /approvals)", err=err)
    for warning in warnings_of(plan):
        typer.echo(f"warning:   {warning}", err=err)
    typer.echo(f"ask it:    {ask}", err=err)


def _admin_scheme(plan: Plan) -> str:
    return "http" if plan.config.admin.tls is None else "https"


def _question(plan: Plan, engine: Engine, server: Server) -> list[str]:
    """A command that requests a decision from this sidecar; files with secrets are named by their purpose."""
    config, known = plan.config, next((policy for policy in engine.policies if policy.tools), None)
    target = server.address if server.address is not None else f"unix:{server.socket}"
    words = [*_this_program(), "check", "--target", target]
    words += ["--grant", "demo"] if plan.bundle.grants is None else ["--grant-token-file", "GRANT_TOKEN_FILE"]
    words += ["--tool", known.tools[0] if known is not None else "some-tool"]
    if plan.bundle.grants is None and (name := _server_name(plan, engine)) is not None:
        words += ["--server", name]
    if config.peps is not None:
        words += ["--token-file", "PEP_TOKEN_FILE"]
    if config.tls is not None and server.address is not None:
        words += ["--tls-ca", "CA_FILE"]
        if config.tls.client_ca is not None:
            words += ["--tls-cert", "CLIENT_CERTIFICATE_FILE", "--tls-key", "CLIENT_KEY_FILE"]
    return [*words, "--args", "{}"]


def _server_name(plan: Plan, engine: Engine) -> str | None:
    if plan.policy is None:
        return next((name for name, server in plan.config.servers.items() if server.policy is not None), None)
    known = next((policy for policy in engine.policies if policy.tools), engine.policies[0])
    return known.server


def _this_program() -> list[str]:
    """The command that starts this program for the reader, whose shell may not have it on the PATH."""
    started = Path(sys.argv[0])
    if started.name != "callgate":
        return [sys.executable, "-m", "callgate"]
    found = shutil.which("callgate")
    return ["callgate"] if found is not None and Path(found).samefile(started) else [str(started)]
