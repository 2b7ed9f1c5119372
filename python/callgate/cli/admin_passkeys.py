"""`callgate admin passkeys`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate import clock
from callgate.approvals.times import instant
from callgate.cli.admin_store import Reason, operator
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.cli.table import print_table

if TYPE_CHECKING:
    from callgate.store.passkeys import Passkey

_LIST = "callgate admin passkeys list"
_REMOVE = "callgate admin passkeys remove ID --reason 'the phone is lost'"

app = typer.Typer(
    name="passkeys",
    help="Passkeys of people, which some approvals take.",
    epilog=examples(_LIST, _REMOVE),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """Passkeys of people, which some approvals take."""


@app.command("list", epilog=examples(_LIST, f"{_LIST} --json"))
def list_command(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print all passkeys with their people."""
    with opened(state, config) as found:
        passkeys = found.store.passkeys.every()
    if as_json:
        typer.echo(json.dumps([_fields(one) for one in passkeys], ensure_ascii=False))
        return
    if not passkeys:
        typer.echo("there are no passkeys; people register them on the page of the admin port", err=True)
    print_table([_row(one) for one in passkeys])


@app.command(epilog=examples(_REMOVE))
def remove(
    name: Annotated[str, typer.Argument(metavar="ID", help="The id of the passkey, as `list` prints it.")],
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Remove a passkey; its person can register another one."""
    with opened(state, config) as found:
        removed = found.store.passkeys.remove(name, None, operator(), reason, clock.now_us())
    typer.echo(f"removed: {removed.name} of {removed.person} ({removed.id})")


def _row(passkey: "Passkey") -> list[str]:
    used = "never used" if passkey.used_us is None else f"used {instant(passkey.used_us)}"
    return [passkey.id, str(passkey.person), passkey.name, f"registered {instant(passkey.made_us)}", used]


def _fields(passkey: "Passkey") -> dict[str, Any]:
    return {
        "id": passkey.id,
        "issuer": passkey.person.issuer,
        "subject": passkey.person.subject,
        "name": passkey.name,
        "registered": instant(passkey.made_us),
        "registered_from": passkey.made_from,
        "used": None if passkey.used_us is None else instant(passkey.used_us),
    }
