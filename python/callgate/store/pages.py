"""Lists in pages: each begins after the last row of the page before, so that the last page is as fast as the first.

And ids by their beginnings.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from sqlalchemy import select, tuple_

from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from sqlalchemy import Column, Select
    from sqlalchemy.engine import Connection

_Item = TypeVar("_Item")

MOST: Final = 1_000
"""Rows of one page at most."""


_POSITION: Final = re.compile(r"([0-9]{1,19}) ([a-z0-9]+)")
_LAST: Final = 2**63 - 1
_ID: Final = re.compile("[a-z0-9]+")


class PageTokenError(CallgateError):
    """A page token that no list has given."""


@dataclass(frozen=True)
class Page(Generic[_Item]):
    """Some items, in the order of their list."""

    items: tuple[_Item, ...]
    next_token: str | None
    """Names the next page; None for the last one."""


def all_items(read: Callable[[str | None], Page[_Item]]) -> Iterator[_Item]:
    """The items of all pages; `read` gives the page that a token names."""
    token = None
    while True:
        page = read(token)
        yield from page.items
        token = page.next_token
        if token is None:
            return


def find_ids(connection: Connection, column: Column[str], beginning: str, size: int) -> list[str]:
    """The ids of random letters and digits (see `ids.py`) that begin so."""
    if _ID.fullmatch(beginning) is None:
        return []
    # By its index, which is ordered by bytes; `{` comes after `z`.
    begins = (column >= beginning, column < f"{beginning}{{")
    return list(connection.scalars(select(column).where(*begins).order_by(column).limit(size)))


def read_page(
    connection: Connection,
    query: Select[Any],
    key: tuple[Column[int], Column[str]],
    make: Callable[[Any], _Item],
    *,
    size: int,
    token: str | None,
    oldest_first: bool = False,
) -> Page[_Item]:
    """The page of a query that a token names; `key` is the columns of the time and the id by which it is ordered.

    Raises:
        PageTokenError: The token is of no page.
    """
    size = max(1, min(size, MOST))
    if token is not None:
        place, position = tuple_(*key), tuple_(*_position(token))
        query = query.where(place > position if oldest_first else place < position)
    order = (column.asc() if oldest_first else column.desc() for column in key)
    rows = list(connection.execute(query.order_by(*order).limit(size + 1)))
    more = len(rows) > size
    last = rows[size - 1] if more else None
    names = [column.name for column in key]
    following = None if last is None else _token(*(getattr(last, name) for name in names))
    return Page(tuple(make(row) for row in rows[:size]), following)


def _token(at_us: int, name: str) -> str:
    return base64.urlsafe_b64encode(f"{at_us} {name}".encode()).decode("ascii").rstrip("=")


def _position(token: str) -> tuple[int, str]:
    try:
        text = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode()
    except (binascii.Error, ValueError):
        text = ""
    found = _POSITION.fullmatch(text)
    if found is None or int(found[1]) > _LAST:
        message = "expected the token of a page as a list gave it"
        raise PageTokenError(message)
    return int(found[1]), found[2]
