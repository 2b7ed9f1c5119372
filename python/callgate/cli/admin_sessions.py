"""`callgate admin sessions`."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate import clock
from callgate.approvals.times import instant
from callgate.cli.admin_store import Reason, operator
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, must_be_text, opened
from callgate.cli.table import print_table
from callgate.errors import CallgateError
from callgate.store.issuers import LOCAL_ISSUER

if TYPE_CHECKING:
    from callgate.store.sessions import Session

_LIST = "callgate admin sessions list"
_END = "callgate admin sessions end ann --issuer https://login.example.com --reason 'left the company'"

app = typer.Typer(
    name="sessions",
    help="Sessions of people who have logged in, local ones and those of issuers.",
    epilog=examples(_LIST, _END),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """Sessions of people who have logged in, local ones and those of issuers."""


@app.command("list", epilog=examples(_LIST, f"{_LIST} --json"))
def list_command(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print the sessions whose time is not over; never a token or its digest."""
    with opened(state, config) as found:
        sessions = found.store.sessions.every(clock.now_us())
    if as_json:
        typer.echo(json.dumps([_fields(one) for one in sessions], ensure_ascii=False))
        return
    if not sessions:
        typer.echo("nobody is logged in", err=True)
    print_table([_row(one) for one in sessions])


@app.command(epilog=examples(_END, "callgate admin sessions end ann"))
def end(
    subject: Annotated[
        str,
        typer.Argument(metavar="PERSON", help="The name of a local person, or the `sub` at the issuer."),
    ],
    issuer: Annotated[
        str,
        typer.Option(metavar="URL", help="The issuer of the person.", show_default=False, callback=must_be_text),
    ] = LOCAL_ISSUER,
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """End all sessions of a person, who can log in again if nothing else prevents it."""
    from callgate.store.model import Person  # noqa: PLC0415  imported when it is used

    person = Person(issuer, must_be_text(subject))
    with opened(state, config) as found:
        number = found.store.sessions.end_of(person, operator(), reason, clock.now_us())
    if not number:
        message = f"`{person}` has no session; `{_LIST}` prints all"
        raise CallgateError(message)
    typer.echo(f"ended: {number} of {person}")


def _row(session: "Session") -> list[str]:
    shown = str(session.person)
    if session.issued is not None and session.issued.name:
        shown = f"{session.issued.name}, {shown}"
    used, until = instant(session.used_us), instant(session.expires_us)
    return [shown, f"since {instant(session.made_us)}", f"used {used}", f"until {until}", f"from {session.source}"]


def _fields(session: "Session") -> dict[str, Any]:
    return {
        "issuer": session.person.issuer,
        "subject": session.person.subject,
        "name": None if session.issued is None else session.issued.name,
        "groups": None if session.issued is None else sorted(session.issued.groups),
        "since": instant(session.made_us),
        "used": instant(session.used_us),
        "until": instant(session.expires_us),
        "source": session.source,
    }
