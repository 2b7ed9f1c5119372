"""Options and messages of `callgate freeze` and `callgate thaw`."""

from __future__ import annotations

import json
import shlex
import time
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from callgate.cli.running import NotRunningError
from callgate.cli.stores import opened, place_of
from callgate.config.freezes import freezes_file
from callgate.control.port.routes import FREEZE_TARGET, STATUS
from callgate.errors import CallgateError
from callgate.store.errors import UnknownIdError
from callgate.store.targets import Target
from callgate.text import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from callgate.cli.running import Running
    from callgate.config.freezes import Freeze
    from callgate.store.place import Place

_PATIENCE_S: Final = 3.0
_RETRY_S: Final = 0.1

All = Annotated[bool, typer.Option("--all", help="All calls.")]
Server = Annotated[str | None, typer.Option(metavar="NAME", help="The calls at this server.")]
Tool = Annotated[
    str | None,
    typer.Option(metavar="PATTERN", help="With --server: the calls of these tools alone, as policies name them."),
]
Grant = Annotated[str | None, typer.Option(metavar="ID", help="The calls of this grant.")]


@dataclass(frozen=True)
class Confirmation:
    """The answer of the sidecar that runs with the state folder."""

    is_running: bool
    fault: str | None = None
    """The reason for which it is not known to obey."""

    def fields(self) -> dict[str, bool | str | None]:
        """The answer for programs."""
        return {
            "sidecar_runs": self.is_running,
            "in_force": self.is_running and self.fault is None,
            "fault": self.fault,
        }

    def print_lines(self, state: Path) -> None:
        """Prints the answer for people."""
        if not self.is_running:
            typer.echo(
                f"no sidecar runs with the state folder `{state}`: one that starts there obeys, and so does "
                "a `callgate wrap` with it within 2 seconds"
            )
        elif self.fault is None:
            typer.echo("in force: the sidecar with this state folder obeys")
        else:
            typer.echo(f"NOT confirmed by the sidecar with this state folder: {visible(self.fault)}", err=True)


@dataclass(frozen=True)
class Everywhere:
    """The outcome of a change in the store of replicas."""

    place: Place
    fault: str | None = None
    """The reason for which the store was not changed."""
    is_replaced: bool = False
    """True if a freeze of the same calls was there."""


def places(sidecar: Running, everywhere: Everywhere | None) -> dict[str, str | None]:
    """The places that a command has written to, for programs."""
    is_file = everywhere is None or everywhere.fault is not None
    return {
        "file": str(freezes_file(sidecar.state)) if is_file else None,
        "store": None if everywhere is None else str(everywhere.place),
        "store_fault": None if everywhere is None else everywhere.fault,
    }


def reach(sidecar: Running, everywhere: Everywhere | None) -> str:
    """The sidecars for which a freeze holds, for people."""
    if everywhere is None or everywhere.fault is not None:
        return f"holds for the sidecar with the state folder `{sidecar.state}` alone; others go on"
    return f"holds for all sidecars that share the store `{everywhere.place}`, within 2 seconds"


def exit_on_fault(confirmed: Confirmation, everywhere: Everywhere | None) -> None:
    """Ends the command with exit code 1 if something is not known to be as it was asked for."""
    store_fault = None if everywhere is None else everywhere.fault
    if store_fault is not None:
        again = "repeat the command on each replica with --state DIR, or once the store answers"
        typer.echo(f"NOT written to the store of all sidecars: {visible(store_fault)}; {again}", err=True)
    if store_fault is not None or confirmed.fault is not None:
        raise typer.Exit(1)


def print_unrecorded(fault: str | None) -> None:
    """Warns that a change is not in the admin audit; it is in force all the same."""
    if fault is not None:
        typer.echo(f"callgate: warning: it is not in the admin audit: {visible(fault)}", err=True)


