"""The people to whom grants belong."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from callgate.config.oauth import listed
from callgate.store.errors import UnknownIdError
from callgate.store.model import Person

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate.config.bundle import Bundle
    from callgate.config.oauth import Oauth
    from callgate.store.store import Store


class Owners:
    """The people to whom grants belong, by the configuration in force and the store."""

    def __init__(self, bundle: Callable[[], Bundle]) -> None:
        """Takes the function that gives the configuration in force."""
        self._bundle = bundle
        self._store: Store | None = None
        self._known: tuple[Bundle | None, dict[str, Person | None]] = (None, {})

    def use(self, store: Store) -> None:
        """Takes the store, once it is open, for the grants that it holds."""
        self._store = store

    def of(self, grant: str) -> Person | None:
        """The owner of a grant; None if the owner is unknown.

        Raises:
            StoreError: The store does not answer.
        """
        bundle, owners = self._bundle(), self._known
        if owners[0] is not bundle:
            # Once for each configuration: there may be a million grants.
            given = ((placed.grant.id, placed.grant.owner) for placed in bundle.grants or ())
            found = {name: None if owner is None else Person(owner.issuer, owner.subject) for name, owner in given}
            owners = self._known = (bundle, found)
        owner = owners[1][grant] if grant in owners[1] else self._of_store(grant)
        return owner or _subject_of([issuer for _, issuer in listed(bundle.config.gateway.oauth)], grant)

    def _of_store(self, grant: str) -> Person | None:
        if self._store is None:
            return None
        try:
            owner = json.loads(self._store.grants.get(grant).content or "{}").get("owner")
        except UnknownIdError:
            return None
        return None if owner is None else Person(owner["issuer"], owner["subject"])


def _subject_of(issuers: list[Oauth], grant: str) -> Person | None:
    """The person whose tokens of an issuer name this grant: whoever an issuer vouches for is their own owner.

    None where the grant's id is made of another claim than `sub`, which does not tell the person.
    """
    for one in issuers:
        subject = grant.removeprefix(one.prefix or "")
        if one.grant == ("sub",) and grant.startswith(one.prefix or "") and subject:
            return Person(one.issuer, subject)
    return None
