"""`ServersService`."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from callgate._proto.callgate.admin.v1 import servers_pb2 as pb
from callgate.admin.changes import Change
from callgate.admin.documents import AdminDocuments, Held
from callgate.admin.errors import invalid, invalid_section
from callgate.admin.fields import check_id
from callgate.admin.ground import Ground, actor, masked_fields
from callgate.admin.paging import position_of, size_of, token_for
from callgate.admin.times import SECOND_US, duration, length_us, timestamp
from callgate.admin.uses import uses_of_server
from callgate.config.judge import SectionError, read_from, section_of, server_of
from callgate.config.managed import SERVERS, ManagedDocument
from callgate.config.servers import Server
from callgate.config.units import format_duration
from callgate.config.upstreams import Pinning, Upstream
from callgate.store.database import Domain
from callgate.store.documents import DocumentKind

if TYPE_CHECKING:
    from callgate.admin.call import Call
    from callgate.identity.principal import Principal

_FIELDS: Final = frozenset({"policy", "upstream"})
_TIMES: Final = ("connect_timeout", "answer_timeout", "idle_timeout")
_NUMBERS: Final = ("max_requests", "max_requests_per_grant", "max_idle_connections", "list_limit_bytes", "probe")
_PINNINGS: Final = {
    Pinning.OFF: pb.Upstream.PINNING_OFF,
    Pinning.REPORT: pb.Upstream.PINNING_REPORT,
    Pinning.ENFORCE: pb.Upstream.PINNING_ENFORCE,
}


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
        return pb.ListServersResponse(servers=map(_message, found), next_page_token=token_for(request, after))

    def get_server(self, _principal: Principal, request: pb.GetServerRequest, _call: Call) -> pb.GetServerResponse:
        """Gets a server."""
        return pb.GetServerResponse(server=_message(self._servers.get(request.id)))

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
        content = _content(server)

        def work() -> pb.CreateServerResponse:
            self._check_policy(server.policy)
            self._check_served(server.id, content)
            by = actor(principal, call)
            held = self._servers.create(server.id, content, by, request.reason, call.now_us, is_never_reused=False)
            return pb.CreateServerResponse(server=_message(held))

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
                self._check_policy(given.policy)
                made_of = _content(given)
                self._check_served(given.id, made_of)
                made = self._servers.create(given.id, made_of, by, request.reason, call.now_us, is_never_reused=False)
                return pb.UpdateServerResponse(server=_message(made))
            held = self._servers.must_be_stored(self._servers.get(given.id))
            server = _message(held)
            for name in fields:
                server.ClearField(name)
                if name == "policy":
                    server.policy = given.policy
                elif given.HasField("upstream"):
                    server.upstream.CopyFrom(given.upstream)
            if "policy" in fields:
                self._check_policy(server.policy)
            # What the API does not show of an older version stays as it is.
            content = _content(server, json.loads(held.content))
            self._check_served(held.id, content)
            held = self._servers.replace(held, content, given.etag, by, request.reason, call.now_us)
            return pb.UpdateServerResponse(server=_message(held))

        return change.once(work, pb.UpdateServerResponse)

    def delete_server(
        self, principal: Principal, request: pb.DeleteServerRequest, call: Call
    ) -> pb.DeleteServerResponse:
        """Deletes a server."""
        change = Change(self._ground.store, principal, request, call, Domain.ADMINISTRATION)
        if (earlier := change.earlier(pb.DeleteServerResponse)) is not None:
            return earlier
        uses = uses_of_server(self._ground.store, request.id)

        def work() -> pb.DeleteServerResponse:
            held = self._servers.must_be_stored(self._servers.get(request.id))
            uses.check_again()
            self._servers.delete(held, request.etag, actor(principal, call), request.reason, call.now_us)
            return pb.DeleteServerResponse()

        return change.once(work, pb.DeleteServerResponse)

    def _check_served(self, name: str, content: str) -> None:
        # Its policy was found in the store or in files; this replica may not have read it yet.
        alone = {key: value for key, value in json.loads(content).items() if key != "policy"}
        self._servers.must_be_servable(self._ground.sidecar, name, json.dumps(alone))

    def _check_policy(self, policy: str) -> None:
        if policy and self._policies.find(policy) is None:
            raise invalid("server.policy", f"there is no policy `{policy}`")


def _message(held: Held) -> pb.Server:
    document = ManagedDocument(SERVERS, held.id, 0, held.content).document
    server = read_from(document, partial(section_of, Server))
    version = held.version
    return pb.Server(
        id=held.id,
        policy=server.policy or "",
        upstream=None if server.upstream is None else _upstream(server.upstream),
        version=0 if version is None else version.version,
        etag=held.etag,
        update_time=timestamp(None if version is None else version.made_us),
        configured_at=held.place,
    )


def _upstream(upstream: Upstream) -> pb.Upstream:
    message = pb.Upstream(url=upstream.url)
    given = upstream.model_fields_set
    if "pinning" in given:
        message.pinning = _PINNINGS[upstream.pinning]
    for name in _TIMES:
        if name in given:
            length = getattr(upstream, name) // timedelta(microseconds=1)
            getattr(message, name).CopyFrom(duration(length))
    for name in _NUMBERS:
        if name in given and getattr(upstream, name) is not None:
            setattr(message, name, getattr(upstream, name))
    return message


def _content(server: pb.Server, before: dict[str, Any] | None = None) -> str:
    """The document of the store.

    Raises:
        AdminError: INVALID_ARGUMENT for what the configuration would not take.
    """
    document: dict[str, Any] = {}
    if server.policy:
        document["policy"] = server.policy
    if server.HasField("upstream"):
        document["upstream"] = _upstream_document(server.upstream)
        kept = ((before or {}).get("upstream") or {}).items()
        known = {"url", "pinning", *_TIMES, *_NUMBERS}
        document["upstream"] |= {name: value for name, value in kept if name not in known}
    try:
        server_of(document)
    except SectionError as error:
        raise invalid_section("server", error) from None
    return json.dumps(document, ensure_ascii=False, sort_keys=True)


def _upstream_document(upstream: pb.Upstream) -> dict[str, Any]:
    document: dict[str, Any] = {"url": upstream.url}
    for known, value in _PINNINGS.items():
        if upstream.pinning == value:
            document["pinning"] = known.value
    for name in _TIMES:
        if upstream.HasField(name):
            length = length_us(f"server.upstream.{name}", getattr(upstream, name))
            document[name] = format_duration(timedelta(milliseconds=-(-length // (SECOND_US // 1_000))))
    for name in _NUMBERS:
        if upstream.HasField(name):
            document[name] = getattr(upstream, name)
    return document
