"""`callgate thaw`."""

import json
from datetime import datetime, timezone
from typing import Final

import typer

from callgate.cli import freezing, freezing_shared
from callgate.cli.freezing_record import record
from callgate.cli.running import AsJson, ConfigFile, StateFolder, running
from callgate.config.freezes import Freeze, changed_freezes, read_freezes
from callgate.errors import CallgateError, ConfigError
from callgate.os_user import os_user
from callgate.store.place import Place
from callgate.store.targets import Target

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
    place = freezing_shared.shared_place(state, config)
    if not is_all and (server, tool, grant) == (None, None, None):
        there = [freeze for freeze in read_freezes(sidecar.state) if not freeze.has_ended(now)]
        message = "name the freeze to end: --all, --server NAME, --server NAME --tool PATTERN, or --grant ID; "
        listed = freezing.listed([*there, *([] if place is None else freezing_shared.frozen(place))])
        raise typer.BadParameter(message + listed, param_hint="--all")
    chosen = freezing.selection(is_all, server, tool, grant, "")
    everywhere, there = _everywhere(place, chosen)
    with changed_freezes(sidecar.state, now) as freezes:
        left = [freeze for freeze in freezes if freeze.target != chosen]
        before = [freeze for freeze in freezes if freeze.target == chosen]
        ended = [freeze.fields() for freeze in before]
        if not ended and (everywhere is None or not (everywhere.is_replaced or everywhere.fault)):
            where = "" if place is None else f" or the store `{place}`"
            frozen = freezing.listed([*freezes, *there])
            message = f"{chosen} are not frozen in the state folder `{sidecar.state}`{where}; {frozen}"
            raise ConfigError(message)
        freezes[:] = left
    rows = [freeze.fields() for freeze in (*left, *there)]
    confirmed = freezing.confirm(sidecar, lambda served: _is_over(served, chosen, ended, everywhere))
    faults = [record(sidecar.state, "thaw", os_user(), "thawed", freeze, None) for freeze in before]
    unrecorded = next((fault for fault in faults if fault is not None), None)
    if as_json:
        fields = {**freezing.places(sidecar, everywhere), "still_frozen": rows, "audit_fault": unrecorded}
        typer.echo(json.dumps({"thawed": chosen.fields(), **fields, **confirmed.fields()}, ensure_ascii=False))
    else:
        typer.echo(f"thawed: {chosen}")
        confirmed.print_lines(sidecar.state)
        for row in rows:
            typer.echo(f"still frozen: {freezing.shown_freeze(row)}")
        freezing.print_unrecorded(unrecorded)
    freezing.exit_on_fault(confirmed, everywhere)


def _everywhere(place: Place | None, chosen: Target) -> tuple[freezing.Everywhere | None, list[Freeze]]:
    """Ends the freezes in the store of replicas, if there is one; returns the result, and the freezes that stay."""
    if place is None:
        return None, []
    try:
        ended, left = freezing_shared.thaw_all(place, chosen, os_user())
    except CallgateError as error:
        return freezing.Everywhere(place, fault=str(error)), []
    return freezing.Everywhere(place, is_replaced=ended > 0), left


def _is_over(
    served: list[dict[str, str]],
    chosen: Target,
    ended: list[dict[str, str]],
    everywhere: freezing.Everywhere | None,
) -> bool:
    """True if the sidecar serves none of the freezes that were ended."""
    if any(row in served for row in ended):
        return False
    if everywhere is None or everywhere.fault is not None:
        return True
    names = chosen.fields()
    of_store = (row for row in served if row.get("source") == "store")
    return all({name: row[name] for name in ("server", "tool", "grant") if name in row} != names for row in of_store)
