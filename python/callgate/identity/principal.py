"""The person or machine that administers, and its rights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.store.model import Actor
from callgate.store.people import Role, local_person
from callgate.store.tokens import SCOPES

if TYPE_CHECKING:
    from callgate.store.model import Person
    from callgate.store.people import LocalPerson
    from callgate.store.tokens import Scope

_ALL_READ: Final = Role.VIEWER


@dataclass(frozen=True)
class Principal:
    """A person or machine whose identity is proven."""

    name: str
    """The name in the admin audit, such as `ann (local)`."""
    person: Person | None
    """The identity in answers; None for a machine, which never answers approvals."""
    roles: frozenset[Role]
    groups: frozenset[str] = frozenset()
    scopes: frozenset[Scope] | None = None
    """The areas that a machine's token is limited to; None if it is not."""
    made_by: str | None = None
    """The name in records of who has made a machine's token; None for a person."""
    shown_name: str | None = None
    """The name that an issuer gives a person, for pages; it proves nothing."""

    @property
    def title(self) -> str:
        """The name for pages."""
        return self.name if self.shown_name is None else f"{self.shown_name}, {self.name}"

    def may(self, role: Role) -> bool:
        """True if the roles include this one: an admin has all of them, and everybody with a role reads everything."""
        return role in self.roles or Role.ADMIN in self.roles or (role is _ALL_READ and bool(self.roles))

    def may_use(self, area: str) -> bool:
        """True if an area such as `policies` is open to it; `people` and `tokens` are to no machine.

        A machine that could make a person, or change the roles of one, could answer approvals as that person.
        """
        if self.person is not None:
            return True
        return area in (SCOPES if self.scopes is None else {scope.value for scope in self.scopes})

    def may_answer(self) -> bool:
        """True if it may answer approvals; the approval's own conditions come on top."""
        return self.person is not None and self.may(Role.APPROVER)

    @property
    def behind(self) -> str:
        """The name in records of the person behind what it does: its own, or that of who has made a machine's token."""
        return self.name if self.made_by is None else self.made_by

    def actor(self, source: str) -> Actor:
        """The maker of changes for the store."""
        return Actor(self.name, source)


def principal_of(person: LocalPerson) -> Principal:
    """The principal of a local person."""
    return Principal(str(person.person), person.person, person.roles, person.groups)


def local_admin(user: str) -> Principal:
    """The operating system's user as admin without groups, for a store without people."""
    person = local_person(user)
    return Principal(str(person), person, frozenset({Role.ADMIN}))
