"""The routes of operators: the state of a sidecar, limits and their reset, candidates, and what happens now."""

from __future__ import annotations

from decimal import Decimal
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from callgate.control import logs
from callgate.control.port import live
from callgate.errors import CallgateError, ConfigError
from callgate.exact_json import read_json
from callgate.store.targets import Target
from callgate.text import did_you_mean, is_text, nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping, Sequence

    from callgate._callgate import Engine, Server

STATUS: Final = "/v1/status"
LIMITS: Final = "/v1/limits"
FREEZE_TARGET: Final = "/v1/freeze-target"
COUNTERS_RESET: Final = "/v1/counters/reset"
COUNTERS_MOVE: Final = "/v1/counters/move"
CANDIDATES: Final = "/v1/candidates"
TAIL: Final = "/v1/tail"
TOP: Final = "/v1/top"

_LIMITS_FIELDS: Final = ("grant", "tool", "args", "server", "session", "labels")
_RESET_FIELDS: Final = ("grant", "policy", "tool", "counter")
_MOVE_FIELDS: Final = ("grants", "tools")
_TARGET_FIELDS: Final = ("server", "tool", "grant")
_TAIL_FIELDS: Final = ("grants", "tools", "outcomes")
_LONGEST_INTERVAL_S: Final = 60.0
_SHORTEST_INTERVAL_S: Final = 0.1


class RequestError(CallgateError):
    """A request that no route can answer, with what was expected."""


