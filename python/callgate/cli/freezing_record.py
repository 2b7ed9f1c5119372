"""Freezes of a state folder's file in the admin audit of the store that stands there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

from callgate import clock
from callgate.cli.stores import opened, place_of
from callgate.errors import CallgateError

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.freezes import Freeze

_SOURCE: Final = "command line"


def record(
    state: Path,
    action: Literal["freeze", "thaw"],
    user: str,
    reason: str,
    before: Freeze | None,
    after: Freeze | None,
) -> str | None:
    """Adds the change of one freeze to the admin audit.

    It comes after the change: a freeze never waits for a store.

    Returns:
        The reason for which it could not be added; None if it was, or if the folder has no store.
    """
    path = place_of(state, None).path
    changed = after or before
    if changed is None or path is None or not path.exists():
        return None
    # SQLAlchemy takes long to import, and the freeze is in force already.
    from callgate.store.audit import Change, digest  # noqa: PLC0415
    from callgate.store.model import Actor  # noqa: PLC0415

    digests = [None if one is None else digest(one.fields()) for one in (before, after)]
    change = Change(Actor(user, _SOURCE), action, "freezes", f"file: {changed.target}", reason, *digests)
    try:
        with opened(state, None) as found:
            found.store.audit.add(change, clock.now_us())
    except CallgateError as error:
        return str(error)
    return None
