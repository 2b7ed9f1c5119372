"""`callgate approvals`."""

import json
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Final

import typer

from callgate import clock
from callgate.cli.examples import examples
from callgate.cli.remote.port import AdminPort
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, must_be_text, opened
from callgate.cli.table import print_list
from callgate.config.units import parse_duration
from callgate.errors import CallgateError
from callgate.store.model import LIVE_STATES, Approval, State, Verdict

if TYPE_CHECKING:
    from callgate.cli.answering import Operator
    from callgate.store.approvals.repository import Approvals
    from callgate.store.model import PermitOffer

_ID: Final = "7mzc4q"

app = typer.Typer(
    name="approvals",
    help="List, show and answer the calls that wait for people.",
    epilog=examples("callgate approvals list", f"callgate approvals show {_ID}", "callgate approvals watch"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="The id, or its beginning if no other one begins so.")]
Ids = Annotated[list[str], typer.Argument(metavar="ID...", help="The ids, or their beginnings.")]
Limit = Annotated[int, typer.Option(min=1, metavar="N", help="Most rows that are printed.")]
OfGrant = Annotated[
    str | None, typer.Option("--grant", metavar="ID", help="Only those of this grant.", callback=must_be_text)
]
Reason = Annotated[str, typer.Option(metavar="TEXT", help="The reason, which is recorded.", callback=must_be_text)]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask for confirmation on a terminal.")]
_StateOf = Annotated[
    State | None,
    typer.Option("--state-of", metavar="|".join(one.value for one in State), help="Only those in this state."),
]
_HEAD: Final = ("ID", "ASKED", "LEFT", "STATE", "GRANT", "CALL", "WAITS FOR")


@app.command("list", epilog=examples("callgate approvals list", "callgate approvals list --state-of denied --grant ci"))
def list_command(
    state_of: _StateOf = None,
    grant: OfGrant = None,
    limit: Limit = 100,
    state: StoreState = None,
    config: StoreConfig = None,
    admin: AdminPort = None,
    as_json: AsJson = False,
) -> None:
    """Print approvals, pending ones first, then the newest first."""
    from callgate.approvals.documents import approval_document  # noqa: PLC0415  it takes long to import
    from callgate.cli.answering import operator  # noqa: PLC0415  likewise

    if admin is not None:
        _must_be_remote(state)
        from callgate.cli.remote.approvals import remote_approvals  # noqa: PLC0415  likewise

        remote, now = remote_approvals(admin), clock.now_us()
        print_list(
            "approvals",
            remote.listed(state_of, grant),
            limit,
            place=remote.port.admin,
            table=(_HEAD, lambda one: _row(one, now)),
            document=approval_document if as_json else None,
        )
        return
    with opened(state, config) as named:
        operator(named)
        now = clock.now_us()
        print_list(
            "approvals",
            listed(named.store.approvals, state_of, grant, now),
            limit,
            place=named.store.place,
            table=(_HEAD, lambda one: _row(one, now)),
            document=approval_document if as_json else None,
        )


@app.command(epilog=examples(f"callgate approvals show {_ID}", f"callgate approvals show {_ID} --json"))
def show(
    id: Id,  # noqa: A002
    state: StoreState = None,
    config: StoreConfig = None,
    admin: AdminPort = None,
    as_json: AsJson = False,
) -> None:
    """Print everything that is known of an approval."""
    from callgate.approvals.documents import evidence_document  # noqa: PLC0415  it takes long to import
    from callgate.approvals.shown import approval_sections  # noqa: PLC0415  likewise
    from callgate.cli.answering import full_id, operator, owner_of  # noqa: PLC0415  likewise
    from callgate.cli.shown import print_sections  # noqa: PLC0415  likewise
    from callgate.exact_json import write_json  # noqa: PLC0415  likewise

    now = clock.now_us()
    if admin is not None:
        _must_be_remote(state)
        from callgate.cli.remote.approvals import remote_approvals  # noqa: PLC0415  likewise

        approval, record = remote_approvals(admin).get(id)
        owner = None
    else:
        with opened(state, config) as named:
            operator(named)
            store = named.store.approvals
            approval = store.get(full_id(named.store, "approval", id), now)
            record = store.record(approval.id)
            owner = owner_of(named, approval.call.grant)
    if as_json:
        typer.echo(write_json(evidence_document(approval, record)))
    else:
        print_sections(approval_sections(approval, record, now, owner))


