"""`callgate notices`."""

import json
from collections.abc import Iterator, Sequence
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from callgate import clock
from callgate.cli.approvals import Limit
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, must_be_text, opened
from callgate.cli.table import print_list, print_table
from callgate.errors import CallgateError, ConfigError
from callgate.text import did_you_mean, quoted

if TYPE_CHECKING:
    from callgate.cli.answering import Operator
    from callgate.cli.stores import OpenStore
    from callgate.store.notices.model import Notice, ReceiverStatus
    from callgate.store.notices.outbox import Notices

_ID: Final = "n5x2q7"
_LEAST: Final = 4
"""Characters by which a notice may be named."""


class State(str, Enum):
    """The state of the notices that are listed."""

    WAITING = "waiting"
    SENT = "sent"
    DEAD = "dead"
    OBSOLETE = "obsolete"


Id = Annotated[
    str,
    typer.Argument(metavar="ID", help="The id, or its beginning if no other one begins so.", callback=must_be_text),
]
Name = Annotated[str, typer.Argument(metavar="RECEIVER", help="The receiver's name.", callback=must_be_text)]

app = typer.Typer(
    name="notices",
    help="Try receivers of notices; list dead letters, and try them again.",
    epilog=examples("callgate notices test ops --config callgate.yaml", f"callgate notices retry {_ID}"),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_HEAD: Final = ("ID", "MADE", "RECEIVER", "EVENT", "TRIES", "ERROR")


@app.command("list", epilog=examples("callgate notices list", "callgate notices list --state-of waiting --json"))
def list_command(
    state_of: Annotated[
        State,
        typer.Option("--state-of", metavar="|".join(one.value for one in State), help="Only those in this state."),
    ] = State.DEAD,
    receiver: Annotated[
        str | None,
        typer.Option("--receiver", metavar="NAME", help="Only those of this receiver.", callback=must_be_text),
    ] = None,
    limit: Limit = 100,
    state: StoreState = None,
    config: StoreConfig = None,
    as_json: AsJson = False,
) -> None:
    """Print dead letters, or the notices in another state, the newest first."""
    with opened(state, config) as named:
        _operator(named)
        now = clock.now_us()
        print_list(
            "notices",
            _listed(named.store.notices, state_of, receiver),
            limit,
            place=named.store.place,
            table=(_HEAD, lambda one: _row(one, now)),
            document=_document if as_json else None,
        )


@app.command(epilog=examples(f"callgate notices show {_ID}", f"callgate notices show {_ID} --json"))
def show(id: Id, state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:  # noqa: A002
    """Print a notice, and the result of its last try."""
    with opened(state, config) as named:
        _operator(named)
        notice = named.store.notices.get(_full_id(named, id))
    document = _document(notice)
    if as_json:
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    for name, value in document.items():
        if value is not None:
            typer.echo(f"{name + ':':<12}{_shown(value)}")


@app.command(epilog=examples(f"callgate notices retry {_ID}"))
def retry(id: Id, state: StoreState = None, config: StoreConfig = None) -> None:  # noqa: A002
    """Try a dead letter again, with as many tries as a new notice has."""
    with opened(state, config) as named:
        person = _admin(named)
        name = _full_id(named, id)
        named.store.notices.retry(name, person.actor, clock.now_us())
    typer.echo(f"waiting: {name}; it is tried within 30 s")


@app.command(epilog=examples(f"callgate notices discard {_ID}"))
def discard(id: Id, state: StoreState = None, config: StoreConfig = None) -> None:  # noqa: A002
    """Delete a dead letter."""
    with opened(state, config) as named:
        person = _admin(named)
        name = _full_id(named, id)
        named.store.notices.discard(name, person.actor, clock.now_us())
    typer.echo(f"discarded: {name}")


@app.command(epilog=examples("callgate notices receivers", "callgate notices receivers --json"))
def receivers(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print the receivers with the numbers of their notices."""
    with opened(state, config) as named:
        _operator(named)
        found = named.store.notice_receivers.statuses()
        place = named.store.place
    if as_json:
        typer.echo(json.dumps({"receivers": [_status(one) for one in found]}, ensure_ascii=False))
    elif not found:
        typer.echo(f"there are none in `{place}`", err=True)
    else:
        rows = [(one.name, str(one.waiting), str(one.dead), _state_of(one)) for one in found]
        print_table([("NAME", "WAITING", "DEAD", "STATE"), *rows])


@app.command(epilog=examples("callgate notices resume agents"))
def resume(receiver: Name, state: StoreState = None, config: StoreConfig = None) -> None:
    """Serve a receiver again that has answered with status 410."""
    with opened(state, config) as named:
        person = _admin(named)
        named.store.notice_receivers.resume(receiver, person.actor, clock.now_us())
    typer.echo(f"resumed: {receiver}")


@app.command(epilog=examples("callgate notices test ops --config callgate.yaml"))
def test(
    receiver: Name,
    config: Annotated[
        Path,
        typer.Option("--config", metavar="FILE", envvar="CALLGATE_CONFIG", help="The configuration with the receiver."),
    ],
) -> None:
    """Send a test notice once, without the store; exit code 1 if it is not taken."""
    from callgate.config.bundle import read_bundle  # noqa: PLC0415  it takes long to import
    from callgate.control.notices import receiver_of  # noqa: PLC0415  likewise
    from callgate.identity.secret_text import new_id  # noqa: PLC0415  likewise
    from callgate.notices.delivery import Reply, deliver  # noqa: PLC0415  likewise
    from callgate.notices.message import trial_message  # noqa: PLC0415  likewise

    known = {one.name: one for one in read_bundle(config).receivers}
    if receiver not in known:
        message = f"{config}: unknown receiver {quoted(receiver)}{did_you_mean(receiver, list(known))}"
        raise ConfigError(message)
    now_us = clock.now_us()
    delivery = deliver(receiver_of(known[receiver]), trial_message(new_id(), now_us), now_us)
    if delivery.reply is Reply.TAKEN:
        typer.echo(f"delivered: a test notice to `{receiver}`")
        return
    typer.echo(f"not delivered to `{receiver}`: {delivery.error}", err=True)
    raise typer.Exit(1)


def _operator(named: "OpenStore") -> "Operator":
    from callgate.cli.answering import operator  # noqa: PLC0415  it takes long to import

    return operator(named)


def _admin(named: "OpenStore") -> "Operator":
    """The person at the command line, who may change what is sent."""
    from callgate.store.people import Role  # noqa: PLC0415  it takes long to import

    person = _operator(named)
    if Role.ADMIN not in person.principal.roles:
        message = f"{person.principal.name} may not do this: it takes the role `admin`"
        raise CallgateError(message)
    return person


def _full_id(named: "OpenStore", text: str) -> str:
    """The id that a user names by its beginning."""
    from callgate.store.errors import UnknownIdError  # noqa: PLC0415  it takes long to import

    found = named.store.notices.find(text)
    if text in found:
        return text
    if len(text) < _LEAST:
        message = f"{quoted(text)} is too short: expected at least {_LEAST} characters of the id of the notice"
    elif not found:
        message = f"there is no notice {quoted(text)} in `{named.store.place}`; `callgate notices list` prints them"
    elif len(found) > 1:
        message = f"several ids begin with {quoted(text)}: {', '.join(found)}; give more characters"
    else:
        return found[0]
    raise UnknownIdError(message)


def _listed(store: "Notices", state: State, receiver: str | None) -> Iterator["Notice"]:
    """The notices, page by page."""
    from callgate.store.notices.model import NoticeState  # noqa: PLC0415  it takes long to import
    from callgate.store.pages import all_items  # noqa: PLC0415  likewise

    return all_items(lambda token: store.page(state=NoticeState(state.value), receiver=receiver, token=token))


def _row(notice: "Notice", now_us: int) -> Sequence[str]:
    from callgate.approvals.times import brief  # noqa: PLC0415  it takes long to import

    made = f"{brief(now_us - notice.made_us)} ago"
    return (notice.id, made, notice.receiver, notice.event.value, str(notice.tries), notice.error or "-")


def _document(notice: "Notice") -> dict[str, Any]:
    from callgate.approvals.times import exact_instant  # noqa: PLC0415  it takes long to import

    is_waiting = notice.state.value == State.WAITING.value
    return {
        "id": notice.id,
        "state": notice.state.value,
        "receiver": notice.receiver,
        "event": notice.event.value,
        "approval": notice.approval_id,
        "person": None if notice.person is None else str(notice.person),
        "made": exact_instant(notice.made_us),
        "tries": notice.tries,
        "next_try": exact_instant(notice.due_us) if is_waiting else None,
        "done": exact_instant(notice.done_us),
        "error": notice.error,
    }


def _status(status: "ReceiverStatus") -> dict[str, Any]:
    from callgate.approvals.times import exact_instant  # noqa: PLC0415  it takes long to import

    return {
        "name": status.name,
        "waiting": status.waiting,
        "dead": status.dead,
        "oldest": exact_instant(status.oldest_us),
        "seen": exact_instant(status.seen_us),
        "stopped": exact_instant(status.stopped_us),
        "stop_cause": status.stop_cause,
    }


def _state_of(status: "ReceiverStatus") -> str:
    return "served" if status.stopped_us is None else f"stopped: {status.stop_cause}"


def _shown(value: object) -> str:
    from callgate.approvals.sections import seen  # noqa: PLC0415  it takes long to import

    return seen(value)
