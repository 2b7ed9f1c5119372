"""Forms of pages, and the proof that they come from these pages.

A browser sends cookies with requests that other pages make. SameSite does not tell the ports of one host apart, so a
page of another program on this machine counts as the same site.
"""

from __future__ import annotations

import hashlib
import hmac
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl

from callgate.admin.http.errors import RequestError

if TYPE_CHECKING:
    from starlette.requests import Request

TOKEN_FIELD: Final = "form_token"  # noqa: S105  the name of a field
LONGEST_FORM_BYTES: Final = 256 << 10
_MOST_FIELDS: Final = 1_000
_FORM: Final = "application/x-www-form-urlencoded"


def form_token(session: str) -> str:
    """The token in forms of a session: only pages of this port can know it."""
    return hmac.new(session.encode(errors="replace"), b"callgate admin form", hashlib.sha256).hexdigest()


def is_of_this_page(request: Request) -> bool:
    """True if a browser says that the request comes from a page of this port.

    Pages without a referrer send `Origin: null`; browsers that do so send `Sec-Fetch-Site` as well.
    """
    origin, site = request.headers.get("Origin"), request.headers.get("Sec-Fetch-Site")
    own = f"{request.url.scheme}://{request.headers.get('Host', '')}"
    if site is not None:
        return site == "same-origin" and origin in {None, "null", own}
    return origin == own


def check_origin(request: Request) -> None:
    """Refuses a change that another page makes.

    Raises:
        RequestError: It does not come from a page of this port.
    """
    if not is_of_this_page(request):
        message = "this change does not come from a page of this port, or the browser does not say so"
        raise RequestError(HTTPStatus.FORBIDDEN, message)


def check_token(fields: dict[str, str], session: str) -> None:
    """Refuses a form that no page of this session had.

    Raises:
        RequestError: Its token is another.
    """
    given = fields.get(TOKEN_FIELD, "").encode(errors="replace")
    if not hmac.compare_digest(given, form_token(session).encode()):
        message = "this form is of another login; load the page again"
        raise RequestError(HTTPStatus.FORBIDDEN, message)


async def read_form(request: Request) -> dict[str, str]:
    """The fields of a form; of several with one name, the last.

    Raises:
        RequestError: It is no form, or too long.
    """
    if request.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _FORM:
        raise RequestError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"expected a form as `{_FORM}`")
    body = await read_body(request, LONGEST_FORM_BYTES)
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, errors="strict", max_num_fields=_MOST_FIELDS)
    except ValueError:
        message = f"expected a form of at most {_MOST_FIELDS} fields in UTF-8"
        raise RequestError(HTTPStatus.BAD_REQUEST, message) from None
    return dict(pairs)


async def read_body(request: Request, longest_bytes: int) -> bytes:
    """The body of a request.

    Raises:
        RequestError: It is too long.
    """
    too_long = RequestError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"the body is longer than {longest_bytes} bytes")
    declared = request.headers.get("Content-Length", "0")
    # h11 takes digits alone, at most 20.
    if int(declared) > longest_bytes:
        raise too_long
    chunks: list[bytes] = []
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > longest_bytes:
            raise too_long
        chunks.append(chunk)
    return b"".join(chunks)
