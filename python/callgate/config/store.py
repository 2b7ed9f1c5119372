"""The place of approvals and of what is managed while callgate runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer

from callgate.config.fields import FilePath, PathMark, Section
from callgate.store.place import SQLITE, parse_place, shown


def _url(value: str) -> str:
    parse_place(value)
    return value


StoreUrl = Annotated[str, AfterValidator(_url), PlainSerializer(shown), PathMark(SQLITE)]
"""The URL of a store; it is shown without its password."""


class Store(Section):
    """The place of approvals and of what is managed while callgate runs."""

    url: StoreUrl | None = Field(default=None, repr=False)
    """URL of the store: `postgresql+psycopg://USER@HOST:PORT/DATABASE`, or `sqlite:///PATH`; `callgate.db` in the state
    folder by default. A password may be in the environment variable or in `url_file`, and not in this file."""

    url_file: FilePath | None = None
    """File with this URL, which may contain a password; instead of `url`."""
