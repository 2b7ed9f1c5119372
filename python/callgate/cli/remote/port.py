"""The admin port of a sidecar as a command reaches it: one address, over TLS or on this machine."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlencode, urlsplit

import typer

from callgate.cli.remote.saved import find
from callgate.config.login import is_safe
from callgate.errors import CallgateError, ConfigError
from callgate.text import masked, quoted, reason_of, visible

if TYPE_CHECKING:
    from collections.abc import Mapping

_TIMEOUT_S: Final = 15.0
_LARGEST_BYTES: Final = 32 << 20
_PORTS: Final = {"http": 80, "https": 443}
_FORM: Final = "application/x-www-form-urlencoded"

AdminPort = Annotated[
    str | None,
    typer.Option("--admin", metavar="URL", help="The admin port to answer at, after `callgate login --admin URL`."),
]


class RefusedError(CallgateError):
    """A refusal by the admin port.

    Attributes:
        status: The status of HTTP.
    """

    def __init__(self, message: str, status: int) -> None:
        """Takes the message and the status."""
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class RemotePort:
    """The admin port at an address."""

    admin: str
    ca: Path | None = None
    token: str | None = field(default=None, repr=False)

    def get(self, path: str, query: Mapping[str, str] | None = None) -> dict[str, Any]:
        """The document at a path.

        Raises:
            CallgateError: There is none.
        """
        return self._ask("GET", f"{path}?{urlencode(query)}" if query else path, None, None)

    def post(self, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        """The document that answers another one.

        Raises:
            CallgateError: There is none.
        """
        return self._ask("POST", path, json.dumps(document).encode(), "application/json")

    def post_form(self, path: str, fields: Mapping[str, str]) -> dict[str, Any]:
        """The document that answers a form.

        Raises:
            CallgateError: There is none.
        """
        return self._ask("POST", path, urlencode(fields).encode(), _FORM)

    def _ask(self, method: str, path: str, body: bytes | None, kind: str | None) -> dict[str, Any]:
        headers = {"Accept": "application/json"}
        if kind is not None:
            headers["Content-Type"] = kind
        if self.token is not None:
            headers["Authorization"] = f"Bearer {self.token}"
        connection = self._connection()
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            status, content = response.status, response.read(_LARGEST_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            hint = "; --ca names the authorities of its certificate" if isinstance(error, ssl.SSLError) else ""
            message = f"no sidecar answers at `{self.admin}`: {masked(reason_of(error))}{hint}"
            raise ConfigError(message) from None
        finally:
            connection.close()
        document = _document(content) if len(content) <= _LARGEST_BYTES else None
        if status == http.client.OK and document is not None:
            return document
        raise RefusedError(self._refusal(status, document), status)

    def _refusal(self, status: int, document: dict[str, Any] | None) -> str:
        found = (document or {}).get("error", (document or {}).get("message"))
        reason = visible(masked(found)) if isinstance(found, str) else f"HTTP {status}"
        if status == http.client.UNAUTHORIZED:
            reason += f"; `callgate login --admin {self.admin}` logs in again"
        elif status == http.client.NOT_FOUND and document is None:
            reason = "it has no such path; is this the admin port of a callgate of this version?"
        return f"`{self.admin}` refused: {reason}"

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.admin)
        host, port = parts.hostname or "", parts.port
        if parts.scheme == "http":
            return http.client.HTTPConnection(host, port, timeout=_TIMEOUT_S)
        try:
            context = ssl.create_default_context(cafile=self.ca)
        except (OSError, ssl.SSLError) as error:
            message = f"cannot read the authorities in `{self.ca}`: {reason_of(error)}"
            raise ConfigError(message) from None
        return http.client.HTTPSConnection(host, port, timeout=_TIMEOUT_S, context=context)


def admin_address(text: str) -> str:
    """An address of an admin port in its one spelling.

    Raises:
        BadParameter: It is none, or a session would travel in the clear.
    """
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        host, port, parts = "", None, urlsplit("")
    has_more = parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None
    if parts.scheme not in _PORTS or not host or has_more:
        message = f"expected a URL such as https://callgate.example.com:9193, got {quoted(text)}"
        raise typer.BadParameter(message, param_hint="--admin")
    if not is_safe(text):
        message = "expected `https`: `http` is for loopback alone, because the session would travel in the clear"
        raise typer.BadParameter(message, param_hint="--admin")
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}{'' if port in {None, _PORTS[parts.scheme]} else f':{port}'}"


def logged_in(admin: str) -> RemotePort:
    """The admin port at an address, with the session there.

    Raises:
        ConfigError: Nobody has logged in there.
    """
    address = admin_address(admin)
    session = find(address)
    if session is None:
        message = f"you are not logged in at `{address}`; `callgate login --admin {address}` logs you in"
        raise ConfigError(message)
    return RemotePort(address, None if session.ca is None else Path(session.ca), session.token)


def _document(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
