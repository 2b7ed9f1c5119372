"""`callgate permits`."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated, Final

import typer

from callgate import clock
from callgate.cli.approvals import Id, Limit, OfGrant, Reason
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.cli.table import print_list

if TYPE_CHECKING:
    from callgate.store.permits import Permit, Permits

_ID: Final = "q2xw7d"

app = typer.Typer(
    name="permits",
    help="List, show and end permits, which people make of approvals.",
    epilog=examples("callgate permits list", f"callgate permits end {_ID} --reason 'the migration is done'"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_HEAD: Final = ("ID", "MADE", "LEFT", "USES LEFT", "STATE", "GRANT", "CALL", "APPROVAL")


@app.command("list", epilog=examples("callgate permits list", "callgate permits list --all --grant ci --json"))
def list_command(
    is_all: Annotated[bool, typer.Option("--all", help="Also those that have ended.")] = False,
    grant: OfGrant = None,
    limit: Limit = 100,
    state: StoreState = None,
    config: StoreConfig = None,
    as_json: AsJson = False,
) -> None:
    """Print the permits that calls can use now, the newest first."""
    from callgate.approvals.documents import permit_document  # noqa: PLC0415  it takes long to import
    from callgate.cli.answering import operator  # noqa: PLC0415  likewise

    with opened(state, config) as named:
        operator(named)
        now = clock.now_us()
        print_list(
            "permits",
            _listed(named.store.permits, grant, now, is_all=is_all),
            limit,
            place=named.store.place,
            table=(_HEAD, lambda one: _row(one, now)),
            document=permit_document if as_json else None,
        )


@app.command(epilog=examples(f"callgate permits show {_ID}", f"callgate permits show {_ID} --json"))
def show(id: Id, state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:  # noqa: A002
    """Print a permit with its terms."""
    from callgate.approvals.documents import permit_document  # noqa: PLC0415  it takes long to import
    from callgate.approvals.shown import permit_sections  # noqa: PLC0415  likewise
    from callgate.cli.answering import full_id, operator  # noqa: PLC0415  likewise
    from callgate.cli.shown import print_sections  # noqa: PLC0415  likewise
    from callgate.exact_json import write_json  # noqa: PLC0415  likewise

    with opened(state, config) as named:
        operator(named)
        now = clock.now_us()
        permit = named.store.permits.get(full_id(named.store, "permit", id), now)
    if as_json:
        typer.echo(write_json(permit_document(permit)))
    else:
        print_sections(permit_sections(permit, now))


@app.command(epilog=examples(f"callgate permits end {_ID} --reason 'the migration is done'"))
def end(
    id: Id,  # noqa: A002
    reason: Reason,
    state: StoreState = None,
    config: StoreConfig = None,
    as_json: AsJson = False,
) -> None:
    """End a permit, so that the next such call asks people again."""
    from callgate.approvals.documents import permit_document  # noqa: PLC0415  it takes long to import
    from callgate.cli.answering import full_id, operator  # noqa: PLC0415  likewise
    from callgate.exact_json import write_json  # noqa: PLC0415  likewise

    with opened(state, config) as named:
        person = operator(named)
        person.must_answer()
        name = full_id(named.store, "permit", id)
        ended = named.store.permits.end(name, person.actor, reason, clock.now_us())
    if as_json:
        typer.echo(write_json(permit_document(ended)))
    else:
        typer.echo(f"ended: {ended.id}, with {ended.uses_left} of {ended.max_uses} uses left")


def _listed(store: "Permits", grant: str | None, now_us: int, *, is_all: bool) -> Iterator["Permit"]:
    """The permits, page by page."""
    from callgate.store.pages import all_items  # noqa: PLC0415  it takes long to import

    for one in all_items(lambda token: store.page(now_us, grant=grant, active=not is_all, token=token)):
        if is_all or (one.is_active and one.uses_left):
            yield one


def _row(permit: "Permit", now_us: int) -> Sequence[str]:
    from callgate.approvals.times import brief  # noqa: PLC0415  it takes long to import

    state = "ended" if not permit.is_active else "active" if permit.uses_left else "used up"
    return (
        permit.id,
        f"{brief(now_us - permit.made_us)} ago",
        brief(permit.ends_us - now_us) if permit.is_active else "-",
        f"{permit.uses_left} of {permit.max_uses}",
        state,
        permit.grant,
        f"{permit.server}/{permit.tool}",
        permit.approval_id,
    )
