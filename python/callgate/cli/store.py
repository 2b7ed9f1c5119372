"""`callgate store`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callgate import clock
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, place_of

if TYPE_CHECKING:
    from callgate.store.backup import Facts

app = typer.Typer(
    name="store",
    help="Show, back up, restore or migrate the store of approvals.",
    epilog=examples("callgate store status", "callgate store backup approvals.backup"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@app.command(epilog=examples("callgate store status", "callgate store status --config callgate.yaml --json"))
def status(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print what the store holds, and check the file of SQLite whole; a sidecar may be using it."""
    # Here and below: SQLAlchemy takes long to import, and every help text imports this file.
    from callgate.store.backup import read_facts  # noqa: PLC0415
    from callgate.store.revision import HEAD  # noqa: PLC0415

    facts = read_facts(place_of(state, config))
    if as_json:
        typer.echo(json.dumps(_document(facts), ensure_ascii=False))
        return
    revision = facts.revision or "none: the database is empty"
    if facts.revision is not None and not facts.is_current:
        revision += f" (this callgate uses {HEAD}; `callgate store migrate` migrates it)"
    counts = ", ".join(f"{count} {name}" for name, count in sorted(facts.approvals.items()))
    for name, value in {
        "store": str(facts.place),
        "revision": revision,
        "approvals": counts or "none",
        "active permits": str(facts.active_permits),
    }.items():
        typer.echo(f"{name + ':':<16}{value}")


@app.command(epilog=examples("callgate store backup approvals.backup --state /var/lib/callgate"))
def backup(file: _File, state: StoreState = None, config: StoreConfig = None) -> None:
    """Copy the store of SQLite to a new file; a sidecar may be using it."""
    from callgate.store.backup import back_up  # noqa: PLC0415

    place = place_of(state, config)
    back_up(place, file)
    typer.echo(f"backed up: {place} to {file}")


@app.command(epilog=examples("callgate store restore approvals.backup --state /var/lib/callgate"))
def restore(file: _File, state: StoreState = None, config: StoreConfig = None) -> None:
    """Put a backup in the place of SQLite's store, which is kept beside it; stop the sidecar first."""
    from callgate.store.backup import restore as restored  # noqa: PLC0415

    place = place_of(state, config)
    kept = restored(place, file, clock.now_us())
    typer.echo(f"restored: {place} from {file}; what was pending or approved in it is ended, and its permits too")
    if kept is not None:
        typer.echo(f"before:   {kept}")


@app.command(epilog=examples("callgate store migrate --config callgate.yaml"))
def migrate(state: StoreState = None, config: StoreConfig = None) -> None:
    """Make the store, or migrate it to the tables of this version; back up PostgreSQL first."""
    from callgate.store.open import open_database  # noqa: PLC0415
    from callgate.store.revision import HEAD  # noqa: PLC0415

    place = place_of(state, config)
    open_database(place, migrate=True).close()
    typer.echo(f"migrated: {place} has revision {HEAD}")


@app.command(epilog=examples("callgate store end-approvals --config callgate.yaml"))
def end_approvals(state: StoreState = None, config: StoreConfig = None) -> None:
    """End all pending and approved approvals and all permits, as is needed after `pg_restore`."""
    from callgate.store.backup import end_live  # noqa: PLC0415

    place = place_of(state, config)
    end_live(place, clock.now_us())
    typer.echo(f"ended: everything pending or approved in {place}, and its permits")


def _document(facts: "Facts") -> dict[str, object]:
    return {
        "store": str(facts.place),
        "revision": facts.revision,
        "is_current": facts.is_current,
        "approvals": facts.approvals,
        "active_permits": facts.active_permits,
    }
