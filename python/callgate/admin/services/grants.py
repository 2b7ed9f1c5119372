"""`GrantsService`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import hash_token, new_token
from callgate._proto.callgate.admin.v1 import grants_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import failed_precondition, invalid
from callgate.admin.calls.fields import check_id
from callgate.admin.documents.grants import message_of, new_grant, read_grant, rotated, stored_form, updated
from callgate.admin.documents.managed import AdminDocuments, Held
from callgate.admin.ground import Ground, actor, masked_fields
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.admin.messages.times import SECOND_US, length_us
from callgate.config.check import unknown_names
from callgate.store.database import Domain
from callgate.store.documents import DocumentKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.admin.calls.call import Call
    from callgate.config.grants import Grant
    from callgate.identity.principal import Principal

_MOST_AT_ONCE: Final = 1_000
"""Grants of a batch."""

_FIELDS: Final = frozenset({"servers", "labels", "owner", "expire_time"})
_KEEP_US: Final = 24 * 3_600 * SECOND_US
_LONGEST_KEEP_US: Final = 30 * _KEEP_US


class GrantsService:
    """Manages grants."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["GrantsService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground
        self._grants = AdminDocuments(ground.store, ground.files, DocumentKind.GRANTS)
        self._servers = AdminDocuments(ground.store, ground.files, DocumentKind.SERVERS)
        self._policies = AdminDocuments(ground.store, ground.files, DocumentKind.POLICIES)

    def list_grants(self, _principal: Principal, request: pb.ListGrantsRequest, _call: Call) -> pb.ListGrantsResponse:
        """Lists grants."""
        found, after = self._grants.page(position_of(request), size_of(request))
        return pb.ListGrantsResponse(grants=map(message_of, found), next_page_token=token_for(request, after))

    def get_grant(self, _principal: Principal, request: pb.GetGrantRequest, _call: Call) -> pb.GetGrantResponse:
        """Gets a grant."""
        return pb.GetGrantResponse(grant=message_of(self._grants.get(request.id)))

    def create_grant(self, principal: Principal, request: pb.CreateGrantRequest, call: Call) -> pb.CreateGrantResponse:
        """Creates a grant and its token."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.CreateGrantResponse)) is not None:
            return earlier
        self._grants.must_be_used(self._ground.sidecar)
        check_id("grant.id", request.grant.id)
        token, token_hash = ("", None) if request.tokenless else self._new_token()
        grant = new_grant(request.grant, token_hash, call.now_us)

        def work() -> pb.CreateGrantResponse:
            self._check_places(grant)
            held = self._grants.create(
                grant.id,
                stored_form(grant),
                actor(principal, call),
                request.reason,
                call.now_us,
                is_never_reused=True,
            )
            return pb.CreateGrantResponse(grant=message_of(held), token=token)

        return change.once(work, pb.CreateGrantResponse)

    def batch_create_grants(
        self, principal: Principal, request: pb.BatchCreateGrantsRequest, call: Call
    ) -> pb.BatchCreateGrantsResponse:
        """Creates many grants."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.BatchCreateGrantsResponse)) is not None:
            return earlier
        self._grants.must_be_used(self._ground.sidecar)
        grants = self._new_grants(request.requests, call.now_us)

        def work() -> pb.BatchCreateGrantsResponse:
            self._check_places(*(grant for grant, _ in grants.values()))
            contents = {name: stored_form(grant) for name, (grant, _) in grants.items()}
            made = self._grants.create_all(contents, actor(principal, call), request.reason, call.now_us)
            responses = [pb.CreateGrantResponse(grant=message_of(one), token=grants[one.id][1]) for one in made]
            return pb.BatchCreateGrantsResponse(responses=responses)

        return change.once(work, pb.BatchCreateGrantsResponse)

    def update_grant(self, principal: Principal, request: pb.UpdateGrantRequest, call: Call) -> pb.UpdateGrantResponse:
        """Changes a grant."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        fields = masked_fields(request.update_mask, _FIELDS, request.grant)

        def work() -> pb.UpdateGrantResponse:
            held = self._stored(request.grant.id)
            grant = updated(read_grant(held.id, held.content), request.grant, fields)
            if "servers" in fields:
                self._check_places(grant)
            held = self._put(held, grant, request.grant.etag, principal, request.reason, call)
            return pb.UpdateGrantResponse(grant=message_of(held))

        return change.once(work, pb.UpdateGrantResponse)

    def rotate_grant_token(
        self, principal: Principal, request: pb.RotateGrantTokenRequest, call: Call
    ) -> pb.RotateGrantTokenResponse:
        """Makes a new token for a grant."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        keep_us = _KEEP_US
        if request.HasField("keep_duration"):
            keep_us = length_us("keep_duration", request.keep_duration)
        if keep_us > _LONGEST_KEEP_US:
            raise invalid("keep_duration", "expected at most 30 days")
        token, token_hash = self._new_token()

        def work() -> pb.RotateGrantTokenResponse:
            held = self._stored(request.id)
            grant = rotated(read_grant(held.id, held.content), token_hash, call.now_us, keep_us)
            held = self._put(held, grant, request.etag, principal, request.reason, call)
            return pb.RotateGrantTokenResponse(grant=message_of(held), token=token)

        return change.once(work, pb.RotateGrantTokenResponse)

    def revoke_grant(self, principal: Principal, request: pb.RevokeGrantRequest, call: Call) -> pb.RevokeGrantResponse:
        """Revokes a grant for good, and ends its approvals and permits."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)

        def work() -> pb.RevokeGrantResponse:
            held = self._stored(request.id)
            grant = read_grant(held.id, held.content).model_copy(update={"revoked": True})
            held = self._put(held, grant, "", principal, request.reason, call)
            by = actor(principal, call)
            cause = "the grant was revoked" + (f": {request.reason}" if request.reason else "")
            store = self._ground.store
            return pb.RevokeGrantResponse(
                grant=message_of(held),
                ended_approval_count=store.approvals.end_of_grant(grant.id, by, cause, call.now_us),
                ended_permit_count=store.permits.end_of_grant(grant.id, by, cause, call.now_us),
            )

        return change.once(work, pb.RevokeGrantResponse)

    def _new_grants(self, requests: Sequence[pb.CreateGrantRequest], now_us: int) -> dict[str, tuple[Grant, str]]:
        """The grants of a batch by id, each with its token."""
        if len(requests) > _MOST_AT_ONCE:
            raise invalid("requests", f"expected at most {_MOST_AT_ONCE} grants, got {len(requests)}")
        grants: dict[str, tuple[Grant, str]] = {}
        for index, one in enumerate(requests):
            field = f"requests[{index}]"
            check_id(f"{field}.grant.id", one.grant.id)
            if one.grant.id in grants:
                raise invalid(f"{field}.grant.id", f"`{one.grant.id}` is in the batch twice")
            if one.reason or one.request_id:
                raise invalid(field, "`reason` and `request_id` are those of the batch")
            token, token_hash = ("", None) if one.tokenless else self._new_token()
            grants[one.grant.id] = new_grant(one.grant, token_hash, now_us), token
        return grants

    def _stored(self, name: str) -> Held:
        held = self._grants.must_be_stored(self._grants.get(name))
        if read_grant(held.id, held.content).revoked:
            message = f"the grant `{name}` is revoked for good; create another one"
            raise failed_precondition(message, reason="REVOKED")
        return held

    def _put(self, held: Held, grant: Grant, etag: str, principal: Principal, reason: str, call: Call) -> Held:
        return self._grants.replace(held, stored_form(grant), etag, actor(principal, call), reason, call.now_us)

    def _new_token(self) -> tuple[str, str]:
        key = self._ground.sidecar.grant_key()
        if key is None:
            message = (
                "this sidecar has no key of token hashes; make one with `callgate grants create`, or configure "
                "`grant_key_file`, and start it anew"
            )
            raise failed_precondition(message, reason="NO_GRANT_KEY")
        token = new_token()
        return token, hash_token(key, token)

    def _check_places(self, *grants: Grant) -> None:
        # Each place once: many grants have the same.
        places = dict.fromkeys(place for grant in grants for place in grant.places().items())
        for noun, name, _ in unknown_names(places, self._servers, self._policies):
            raise invalid("grant.servers", f"there is no {noun} `{name}`")


def owner_of(ground: Ground, name: str) -> Any:  # noqa: ANN401  a `config.grants.Owner` or None
    """The person to whom a grant belongs now; None for nobody, and for a grant of an issuer's caller."""
    held = AdminDocuments(ground.store, ground.files, DocumentKind.GRANTS).find(name)
    return None if held is None else read_grant(held.id, held.content).owner
