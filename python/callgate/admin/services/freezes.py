"""`FreezesService`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate._proto.callgate.admin.v1 import freezes_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import invalid
from callgate.admin.ground import Ground, actor, actor_message
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.messages.times import length_us, timestamp, unix_us
from callgate.identity.secret_text import new_id
from callgate.store.database import Domain
from callgate.store.freezes import Freeze, Target

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal

_LONGEST_REASON: Final = 500


class FreezesService:
    """Freezes calls and thaws them."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["FreezesService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._store, self._sidecar = ground.store, ground.sidecar

    def list_freezes(self, _principal: Principal, request: pb.ListFreezesRequest, call: Call) -> pb.ListFreezesResponse:
        """Lists freezes."""
        size, position = size_of(request), position_of(request)
        if request.show_ended:
            page = self._store.freezes.page(size=size, token=position)
            found, following = list(page.items), page.next_token
        else:
            # People make them, so that few are in force.
            in_force = self._store.freezes.in_force(call.now_us)
            begin = (
                0
                if position is None
                else 1 + max((at for at, one in enumerate(in_force) if _place(one) <= position), default=-1)
            )
            found = in_force[begin : begin + size]
            following = _place(found[-1]) if begin + size < len(in_force) else None
        return pb.ListFreezesResponse(
            freezes=[_message(one, call.now_us) for one in found], next_page_token=token_for(request, following)
        )

    def create_freeze(
        self, principal: Principal, request: pb.CreateFreezeRequest, call: Call
    ) -> pb.CreateFreezeResponse:
        """Freezes calls."""
        change = Change(self._store, principal, request, call, Domain.CALLS)
        if (earlier := change.earlier(pb.CreateFreezeResponse)) is not None:
            return earlier
        target, until_us = _target(request.freeze), _until(request.freeze, call.now_us)
        reason = request.freeze.reason
        if not reason.strip() or not reason.isprintable() or len(reason) > _LONGEST_REASON:
            raise invalid("freeze.reason", f"expected one line of 1 to {_LONGEST_REASON} printable characters")
        unknown = self._sidecar.unknown_name(target)
        warnings = [] if unknown is None else [f"{unknown}; the freeze holds for that name all the same"]

        def work() -> pb.CreateFreezeResponse:
            made = self._store.freezes.freeze(
                new_id(), target, reason, actor(principal, call), call.now_us, until_us=until_us
            )
            return pb.CreateFreezeResponse(freeze=_message(made, call.now_us), warnings=warnings)

        return change.once(work, pb.CreateFreezeResponse)

    def thaw_freeze(self, principal: Principal, request: pb.ThawFreezeRequest, call: Call) -> pb.ThawFreezeResponse:
        """Ends a freeze."""
        change = Change(self._store, principal, request, call, Domain.CALLS)

        def work() -> pb.ThawFreezeResponse:
            ended = self._store.freezes.thaw(request.id, actor(principal, call), request.reason, call.now_us)
            return pb.ThawFreezeResponse(freeze=_message(ended, call.now_us))

        return change.once(work, pb.ThawFreezeResponse)


def _target(freeze: pb.Freeze) -> Target:
    match freeze.WhichOneof("target"):
        case "everything" if freeze.everything:
            return Target()
        case "server" if freeze.server:
            return Target(server=freeze.server)
        case "grant" if freeze.grant:
            return Target(grant=freeze.grant)
        case "tools":
            return Target(server=freeze.tools.server, tool=freeze.tools.pattern)
    raise invalid("freeze.target", "expected one of `everything` with true, `server`, `grant` and `tools`")


def _until(freeze: pb.Freeze, now_us: int) -> int | None:
    match freeze.WhichOneof("expiration"):
        case "expire_time":
            until_us = unix_us("freeze.expire_time", freeze.expire_time)
        case "ttl":
            until_us = now_us + length_us("freeze.ttl", freeze.ttl)
        case _:
            return None
    if until_us <= now_us:
        raise invalid("freeze.expire_time", "expected a time to come")
    return until_us


def _place(freeze: Freeze) -> str:
    """The place in the order of freezes in force: texts of one length, ordered as the times are."""
    return f"{freeze.made_us:020d} {freeze.id}"


def _message(freeze: Freeze, now_us: int) -> pb.Freeze:
    target = freeze.target
    message = pb.Freeze(
        id=freeze.id,
        state=_state(freeze, now_us),
        reason=freeze.reason,
        expire_time=timestamp(freeze.until_us),
        create_time=timestamp(freeze.made_us),
        creator=actor_message(freeze.made_by),
        thaw_time=timestamp(freeze.ended_us),
        thawer=None if freeze.ended_by is None else actor_message(freeze.ended_by),
        thaw_reason=freeze.ended_why or "",
    )
    if target.grant is not None:
        message.grant = target.grant
    elif target.server is None:
        message.everything = True
    elif target.tool is None:
        message.server = target.server
    else:
        message.tools.server, message.tools.pattern = target.server, target.tool
    return message


def _state(freeze: Freeze, now_us: int) -> pb.Freeze.State:
    if freeze.ended_us is not None:
        return pb.Freeze.STATE_THAWED
    return pb.Freeze.STATE_IN_FORCE if freeze.is_in_force(now_us) else pb.Freeze.STATE_EXPIRED
