"""`callgate thaw`."""

import json
from datetime import datetime, timezone
from typing import Final

import typer

from callgate.cli import freezing
from callgate.cli.running import AsJson, ConfigFile, StateFolder, running
from callgate.config.freezes import changed_freezes, freezes_file, read_freezes
from callgate.errors import ConfigError

EXAMPLES: Final = (
    "callgate thaw --all",
    "callgate thaw --server aws --tool 'create-*'",
    "callgate thaw --grant ci --state /var/lib/callgate",
)


def thaw(
    is_all: freezing.All = False,
    server: freezing.Server = None,
    tool: freezing.Tool = None,
    grant: freezing.Grant = None,
    state: StateFolder = None,
    config: ConfigFile = None,
    as_json: AsJson = False,
) -> None:
    """End one freeze, named as `callgate freeze` named it; --all ends that of all calls, and no other."""
    now = datetime.now(timezone.utc)
    sidecar = running(state, config)
    if not is_all and (server, tool, grant) == (None, None, None):
        there = [freeze for freeze in read_freezes(sidecar.state) if not freeze.has_ended(now)]
        message = "name the freeze to end: --all, --server NAME, --server NAME --tool PATTERN, or --grant ID; "
        raise typer.BadParameter(message + freezing.listed(there), param_hint="--all")
    chosen = freezing.selection(is_all, server, tool, grant, "")
    with changed_freezes(sidecar.state, now) as freezes:
        left = [freeze for freeze in freezes if freeze.target != chosen]
        ended = [freeze.fields() for freeze in freezes if freeze.target == chosen]
        if not ended:
            message = f"{chosen} are not frozen in the state folder `{sidecar.state}`; {freezing.listed(freezes)}"
            raise ConfigError(message)
        freezes[:] = left
    rows = [freeze.fields() for freeze in left]
    confirmed = freezing.confirm(sidecar, lambda served: all(row not in served for row in ended))
    if as_json:
        fields = {"file": str(freezes_file(sidecar.state)), "still_frozen": rows}
        typer.echo(json.dumps({"thawed": chosen.fields(), **fields, **confirmed.fields()}, ensure_ascii=False))
    else:
        typer.echo(f"thawed: {chosen}")
        confirmed.print_lines(sidecar.state)
        for row in rows:
            typer.echo(f"still frozen: {freezing.shown_freeze(row)}")
    if confirmed.fault is not None:
        raise typer.Exit(1)
