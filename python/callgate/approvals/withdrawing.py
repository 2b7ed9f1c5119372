"""The right to withdraw an approval, for every face."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate.store.errors import AnswererError
from callgate.store.model import State
from callgate.store.people import Role

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from callgate.store.approvals.recorded import Given
    from callgate.store.model import Approval, Person


def check_withdrawal(
    approval: Approval,
    answers: Sequence[Given],
    person: Person | None,
    roles: Collection[Role],
    owners: Collection[Person],
) -> None:
    """Refuses somebody who may not withdraw an approval.

    Who has answered it may, an admin, and the owner of the grant. A denial by others is withdrawn by a person alone who
    is an admin, and never by the owner.

    Args:
        approval: The approval.
        answers: Its answers.
        person: The person who withdraws; None for a machine.
        roles: The roles of the caller.
        owners: The present owners of the grant.

    Raises:
        AnswererError: The caller is none of these.
    """
    if any(one.is_current and one.person == person for one in answers):
        return
    is_admin = Role.ADMIN in roles
    is_owner = person is not None and person in {approval.call.owner, *owners}
    is_denied = approval.state is State.DENIED
    if is_denied and is_owner:
        message = "others have denied it, so that the owner of the grant cannot withdraw it"
    elif is_denied and is_admin and person is None:
        message = "people have denied it, so that a machine cannot withdraw it"
    elif is_admin or is_owner:
        return
    else:
        message = "it is withdrawn by an admin, by somebody who has answered it, or by the owner of the grant"
    raise AnswererError(message)
