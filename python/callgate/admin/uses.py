"""Documents of the store that name others, which therefore cannot be deleted.

A server or a grant whose policy is gone could not be served, and then no later change of the store would be either.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from callgate.admin.errors import failed_precondition
from callgate.config.grants import Grant
from callgate.config.servers import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

    from callgate.store.documents import Documents
    from callgate.store.store import Store


def refuse_used_policy(store: Store, name: str) -> None:
    """Refuses to delete a policy that a server or a grant names.

    Raises:
        AdminError: FAILED_PRECONDITION, with the first one.
        StoreError: The store does not answer.
    """
    _refuse("policy", name, "server", _users(store.servers, name, _of_server))
    _refuse("policy", name, "grant", _users(store.grants, name, lambda text: _of_grant(text).values()))


def refuse_used_server(store: Store, name: str) -> None:
    """Refuses to delete a server that a grant names.

    Raises:
        AdminError: FAILED_PRECONDITION, with the first one.
        StoreError: The store does not answer.
    """
    _refuse("server", name, "grant", _users(store.grants, name, _of_grant))


def _refuse(noun: str, name: str, user_noun: str, users: Iterator[str]) -> None:
    first = next(users, None)
    if first is not None:
        message = f"the {user_noun} `{first}` names the {noun} `{name}`; change it first"
        raise failed_precondition(message, reason="IN_USE")


def _users(documents: Documents, name: str, named: Callable[[str], Collection[str | None]]) -> Iterator[str]:
    after = ""
    while found := documents.mentioning(json.dumps(name, ensure_ascii=False), after=after):
        for version in found:
            if name in named(version.content or ""):
                yield version.id
        after = found[-1].id


def _of_server(text: str) -> tuple[str | None]:
    return (Server.model_validate_json(text).policy,)


def _of_grant(text: str) -> dict[str, str | None]:
    """The policies by server."""
    return dict(Grant.model_validate_json(text).places())
