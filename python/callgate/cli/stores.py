"""The store that commands work on, named by its state folder or by a configuration."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate.config.load import load
from callgate.config.store_place import store_place
from callgate.store.place import in_folder
from callgate.text import is_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.load import Loaded
    from callgate.store.place import Place
    from callgate.store.store import Store


def must_be_text(value: Any) -> Any:  # noqa: ANN401  a text, texts, or None
    """Refuses an option's value that no database can keep; the system gives bytes outside UTF-8 as surrogates."""
    if not is_text("".join(value or "")):
        raise typer.BadParameter("expected UTF-8 text")
    return value


StoreState = Annotated[Path | None, typer.Option("--state", metavar="DIR", help="The state folder with the store.")]
StoreConfig = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", envvar="CALLGATE_CONFIG", help="The configuration that names the store."),
]


@dataclass(frozen=True)
class OpenStore:
    """An open store, and the configuration that named it."""

    store: Store
    loaded: Loaded | None
    """The configuration that named the store; None if the state folder was given."""


def place_of(state: Path | None, config: Path | None) -> Place:
    """The place of the store that the options name."""
    return store_place(load(config)) if state is None else in_folder(state)


@contextmanager
def opened(state: Path | None, config: Path | None) -> Iterator[OpenStore]:
    """The store that the options name, which has to exist.

    Raises:
        StoreError: There is none, or it cannot be used.
    """
    # SQLAlchemy takes long to import, and every help text imports this file.
    from callgate.store.open import must_exist  # noqa: PLC0415
    from callgate.store.store import open_store  # noqa: PLC0415

    loaded = load(config) if state is None else None
    place = place_of(state, config) if loaded is None else store_place(loaded)
    must_exist(place.path)
    store = open_store(place)
    try:
        yield OpenStore(store, loaded)
    finally:
        store.close()
