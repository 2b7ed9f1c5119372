"""The part of the control plane that answers calls which need a person's approval."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from callgate.approvals.masking import MaskedPath, steps_of
from callgate.control import logs
from callgate.control.owners import Owners
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate._callgate import ApprovalQueue
    from callgate.approvals.asking import Asking
    from callgate.config.bundle import Bundle
    from callgate.store.model import Call
    from callgate.store.store import Store

_QUIET_S: Final = 60.0
"""Time for which an error that goes on is not logged again."""


class Answering:
    """Answers the questions of a data plane as long as the store is open."""

    def __init__(
        self,
        queue: ApprovalQueue,
        bundle: Callable[[], Bundle],
        asked: Callable[[Call], None] = lambda _: None,
    ) -> None:
        """Takes the queue, the function that gives the configuration in force, and the listener for new questions."""
        self._queue = queue
        self._bundle = bundle
        self._owners = Owners(bundle)
        self._asked = asked
        self._asking: Asking | None = None
        self._told = ("", 0.0)

    def start(self, store: Store) -> None:
        """Begins to answer."""
        # Here, because SQLAlchemy takes long to import, and decisions are to be served first.
        from callgate.approvals.asking import Asking, Surroundings  # noqa: PLC0415
        from callgate.control.definitions import Definitions  # noqa: PLC0415

        self._owners.use(store)
        if self._asking is None:
            definition_of = Definitions(self._bundle).of
            around = Surroundings(
                self._mask, self._owners.of, definition_of, self._takes_passkey, self._asked, self._tell
            )
            self._asking = Asking(self._queue, around)
        # One for all stores: it keeps the uses that the store before could not take back.
        self._asking.start(store)

    def stop(self) -> None:
        """Ends the answers: calls that need an approval are denied."""
        if self._asking is not None:
            self._asking.stop()

    def _mask(self) -> list[MaskedPath]:
        return [MaskedPath(path, steps_of(path)) for path in self._bundle().config.approvals.mask]

    def _takes_passkey(self, category: str | None, risk: str | None) -> bool:
        return self._bundle().config.admin.step_up.takes_passkey(category, risk)

    def _tell(self, error: str) -> None:
        """Logs an error, and the same one again only after a while: each call may meet it."""
        now_s = time.monotonic()
        if error != self._told[0] or now_s - self._told[1] >= _QUIET_S:
            self._told = (error, now_s)
            logs.log("error", "approval_failed", {"error": masked(error)})
