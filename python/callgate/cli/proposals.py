"""`callgate proposals`."""

import json
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import quote

import typer

from callgate.cli.examples import examples
from callgate.cli.remote.port import logged_in
from callgate.cli.running import AsJson
from callgate.text import visible

if TYPE_CHECKING:
    from callgate.cli.remote.port import RemotePort

_URL: Final = "--admin https://callgate.example.com"
_ID: Final = "7mzc4q2lktv5xw3hbn6jd2yroe"
_PATH: Final = "/admin/v1/proposals"
_HEAD: Final = ("ID", "PROPOSED", "STATE", "CHANGE", "POLICY", "BY", "REASON")

app = typer.Typer(
    name="proposals",
    help="List, show and confirm changes of policies that take two people.",
    epilog=examples(f"callgate proposals list {_URL}", f"callgate proposals confirm {_ID} {_URL}"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Admin = Annotated[
    str, typer.Option("--admin", metavar="URL", help="The admin port to ask, after `callgate login --admin URL`.")
]
_Id = Annotated[str, typer.Argument(metavar="ID", help="The id of the proposal, as `list` prints it.")]
_Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the admin audit.")]


@app.command("list", epilog=examples(f"callgate proposals list {_URL}", f"callgate proposals list --all {_URL}"))
def list_command(
    admin: _Admin,
    is_all: Annotated[bool, typer.Option("--all", help="Also those that nobody waits for any more.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the proposals that wait for another person, the newest first."""
    from callgate.cli.table import print_table  # noqa: PLC0415  imported when it is used

    found = list(_listed(logged_in(admin), is_all=is_all))
    if as_json:
        typer.echo(json.dumps(found))
        return
    if not found:
        typer.echo("there are none", err=True)
        return
    print_table([_HEAD, *map(_row, found)])


@app.command(epilog=examples(f"callgate proposals show {_ID} {_URL}"))
def show(id: _Id, admin: _Admin, as_json: AsJson = False) -> None:  # noqa: A002
    """Print a proposal and what it would change."""
    proposal = _proposal(logged_in(admin).get(f"{_PATH}/{quote(id, safe='')}"))
    if as_json:
        typer.echo(json.dumps(proposal))
        return
    for name, value in zip(_HEAD, _row(proposal), strict=True):
        typer.echo(f"{name.lower() + ':':<10}{visible(value)}")
    typer.echo()
    for line in str(proposal.get("diff", "")).splitlines():
        typer.echo(visible(line))


@app.command(epilog=examples(f"callgate proposals confirm {_ID} {_URL} --reason 'read it with ann'"))
def confirm(id: _Id, admin: _Admin, reason: _Reason = "", as_json: AsJson = False) -> None:  # noqa: A002
    """Make the change that another person has proposed."""
    _decide(admin, id, "confirm", reason, as_json=as_json)


@app.command(epilog=examples(f"callgate proposals reject {_ID} {_URL} --reason 'too wide'"))
def reject(id: _Id, admin: _Admin, reason: _Reason = "", as_json: AsJson = False) -> None:  # noqa: A002
    """End a proposal without a change."""
    _decide(admin, id, "reject", reason, as_json=as_json)


def _decide(admin: str, name: str, verb: str, reason: str, *, as_json: bool) -> None:
    document = {"reason": reason, "requestId": str(uuid.uuid4())}
    proposal = _proposal(logged_in(admin).post(f"{_PATH}/{quote(name, safe='')}:{verb}", document))
    if as_json:
        typer.echo(json.dumps(proposal))
        return
    state, change = _word(proposal, "state", "STATE_"), _word(proposal, "action", "ACTION_")
    typer.echo(f"{state}: {change} of the policy `{visible(str(proposal.get('policy')))}`")


def _listed(port: "RemotePort", *, is_all: bool) -> Iterator[dict[str, Any]]:
    query = {} if is_all else {"state": "STATE_PENDING"}
    token = ""
    while True:
        page = port.get(_PATH, {**query, **({"pageToken": token} if token else {})})
        yield from (one for one in page.get("proposals", []) if isinstance(one, dict))
        token = str(page.get("nextPageToken") or "")
        if not token:
            return


def _proposal(document: dict[str, Any]) -> dict[str, Any]:
    found = document.get("proposal")
    return found if isinstance(found, dict) else {}


def _row(proposal: dict[str, Any]) -> list[str]:
    proposer = proposal.get("proposer")
    return [
        str(proposal.get("id", "")),
        str(proposal.get("createTime", "")),
        _word(proposal, "state", "STATE_"),
        _word(proposal, "action", "ACTION_"),
        str(proposal.get("policy", "")),
        str(proposer.get("name", "")) if isinstance(proposer, dict) else "",
        str(proposal.get("reason", "")),
    ]


def _word(proposal: dict[str, Any], name: str, prefix: str) -> str:
    return str(proposal.get(name, "")).removeprefix(prefix).lower()
