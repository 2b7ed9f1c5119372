"""The operating system's user at the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.identity.errors import IdentityError
from callgate.identity.principal import Principal, local_admin, principal_of
from callgate.os_user import os_user
from callgate.store.errors import UnknownIdError

if TYPE_CHECKING:
    from callgate.store.store import Store


def local_principal(store: Store, user: str | None = None) -> Principal:
    """The user who runs this command: an admin without groups if the store has no people, else one of them.

    Raises:
        IdentityError: The store has people, and this user is none of them or is not active.
        StoreError: The store does not answer.
    """
    name = os_user() if user is None else user
    if store.people.is_empty():
        return local_admin(name)
    try:
        person = store.people.get(name)
    except UnknownIdError:
        message = (
            f"the store has people, and you, `{name}` of the operating system, are none of them; "
            f"`callgate admin people add {name} --role approver` makes you one"
        )
        raise IdentityError(message) from None
    if not person.is_active:
        message = f"`{name}` is not active; `callgate admin people activate {name}` changes that"
        raise IdentityError(message)
    return principal_of(person)
