"""The part of the control plane that answers calls which need a person's approval."""

from __future__ import annotations

from typing import TYPE_CHECKING

from callgate._callgate import ApprovalQueue
from callgate.approvals.masking import MaskedPath
from callgate.config.approvals import steps_of
from callgate.config.units import to_ms
from callgate.control import logs
from callgate.text import masked

if TYPE_CHECKING:
    from collections.abc import Callable

    from callgate.approvals.asking import Asking
    from callgate.config.bundle import Bundle
    from callgate.store.store import Store


def queue_of(bundle: Bundle) -> ApprovalQueue:
    """The queue of a new data plane, with the bounds of the configuration."""
    approvals = bundle.config.approvals
    return ApprovalQueue(deadline_ms=to_ms(approvals.deadline), max_arguments_bytes=approvals.max_arguments_bytes)


class Answering:
    """Answers the questions of a data plane as long as the store is open."""

    def __init__(
        self,
        queue: ApprovalQueue,
        bundle: Callable[[], Bundle],
    ) -> None:
        """Takes the queue, and the function that gives the configuration in force."""
        self._queue = queue
        self._bundle = bundle
        self._asking: Asking | None = None

    def start(self, store: Store) -> None:
        """Begins to answer."""
        # Here, because SQLAlchemy takes long to import, and decisions are to be served first.
        from callgate.approvals.asking import Asking, Surroundings  # noqa: PLC0415
        from callgate.control.definitions import Definitions  # noqa: PLC0415
        from callgate.control.owners import Owners  # noqa: PLC0415

        owner_of, definition_of = Owners(self._bundle).of, Definitions(self._bundle).of
        around = Surroundings(self._mask, owner_of, definition_of, _tell)
        self._asking = Asking(self._queue, around)
        self._asking.start(store)

    def stop(self) -> None:
        """Ends the answers: calls that need an approval are denied."""
        if self._asking is not None:
            self._asking.stop()
            self._asking = None

    def _mask(self) -> list[MaskedPath]:
        return [MaskedPath(path, steps_of(path)) for path in self._bundle().config.approvals.mask]


def _tell(error: str) -> None:
    logs.log("error", "approval_failed", {"error": masked(error)})
