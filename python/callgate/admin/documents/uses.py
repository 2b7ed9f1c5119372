"""Documents of the store that name others, which therefore cannot be deleted.

A server or a grant whose policy is gone could not be served, and then no later change of the store would be either.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from callgate.admin.calls.errors import failed_precondition
from callgate.admin.documents.grants import read_grant
from callgate.admin.documents.servers import read_server
from callgate.store.changes import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

    from callgate.store.documents import Documents, Version
    from callgate.store.store import Store

    Named = Callable[[str, str], Collection[str | None]]
    """Gives the names that a document names, from its id and content."""


class Uses:
    """Documents of the store that name one that is to be deleted.

    All of them are read before the transaction of the deletion, which others wait for; in it, `check_again` reads only
    what has changed since.
    """

    def __init__(self, store: Store, noun: str, name: str, users: Mapping[str, tuple[Documents, Kind, Named]]) -> None:
        """Takes the document, and by their noun the documents that may name it.

        Raises:
            AdminError: FAILED_PRECONDITION, with the first one that does.
            StoreError: The store does not answer.
        """
        self._noun = noun
        self._name = name
        self._users = users
        self._seen = store.last_changes()
        for user_noun, (documents, _, named) in users.items():
            self._refuse(user_noun, named, self._mentioning(documents))

    def check_again(self) -> None:
        """Refuses the deletion if a document names it by now.

        Raises:
            AdminError: FAILED_PRECONDITION, with the first one.
            StoreError: The store does not answer.
        """
        for user_noun, (documents, kind, named) in self._users.items():
            self._refuse(user_noun, named, _changed(documents, self._seen[kind]))

    def _mentioning(self, documents: Documents) -> Iterator[Version]:
        text, after = json.dumps(self._name, ensure_ascii=False), ""
        while found := documents.mentioning(text, after=after):
            yield from found
            after = found[-1].id

    def _refuse(self, user_noun: str, named: Named, found: Iterable[Version]) -> None:
        for version in found:
            if version.content is not None and self._name in named(version.id, version.content):
                message = f"the {user_noun} `{version.id}` names the {self._noun} `{self._name}`; change it first"
                raise failed_precondition(message, reason="IN_USE")


def uses_of_policy(store: Store, name: str) -> Uses:
    """The servers and grants that name a policy, of which there must be none; see `Uses`."""
    servers = (store.servers, Kind.SERVERS, _of_server)
    grants = (store.grants, Kind.GRANTS, lambda *document: _of_grant(*document).values())
    return Uses(store, "policy", name, {"server": servers, "grant": grants})


def uses_of_server(store: Store, name: str) -> Uses:
    """The grants that name a server, of which there must be none; see `Uses`."""
    return Uses(store, "server", name, {"grant": (store.grants, Kind.GRANTS, _of_grant)})


def _changed(documents: Documents, seen: int) -> Iterator[Version]:
    while (delta := documents.since(seen)).versions:
        yield from delta.versions
        seen = delta.change


def _of_server(name: str, content: str) -> tuple[str | None, str | None]:
    server = read_server(name, content)
    return server.policy, server.candidate


def _of_grant(name: str, content: str) -> Mapping[str, str | None]:
    """The policies by server."""
    return read_grant(name, content).places()
