"""`TokensService`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._proto.callgate.admin.v1 import tokens_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import invalid
from callgate.admin.ground import Ground, actor, actor_message
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.messages.times import length_us, timestamp, unix_us
from callgate.admin.services.people import role_numbers, roles_of
from callgate.store.database import Domain
from callgate.store.tokens import SCOPES, Scope
from callgate.text import did_you_mean

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.tokens import MachineToken


class TokensService:
    """Manages machine tokens."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["TokensService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground

    def list_tokens(self, _principal: Principal, request: pb.ListTokensRequest, call: Call) -> pb.ListTokensResponse:
        """Lists tokens."""
        page = self._ground.store.tokens.page(size=size_of(request), token=position_of(request))
        return pb.ListTokensResponse(
            machine_tokens=[_message(one, call.now_us) for one in page.items],
            next_page_token=token_for(request, page.next_token),
        )

    def create_token(self, principal: Principal, request: pb.CreateTokenRequest, call: Call) -> pb.CreateTokenResponse:
        """Makes a token."""
        change = Change(self._ground.store, principal, request, call, Domain.IDENTITY)
        if (earlier := change.earlier(pb.CreateTokenResponse)) is not None:
            return earlier
        given = request.machine_token
        roles, scopes = roles_of("machine_token.roles", given.roles), _scopes(given)
        expires_us = _expires(given, call.now_us)

        def work() -> pb.CreateTokenResponse:
            try:
                made, token = self._ground.identities.new_token(
                    given.name, roles, scopes, expires_us, actor(principal, call), request.reason
                )
            except ValueError as error:
                raise invalid("machine_token", str(error)) from None
            return pb.CreateTokenResponse(machine_token=_message(made, call.now_us), token=token)

        return change.once(work, pb.CreateTokenResponse)

    def revoke_token(self, principal: Principal, request: pb.RevokeTokenRequest, call: Call) -> pb.RevokeTokenResponse:
        """Revokes a token."""
        change = Change(self._ground.store, principal, request, call, Domain.IDENTITY)

        def work() -> pb.RevokeTokenResponse:
            by = actor(principal, call)
            revoked = self._ground.store.tokens.revoke(request.id, by, request.reason, call.now_us)
            return pb.RevokeTokenResponse(machine_token=_message(revoked, call.now_us))

        return change.once(work, pb.RevokeTokenResponse)


def _scopes(token: pb.MachineToken) -> frozenset[Scope] | None:
    for scope in token.scopes:
        if scope not in SCOPES:
            raise invalid("machine_token.scopes", f"`{scope}` is none{did_you_mean(scope, sorted(SCOPES))}")
    return frozenset(map(Scope, token.scopes)) if token.scopes else None


def _expires(token: pb.MachineToken, now_us: int) -> int:
    match token.WhichOneof("expiration"):
        case "expire_time":
            return unix_us("machine_token.expire_time", token.expire_time)
        case "ttl":
            return now_us + length_us("machine_token.ttl", token.ttl)
    raise invalid("machine_token.expire_time", "expected an end, `expire_time` or `ttl`")


def _message(token: MachineToken, now_us: int) -> pb.MachineToken:
    state = pb.MachineToken.STATE_ACTIVE if token.is_valid(now_us) else pb.MachineToken.STATE_EXPIRED
    return pb.MachineToken(
        id=token.id,
        name=token.name,
        state=state if token.revoked_us is None else pb.MachineToken.STATE_REVOKED,
        roles=role_numbers(token.roles),
        scopes=sorted(scope.value for scope in token.scopes or ()),
        expire_time=timestamp(token.expires_us),
        create_time=timestamp(token.made_us),
        creator=actor_message(token.made_by),
        last_use_time=timestamp(token.used_us),
        revoke_time=timestamp(token.revoked_us),
    )
