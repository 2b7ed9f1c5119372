"""Links of notices: each names an approval, ends with it, and may be bound to one person. It grants nothing."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from callgate.admin.http.errors import RequestError
from callgate.approvals.sections import seen
from callgate.store.errors import UnknownIdError
from callgate.store.ids import is_id

if TYPE_CHECKING:
    from callgate.identity.principal import Principal
    from callgate.store.store import Store

PARAMETER: Final = "notice"
"""The parameter of the query with the id of the notice."""

_ENDED: Final = "this link has ended, with the time in which its approval could be answered"


def check_link(store: Store, notice_id: str, approval_id: str, principal: Principal, now_us: int) -> None:
    """Refuses a link that has ended, or is bound to another person.

    Raises:
        RequestError: It does not lead this person to this approval.
        StoreError: The store does not answer.
    """
    try:
        # What has another form is no id, and may be no text of a database either.
        notice = store.notices.get(notice_id) if is_id(notice_id) else None
    except UnknownIdError:
        notice = None
    if notice is None or notice.approval_id != approval_id or notice.link_until_us <= now_us:
        raise RequestError(HTTPStatus.GONE, _ENDED)
    if notice.person is not None and notice.person != principal.person:
        message = f"this link is for {seen(notice.person)} alone, and you are logged in as {seen(principal.name)}"
        raise RequestError(HTTPStatus.FORBIDDEN, message)
