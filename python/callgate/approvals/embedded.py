"""Approvals for an `Engine` in your own process."""

from __future__ import annotations

import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate._callgate import ApprovalQueue
from callgate.approvals.asking import Asking, Surroundings
from callgate.approvals.masking import MaskedPath, check_path, steps_of
from callgate.store.place import in_folder, parse_place
from callgate.store.store import open_store

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from typing_extensions import Self

_LOG: Final = logging.getLogger("callgate")


class ApprovalStore:
    """The store of approvals, opened for an `Engine` in this process, whose calls ask it on a thread of its own.

    People answer with ``callgate approvals``, or at the admin port of a sidecar that has the same store. An engine
    takes `queue` as its ``approvals``. It reads nothing else of the store: grants, policies and freezes stay its own.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        *,
        deadline_ms: int = 400,
        max_arguments_bytes: int = 65_536,
        mask: Iterable[str] = (),
    ) -> None:
        """Opens the store, and makes it if there is none.

        Args:
            place: The state folder, in which the store is the file ``callgate.db``; or the URL of a store, such as
                ``postgresql://USER@HOST/DATABASE``.
            deadline_ms: Longest wait of a call for the store; then it is denied, ``(approval store unavailable)``.
            max_arguments_bytes: Most bytes of arguments, with the names of tool and session, that people are asked
                about.
            mask: Paths of arguments, such as ``args.password``, whose values are neither kept nor shown.

        Raises:
            StoreError: The store cannot be used.
            ValueError: `place` is empty or a URL of something else, or `mask` contains no path of an argument.
            TypeError: `mask` is one text.
        """
        if isinstance(mask, str):
            message = f"expected several paths, such as `[{mask!r}]`, got one text"
            raise TypeError(message)
        paths = [MaskedPath(path, steps_of(check_path(path))) for path in mask]
        text = os.fspath(place)
        if not text:
            message = "`place` is empty: expected a state folder, or the URL of a store"
            raise ValueError(message)
        parsed = parse_place(text) if "://" in text else in_folder(Path(text))
        self._store = open_store(parsed)
        self.queue = ApprovalQueue(deadline_ms=deadline_ms, max_arguments_bytes=max_arguments_bytes)
        """The queue for `Engine`."""
        self._asking = Asking(self.queue, Surroundings(mask=lambda: paths, failed=_failed))
        self._asking.start(self._store)

    def close(self) -> None:
        """Ends the answers, and closes the store; calls that need an approval are denied then."""
        self.queue.close()
        self._asking.stop()
        self._store.close()

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()


def _failed(error: str) -> None:
    _LOG.error("approvals: %s", error)
