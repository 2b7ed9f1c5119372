"""`callgate serve`."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Final

import typer

from callgate.cli.options import CountersPlace, counters_key, key_option
from callgate.cli.serving import ServingProcess
from callgate.config.audit import Audit, AuditMode
from callgate.config.document import KeyPath
from callgate.config.listeners import Admin
from callgate.config.load import Option
from callgate.config.model import Config, LogFormat
from callgate.config.upstreams import Pinning, Upstream
from callgate.control import logs
from callgate.control.sidecar import Source
from callgate.errors import CallgateError, ConfigError
from callgate.text import masked, quoted

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
        counters_key(counters): Option("--counters", counters),
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
    running = ServingProcess(source, log_format)
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
