"""Servers as messages, as the configuration has them, and as the store keeps them."""

from __future__ import annotations

import json
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from callgate._proto.callgate.admin.v1 import servers_pb2 as pb
from callgate.admin.calls.errors import invalid_section
from callgate.admin.messages.times import SECOND_US, duration, length_us, timestamp
from callgate.config.judge import SectionError, read_from, section_of, server_of
from callgate.config.managed import SERVERS, ManagedDocument
from callgate.config.servers import Server
from callgate.config.units import format_duration
from callgate.config.upstreams import Pinning, Upstream

if TYPE_CHECKING:
    from callgate.admin.documents.managed import Held

_TIMES: Final = ("connect_timeout", "answer_timeout", "idle_timeout")
_NUMBERS: Final = ("max_requests", "max_requests_per_grant", "max_idle_connections", "list_limit_bytes", "probe")
_PINNINGS: Final = {
    Pinning.OFF: pb.Upstream.PINNING_OFF,
    Pinning.REPORT: pb.Upstream.PINNING_REPORT,
    Pinning.ENFORCE: pb.Upstream.PINNING_ENFORCE,
}


def read_server(name: str, content: str) -> Server:
    """The server of a document, of the store or of a file.

    Raises:
        ConfigError: The store holds one that is not valid.
    """
    return read_from(ManagedDocument(SERVERS, name, 0, content).document, partial(section_of, Server))


def message_of(held: Held) -> pb.Server:
    """The message of a document."""
    server = read_server(held.id, held.content)
    version = held.version
    return pb.Server(
        id=held.id,
        policy=server.policy or "",
        candidate=server.candidate or "",
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


def stored_form(server: pb.Server, before: dict[str, Any] | None = None) -> str:
    """The document of the store.

    Raises:
        AdminError: INVALID_ARGUMENT for what the configuration would not take.
    """
    document: dict[str, Any] = {}
    if server.policy:
        document["policy"] = server.policy
    if server.candidate:
        document["candidate"] = server.candidate
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
