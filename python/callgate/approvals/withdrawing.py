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

    An admin may, and who has answered it. The owner of the grant may take a question or an agreement back, and not the
    refusal of others.

    Args:
        approval: The approval.
        answers: Its answers.
        person: The person who withdraws; None for a machine.
        roles: The roles of the caller.
        owners: The present owners of the grant.

    Raises:
        AnswererError: The caller is none of these.
    """
    if Role.ADMIN in roles or any(one.is_current and one.person == person for one in answers):
        return
    is_owner = person is not None and person in {approval.call.owner, *owners}
    if is_owner and approval.state is not State.DENIED:
        return
    message = (
        "others have denied it, so that the owner of the grant cannot withdraw it"
        if is_owner
        else "it is withdrawn by an admin, by somebody who has answered it, or by the owner of the grant"
    )
    raise AnswererError(message)
