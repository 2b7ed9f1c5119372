"""`callgate tail`."""

import json
from datetime import datetime, timezone
from typing import Annotated, Any, Final

import typer

from callgate.cli.running import AdminTokenFile, AdminUrl, AsJson, ConfigFile, StateFolder, running
from callgate.control.port.routes import TAIL
from callgate.outcome import Outcome
from callgate.text import visible

EXAMPLES: Final = (
    "callgate tail",
    "callgate tail --outcome deny --outcome rate_limited",
    "callgate tail --grant ci --tool create-ami --json",
)

_COLUMNS: Final = "time in UTC, outcome, grant, server/tool, rule, duration"
_OF_APPROVAL: Final = {
    Outcome.ALLOW.value: "people agreed:",
    Outcome.APPROVAL_REQUIRED.value: "waits for people:",
}


def tail(
    grant: Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this grant; repeatable.")] = None,
    tool: Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this tool; repeatable.")] = None,
    outcome: Annotated[
        list[Outcome] | None,
        typer.Option(metavar="|".join(one.value for one in Outcome), help="Only this outcome; repeatable."),
    ] = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many decisions.")] = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    admin: AdminUrl = None,
    admin_token_file: AdminTokenFile = None,
    as_json: AsJson = False,
) -> None:
    """Print the decisions of a running sidecar as it makes them; needs no decision log."""
    wanted = {"grants": grant or [], "tools": tool or [], "outcomes": [one.value for one in outcome or []]}
    sidecar = running(state, config, admin, admin_token_file)
    follows = False
    left = count
    try:
        for document in sidecar.stream(TAIL, json.dumps(wanted).encode(errors="backslashreplace")):
            if not follows:
                follows = True
                columns = "" if as_json else f" ({_COLUMNS})"
                typer.echo(f"following the decisions{columns}; Ctrl-C ends it", err=True)
            if document is None:
                continue
            if "dropped" in document:
                typer.echo(f"{document['dropped']} decisions were dropped: they came too fast", err=True)
                continue
            typer.echo(json.dumps(document, ensure_ascii=False) if as_json else _line(document))
            if left is not None and (left := left - 1) == 0:
                return
    except KeyboardInterrupt:
        return
    typer.echo("the sidecar has stopped", err=True)


def _approval(decision: dict[str, Any]) -> str:
    """The approval or permit that the decision goes by; empty without one."""
    approval = decision.get("approval", "")
    return approval and f"({_OF_APPROVAL.get(decision['outcome'], 'approval')} {approval})"


def _line(decision: dict[str, Any]) -> str:
    """The columns of a decision."""
    time = datetime.fromtimestamp(decision["decided_at_us"] / 1e6, timezone.utc).strftime("%H:%M:%S.%f")[:-3]
    shadow = decision.get("shadow")
    parts = [
        time,
        f"{decision['outcome']:<17}",
        decision["grant"] or "(no grant)",
        f"{decision['server']}/{decision['tool']}",
        decision["rule"],
        _approval(decision),
        "" if shadow is None else f"(in shadow: {shadow['outcome']} {shadow['rule']})",
        f"{decision['duration_ns'] / 1_000:.1f} us",
    ]
    return "  ".join(visible(part) for part in parts if part)
