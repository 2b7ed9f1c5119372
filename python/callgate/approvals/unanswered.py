"""Approvals without answers: for tests of policies, and for decisions without a store."""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Any

from callgate import clock
from callgate._callgate import ApprovalQueue

if TYPE_CHECKING:
    from typing_extensions import Self


class Unanswered:
    """A queue in which each call that needs an approval waits for people: `approval_required`.

    Nothing is kept: the same call waits under the same id for as long as its rule says.
    """

    def __init__(self) -> None:
        """Begins to answer, on a thread of its own."""
        self.queue = ApprovalQueue(deadline_ms=2_000)
        self._thread = Thread(target=self._run, name="callgate-unanswered", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Ends the thread; calls that need an approval are denied then."""
        self.queue.close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _run(self) -> None:
        while (taken := self.queue.take(256, 1_000)) is not None:
            questions, _, looks = taken
            for question in questions:
                self._answer(question)
            for number, _ in looks:
                self.queue.show(number, None)

    def _answer(self, question: dict[str, Any]) -> None:
        first = question["needs"][0]
        until_us = clock.now_us() + min(need["timeout_us"] for need in question["needs"])
        self.queue.wait(question["number"], question["fingerprint"][:26], first["rule"], first["approvers"], until_us)
