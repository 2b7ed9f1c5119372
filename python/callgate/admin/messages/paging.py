"""Pages of lists: sizes, and tokens that lead to the next page of the same list."""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import TYPE_CHECKING, Any, Final

from callgate.admin.calls.errors import invalid
from callgate.store.pages import MOST

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from callgate.admin.calls.errors import AdminError

USUAL: Final = 100
"""Items of a page whose size is not given."""

_MARK_BYTES: Final = 6
"""Bytes of the digest of a list's other fields."""

_NUMBER: Final = re.compile(r"[1-9][0-9]{0,17}")


def size_of(request: Any, most: int = MOST) -> int:  # noqa: ANN401  the request of any list
    """The number of items of a page, at most `most`.

    Raises:
        AdminError: INVALID_ARGUMENT for a negative one.
    """
    size = int(request.page_size)
    if size < 0:
        raise invalid("page_size", "expected a number that is not negative")
    return min(size or USUAL, most)


def position_of(request: Any) -> str | None:  # noqa: ANN401  as above
    """The place in the list at which the page begins; None for the first page.

    Raises:
        AdminError: INVALID_ARGUMENT for a token that no answer to a request with the same fields had.
    """
    token = str(request.page_token)
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        mark, position = raw[:_MARK_BYTES], raw[_MARK_BYTES:].decode()
    except (binascii.Error, ValueError):
        mark, position = b"", ""
    if mark != _mark(request):
        raise _unknown()
    return position


def number_of(request: Any) -> int | None:  # noqa: ANN401  as above
    """The place in a list that is ordered by numbers; None for the first page.

    Raises:
        AdminError: As of `position_of`.
    """
    position = position_of(request)
    if position is not None and not _NUMBER.fullmatch(position):
        raise _unknown()
    return None if position is None else int(position)


def token_for(request: Any, position: str | None) -> str:  # noqa: ANN401  as above
    """The token that leads to a place in the list of this request; empty without a place."""
    if position is None:
        return ""
    return base64.urlsafe_b64encode(_mark(request) + position.encode()).decode("ascii").rstrip("=")


def _unknown() -> AdminError:
    return invalid("page_token", "expected the token of an answer to the same request, or nothing")


def _mark(request: Message) -> bytes:
    """A digest of the fields that must not change between the pages of a list."""
    of_list = type(request)()
    of_list.CopyFrom(request)
    of_list.ClearField("page_size")
    of_list.ClearField("page_token")
    text = of_list.DESCRIPTOR.full_name.encode() + b"\0" + of_list.SerializeToString(deterministic=True)
    return hashlib.sha256(text).digest()[:_MARK_BYTES]