class Routes:
    """The routes of one sidecar."""

    def __init__(
        self,
        engine: Engine,
        server: Server,
        status: Callable[[], dict[str, Any]],
        waiting: Callable[[], dict[str, Any]] = dict,
        *,
        known_tools: Callable[[], set[str]] = set,
        servers_of: Callable[[str], Sequence[str]] = lambda _: (),
        unknown_name: Callable[[Target], str | None] = lambda _: None,
        record_reset: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Takes the parts of one sidecar.

        Args:
            engine: The engine.
            server: Its started server.
            status: Gives the state.
            waiting: Gives the members of the state that are for people to look at, which `TOP` shows too.
            known_tools: Gives the names of tools.
            servers_of: Gives the servers of a grant.
            unknown_name: Gives a warning about a name in a freeze.
            record_reset: Adds a reset of these counts to the admin audit.
        """
        self._engine = engine
        self._server = server
        self._status = status
        self._waiting = waiting
        self._known_tools = known_tools
        self._servers_of = servers_of
        self._unknown_name = unknown_name
        self._record_reset = record_reset
        self._routes: dict[str, tuple[str, Callable[[bytes], dict[str, Any] | Generator[bytes, None, None]]]] = {
            STATUS: ("GET", lambda _: self._status()),
            LIMITS: ("POST", self._limits),
            FREEZE_TARGET: ("POST", self._target),
            COUNTERS_RESET: ("POST", self._reset),
            COUNTERS_MOVE: ("POST", self._move),
            CANDIDATES: ("GET", lambda _: {"candidates": self._server.candidates()}),
            TAIL: ("POST", self._tail),
            TOP: ("POST", self._top),
        }

    def answer(
        self, method: str, path: str, body: bytes
    ) -> tuple[HTTPStatus, dict[str, Any] | Generator[bytes, None, None], Mapping[str, str]]:
        """The status, the document or the JSON lines, and the header fields of an answer."""
        if path not in self._routes:
            known = ", ".join(f"`{name}`" for name in self._routes)
            return HTTPStatus.NOT_FOUND, {"error": f"no such path; expected one of {known}"}, {}
        expected, handle = self._routes[path]
        if method != expected:
            return HTTPStatus.METHOD_NOT_ALLOWED, {"error": f"expected method `{expected}`"}, {"Allow": expected}
        try:
            return HTTPStatus.OK, handle(body), {}
        except RequestError as error:
            return HTTPStatus.BAD_REQUEST, {"error": str(error)}, {}
        except CallgateError as error:
            return HTTPStatus.INTERNAL_SERVER_ERROR, {"error": str(error)}, {}

    def _limits(self, body: bytes) -> dict[str, Any]:
        fields = _fields(body, _LIMITS_FIELDS)
        if not fields.get("grant"):
            raise RequestError("the field `grant` is missing; expected the id of the grant")
        for name in ("grant", "tool", "server", "session"):
            if not isinstance(fields.get(name, ""), str):
                message = f"the field `{name}`: expected a text"
                raise RequestError(message)
        if "server" not in fields:
            servers = self._servers_of(fields["grant"])
            if len(servers) > 1:
                names = ", ".join(map(quoted, servers))
                message = f"the field `server` (--server) is missing; expected one of {names}"
                raise RequestError(message)
            fields.update(zip(("server",), servers, strict=False))
        try:
            # An operator may name any grant by its id.
            return self._engine.peek(**fields).to_dict()
        except (TypeError, ValueError) as error:
            raise RequestError(str(error)) from None

    def _target(self, body: bytes) -> dict[str, Any]:
        names = {name: _text(name, value) for name, value in _fields(body, _TARGET_FIELDS).items()}
        try:
            target = Target(**names)
        except ValueError as error:
            raise RequestError(str(error)) from None
        return {"warning": self._unknown_name(target)}

    def _reset(self, body: bytes) -> dict[str, Any]:
        names = {name: _text(name, value) for name, value in _fields(body, _RESET_FIELDS).items()}
        try:
            reset = self._engine.reset(
                grant=names.get("grant"),
                policy=names.get("policy"),
                tool=names.get("tool"),
                counter=names.get("counter"),
            )
        except ConfigError as error:
            near = self._tool_facts(names.get("tool"))["nearest_tool"]
            hint = "" if near is None else f"; did you mean the tool {quoted(near)}?"
            raise RequestError(f"{error}{hint}") from None
        rules = [f"{limit['policy']}{limit['rule']}" for limit in reset["limits"]]
        logs.log("warning", "counters_reset", {**names, "limits": ", ".join(rules)})
        self._record_reset(" ".join(f"{name}={value}" for name, value in names.items()))
        return {**reset, **self._tool_facts(names.get("tool"))}

    def _move(self, body: bytes) -> dict[str, Any]:
        names = {name: _texts(name, value) for name, value in _fields(body, _MOVE_FIELDS).items()}
        tools = sorted({*names.get("tools", ()), *self._known_tools()})
        try:
            moved = self._engine.move_counters(grants=names.get("grants", []), tools=tools)
        except ConfigError as error:
            raise RequestError(str(error)) from None
        logs.log("warning", "counters_moved", moved)
        return dict(moved)

    def _tool_facts(self, tool: str | None) -> dict[str, Any]:
        """Facts by which a misspelt tool is noticed; None for a tool that was not named."""
        if tool is None:
            return {"tool_is_known": None, "nearest_tool": None}
        known = self._known_tools()
        return {"tool_is_known": tool in known, "nearest_tool": None if tool in known else nearest(tool, known)}

    def _tail(self, body: bytes) -> Generator[bytes, None, None]:
        fields = _fields(body, _TAIL_FIELDS)
        filters = {name: _texts(name, value) for name, value in fields.items()}
        try:
            return live.tail(self._server, **filters)
        except (ConfigError, ValueError) as error:
            raise RequestError(str(error)) from None

    def _top(self, body: bytes) -> Generator[bytes, None, None]:
        interval_s = _fields(body, ("interval_s",)).get("interval_s", 1)
        is_number = isinstance(interval_s, int | float | Decimal) and not isinstance(interval_s, bool)
        # Compared with the longest before it is converted: an integer may be too large for a float.
        if not is_number or interval_s > _LONGEST_INTERVAL_S or not float(interval_s) >= _SHORTEST_INTERVAL_S:
            message = f"the field `interval_s`: expected {_SHORTEST_INTERVAL_S} to {_LONGEST_INTERVAL_S} seconds"
            raise RequestError(message)
        try:
            return live.top(self._server, self._waiting, interval_s=float(interval_s))
        except ConfigError as error:
            raise RequestError(str(error)) from None


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not value or not is_text(value):
        message = f"the field `{name}`: expected a text that is not empty, without lone surrogates"
        raise RequestError(message)
    return value


def _texts(name: str, value: object) -> list[str]:
    if not isinstance(value, list):
        message = f"the field `{name}`: expected a list of texts"
        raise RequestError(message)
    return [_text(name, one) for one in value]


def _fields(body: bytes, known: tuple[str, ...]) -> dict[str, Any]:
    """The members of a JSON object; numbers keep their exact values."""
    try:
        document = read_json(body)
    except (ValueError, RecursionError) as error:
        message = f"the body is not one JSON object: {error}"
        raise RequestError(message) from None
    if not isinstance(document, dict):
        raise RequestError("the body is not one JSON object")
    for name in document:
        if name not in known:
            message = f"unknown field {quoted(name)}{did_you_mean(name, list(known))}"
            raise RequestError(message)
    return {name: value for name, value in document.items() if value is not None}
