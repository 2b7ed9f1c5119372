"""`ServersService`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from callgate._proto.callgate.admin.v1 import servers_pb2 as pb
from callgate.admin.calls.changes import Change
from callgate.admin.calls.errors import invalid
from callgate.admin.calls.fields import check_id
from callgate.admin.documents.managed import AdminDocuments
from callgate.admin.documents.servers import message_of, stored_form
from callgate.admin.documents.uses import uses_of_server
from callgate.admin.ground import Ground, actor, masked_fields
from callgate.admin.messages.paging import position_of, size_of, token_for
from callgate.store.database import Domain
from callgate.store.documents import DocumentKind

if TYPE_CHECKING:
    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal

_FIELDS: Final = frozenset({"policy", "candidate", "upstream"})


class ServersService:
    """Manages servers."""

    DESCRIPTOR = pb.DESCRIPTOR.services_by_name["ServersService"]

    def __init__(self, ground: Ground) -> None:
        """Takes the things that it works on."""
        self._ground = ground
        self._servers = AdminDocuments(ground.store, ground.files, DocumentKind.SERVERS)
        self._policies = AdminDocuments(ground.store, ground.files, DocumentKind.POLICIES)

    def list_servers(
        self, _principal: Principal, request: pb.ListServersRequest, _call: Call
    ) -> pb.ListServersResponse:
        """Lists servers."""
        found, after = self._servers.page(position_of(request), size_of(request))
        return pb.ListServersResponse(servers=map(message_of, found), next_page_token=token_for(request, after))

    def get_server(self, _principal: Principal, request: pb.GetServerRequest, _call: Call) -> pb.GetServerResponse:
        """Gets a server."""
        return pb.GetServerResponse(server=message_of(self._servers.get(request.id)))

    def create_server(
        self, principal: Principal, request: pb.CreateServerRequest, call: Call
    ) -> pb.CreateServerResponse:
        """Creates a server."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.CreateServerResponse)) is not None:
            return earlier
        self._servers.must_be_used(self._ground.sidecar)
        server = request.server
        check_id("server.id", server.id)
        content = stored_form(server)

        def work() -> pb.CreateServerResponse:
            self._check_policies(server)
            self._check_served(server.id, content)
            by = actor(principal, call)
            held = self._servers.create(server.id, content, by, request.reason, call.now_us, is_never_reused=False)
            return pb.CreateServerResponse(server=message_of(held))

        return change.once(work, pb.CreateServerResponse)

    def update_server(
        self, principal: Principal, request: pb.UpdateServerRequest, call: Call
    ) -> pb.UpdateServerResponse:
        """Changes a server."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.UpdateServerResponse)) is not None:
            return earlier
        given, by = request.server, actor(principal, call)
        fields = masked_fields(request.update_mask, _FIELDS, given)
        if request.allow_missing and given.etag:
            raise invalid("allow_missing", "not together with an etag")

        def work() -> pb.UpdateServerResponse:
            if request.allow_missing and self._servers.find(given.id) is None:
                self._servers.must_be_used(self._ground.sidecar)
                check_id("server.id", given.id)
                self._check_policies(given)
                made_of = stored_form(given)
                self._check_served(given.id, made_of)
                made = self._servers.create(given.id, made_of, by, request.reason, call.now_us, is_never_reused=False)
                return pb.UpdateServerResponse(server=message_of(made))
            held = self._servers.must_be_stored(self._servers.get(given.id))
            server = message_of(held)
            for name in fields:
                server.ClearField(name)
                if name in {"policy", "candidate"}:
                    setattr(server, name, getattr(given, name))
                elif given.HasField("upstream"):
                    server.upstream.CopyFrom(given.upstream)
            if {"policy", "candidate"} & set(fields):
                self._check_policies(server)
            # Fields of an older version that the API does not show stay unchanged.
            content = stored_form(server, json.loads(held.content))
            self._check_served(held.id, content)
            held = self._servers.replace(held, content, given.etag, by, request.reason, call.now_us)
            return pb.UpdateServerResponse(server=message_of(held))

        return change.once(work, pb.UpdateServerResponse)

    def delete_server(
        self, principal: Principal, request: pb.DeleteServerRequest, call: Call
    ) -> pb.DeleteServerResponse:
        """Deletes a server."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.DeleteServerResponse)) is not None:
            return earlier
        self._servers.must_be_stored(self._servers.get(request.id))
        uses = uses_of_server(self._ground.store, request.id)

        def work() -> pb.DeleteServerResponse:
            held = self._servers.must_be_stored(self._servers.get(request.id))
            uses.check_again()
            self._servers.delete(held, request.etag, actor(principal, call), request.reason, call.now_us)
            return pb.DeleteServerResponse()

        return change.once(work, pb.DeleteServerResponse)

    def _check_served(self, name: str, content: str) -> None:
        # Its policies were found in the store or in files; this replica may not have read them yet.
        alone = {key: value for key, value in json.loads(content).items() if key not in {"policy", "candidate"}}
        self._servers.must_be_servable(self._ground.sidecar, name, json.dumps(alone))

    def _check_policies(self, server: pb.Server) -> None:
        for field in ("policy", "candidate"):
            policy = getattr(server, field)
            if policy and self._policies.find(policy) is None:
                raise invalid(f"server.{field}", f"there is no policy `{policy}`")
        if server.candidate and not server.policy:
            message = "a candidate is weighed beside the policy of its server, which has none; give it a `policy`"
            raise invalid("server.candidate", message)
