"""Requests to an issuer, with bounds: TLS is verified, no redirect is followed, and answers end in size and in time."""

from __future__ import annotations

import http.client
import ssl
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode, urlsplit

from callgate.config.login import is_safe
from callgate.exact_json import read_json
from callgate.identity.errors import LoginError, LoginReason
from callgate.text import masked, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S: Final = 10.0
"""Longest time of one request."""

_LARGEST_BYTES: Final = 512 << 10
"""Largest answer: key sets of large issuers have some 10 KiB."""

_PIECE_BYTES: Final = 16 << 10
_FORM: Final = "application/x-www-form-urlencoded"


class IssuerHttp:
    """The HTTP client for one issuer."""

    def __init__(self, ca: bytes | None) -> None:
        """Takes the PEM of the authorities that are trusted in place of the system's."""
        self._ca = ca

    def get(self, url: str, headers: Mapping[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object at a URL.

        Raises:
            LoginError: It cannot be had.
        """
        return self._ask("GET", url, None, {"Accept": "application/json", **(headers or {})})

    def post(
        self, url: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, Any]]:
        """The status and the JSON object that answer a form.

        Raises:
            LoginError: They cannot be had.
        """
        sent = {"Accept": "application/json", "Content-Type": _FORM, **(headers or {})}
        return self._ask("POST", url, urlencode(fields), sent)

    def _ask(self, method: str, url: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        deadline_s = time.monotonic() + _TIMEOUT_S
        try:
            status, content = self._exchange(method, url, body, headers, deadline_s)
        except (OSError, http.client.HTTPException, ValueError) as error:
            # An error of TLS says which certificate is at fault; others are short.
            message = f"the issuer cannot be reached at {_place(url)}: {masked(str(error)) or type(error).__name__}"
            raise LoginError(LoginReason.UNREACHABLE, message) from None
        return status, _object(url, status, content)

    def _exchange(
        self, method: str, url: str, body: str | None, headers: Mapping[str, str], deadline_s: float
    ) -> tuple[int, bytes]:
        if not is_safe(url):
            message = "expected `https`"
            raise ValueError(message)
        parts = urlsplit(url)
        target = f"{parts.path or '/'}{f'?{parts.query}' if parts.query else ''}"
        connection = self._connection(parts.scheme, parts.hostname or "", parts.port)
        try:
            connection.request(method, target, body, dict(headers))
            response = connection.getresponse()
            content = bytearray()
            while piece := response.read(_PIECE_BYTES):
                content += piece
                if len(content) > _LARGEST_BYTES:
                    message = f"the answer has more than {_LARGEST_BYTES >> 10} KiB"
                    raise ValueError(message)
                if time.monotonic() > deadline_s:
                    raise TimeoutError("the answer takes too long")
            return response.status, bytes(content)
        finally:
            connection.close()

    def _connection(self, scheme: str, host: str, port: int | None) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        context = ssl.create_default_context(cadata=None if self._ca is None else self._ca.decode("ascii"))
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def _object(url: str, status: int, content: bytes) -> dict[str, Any]:
    """The JSON object of an answer."""
    if 300 <= status < 400:  # noqa: PLR2004  redirects
        message = (
            f"{_place(url)} leads elsewhere (HTTP {status}), which is not followed; configure the URL of the issuer"
        )
        raise LoginError(LoginReason.METADATA, message)
    try:
        document = read_json(content)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        message = f"expected a JSON object at {_place(url)}, got HTTP {status} with something else"
        raise LoginError(LoginReason.METADATA, message)
    return document


def _place(url: str) -> str:
    """A URL for messages, without its query."""
    parts = urlsplit(url)
    return quoted(f"{parts.scheme}://{parts.netloc}{parts.path}")
