"""The protocol of pygls, with an answer to every request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cattrs import transform_error
from pygls.exceptions import JsonRpcException, JsonRpcInvalidParams, JsonRpcInvalidRequest
from pygls.protocol import LanguageServerProtocol
from pygls.protocol.json_rpc import RPCRequest

from callgate.text import masked


@dataclass(frozen=True)
class _Unreadable:
    """A request whose parameters are not those of its method."""

    number: str | int
    error: JsonRpcException


class AnsweringProtocol(LanguageServerProtocol):
    """Answers also requests that cannot be read, and those after the one to shut down.

    Pygls tells the former as errors of the server and drops the latter, and its client would wait for ever.
    """

    def structure_message(self, data: dict[str, Any]) -> Any:  # noqa: ANN401  a message of any type, or a part of one
        """A message as its type; a request that is none of its method is kept for its refusal."""
        try:
            return super().structure_message(data)
        except JsonRpcException as error:
            number = data.get("id")
            if "method" not in data or not isinstance(number, (str, int)):
                raise
            return _Unreadable(number, _explained(error))

    def handle_message(self, message: Any) -> None:  # noqa: ANN401  as above
        """Answers a request, or takes a notification or an answer."""
        if isinstance(message, _Unreadable):
            self._send_response(message.number, error=message.error.to_response_error())
        elif self._shutdown and isinstance(message, RPCRequest):
            error = JsonRpcInvalidRequest("the server was told to shut down; it only exits now")
            self._send_response(message.id, error=error.to_response_error())
        else:
            super().handle_message(message)


def _explained(error: JsonRpcException) -> JsonRpcException:
    """The error with the place of each fault, where it is one of the parameters."""
    if not isinstance(error, JsonRpcInvalidParams) or error.__cause__ is None:
        return error
    faults = "; ".join(transform_error(error.__cause__, "request"))
    return JsonRpcInvalidParams(masked(f"the request cannot be read: {faults}"))
