"""The place of the store that a configuration names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.config.document import read_bytes
from callgate.config.faults import InvalidConfigError
from callgate.errors import ConfigError
from callgate.store.place import Place, has_password, in_folder, parse_place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from callgate.config.faults import Fault
    from callgate.config.load import Loaded


def store_faults(loaded: Loaded) -> Iterator[Fault]:
    """Faults of the keys alone; the file of the URL is not read."""
    store = loaded.config.store
    if store.url is not None and store.url_file is not None:
        yield loaded.fault(("store", "url_file"), "give either `store.url` or `store.url_file`")
    if store.url is not None and has_password(store.url) and loaded.document_of(("store", "url")) is not None:
        message = (
            "`store.url` contains a password, and everybody who may read this file would have it: write the URL to a "
            "file of its own and name that as `store.url_file`, or set CALLGATE_STORE__URL"
        )
        yield loaded.fault(("store", "url"), message)


def store_place(loaded: Loaded) -> Place:
    """The place of the store; by default a file in the state folder.

    Raises:
        ConfigError: The keys contradict each other, or the file of the URL holds none.
    """
    if faults := list(store_faults(loaded)):
        raise InvalidConfigError(faults)
    config = loaded.config
    if config.store.url is not None:
        return parse_place(config.store.url)
    path = config.store.url_file
    if path is None:
        return in_folder(config.state)
    try:
        return parse_place(read_bytes(path).decode("utf-8").strip())
    except ValueError as error:
        message = "it is no UTF-8 text" if isinstance(error, UnicodeDecodeError) else str(error)
        raise ConfigError(f"`{path}`: {message}") from None