@app.command(
    epilog=examples(
        f"callgate approvals approve {_ID} --reason 'agreed with the data team'",
        f"callgate approvals approve {_ID} --permit-uses 10 --permit-for 1h --term count=at_most:5 --term note=any",
    )
)
def approve(
    id: Id,  # noqa: A002
    reason: Reason = "",
    uses: Annotated[
        int | None, typer.Option("--permit-uses", min=1, metavar="N", help="Make a permit for so many calls.")
    ] = None,
    length: Annotated[str | None, typer.Option("--permit-for", metavar="TIME", help="Its length, such as 1h.")] = None,
    term: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=TERM",
            callback=must_be_text,
            help="The permit's term for an argument: exactly (by default), at_most:NUMBER, one_of:[VALUES], or any.",
        ),
    ] = None,
    yes: Yes = False,
    state: StoreState = None,
    config: StoreConfig = None,
    admin: AdminPort = None,
    as_json: AsJson = False,
) -> None:
    """Approve one call, or make a permit for several; on a terminal, show the call and ask first."""
    from callgate.cli import answering  # noqa: PLC0415  it takes long to import
    from callgate.cli.shown import confirm, is_interactive, print_sections  # noqa: PLC0415  likewise

    duration = _permit_length(uses, length, term or ())
    if admin is not None:
        _must_be_remote(state)
        from callgate.cli.remote import answers  # noqa: PLC0415  likewise

        length_us = None if duration is None else duration // timedelta(microseconds=1)
        answers.approve(admin, id, reason, (uses, length_us, term or ()), yes=yes, as_json=as_json)
        return
    with opened(state, config) as named:
        person = answering.operator(named)
        person.must_answer()
        store = named.store.approvals
        approval = store.get(answering.full_id(named.store, "approval", id), clock.now_us())
        record = store.record(approval.id)
        permit = None
        if uses is not None and duration is not None and approval.state is State.PENDING:
            duration_us = duration // timedelta(microseconds=1)
            permit = answering.make_offer(approval, record, uses, duration_us, term or ())
        if is_interactive(yes=yes) and approval.state is State.PENDING:
            owner = answering.owner_of(named, approval.call.grant)
            print_sections(answering.sections_to_answer(approval, record, owner), err=as_json)
            question = f"approve this call once: {answering.call_line(approval)}?"
            if permit is not None:
                typer.echo("\n" + "\n".join(answering.offer_lines(permit)), err=as_json)
                question = f"make this permit: {answering.call_line(approval)}?"
            confirm(question, err=as_json)
        answered = person.answer(approval, Verdict.APPROVE, reason, permit)
        _print_result(person, [answered], permit, as_json=as_json)


@app.command(
    epilog=examples(
        f"callgate approvals deny {_ID} --reason 'the quota is for production'",
        f"callgate approvals deny {_ID} k3vd2a --yes",
    )
)
def deny(
    ids: Ids,
    reason: Annotated[
        str, typer.Option(metavar="TEXT", help="The reason, which the agent is told.", callback=must_be_text)
    ] = "",
    yes: Yes = False,
    state: StoreState = None,
    config: StoreConfig = None,
    admin: AdminPort = None,
    as_json: AsJson = False,
) -> None:
    """Deny calls; each is refused for as long as its approval would have waited."""
    from callgate.cli import answering  # noqa: PLC0415  it takes long to import
    from callgate.cli.shown import confirm, is_interactive  # noqa: PLC0415  likewise

    if admin is not None:
        _must_be_remote(state)
        from callgate.cli.remote import answers  # noqa: PLC0415  likewise

        answers.deny(admin, ids, reason, yes=yes, as_json=as_json)
        return
    with opened(state, config) as named:
        person = answering.operator(named)
        person.must_answer()
        store = named.store.approvals
        # All of them are found before the first one is denied.
        full = [answering.full_id(named.store, "approval", one) for one in ids]
        approvals = [store.get(one, clock.now_us()) for one in dict.fromkeys(full)]
        if is_interactive(yes=yes):
            for approval in approvals:
                typer.echo(f"{approval.id}  {answering.call_line(approval)}", err=as_json)
            confirm("deny this call?" if len(approvals) == 1 else f"deny these {len(approvals)} calls?", err=as_json)
        faults = list[str]()
        tried = [_denied(person, approval, reason, faults) for approval in approvals]
        _print_result(person, [one for one in tried if one is not None], None, as_json=as_json, many=True)
    if faults:
        raise CallgateError("\n".join(faults))


