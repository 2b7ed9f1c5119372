"""`callgate admin people`."""

import json
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate import clock
from callgate.approvals.times import instant
from callgate.cli.admin_passwords import hashed, new_password, print_password
from callgate.cli.admin_store import Reason, made_or_opened, members, operator
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState, opened
from callgate.cli.table import print_table
from callgate.errors import ConfigError
from callgate.os_user import os_user

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.store.people import LocalPerson, PersonEdit
    from callgate.store.store import Store

_ADD = "callgate admin people add ann --role approver --group dba"
_LIST = "callgate admin people list"
_SHOW = "callgate admin people show ann"
_SET_ROLES = "callgate admin people set-roles ann --role approver --role policy_manager --reason 'new job'"
_SET_PASSWORD = "callgate admin people set-password ann --password-file FILE"  # noqa: S105  an example
_DEACTIVATE = "callgate admin people deactivate ann --reason 'on leave'"

app = typer.Typer(
    name="people",
    help="People who log in: their roles, groups and passwords.",
    epilog=examples(_ADD, _LIST, _SET_ROLES, _DEACTIVATE),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The name of the person.", show_default=False)]
_Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE", help="viewer, approver, policy_manager or admin.")
]
_Groups = Annotated[
    list[str] | None, typer.Option("--group", metavar="GROUP", help="A group, as `approvers` of policies name it.")
]
_PasswordFile = Annotated[
    Path | None,
    typer.Option("--password-file", metavar="FILE", help="A file with the password in one line; else it is asked for."),
]
_Generate = Annotated[bool, typer.Option("--generate", help="Make a password, and print it once.")]


@app.callback()
def group() -> None:
    """People who log in: their roles, groups and passwords."""


