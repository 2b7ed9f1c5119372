"""Changes by calls: each is made once for its request id, in one transaction with its records."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

from google.protobuf.message import Message

from callgate.admin.calls.errors import invalid
from callgate.store.requests import KeptAnswer, RequestKey

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate.admin.calls.call import Call
    from callgate.identity.principal import Principal
    from callgate.store.database import Domain
    from callgate.store.store import Store

_Answer = TypeVar("_Answer", bound=Message)


class Change:
    """One change that a call makes."""

    def __init__(self, store: Store, principal: Principal, request: Any, call: Call, domain: Domain) -> None:  # noqa: ANN401  the request of any change
        """Takes the call; `domain` is the highest one that it writes."""
        self._store = store
        self._call = call
        self._domain = domain
        self._method = request.DESCRIPTOR.full_name
        self._key = None
        self._digest = ""
        if request.request_id:
            self._key = RequestKey(principal.name, request.request_id.lower())
            self._digest = _digest(_without_secrets(request))

    def earlier(self, kind: type[_Answer]) -> _Answer | None:
        """The answer that an earlier request with this id got; None if there was none.

        To be asked before anything is checked that may have changed since.

        Raises:
            AdminError: The earlier request was another one.
            StoreError: The store does not answer.
        """
        kept = None if self._key is None else self._store.requests.find(self._key, self._call.now_us)
        return None if kept is None else self._read(kept, kind)

    def once(self, work: Callable[[], _Answer], kind: type[_Answer]) -> _Answer:
        """Makes the change in one transaction, unless an earlier request has made it.

        Raises:
            AdminError: An earlier request with this id was another one.
            StoreError: The store does not answer.
        """
        made: list[_Answer] = []

        def kept() -> KeptAnswer:
            made[:] = [work()]
            return KeptAnswer(self._method, self._digest, _without_secrets(made[0]).SerializeToString())

        answer, is_earlier = self._store.requests.once(self._key, kept, self._domain, self._call.now_us)
        return self._read(answer, kind) if is_earlier else made[0]

    def _read(self, kept: KeptAnswer, kind: type[_Answer]) -> _Answer:
        if (kept.method, kept.digest) != (self._method, self._digest):
            raise invalid("request_id", "another request has this id; make a new UUID for each change")
        return kind.FromString(kept.answer)


def _digest(request: Message) -> str:
    return hashlib.sha256(request.SerializeToString(deterministic=True)).hexdigest()


def _without_secrets(answer: _Answer) -> _Answer:
    """A copy without passwords and tokens, of which not even a digest is kept."""
    copy = type(answer)()
    copy.CopyFrom(answer)
    _clear_secrets(copy)
    return copy


def _clear_secrets(message: Message) -> None:
    for field, value in message.ListFields():
        if field.GetOptions().debug_redact:
            message.ClearField(field.name)
        elif isinstance(value, Message):
            _clear_secrets(value)
        elif field.is_repeated and field.type == field.TYPE_MESSAGE:
            # Of a map, these are the keys.
            for inner in value:
                if isinstance(inner, Message):
                    _clear_secrets(inner)
