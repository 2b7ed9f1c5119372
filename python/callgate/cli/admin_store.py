"""Options and parts that the commands of `callgate admin` share."""

from __future__ import annotations

import socket
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate.cli.stores import place_of
from callgate.cli.tokens import must_be_known
from callgate.os_user import os_user

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from callgate.store.model import Actor
    from callgate.store.store import Store

Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="The reason, for the admin audit.")]


@contextmanager
def made_or_opened(state: Path | None, config: Path | None) -> Iterator[Store]:
    """The store that the options name; makes it if there is none.

    Raises:
        StoreError: It cannot be used.
    """
    # SQLAlchemy takes long to import, and every help text imports this file.
    from callgate.store.store import open_store  # noqa: PLC0415

    store = open_store(place_of(state, config))
    try:
        yield store
    finally:
        store.close()


def operator() -> Actor:
    """The user of the operating system, as records name the maker of a change."""
    from callgate.store.model import Actor  # noqa: PLC0415  as above
    from callgate.store.people import local_person  # noqa: PLC0415  as above

    return Actor(str(local_person(os_user())), f"command line at {socket.gethostname()}")


def members(option: str, what: str, kind: Any, names: Sequence[str]) -> frozenset[Any]:  # noqa: ANN401  any enumeration
    """The members of an enumeration that an option names.

    Raises:
        typer.BadParameter: One of them is unknown.
    """
    known: Collection[str] = [member.value for member in kind]
    for name in names:
        must_be_known(option, what, name, known)
    return frozenset(kind(name) for name in names)
