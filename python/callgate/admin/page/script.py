"""The rule by which a page may run the script of passkeys, and no other one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from starlette.responses import Response

_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; frame-ancestors 'none'; "
    "form-action 'self'; base-uri 'none'"
)


def with_script(response: Response) -> Response:
    """The page, which may run scripts of this port and ask it; others have none."""
    response.headers["Content-Security-Policy"] = _POLICY
    return response
