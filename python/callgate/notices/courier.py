"""The delivery to one receiver, on a thread of its own: one that hangs delays nobody else."""

from __future__ import annotations

import os
import random
import time
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from callgate import clock
from callgate.errors import CallgateError
from callgate.notices.delivery import Delivery, Reply, deliver
from callgate.notices.message import message_of
from callgate.notices.schedule import MOST_TRIES, pause_us, rest_s
from callgate.priority import step_back
from callgate.store.ids import ID_BYTES, make_id
from callgate.store.model import State
from callgate.store.notices.model import NoticeEvent, NoticeState, TryResult

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import TypeAlias

    from callgate.notices.receiver import Receiver
    from callgate.store.notices.model import Contents, Notice
    from callgate.store.store import Store

    Report: TypeAlias = Callable[[str, str, dict[str, Any]], None]

_AT_ONCE: Final = 20
"""Notices of one claim."""

_LONGEST_ROUND_S: Final = 30.0
"""Time after which the rest of a claim is given back."""

_CLAIM_US: Final = 120 * 1_000_000
"""Time of a claim: longer than a round and the longest try after it."""

_IDLE_S: Final = 30.0
"""Longest wait: another replica may have claimed notices and ended since."""

_STOPPED_S: Final = 60.0
_ERROR_S: Final = 5.0
"""Pause after an error of the store."""

_CHATS: Final = frozenset({"slack", "teams"})


class Courier:
    """Delivers the notices of one receiver."""

    def __init__(
        self,
        receiver: Receiver,
        store: Store,
        base: str,
        report: Report,
        now_us: Callable[[], int] = clock.now_us,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Prepares a thread, which `start` starts.

        Args:
            receiver: The receiver.
            store: The open store.
            base: URL of the admin port for people.
            report: Called with the receiver's name, the result of a try or of a failed round, and details.
            now_us: The time in Unix microseconds.
            jitter: Random numbers from 0 to 1.
        """
        self.receiver = receiver
        self._store = store
        self._base = base
        self._report = report
        self._now_us = now_us
        self._jitter = jitter
        self._failures = 0
        self._wake = Event()
        self._stopped = Event()
        self._thread = Thread(target=self._run, name="callgate-notice", daemon=True)

    def start(self) -> None:
        """Begins to deliver."""
        self._thread.start()

    def wake(self) -> None:
        """Says that there may be something to deliver."""
        self._wake.set()

    def stop(self) -> None:
        """Ends after the present try; returns at once."""
        self._stopped.set()
        self._wake.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the end."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        step_back()
        while not self._stopped.is_set():
            # Before the look: what comes after it wakes the thread again.
            self._wake.clear()
            try:
                pause_s, is_rest = self.work()
            except CallgateError as error:
                self._tell("store_failed", {"error": str(error)})
                pause_s, is_rest = _ERROR_S, True
            except Exception as error:  # noqa: BLE001  whatever it is, it may pass, and the thread goes on
                self._tell("store_failed", {"error": f"internal error: {type(error).__name__}"})
                pause_s, is_rest = _ERROR_S, True
            # New notices do not end the rest of a receiver that has failed.
            (self._stopped if is_rest else self._wake).wait(pause_s)

    def work(self) -> tuple[float, bool]:
        """Delivers what is due; the seconds until the next look, and true if nothing may shorten them.

        Raises:
            StoreError: The store does not answer.
        """
        name, outbox = self.receiver.name, self._store.notices
        if self._store.notice_receivers.is_stopped(name):
            return _STOPPED_S, False
        now_us = self._now_us()
        due_us = outbox.next_due_us(name)
        if due_us is None or due_us > now_us:
            left_s = _IDLE_S if due_us is None else (due_us - now_us) / 1_000_000
            return min(left_s, _IDLE_S), False
        claim = make_id(os.urandom(ID_BYTES))
        notices = outbox.claim(name, claim, now_us, size=_AT_ONCE, until_us=now_us + _CLAIM_US)
        contents = outbox.contents({one.approval_id for one in notices})
        results: list[TryResult] = []
        try:
            return self._round(notices, contents, results)
        finally:
            tried = {one.id for one in results}
            # What was not tried keeps its place.
            rest = [_waiting(one, one.due_us) for one in notices if one.id not in tried]
            outbox.settle(claim, [*results, *rest], self._now_us())

    def _round(
        self, notices: Sequence[Notice], contents: dict[str, Contents], results: list[TryResult]
    ) -> tuple[float, bool]:
        end_s = time.monotonic() + _LONGEST_ROUND_S
        for notice in notices:
            if self._stopped.is_set() or time.monotonic() >= end_s:
                break
            content = contents.get(notice.approval_id)
            if content is None or self._is_obsolete(notice, content):
                results.append(TryResult(notice.id, NoticeState.OBSOLETE, is_tried=False))
                self._tell("obsolete", {})
                continue
            message = message_of(notice, content, self._base, shows_arguments=self.receiver.shows_arguments)
            now_us = self._now_us()
            delivery = deliver(self.receiver, message, now_us)
            if delivery.reply is Reply.GONE:
                cause = f"the receiver wants no messages any more: {delivery.error}"
                self._store.notice_receivers.stop(self.receiver.name, cause, now_us)
                self._tell("stopped", {"error": delivery.error})
                return _STOPPED_S, False
            results.append(self._result(notice, delivery))
            if delivery.reply is Reply.FAILED:
                self._failures += 1
                return rest_s(self._failures, delivery.retry_after_s, self._jitter), True
            self._failures = 0
        return 0, False

    def _is_obsolete(self, notice: Notice, content: Contents) -> bool:
        """True for what nobody needs any more: a question to people that is answered, which a program is told still."""
        if notice.event is NoticeEvent.REMINDER and not notice.tries and notice.due_us <= notice.made_us:
            # The request came so late that it is the reminder itself.
            return True
        if content.approval.state is State.PENDING and content.approval.until_us > self._now_us():
            return False
        is_question = notice.event is NoticeEvent.REQUESTED and self.receiver.format in _CHATS
        return is_question or notice.event is NoticeEvent.REMINDER

    def _result(self, notice: Notice, delivery: Delivery) -> TryResult:
        tries = notice.tries + 1
        if delivery.reply is Reply.TAKEN:
            self._tell("sent", {})
            return TryResult(notice.id, NoticeState.SENT)
        details = {"notice": notice.id, "tries": tries, "error": delivery.error}
        if tries >= MOST_TRIES:
            self._tell("dead", details)
            return TryResult(notice.id, NoticeState.DEAD, error=delivery.error)
        self._tell("failed", details)
        # From the end of the try, which may have taken long.
        due_us = self._now_us() + pause_us(tries, self._jitter)
        return TryResult(notice.id, NoticeState.WAITING, due_us=due_us, error=delivery.error)

    def _tell(self, result: str, details: dict[str, Any]) -> None:
        self._report(self.receiver.name, result, details)


def _waiting(notice: Notice, due_us: int) -> TryResult:
    return TryResult(notice.id, NoticeState.WAITING, is_tried=False, due_us=due_us, error=notice.error)