def selection(is_all: bool, server: str | None, tool: str | None, grant: str | None, otherwise: str) -> Target:
    """The calls that the options select.

    Raises:
        typer.BadParameter: None, or several things at once.
    """
    if tool is not None and server is None:
        raise typer.BadParameter("needs the server that offers the tool: --server NAME", param_hint="--tool")
    given = [name for name, value in (("--server", server), ("--grant", grant)) if value is not None]
    if not is_all and not given:
        raise typer.BadParameter(otherwise, param_hint="--all")
    if is_all and given:
        raise typer.BadParameter(f"--all is every call, and {given[0]} some of them; give one", param_hint="--all")
    if len(given) > 1:
        raise typer.BadParameter("give either --server or --grant; two freezes hold together", param_hint="--grant")
    return Target(server=server, tool=tool, grant=grant)


def confirm(sidecar: Running, holds: Callable[[list[dict[str, str]]], bool]) -> Confirmation:
    """Waits until the running sidecar has read the file, with freezes for which `holds` is true."""
    quick = replace(sidecar, timeout_s=_PATIENCE_S)
    deadline = time.monotonic() + _PATIENCE_S
    while True:
        try:
            # It reads the file before it answers.
            document = quick.ask("GET", STATUS)
        except NotRunningError:
            return Confirmation(is_running=False)
        except CallgateError as error:
            fault = str(error)
        else:
            if document["freeze_fault"] is None and holds(document["freezes"]):
                return Confirmation(is_running=True)
            fault = document["freeze_fault"] or "it serves other freezes; `callgate status` prints them"
        if time.monotonic() >= deadline:
            return Confirmation(is_running=True, fault=fault)
        time.sleep(_RETRY_S)


def unknown_name(chosen: Target, sidecar: Running, config: Path | None) -> str | None:
    """A warning about a name that neither the running sidecar nor the configuration knows; None if nobody can tell."""
    if not chosen.fields():
        return None
    with suppress(CallgateError):
        answer: str | None = sidecar.ask("POST", FREEZE_TARGET, json.dumps(chosen.fields()).encode())["warning"]
        return answer
    # A configuration with a fault, or a store that does not answer, must not keep an operator from a freeze.
    with suppress(CallgateError):
        return None if config is None else _unknown_in(config, chosen)
    return None


def _unknown_in(config: Path, chosen: Target) -> str | None:
    # They take long to import, and every help text imports this file.
    from callgate.config.files import Files  # noqa: PLC0415
    from callgate.control.freeze_targets import unknown_name as unknown  # noqa: PLC0415
    from callgate.control.sidecar import Source  # noqa: PLC0415

    plan = Source(config, None).read(Files())
    return unknown(plan, chosen, lambda kind, name: _is_stored(config, kind, name))


def _is_stored(config: Path, kind: str, name: str) -> bool:
    path = place_of(None, config).path
    if path is not None and not path.exists():
        return False
    with suppress(UnknownIdError), opened(None, config) as found:
        rows = found.store.servers if kind == "servers" else found.store.grants
        return rows.get(name).content is not None
    return False


def thaw_command(chosen: Target, state: Path) -> str:
    """The command that ends a freeze."""
    return shlex.join(["callgate", "thaw", "--state", str(state), *chosen.words()])


def shown_freeze(fields: Mapping[str, str]) -> str:
    """A freeze for people, from its fields."""
    chosen = Target(server=fields.get("server"), tool=fields.get("tool"), grant=fields.get("grant"))
    until = f", until {fields['until']}" if "until" in fields else ""
    return f"{chosen}{until}, by {visible(fields['by'])}: {visible(fields['reason'])}"


def listed(freezes: Iterable[Freeze]) -> str:
    """The frozen calls, for the end of a message."""
    shown = "; ".join(f"{freeze.target} (`{shlex.join(freeze.target.words())}`)" for freeze in freezes)
    return f"frozen are {shown}" if shown else "nothing is frozen"
