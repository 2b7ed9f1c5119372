"""The answers of a running sidecar to operators and to Prometheus, apart from the transport that carries them."""

from __future__ import annotations

import hmac
import json
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from prometheus_client.exposition import choose_encoder

from callgate.admin.http.paths import is_of_site
from callgate.config.address import is_loopback
from callgate.identity.reports import LoginMethod, LoginOutcome, LoginReport, no_observer
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from prometheus_client import CollectorRegistry
    from starlette.types import ASGIApp

    from callgate.control.port.routes import Routes
    from callgate.control.readiness import Serving
    from callgate.identity.reports import LoginObserver

TEXT: Final = "text/plain; charset=utf-8"
JSON: Final = "application/json"
JSON_LINES: Final = "application/x-ndjson"

LARGEST_BODY_BYTES: Final = 1 << 20
"""Longest body of a request."""


@dataclass(frozen=True)
class Origin:
    """The listener over which a request came."""

    is_socket: bool
    """True for the control socket, whose peers have proven to be this user or root."""
    is_loopback: bool
    """True if only this machine reaches the listener."""
    is_private: bool
    """True if nobody else can read what is sent: over TLS, or within this machine."""


@dataclass(frozen=True)
class Request:
    """One request, as a transport has read it."""

    method: str
    path: str
    """The target without its query."""
    headers: Mapping[str, str]
    """The header fields; names in any case are found."""
    source: str = ""
    """The address of the client, without its port."""


@dataclass(frozen=True)
class Answer:
    """One answer."""

    status: HTTPStatus
    body: bytes
    content_type: str
    headers: Mapping[str, str] = field(default_factory=dict)
    lines: Generator[bytes, None, None] | None = None
    """The body of an answer that goes on, in place of `body`."""


