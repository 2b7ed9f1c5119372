"""Grants as messages, as the configuration has them, and as the store keeps them."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any, Final

from callgate._proto.callgate.admin.v1 import actor_pb2
from callgate._proto.callgate.admin.v1 import grants_pb2 as pb
from callgate.admin.calls.errors import invalid, invalid_section
from callgate.admin.messages.times import timestamp, unix_us
from callgate.config.fields import format_instant
from callgate.config.grants import Grant
from callgate.config.judge import SectionError, grant_of
from callgate.config.managed import GRANTS, ManagedDocument
from callgate.config.tokens import tokens_of
from callgate.config.tokens import unix_us as us_of

if TYPE_CHECKING:
    from collections.abc import Collection

    from callgate.admin.documents.managed import Held

_FIELDS: Final = {"server": "servers", "policy": "servers", "expires_at": "expire_time"}
"""The fields of keys that have other names."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=timezone.utc)


def read_grant(name: str, content: str) -> Grant:
    """The grant of a document, of the store or of a file.

    Raises:
        ConfigError: The store holds one that is not valid.
    """
    return ManagedDocument(GRANTS, name, 0, content).grant.grant


def stored_form(grant: Grant) -> str:
    """The document of the store: an entry of `grants` in a configuration, as JSON."""
    return grant.model_dump_json(exclude_defaults=True)


def message_of(held: Held) -> pb.Grant:
    """The message of a document."""
    grant, version = read_grant(held.id, held.content), held.version
    owner = grant.owner
    return pb.Grant(
        id=held.id,
        servers={server: policy or "" for server, policy in grant.places().items()},
        labels=grant.labels,
        owner=None if owner is None else actor_pb2.Person(issuer=owner.issuer, subject=owner.subject),
        expire_time=timestamp(us_of(grant.expires_at)),
        revoked=grant.revoked,
        tokens=[pb.GrantToken(expire_time=timestamp(us_of(token.until))) for token in tokens_of(grant)],
        version=0 if version is None else version.version,
        etag=held.etag,
        update_time=timestamp(None if version is None else version.made_us),
        configured_at=held.place,
    )


def new_grant(message: pb.Grant, token_hash: str | None, now_us: int) -> Grant:
    """A new grant.

    Raises:
        AdminError: INVALID_ARGUMENT for what the configuration would not take.
    """
    document: dict[str, Any] = {"id": message.id, **_fields(message, frozenset({"servers", "labels"}))}
    if message.HasField("owner"):
        document |= _fields(message, frozenset({"owner"}))
    if message.HasField("expire_time"):
        if unix_us("grant.expire_time", message.expire_time) <= now_us:
            raise invalid("grant.expire_time", "expected a time to come; every call would be refused")
        document |= _fields(message, frozenset({"expire_time"}))
    if token_hash is not None:
        document["tokens"] = [{"hash": token_hash}]
    return _grant(document)


def updated(grant: Grant, message: pb.Grant, fields: Collection[str]) -> Grant:
    """The grant with these fields of a message.

    Raises:
        AdminError: INVALID_ARGUMENT for what the configuration would not take.
    """
    document = grant.model_dump(mode="json", exclude_defaults=True)
    replaced = {"servers": ("server", "policy", "servers"), "expire_time": ("expires_at",)}
    for name in fields:
        for key in replaced.get(name, (name,)):
            document.pop(key, None)
    return _grant(document | _fields(message, fields))


def rotated(grant: Grant, token_hash: str, now_us: int, keep_us: int) -> Grant:
    """The grant with a new token, beside which the latest one before works for a time."""
    document = grant.model_dump(mode="json", exclude_defaults=True)
    document.pop("token_hash", None)
    tokens: list[dict[str, Any]] = []
    now = _instant(now_us)
    valid = [token for token in tokens_of(grant) if not token.has_ended(now)]
    if valid and keep_us:
        # The newest is last. An end that it has already stays, if that is sooner.
        before, end = valid[-1], _instant(now_us + keep_us)
        until = end if before.until is None else min(before.until, end)
        tokens.append({"hash": before.hash, "until": format_instant(until)})
    document["tokens"] = [*tokens, {"hash": token_hash}]
    return _grant(document)


def _fields(message: pb.Grant, fields: Collection[str]) -> dict[str, Any]:
    """Some fields of a message, as the configuration has them; absent ones are left out."""
    found: dict[str, Any] = {}
    if "servers" in fields:
        places = dict(message.servers)
        if not places:
            raise invalid("grant.servers", "expected at least one server")
        if len(places) == 1:
            [(found["server"], policy)] = places.items()
            if policy:
                found["policy"] = policy
        else:
            found["servers"] = places
    if "labels" in fields:
        found["labels"] = dict(message.labels)
    if "owner" in fields and message.HasField("owner"):
        found["owner"] = {"issuer": message.owner.issuer, "subject": message.owner.subject}
    if "expire_time" in fields and message.HasField("expire_time"):
        found["expires_at"] = format_instant(_instant(unix_us("grant.expire_time", message.expire_time)))
    return found


def _grant(document: dict[str, Any]) -> Grant:
    try:
        return grant_of(document, document["id"])
    except SectionError as error:
        raise invalid_section("grant", error, _FIELDS) from None


def _instant(at_us: int) -> datetime:
    return _EPOCH + timedelta(microseconds=at_us)
