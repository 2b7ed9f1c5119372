"""The people to whom grants belong."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.store.model import Person

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate.config.bundle import Bundle


class Owners:
    """The people to whom grants belong, by the configuration in force."""

    def __init__(self, bundle: Callable[[], Bundle]) -> None:
        """Takes the function that gives the configuration in force."""
        self._bundle = bundle
        self._known: tuple[Bundle | None, dict[str, Person]] = (None, {})

    def of(self, grant: str) -> Person | None:
        """The owner of a grant; None if nobody is known to be."""
        bundle, owners = self._bundle(), self._known
        if owners[0] is not bundle:
            # Once for each configuration: there may be a million grants.
            listed = ((placed.grant.id, placed.grant.owner) for placed in bundle.grants or ())
            found = {name: Person(owner.issuer, owner.subject) for name, owner in listed if owner is not None}
            owners = self._known = (bundle, found)
        return owners[1].get(grant)
