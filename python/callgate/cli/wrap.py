"""`callgate wrap`."""

from __future__ import annotations

import logging
import os
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from callgate._callgate import Wrap
from callgate.cli import credentials, tokens
from callgate.cli.options import CountersPlace, counters_key, key_option
from callgate.config.audit import Audit, AuditMode
from callgate.config.check import must_not_be_expired, unknown, without_policy
from callgate.config.files import Files
from callgate.config.freezes import freezes_file
from callgate.config.load import Option, unknown_variables
from callgate.config.model import Config
from callgate.config.shared_keys import refuse_shared
from callgate.config.state import make_counters_place, pins_folder
from callgate.config.upstreams import Pinning, Upstream
from callgate.control import logs
from callgate.control.background import BackgroundStream
from callgate.control.parts import plane_of_wrap
from callgate.control.plan_findings import approval_warnings_of, policy_warnings_of
from callgate.control.sidecar import Source, queue_of
from callgate.errors import ConfigError, StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate._callgate import ApprovalQueue, Engine
    from callgate.config.document import KeyPath
    from callgate.control.sidecar import Plan

ANONYMOUS: Final = "anonymous"
"""The charged grant if no grants are configured and none is named."""

SECRETS: Final = (credentials.GRANT_TOKEN, credentials.TOKEN, "CALLGATE_GRANT_KEY")
"""Variables that the wrapped server does not get."""

_USUAL_PINNING: Final = Upstream.model_fields["pinning"].default
_DRAIN_EVERY_S: Final = 0.2
_LAST_LINES_S: Final = 0.5
"""Longest wait at the end for a reader of stderr."""
_OPENING_S: Final = 5.0
"""Longest time that a start waits for the store, where calls may need it."""


EXAMPLES: Final = (
    "callgate wrap --server files --policy policy.yaml -- npx files-server /workspace",
    "callgate wrap --server files --config callgate.yaml --grant-token-file token -- npx files-server",
)


def wrap(
    command: Annotated[
        list[str], typer.Argument(metavar="COMMAND", help="The server's command and its arguments, after `--`.")
    ],
    server: Annotated[str, typer.Option(metavar="NAME", help="Name of the server, which selects its policy.")],
    policy: Annotated[
        Path | None,
        typer.Option(metavar="FILE_OR_DIR", help="A policy, or a folder of SERVER.json|yaml."),
    ] = None,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", envvar="CALLGATE_CONFIG", help="Configuration with policies and grants, instead."),
    ] = None,
    grant_token_file: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help=f"The caller's token, if grants are configured; else that of {credentials.GRANT_TOKEN}.",
        ),
    ] = None,
    grant: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Id of the grant that is charged, if none are configured.", show_default=ANONYMOUS
        ),
    ] = None,
    catalogue: Annotated[Path | None, key_option(Config, "catalogue", metavar="FILE")] = None,
    state: Annotated[
        Path | None,
        key_option(
            Config,
            "state",
            metavar="DIR",
            note="Without it, a restart resets the counters, and tools are not pinned.",
        ),
    ] = None,
    counters: CountersPlace = None,
    pinning: Annotated[Pinning | None, key_option(Upstream, "pinning", note="Off without a state folder.")] = None,
    decision_log: Annotated[
        Path | None,
        key_option(
            Audit,
            "path",
            "--decision-log",
            metavar="PATH",
            note="Here it is standard error: the other is the client's.",
        ),
    ] = None,
    audit: Annotated[AuditMode | None, key_option(Audit, "mode", "--audit")] = None,
    grace: Annotated[
        float,
        typer.Option(
            min=0, max=3600, metavar="SECONDS", help="Longest time until the server ends, before and after SIGTERM."
        ),
    ] = 1.5,
) -> None:
    """Run an MCP server that communicates over pipes, and judge every call of its client."""
    if (config is None) == (policy is None):
        raise typer.BadParameter("give either --policy or --config", param_hint="--policy")
    if config is None and decision_log is None and audit is not None:
        message = "`--audit` needs a decision log; name one with --decision-log"
        raise ConfigError(message)
    given: dict[KeyPath, Option] = {
        ("catalogue",): Option("--catalogue", catalogue),
        ("state",): Option("--state", state),
        counters_key(counters): Option("--counters", counters),
        ("audit", "path"): Option("--decision-log", decision_log),
        ("audit", "mode"): Option("--audit", audit),
    }
    options = {path: option for path, option in given.items() if option.value is not None}
    plan = Source(config, policy, options).read(Files())
    refuse_shared(plan.bundle.loaded)
    must_not_be_expired(plan.bundle)
    if policy is None and server not in plan.config.servers:
        raise ConfigError(unknown("server", server, plan.config.servers))
    if policy is not None and (fault := without_policy(server, policy)) is not None:
        raise ConfigError(f"--server: {fault}")
    name, token = _caller(plan, grant, grant_token_file)
    place = _counters(plan, server)
    # A client may run the same server several times, and several clients may run it.
    engine = plan.engine(counters=place, share_counters=place != "memory")
    gateway = plan.bundle.gateway()
    folder = _pins_folder(plan, pinning)
    approvals = queue_of(plan.bundle) if _has_store(plan) else None
    wrapped = Wrap(
        engine,
        server,
        command,
        grant=name,
        grant_token=token,
        methods=gateway["methods"],
        lists_allowed_only=gateway["lists_allowed_only"],
        audit=_audit(plan, server, is_own=decision_log is not None),
        grace_ms=round(grace * 1000),
        line_limit_bytes=plan.config.limits.body_limit_bytes,
        hidden_variables=list(SECRETS),
        pins_folder=folder,
        pinning=(_USUAL_PINNING if pinning is None else pinning).value,
        first_lists_s=gateway["first_lists_s"],
        freeze_file=freezes_file(plan.config.state) if _has_state_folder(plan) else None,
        approvals=approvals,
    )
    for warning in _warnings(plan, is_pinned=folder is not None or pinning is not None):
        typer.echo(f"callgate: warning: {warning}", err=True)
    # Python's own handler would raise after the server's exit has already given the exit code.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    with _Log(wrapped, plan), _store(plan, engine, approvals):
        code, failure = wrapped.run()
    try:
        engine.close()
    except StoreError as error:
        typer.echo(f"callgate: {error}", err=True)
        code = code or 1
    if failure is not None:
        typer.echo(f"callgate: {failure}", err=True)
    raise typer.Exit(code)