class Pages:
    """The pages of one sidecar.

    Metrics and health are for everybody; the routes of operators need the control socket or a token.
    """

    def __init__(self, registry: CollectorRegistry) -> None:
        """Takes the metrics; until `routes` is set, there are no others."""
        self._registry = registry
        self.ready = False
        """True from the start to the stop of the sidecar."""
        self.failure: str | None = None
        """The reason for which ``/readyz`` is 503, whatever `ready` says."""
        self.serving: Callable[[], Serving] | None = None
        """Gives the configuration in force, with the reason for which a newer one is refused."""
        self.upstream_faults: list[tuple[str, str]] = []
        """The servers, with the reasons, that ``/readyz`` names as no MCP servers; it stays as ready as it is."""
        self.freeze_fault: str | None = None
        """The fault of the file of freezes, which ``/readyz`` names; it stays as ready as it is."""
        self.routes: Routes | None = None
        self.site: ASGIApp | None = None
        """The pages for people and the admin API, on the port alone."""
        self.token: str | None = None
        """The token with which the routes answer over TCP; None if they answer only on the control socket."""
        self.observer: LoginObserver = no_observer
        """Takes reports of refused tokens."""

    @property
    def is_ready(self) -> bool:
        """True while ``/readyz`` is 200."""
        return self.ready and self.failure is None

    def site_of(self, request: Request, origin: Origin) -> ASGIApp | None:
        """The site, if it answers this request: of a name of this machine, where others do not reach it."""
        if self.site is None or origin.is_socket or not is_of_site(request.path):
            return None
        # Browsers send `null` from pages without a referrer, as these are; the site looks at it.
        names = (request.headers.get("Host", ""), _named_origin(request.headers))
        return None if origin.is_loopback and not _are_loopback(*names) else self.site

    def answer(self, request: Request, origin: Origin) -> Answer | None:
        """Answers a request of anybody; None for one of an operator, which `routed` answers.

        Metrics of many policies may take a while.
        """
        if origin.is_loopback and not _are_loopback(request.headers.get("Host", ""), request.headers.get("Origin")):
            # A web page can point its own name at 127.0.0.1 (DNS rebinding), but it cannot set this header.
            return Answer(HTTPStatus.FORBIDDEN, b"this port answers to loopback names alone\n", TEXT)
        match request.path:
            case "/metrics" | "/healthz" | "/readyz" if request.method not in {"GET", "HEAD"}:
                return refusal(HTTPStatus.METHOD_NOT_ALLOWED, "expected method `GET`", Allow="GET")
            case "/metrics":
                return self._metrics(request)
            case "/healthz":
                return Answer(HTTPStatus.OK, b"ok\n", TEXT)
            case "/readyz":
                return self._readiness(request)
            case _:
                return self._refusal(request, origin)

    def routed(self, request: Request, body: bytes) -> Answer:
        """Answers a request of an operator, which may wait for a disk."""
        routes = self.routes
        if routes is None:
            return _NOT_FOUND
        status, document, headers = routes.answer(request.method, request.path, body)
        if not isinstance(document, dict):
            return Answer(status, b"", JSON_LINES, headers, document)
        return Answer(status, _json(document), JSON, headers)

    def _metrics(self, request: Request) -> Answer:
        try:
            encode, content_type = choose_encoder(request.headers.get("Accept", ""))
        except (ValueError, LookupError, TypeError):
            # The library cannot parse every header that a client can send.
            encode, content_type = choose_encoder("")
        return Answer(HTTPStatus.OK, encode(self._registry), content_type)

    def _readiness(self, request: Request) -> Answer:
        failure, faults = self.failure, self.upstream_faults
        serving = None if self.serving is None else self.serving()
        freeze_fault = self.freeze_fault
        ready = self.ready and failure is None
        status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
        if "application/json" in request.headers.get("Accept", ""):
            document = {
                "ready": ready,
                "failure": failure,
                "upstream_faults": dict(faults),
                "freeze_fault": freeze_fault,
                **(serving.fields() if serving else {}),
            }
            return Answer(status, json.dumps(document).encode() + b"\n", JSON)
        lines = ["ready" if ready else "not ready", failure or "", serving.text() if serving else ""]
        lines += [f"the server {quoted(name)} does not answer as an MCP server: {fault}" for name, fault in faults]
        if freeze_fault is not None:
            lines.append(f"the freezes from before stay in force, because the file cannot be read: {freeze_fault}")
        return Answer(status, "".join(f"{line}\n" for line in lines if line).encode(), TEXT)

    def _refusal(self, request: Request, origin: Origin) -> Answer | None:
        """The refusal of somebody who may not ask for the routes of operators."""
        if self.routes is None or (not origin.is_socket and self.token is None):
            return _NOT_FOUND
        if origin.is_socket:
            return None
        if "Origin" in request.headers:
            return refusal(HTTPStatus.FORBIDDEN, "requests from web pages are refused")
        if not origin.is_private:
            message = (
                "the token of `admin.token_file` is taken over TLS or on loopback alone; give the port a certificate "
                "(`admin.tls`)"
            )
            return refusal(HTTPStatus.FORBIDDEN, message)
        if not self._has_token(request.headers.get("Authorization", "")):
            if "Authorization" in request.headers:
                self.observer(LoginReport(LoginMethod.TOKEN_FILE, LoginOutcome.FAILURE, request.source))
            message = "expected `Authorization: Bearer` with the token of `admin.token_file`"
            return refusal(HTTPStatus.UNAUTHORIZED, message, **{"WWW-Authenticate": "Bearer"})
        return None

    def _has_token(self, authorization: str) -> bool:
        scheme, _, given = authorization.partition(" ")
        expected = self.token
        if expected is None or scheme.lower() != "bearer":
            return False
        # In constant time, whatever the two have in common.
        return hmac.compare_digest(given.strip().encode(errors="replace"), expected.encode())


def _are_loopback(host: str, origin: str | None) -> bool:
    names = [f"//{host}", origin]
    try:
        return all(is_loopback((urlsplit(name).hostname or "").rstrip(".")) for name in names if name is not None)
    except ValueError:
        return False


def _named_origin(headers: Mapping[str, str]) -> str | None:
    origin = headers.get("Origin")
    return None if origin == "null" else origin


def refusal(status: HTTPStatus, message: str, **headers: str) -> Answer:
    """An answer that says why there is no other one."""
    return Answer(status, _json({"error": message}), JSON, headers)


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"


_NOT_FOUND: Final = Answer(HTTPStatus.NOT_FOUND, b"expected /metrics, /healthz or /readyz\n", TEXT)