@app.command(epilog=examples(f"callgate approvals withdraw {_ID} --reason 'the agent was stopped'"))
def withdraw(
    id: Id,  # noqa: A002
    reason: Reason,
    state: StoreState = None,
    config: StoreConfig = None,
    admin: AdminPort = None,
    as_json: AsJson = False,
) -> None:
    """End an approval, so that the next such call asks anew."""
    from callgate.cli import answering  # noqa: PLC0415  it takes long to import

    if admin is not None:
        _must_be_remote(state)
        from callgate.cli.remote import answers  # noqa: PLC0415  likewise

        answers.withdraw(admin, id, reason, as_json=as_json)
        return
    with opened(state, config) as named:
        person = answering.operator(named)
        person.must_answer()
        name = answering.full_id(named.store, "approval", id)
        ended = answering.withdraw(person, name, reason)
        _print_result(person, [ended], None, as_json=as_json)


@app.command(epilog=examples("callgate approvals watch", "callgate approvals watch --json"))
def watch(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Show pending approvals live, with keys to answer; without a terminal, print a line for each."""
    from callgate.cli.watching import watch as watched  # noqa: PLC0415  it takes long to import

    with opened(state, config) as named:
        watched(named, as_json=as_json)


def _must_be_remote(state: object) -> None:
    """Refuses a store beside an admin port, which has its own."""
    if state is not None:
        raise typer.BadParameter("give either --state or --admin", param_hint="--admin")


def listed(store: "Approvals", wanted: State | None, grant: str | None, now_us: int) -> Iterator[Approval]:
    """Approvals in the order of the list, page by page."""
    if wanted is not None:
        # Nobody may have written yet that the time of some is over.
        stored = [wanted, *sorted(LIVE_STATES)] if wanted is State.EXPIRED else [wanted]
        for one in stored:
            yield from (found for found in _pages(store, one, grant, now_us) if found.state is wanted)
        return
    pending = set[str]()
    for found in _pages(store, State.PENDING, grant, now_us):
        if found.state is State.PENDING:
            pending.add(found.id)
            yield found
    yield from (found for found in _pages(store, None, grant, now_us) if found.id not in pending)


def _pages(store: "Approvals", state: State | None, grant: str | None, now_us: int) -> Iterator[Approval]:
    from callgate.store.pages import all_items  # noqa: PLC0415  it takes long to import

    return all_items(lambda token: store.page(now_us, state=state, grant=grant, token=token))


def _denied(person: "Operator", approval: Approval, reason: str, faults: list[str]) -> Approval | None:
    """The approval after its denial; None if it cannot be denied, and the fault is added."""
    try:
        return person.answer(approval, Verdict.DENY, reason)
    except CallgateError as error:
        faults.append(str(error))
        return None


def _row(approval: Approval, now_us: int) -> Sequence[str]:
    from callgate.approvals.shown import open_line  # noqa: PLC0415  it takes long to import
    from callgate.approvals.times import brief  # noqa: PLC0415  likewise

    call = approval.call
    left = brief(approval.until_us - now_us) if approval.state in LIVE_STATES else "-"
    return (
        approval.id,
        f"{brief(now_us - approval.created_us)} ago",
        left,
        approval.state.value,
        call.grant,
        f"{call.server}/{call.tool}",
        open_line(approval) if approval.state is State.PENDING else "",
    )


def _permit_length(uses: int | None, length: str | None, terms: Sequence[str]) -> timedelta | None:
    """The length of the permit that the options describe; None if they describe none."""
    if uses is None and length is None and not terms:
        return None
    if uses is None or length is None:
        missing = "--permit-uses N" if uses is None else "--permit-for TIME"
        raise typer.BadParameter(f"a permit needs {missing} as well", param_hint=missing.split(maxsplit=1)[0])
    try:
        duration = parse_duration(length)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--permit-for") from None
    if duration < timedelta(seconds=1):
        raise typer.BadParameter("expected at least 1s", param_hint="--permit-for")
    return duration


def _print_result(
    person: "Operator", answered: Sequence[Approval], permit: "PermitOffer | None", *, as_json: bool, many: bool = False
) -> None:
    """Prints the approvals as the answer has left them."""
    from callgate.approvals.documents import approval_document  # noqa: PLC0415  it takes long to import
    from callgate.cli.answering import owner_of, result_lines  # noqa: PLC0415  likewise

    if as_json:
        made = None if permit is None or answered[0].state is State.PENDING else permit.permit_id
        documents = [{**approval_document(one), **({} if many else {"permit_id": made})} for one in answered]
        typer.echo(json.dumps(documents if many else documents[0]))
        return
    for approval in answered:
        record = person.opened.store.approvals.record(approval.id)
        owner = owner_of(person.opened, approval.call.grant)
        for line in result_lines(approval, record, permit, owner):
            typer.echo(line)
