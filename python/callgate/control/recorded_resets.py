"""Resets of counters by operators in the admin audit, beside those over the admin API."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate import clock
from callgate.control import logs
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate.store.store import Store

_OPERATOR: Final = ("operator", "operators' routes")
"""Name and source of all who may use the control socket, or have the token of `admin.token_file`."""


def record_reset(store_of: Callable[[], Store | None], counts: str) -> None:
    """Adds a reset to the admin audit; says in the log if it could not.

    Counters do not wait for the store: an operator resets them also while it is down.

    Args:
        store_of: Gives the store; None while it is not open.
        counts: The counts that began anew, such as `grant=ci tool=search`.
    """
    # SQLAlchemy takes long to import, and help texts import this file.
    from callgate.store.audit import Change  # noqa: PLC0415
    from callgate.store.model import Actor  # noqa: PLC0415

    store = store_of()
    try:
        if store is not None:
            store.audit.add(Change(Actor(*_OPERATOR), "reset", "counters", counts), clock.now_us())
            return
        reason = "the store is not open"
    except CallgateError as error:
        reason = str(error)
    logs.log("warning", "counters_reset_not_recorded", {"counters": counts, "error": reason})