def _audit(plan: Plan, server: str, *, is_own: bool) -> dict[str, Any] | None:
    """The decision log as `Wrap` takes it.

    That of the configuration belongs to `callgate serve`, and one log has one writer: each wrap gets a file beside it.
    """
    audit = plan.config.audit
    if audit is None:
        return None
    keywords = audit.server_keywords()
    path = Path(keywords["path"])
    if is_own or str(path) == "-" or path.is_char_device():
        return keywords
    return {**keywords, "path": path.with_name(f"{path.name}.{quote(server, safe='')}.{os.getpid()}")}


def _caller(plan: Plan, grant: str | None, token_file: Path | None) -> tuple[str | None, str | None]:
    """The client: the id of a grant, or a token."""
    if plan.bundle.grants is None:
        if token_file is not None:
            message = "no grants are configured, so there is no token to be known by; name the grant with --grant"
            raise typer.BadParameter(message, param_hint="--grant-token-file")
        name = ANONYMOUS if grant is None else grant
        tokens.must_be_text("--grant", name)
        return name, None
    if grant is not None:
        message = f"grants are configured, so a token names the grant: --grant-token-file or {credentials.GRANT_TOKEN}"
        raise typer.BadParameter(message, param_hint="--grant")
    token = credentials.grant_token(token_file)
    if token is None:
        message = f"missing --grant-token-file: the token of the grant that is charged; or {credentials.GRANT_TOKEN}"
        raise ConfigError(message)
    return None, token


def _pins_folder(plan: Plan, pinning: Pinning | None) -> Path | None:
    """The folder of the accepted tools; None if they are not kept."""
    if pinning is Pinning.OFF:
        return None
    if not _has_state_folder(plan):
        if pinning is not None:
            message = f"`--pinning {pinning.value}` needs a folder to keep what was accepted in; name one with --state"
            raise ConfigError(message)
        return None
    return pins_folder(plan.config.state)


def _has_state_folder(plan: Plan) -> bool:
    return plan.bundle.loaded.origin(("state",)) != "default"


def _warnings(plan: Plan, *, is_pinned: bool) -> list[str]:
    """Warnings about a wrapped server."""
    found = [*policy_warnings_of(plan), *unknown_variables()]
    if plan.config.counters.store is None and not _has_state_folder(plan):
        found.append("counts are kept in memory, so a restart begins with all of them at zero; --state keeps them")
    if not is_pinned:
        found.append("tools are not pinned, so one that changes is not noticed; --state pins them")
    return found if _has_store(plan) else found + approval_warnings_of(plan)


def _has_store(plan: Plan) -> bool:
    """True if there is a store for approvals and freezes."""
    store = plan.config.store
    return _has_state_folder(plan) or store.url is not None or store.url_file is not None


def _counters(plan: Plan, server: str) -> str:
    """The place of the counters: memory, unless a setting lets them outlive this process.

    Each server has a file of its own, so that the wraps of different servers need nothing of each other.
    """
    config = plan.config
    if config.counters.store is not None:
        return config.counters.store
    if not _has_state_folder(plan):
        return "memory"
    name = quote(server, safe="")
    return make_counters_place(None, config.state, "wrap", name if name.strip(".") else f"%{name}")


@contextmanager
def _store(plan: Plan, engine: Engine, approvals: ApprovalQueue | None) -> Iterator[None]:
    """Obeys the store while a server is wrapped. Without a state folder there is none."""
    if approvals is None:
        yield
        return
    plane = plane_of_wrap(plan, engine, approvals)
    plane.start()
    if approval_warnings_of(plan):
        # Else the first calls would be denied: SQLAlchemy takes about a second to import.
        plane.wait(_OPENING_S)
    try:
        yield
    finally:
        plane.stop()


class _Log:
    """Writes errors to stderr while a server is wrapped; denials go to the client and the decision log."""

    def __init__(self, wrapped: Wrap, plan: Plan) -> None:
        self._wrapped = wrapped
        # If stderr is not read, it must not keep this process from ending.
        self._stderr = BackgroundStream(_stderr())
        logs.configure(plan.config.log_format.value, self._stderr)
        # Clients show what stands there to people.
        logs.LOGGER.setLevel(logging.WARNING)
        self._ended = Event()
        self._thread = Thread(target=self._run, name="callgate-events", daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_exception: object) -> None:
        self._ended.set()
        self._thread.join()
        self._stderr.drain(_LAST_LINES_S)

    def _run(self) -> None:
        while not self._ended.wait(_DRAIN_EVERY_S):
            self._drain()
        self._drain()

    def _drain(self) -> None:
        for level, event, fields in self._wrapped.drain_events():
            if level != "info":
                logs.log(level, event, fields)


def _stderr() -> int:
    """A file descriptor for log lines, even if the process was started without stderr."""
    return os.open(os.devnull, os.O_WRONLY) if sys.stderr is None else sys.stderr.fileno()
