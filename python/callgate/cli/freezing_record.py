"""Freezes of a state folder's file in the admin audit of the store that stands there."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Final, Literal

from callgate import clock
from callgate.cli.stores import place_of
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

    It comes after the change: a freeze never waits for a store. An older store is not migrated for it, because an older
    sidecar may be using it.

    Returns:
        The reason for which it could not be added; None if it was, or if the folder has no store.
    """
    place = place_of(state, None)
    changed = after or before
    if changed is None or place.path is None or not place.path.exists():
        return None
    # SQLAlchemy takes long to import, and the freeze is in force already.
    from callgate.store.audit import AdminAudit, Change, digest  # noqa: PLC0415
    from callgate.store.model import Actor  # noqa: PLC0415
    from callgate.store.open import open_database  # noqa: PLC0415

    digests = [None if one is None else digest(one.fields()) for one in (before, after)]
    change = Change(Actor(user, _SOURCE), action, "freezes", f"file: {changed.target}", reason, *digests)
    try:
        with closing(open_database(place, migrate=False)) as database:
            AdminAudit(database).add(change, clock.now_us())
    except CallgateError as error:
        return str(error)
    return None
