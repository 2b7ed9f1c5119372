"""The way of commands to a running sidecar: its control socket, or its admin port with a token."""

from __future__ import annotations

import http.client
import json
import socket
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from urllib.parse import urlsplit

import typer

from callgate.config.document import read_bytes
from callgate.config.key import parse_token
from callgate.config.load import load
from callgate.config.state import CONTROL_NAME
from callgate.control.port.routes import STATUS
from callgate.control.port.socket import reachable
from callgate.errors import CallgateError, ConfigError
from callgate.text import quoted, reason_of

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

_TIMEOUT_S: Final = 5.0
"""Longest silence of a sidecar: its answers take milliseconds, and its streams write something each second."""

StateFolder = Annotated[
    Path | None,
    # Read by callgate alone, whose errors say what to do.
    typer.Option("--state", metavar="DIR", readable=False, help="The sidecar's state folder."),
]
ConfigFile = Annotated[
    Path | None,
    typer.Option(
        "--config", metavar="FILE", envvar="CALLGATE_CONFIG", help="The configuration that names that folder."
    ),
]
AdminUrl = Annotated[
    str | None,
    typer.Option("--admin", metavar="URL", help="Its admin port instead, such as http://127.0.0.1:9193."),
]
AdminTokenFile = Annotated[
    Path | None,
    typer.Option("--admin-token-file", metavar="FILE", help="The token for --admin: a copy of `admin.token_file`."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


class NotRunningError(ConfigError):
    """No sidecar runs with the state folder."""


@dataclass(frozen=True)
class Running:
    """The address of a running sidecar."""

    state: Path
    url: str | None = None
    token: str | None = None
    timeout_s: float = _TIMEOUT_S

    def ask(self, method: str, path: str, body: bytes | None = None) -> dict[str, Any]:
        """The document that a route answers.

        Raises:
            ConfigError: No sidecar answers there, or it refuses.
        """
        connection = self._connection()
        try:
            connection.request(method, path, body, self._headers())
            response = connection.getresponse()
            status, content = response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise self._unreached(error) from None
        finally:
            connection.close()
        document = _document(content)
        if status == http.client.OK and document is not None:
            return document
        raise self._refused(status, content)

    def stream(self, path: str, body: bytes) -> Generator[dict[str, Any] | None, None, None]:
        """The documents of a route that goes on, until the sidecar stops; None shows that it is there.

        Raises:
            ConfigError: No sidecar answers there, it refuses, or it ends the stream while it runs.
        """
        connection = self._connection()
        try:
            try:
                connection.request("POST", path, body, self._headers())
                response = connection.getresponse()
                refusal = None if response.status == http.client.OK else response.read()
            except (OSError, http.client.HTTPException) as error:
                raise self._unreached(error) from None
            if refusal is not None:
                raise self._refused(response.status, refusal)
            # A sidecar that is killed leaves a line without an end, or none.
            with suppress(ConnectionError):
                while (line := response.readline()).endswith(b"\n"):
                    yield _document(line)
        except TimeoutError as error:
            raise self._unreached(error) from None
        finally:
            connection.close()
        if self._still_serves():
            message = f"the sidecar at {self._where} closed the connection, and still runs; try again"
            raise ConfigError(message)

    def _still_serves(self) -> bool:
        """True if a sidecar answers that is not about to stop."""
        try:
            document = self.ask("GET", STATUS)
        except CallgateError:
            return False
        return bool(document.get("ready") or document.get("failure"))

    @property
    def _where(self) -> str:
        return f"`{self.state / CONTROL_NAME if self.url is None else self.url}`"

    def _refused(self, status: int, content: bytes) -> CallgateError:
        document = _document(content)
        reason = (document or {}).get("error") or content.decode(errors="replace").strip()[:200]
        if self.url is not None and status == http.client.NOT_FOUND and document is None:
            reason = "it answers operators only with `admin.token_file` in its configuration"
        return CallgateError(f"the sidecar at {self._where} refused: {reason} (HTTP {status})")

    def _connection(self) -> http.client.HTTPConnection:
        if self.url is None:
            return _SocketConnection(self.state / CONTROL_NAME, self.timeout_s)
        parts = urlsplit(self.url)
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        return kind(parts.netloc, timeout=self.timeout_s)

    def _headers(self) -> Mapping[str, str]:
        return {} if self.token is None else {"Authorization": f"Bearer {self.token}"}

    def _unreached(self, error: Exception) -> ConfigError:
        if isinstance(error, TimeoutError):
            waited = f"the sidecar at {self._where} did not answer within {self.timeout_s:g} s"
            return ConfigError(f"{waited}; it may be stopped or overloaded")
        reason = reason_of(error)
        if self.url is not None:
            return ConfigError(f"no sidecar answers at `{self.url}`: {reason}; check --admin, and that it runs")
        path = self.state / CONTROL_NAME
        match error:
            case FileNotFoundError() | NotADirectoryError():
                return self._not_running(f"there is no `{path}`")
            case ConnectionRefusedError():
                return self._not_running(f"nobody listens on `{path}`, which a killed one has left")
            case PermissionError():
                message = f"`{path}` belongs to another user; run the command as the sidecar's user or as root"
            case ConnectionResetError() | BrokenPipeError():
                message = (
                    f"the sidecar of `{path}` closed the connection; it answers its own user and root alone, and makes "
                    "room when too many connections are open: try again"
                )
            case _:
                return self._not_running(f"`{path}`: {reason}")
        return ConfigError(message)

    def _not_running(self, why: str) -> NotRunningError:
        return NotRunningError(
            f"no sidecar runs with the state folder `{self.state}`: {why}; start one with `callgate serve`, or name "
            "the folder of the one that runs with --state"
        )


class _SocketConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._timeout_s)
        with reachable(self._path) as name:
            self.sock.connect(name)


def running(
    state: Path | None, config: Path | None, admin: str | None = None, admin_token_file: Path | None = None
) -> Running:
    """The sidecar that these options name; without any, that of the state folder of `callgate serve`."""
    if admin is None:
        if admin_token_file is not None:
            raise typer.BadParameter("works with --admin alone", param_hint="--admin-token-file")
        return Running(load(config).config.state if state is None else state)
    if state is not None:
        raise typer.BadParameter("give either --state or --admin", param_hint="--admin")
    parts = urlsplit(admin)
    if parts.scheme not in {"http", "https"} or not parts.netloc or "@" in parts.netloc or parts.path not in {"", "/"}:
        message = f"expected a URL such as http://127.0.0.1:9193, got {quoted(admin)}"
        raise typer.BadParameter(message, param_hint="--admin")
    if admin_token_file is None:
        raise typer.BadParameter("needs the port's token: --admin-token-file FILE", param_hint="--admin")
    return Running(Path(), admin.rstrip("/"), parse_token(read_bytes(admin_token_file), f"`{admin_token_file}`"))


def _document(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None