@app.command(epilog=examples(_ADD, "callgate admin people add ops --role admin --generate"))
def add(
    name: _Name,
    role: _Roles = None,
    group: _Groups = None,
    password_file: _PasswordFile = None,
    generate: _Generate = False,
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Add a person. The first one ends one-time links."""
    from callgate.store.people import PersonEdit, Role  # noqa: PLC0415  SQLAlchemy takes long to import

    if not role:
        raise typer.BadParameter(
            "expected at least one: viewer, approver, policy_manager or admin", param_hint="--role"
        )
    # A name that cannot be is refused before a password is asked for.
    with _refusing():
        edit = PersonEdit(name, members("--role", "role", Role, role), frozenset(group or ()), expected=0)
    with made_or_opened(state, config) as store:
        password, is_made = new_password(password_file, generate=generate)
        _put(store, replace(edit, password_hash=hashed(password)), reason)
        if is_made:
            print_password(password)
        typer.echo(f"added: {_line(store.people.get(name))}", err=is_made)
        _advise(store)


@app.command("list", epilog=examples(_LIST, f"{_LIST} --json"))
def list_command(state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print all people with their roles and groups."""
    with opened(state, config) as found:
        people = found.store.people.list()
    if as_json:
        typer.echo(json.dumps([_fields(person) for person in people], ensure_ascii=False))
        return
    if not people:
        typer.echo("there are no people", err=True)
    print_table([_row(person) for person in people])


@app.command(epilog=examples(_SHOW, f"{_SHOW} --json"))
def show(name: _Name, state: StoreState = None, config: StoreConfig = None, as_json: AsJson = False) -> None:
    """Print a person."""
    with opened(state, config) as found:
        person = found.store.people.get(name)
    fields = _fields(person)
    if as_json:
        typer.echo(json.dumps(fields, ensure_ascii=False))
        return
    for key, value in fields.items():
        shown = ", ".join(value) if isinstance(value, list) else {True: "yes", False: "no"}.get(value, value)
        typer.echo(f"{key.replace('_', ' ') + ':':<14}{shown or 'none'}")


@app.command(epilog=examples(_SET_ROLES, "callgate admin people set-roles ann --role approver --no-groups"))
def set_roles(
    name: _Name,
    role: _Roles = None,
    group: _Groups = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Take all groups away.")] = False,
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Replace the roles of a person, or the groups, and end the sessions of the person."""
    from callgate.store.people import Role  # noqa: PLC0415  as above

    if not role and not group and not no_groups:
        raise typer.BadParameter("expected the new roles, or --group or --no-groups", param_hint="--role")
    if group and no_groups:
        raise typer.BadParameter("--no-groups takes all away; give one of them", param_hint="--group")
    changes: dict[str, Any] = {}
    if role:
        changes["roles"] = members("--role", "role", Role, role)
    if group or no_groups:
        changes["groups"] = frozenset(group or ())
    _change(name, reason, state, config, **changes)


@app.command(epilog=examples(_SET_PASSWORD, "callgate admin people set-password ann --generate"))
def set_password(
    name: _Name,
    password_file: _PasswordFile = None,
    generate: _Generate = False,
    reason: Reason = "",
    state: StoreState = None,
    config: StoreConfig = None,
) -> None:
    """Give a person a new password, and end the sessions of the person and the delays of failed logins."""
    with opened(state, config) as found:
        person = found.store.people.get(name)
        password, is_made = new_password(password_file, generate=generate)
        _put(found.store, replace(_edit(person), password_hash=hashed(password)), reason)
        if is_made:
            print_password(password)
        typer.echo(f"set the password of `{name}`, and ended its sessions", err=is_made)


@app.command(epilog=examples(_DEACTIVATE))
def deactivate(name: _Name, reason: Reason = "", state: StoreState = None, config: StoreConfig = None) -> None:
    """Keep a person from logging in and answering, and end the sessions of the person."""
    _change(name, reason, state, config, is_active=False)


@app.command(epilog=examples("callgate admin people activate ann --reason 'is back'"))
def activate(name: _Name, reason: Reason = "", state: StoreState = None, config: StoreConfig = None) -> None:
    """Let a person who was deactivated log in again."""
    _change(name, reason, state, config, is_active=True)


@app.command(epilog=examples("callgate admin people remove ann --reason 'has left'"))
def remove(name: _Name, reason: Reason = "", state: StoreState = None, config: StoreConfig = None) -> None:
    """Remove a person, and end the sessions of the person. Answers and records keep the name."""
    with opened(state, config) as found:
        found.store.people.remove(name, operator(), reason, clock.now_us())
        typer.echo(f"removed: {name}")
        _advise(found.store)


def _change(name: str, reason: str, state: Path | None, config: Path | None, **changes: Any) -> None:  # noqa: ANN401  fields
    """Changes some fields of a person."""
    with opened(state, config) as found:
        edit = _edit(found.store.people.get(name))
        with _refusing():
            edit = replace(edit, **changes)
        _put(found.store, edit, reason)
        typer.echo(f"changed: {_line(found.store.people.get(name))}")
        _advise(found.store)


def _edit(person: "LocalPerson") -> "PersonEdit":
    """The edit that leaves a person as it was seen."""
    from callgate.store.people import PersonEdit  # noqa: PLC0415  as above

    active = person.is_active
    return PersonEdit(person.name, person.roles, person.groups, is_active=active, expected=person.change)


@contextmanager
def _refusing() -> "Iterator[None]":
    """Tells values that are not valid as faults of the user's."""
    try:
        yield
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _put(store: "Store", edit: "PersonEdit", reason: str) -> None:
    store.people.put(edit, operator(), reason, clock.now_us())


def _advise(store: "Store") -> None:
    """Says what follows for this user and for the admin port."""
    from callgate.store.people import Role  # noqa: PLC0415  as above

    people = store.people.list()
    if not people:
        _say("there are no people now: you are an admin here, and `callgate serve` prints one-time links again")
        return
    if not any(person.is_active and Role.ADMIN in person.roles for person in people):
        _say("warning: nobody who is active is an admin; `callgate admin` at the command line still works")
    if not any(person.is_active and person.name == os_user() for person in people):
        _say(f"note: you, `{os_user()}`, are none of the active people, so `callgate approvals` refuses your answers")


def _say(text: str) -> None:
    typer.echo(text, err=True)


def _line(person: "LocalPerson") -> str:
    return ", ".join(cell for cell in _row(person) if cell)


def _row(person: "LocalPerson") -> list[str]:
    groups = "" if not person.groups else f"groups {', '.join(sorted(person.groups))}"
    roles = ", ".join(sorted(role.value for role in person.roles))
    return [person.name, roles, groups, "" if person.is_active else "not active"]


def _fields(person: "LocalPerson") -> dict[str, Any]:
    return {
        "name": person.name,
        "roles": sorted(role.value for role in person.roles),
        "groups": sorted(person.groups),
        "is_active": person.is_active,
        "made": instant(person.made_us),
        "changed": instant(person.changed_us),
        "password_set": instant(person.password_us),
    }
