"""The parts that services share."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from google.protobuf.field_mask_pb2 import FieldMask

from callgate._proto.callgate.admin.v1 import actor_pb2
from callgate.admin.calls.errors import invalid
from callgate.admin.documents.policies import Digests
from callgate.admin.news import News
from callgate.store.model import Actor, Person
from callgate.text import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Collection

    from google.protobuf.message import Message

    from callgate.admin.calls.call import Call
    from callgate.admin.documents.files import FileDocuments
    from callgate.admin.sidecar import Sidecar
    from callgate.identity.identities import Identities
    from callgate.identity.principal import Principal
    from callgate.store.store import Store


@dataclass(frozen=True)
class Ground:
    """The things that services work on."""

    store: Store
    sidecar: Sidecar
    files: FileDocuments
    identities: Identities
    replica: str
    """Id of this replica."""
    news: News = field(default_factory=News)
    digests: Digests = field(default_factory=Digests)


def actor(principal: Principal, call: Call) -> Actor:
    """The maker of a change, as the store records it."""
    return principal.actor(call.source)


def actor_message(by: Actor) -> actor_pb2.Actor:
    """The message of the maker of a change."""
    return actor_pb2.Actor(name=by.name, source=by.source)


def person_message(person: Person | None) -> actor_pb2.Person | None:
    """The message of a person; None for nobody."""
    return None if person is None else actor_pb2.Person(issuer=person.issuer, subject=person.subject)


def masked_fields(mask: FieldMask, known: Collection[str], given: Message) -> frozenset[str]:
    """The fields to change: those of the mask; without one, those that are set.

    Raises:
        AdminError: The mask has other fields.
    """
    paths = set(mask.paths)
    if not paths:
        return frozenset(one.name for one, _ in given.ListFields()) & frozenset(known)
    if paths == {"*"}:
        return frozenset(known)
    for path in paths:
        if path not in known:
            message = f"`{path}` cannot be changed{did_you_mean(path, sorted(known))}"
            raise invalid("update_mask", message)
    return frozenset(paths)
