"""`PinsService`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from callgate._proto.callgate.admin.v1 import pins_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import failed_precondition, not_found
from callgate.admin.ground import Ground, actor
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.messages.times import SECOND_US, timestamp
from callgate.store.database import Domain
from callgate.store.pins import Pin, accepted_forms, definition_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal

_STATES: Final = {
    "pinned": pb.Pin.STATE_PINNED,
    "changed": pb.Pin.STATE_CHANGED,
    "new": pb.Pin.STATE_NEW,
}


class PinsService:
    """Shows tools with their forms, and accepts forms."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["PinsService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground

    def list_pins(self, _principal: Principal, request: pb.ListPinsRequest, _call: Call) -> pb.ListPinsResponse:
        """Lists tools."""
        size, position = size_of(request), position_of(request)
        found = [
            (json.dumps([server, tool["tool"]]), server, tool)
            for server, tool in self._tools(request.server or None)
            if not request.waiting_only or tool["state"] != "pinned"
        ]
        rest = [one for one in sorted(found, key=lambda one: one[0]) if position is None or one[0] > position]
        following = rest[size - 1][0] if len(rest) > size else None
        return pb.ListPinsResponse(
            pins=[_message(server, tool) for _, server, tool in rest[:size]],
            next_page_token=token_for(request, following),
        )

    def accept_pin(self, principal: Principal, request: pb.AcceptPinRequest, call: Call) -> pb.AcceptPinResponse:
        """Accepts a form of a tool."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.AcceptPinResponse)) is not None:
            return earlier
        tool = self._tool(request.server, request.tool)
        form = next((one for one in tool["listed"] if one["digest"] == request.digest), None)
        if form is None:
            message = (
                f"the server `{request.server}` has not listed the tool `{request.tool}` in a form with this digest; "
                "list the pins again"
            )
            raise not_found(message)
        if form["is_ambiguous"]:
            message = f"one list had the tool `{request.tool}` twice, with different definitions; it cannot be accepted"
            raise failed_precondition(message, reason="AMBIGUOUS")
        pin = Pin(request.server, request.tool, request.digest, definition_of(form))
        replaced = [] if request.keep_accepted else accepted_forms(request.server, tool)

        def work() -> pb.AcceptPinResponse:
            by = actor(principal, call)
            self._ground.store.pins.accept([pin], by, request.reason, call.now_us)
            self._ground.store.pins.forget(replaced, by, request.reason, call.now_us)
            # Last, because a file is not part of the transaction; accepting a form again changes nothing.
            self._ground.sidecar.accept_pin(
                request.server, request.tool, request.digest, keeps_others=request.keep_accepted
            )
            return pb.AcceptPinResponse(pin=_message(request.server, self._tool(request.server, request.tool)))

        return change.once(work, pb.AcceptPinResponse)

    def _tools(self, server: str | None) -> list[tuple[str, Mapping[str, Any]]]:
        return [(one["server"], tool) for one in self._ground.sidecar.pins(server) for tool in one["tools"]]

    def _tool(self, server: str, name: str) -> Mapping[str, Any]:
        for _, tool in self._tools(server):
            if tool["tool"] == name:
                return tool
        message = f"this replica has not seen a tool `{name}` of the server `{server}`"
        raise not_found(message)


def _message(server: str, tool: Mapping[str, Any]) -> pb.Pin:
    return pb.Pin(
        server=server,
        tool=tool["tool"],
        state=_STATES[tool["state"]],
        accepted_forms=map(_form, tool["pinned"]),
        listed_forms=map(_form, tool["listed"]),
    )


def _form(form: Mapping[str, Any]) -> pb.PinForm:
    return pb.PinForm(
        digest=form["digest"],
        definition_json=definition_of(form),
        list_time=timestamp(int(form["listed_at_unix_s"]) * SECOND_US),
        ambiguous=form["is_ambiguous"],
    )
