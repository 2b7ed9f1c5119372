"""`callgate freeze`."""

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli import freezing, freezing_shared
from callgate.cli.freezing_record import record
from callgate.cli.running import AsJson, ConfigFile, StateFolder, running
from callgate.config.freezes import Freeze, changed_freezes, check_freeze, new_freeze
from callgate.config.units import parse_duration
from callgate.errors import CallgateError

EXAMPLES: Final = (
    "callgate freeze --all --reason 'incident 7' --for 1h",
    "callgate freeze --server aws --tool 'create-*' --reason 'quota is used up'",
    "callgate freeze --grant ci --reason 'runs amok' --state /var/lib/callgate",
)

_NONE: Final = (
    "name what to stop: --all, --server NAME, --server NAME --tool PATTERN, or --grant ID; `callgate status` prints "
    "the freezes of a running sidecar"
)


def freeze(
    reason: Annotated[str, typer.Option(metavar="TEXT", help="One line that callers, and their models, are told.")],
    is_all: freezing.All = False,
    server: freezing.Server = None,
    tool: freezing.Tool = None,
    grant: freezing.Grant = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="Time until it ends, such as 1h; else it has no end.")
    ] = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """Stop calls of tools until `callgate thaw`: in all sidecars that share PostgreSQL, else in one and its wraps."""
    chosen = freezing.selection(is_all, server, tool, grant, _NONE)
    now = datetime.now(timezone.utc)
    try:
        time = None if length is None else parse_duration(length)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--for") from None
    if time is not None and not time:
        raise typer.BadParameter("it would end at once; expected a longer time", param_hint="--for")
    made = new_freeze(chosen, reason, time, now)
    check_freeze(made)
    sidecar = running(state, config)
    everywhere = _everywhere(made, state, config)
    unrecorded = None
    if everywhere is not None and everywhere.fault is None:
        is_replaced, thaw = everywhere.is_replaced, freezing_shared.thaw_command(chosen, config)
        confirmed = freezing.confirm(sidecar, lambda rows: {**made.fields(), "source": "store"} in rows)
    else:
        with changed_freezes(sidecar.state, now) as freezes:
            replaced = next((before for before in freezes if before.target == chosen), None)
            freezes[:] = [*(before for before in freezes if before.target != chosen), made]
        is_replaced = replaced is not None
        confirmed = freezing.confirm(sidecar, lambda rows: made.fields() in rows)
        thaw = freezing.thaw_command(chosen, sidecar.state)
        unrecorded = record(sidecar.state, "freeze", made.by, made.reason, replaced, made)
    unknown = freezing.unknown_name(chosen, sidecar, config if state is None else None)
    if as_json:
        fields = {
            **freezing.places(sidecar, everywhere),
            "replaced": is_replaced,
            "warning": unknown,
            "audit_fault": unrecorded,
            "thaw": thaw,
        }
        typer.echo(json.dumps({"freeze": made.fields(), **fields, **confirmed.fields()}, ensure_ascii=False))
    else:
        typer.echo(f"{'frozen anew' if is_replaced else 'frozen'}: {freezing.shown_freeze(made.fields())}")
        typer.echo(freezing.reach(sidecar, everywhere))
        confirmed.print_lines(sidecar.state)
        typer.echo(f"ends with: {thaw}")
        if unknown is not None:
            typer.echo(f"callgate: warning: {unknown}; the freeze holds for that name all the same", err=True)
        freezing.print_unrecorded(unrecorded)
    freezing.exit_on_fault(confirmed, everywhere)


def _everywhere(made: Freeze, state: Path | None, config: Path | None) -> freezing.Everywhere | None:
    """Writes a freeze to the store of replicas, if there is one."""
    place = freezing_shared.shared_place(state, config)
    if place is None:
        return None
    try:
        return freezing.Everywhere(place, is_replaced=freezing_shared.freeze_all(place, made))
    except CallgateError as error:
        return freezing.Everywhere(place, fault=str(error))
