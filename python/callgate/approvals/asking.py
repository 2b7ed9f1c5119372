"""Questions of the data plane about calls that need a person's approval, and the store's answers.

One thread takes the questions that wait and asks the store about all of them in one transaction. A call waits for a
bounded time, so that an answer may come too late: then the data plane gives the use back.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from decimal import Decimal
from threading import Event, Thread
from typing import TYPE_CHECKING, Any, Final

from callgate import clock
from callgate.approvals.looks import Looks
from callgate.approvals.masking import masked_arguments
from callgate.errors import StoreError
from callgate.exact_json import read_json, write_json
from callgate.store.errors import StateError, UnknownIdError, UnreadableError
from callgate.store.ids import ID_BYTES, make_id
from callgate.store.model import (
    Actor,
    Ask,
    AtCapacity,
    Call,
    Denied,
    Evidence,
    Need,
    PermitBounds,
    Permitted,
    Used,
    Waiting,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from callgate._callgate import ApprovalQueue
    from callgate.approvals.masking import MaskedPath
    from callgate.store.model import Outcome, Person
    from callgate.store.store import Store

_AT_ONCE: Final = 256
"""Most questions of one transaction."""

_PATIENCE_MS: Final = 200
"""Longest wait for a question before the end is looked at."""

_JOIN_S: Final = 5.0
_MOST_KEPT: Final = 10_000
"""Most uses to give back that are kept while the store does not answer. Those beyond stay used."""

_MOST_WAITING: Final = 10_000
"""Most calls that are remembered as waiting for people, as many as may wait by default."""

_GIVEN_BACK_BY: Final = Actor("callgate", "")


@dataclass(frozen=True)
class Surroundings:
    """Facts about calls that their questions do not hold, and the listener for failures."""

    mask: Callable[[], Sequence[MaskedPath]] = tuple
    """The paths of arguments whose values are neither kept nor shown."""
    owner_of: Callable[[str], Person | None] = lambda _: None
    """The person to whom a grant belongs."""
    definition_of: Callable[[str, str], Mapping[str, Any] | None] = lambda _server, _tool: None
    """The description and the input schema of a tool at a server."""
    takes_passkey: Callable[[str | None, str | None], bool] = lambda _category, _risk: False
    """True if approving a call of a tool with this category and risk takes a passkey."""
    asked: Callable[[Call], None] = lambda _: None
    """Called with each new call that waits for people."""
    failed: Callable[[str], None] = lambda _: None
    """Called with the reason for which questions could not be answered."""
    now_us: Callable[[], int] = clock.now_us
    """The time in Unix microseconds."""


class Asking:
    """Answers the questions of one queue from one store, on a thread of its own."""

    def __init__(self, queue: ApprovalQueue, surroundings: Surroundings | None = None) -> None:
        """Takes the queue; `start` begins."""
        self._queue = queue
        self._around = surroundings or Surroundings()
        self._looks = Looks(queue, self._around.now_us)
        self._unreturned: list[tuple[str, str, bool]] = []
        self._waiting: dict[str, None] = {}
        """Fingerprints of calls that wait for people, the newest last."""
        self._ended = Event()
        self._thread: Thread | None = None

    def start(self, store: Store) -> None:
        """Begins to answer."""
        self._ended = Event()
        self._thread = Thread(target=self._run, args=(store, self._ended), name="callgate-approvals", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ends the answers; uses that have come back by then are given back first."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(_JOIN_S)
            self._thread = None

    def _run(self, store: Store, ended: Event) -> None:
        while not ended.is_set():
            taken = self._queue.take(_AT_ONCE, _PATIENCE_MS)
            if taken is None:
                return
            self._work_on(store, *taken)
            self._notice_changes(store)
        taken = self._queue.take(0, 0)
        if taken is not None:
            self._work_on(store, *taken)

    def _work_on(
        self,
        store: Store,
        questions: list[dict[str, Any]],
        given_back: list[tuple[str, str, bool]],
        looks: list[tuple[int, str]],
    ) -> None:
        """Goes on whatever happens: without this thread, every call that needs an approval would be denied."""
        try:
            self._work(store, questions, given_back)
            # After the calls, which have less time.
            self._show(store, looks)
        except Exception as error:  # noqa: BLE001  a fault of callgate itself
            self._around.failed(f"internal error: {type(error).__name__}")
            # A question that was answered before stays so.
            for question in questions:
                self._queue.fail(question["number"])
            for number, _ in looks:
                self._queue.fail_look(number)

    def _show(self, store: Store, looks: list[tuple[int, str]]) -> None:
        if not looks:
            return
        try:
            self._looks.answer(store, looks)
        except StoreError as error:
            self._around.failed(str(error))
            for number, _ in looks:
                self._queue.fail_look(number)

    def _notice_changes(self, store: Store) -> None:
        try:
            self._looks.notice_changes(store)
        except StoreError as error:
            self._around.failed(str(error))
        except Exception as error:  # noqa: BLE001  as above
            self._around.failed(f"internal error: {type(error).__name__}")

    def _work(self, store: Store, questions: list[dict[str, Any]], given_back: list[tuple[str, str, bool]]) -> None:
        # First, so that a call that is repeated finds its approval again.
        self._give_back(store, given_back)
        if questions:
            self._answer(store, questions)

    def _answer(self, store: Store, questions: list[dict[str, Any]]) -> None:
        asks: list[tuple[int, Ask]] = []
        for question in questions:
            try:
                asks.append((question["number"], self._ask(question)))
            except (ValueError, RecursionError) as error:  # noqa: PERF203  one of them must not stop the others
                self._queue.fail(question["number"])
                self._around.failed(f"a question about `{question['tool']}` cannot be read: {error}")
        try:
            outcomes: Sequence[Outcome] = store.approvals.ask([ask for _, ask in asks], self._around.now_us())
        except StoreError as error:
            self._around.failed(str(error))
            for number, _ in asks:
                self._queue.fail(number)
            return
        for (number, _), outcome in zip(asks, outcomes, strict=True):
            self._pass_on(number, outcome)
        for (_, ask), outcome in zip(asks, outcomes, strict=True):
            self._remember(ask.call.fingerprint, outcome)
            if isinstance(outcome, Waiting) and outcome.is_new:
                self._around.asked(ask.call)

    def _remember(self, fingerprint: str, outcome: Outcome) -> None:
        self._waiting.pop(fingerprint, None)
        if isinstance(outcome, Waiting):
            self._waiting[fingerprint] = None
            if len(self._waiting) > _MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]

    def _pass_on(self, number: int, outcome: Outcome) -> None:
        queue = self._queue
        if isinstance(outcome, Used):
            queue.approve(number, outcome.approval_id, is_permit=False)
        elif isinstance(outcome, Permitted):
            queue.approve(number, outcome.permit_id, is_permit=True)
        elif isinstance(outcome, Denied):
            queue.deny(number, outcome.approval_id, outcome.rule, outcome.reason, outcome.until_us)
        elif isinstance(outcome, Waiting):
            queue.wait(number, outcome.approval_id, outcome.rule, list(outcome.approvers), outcome.until_us)
        elif isinstance(outcome, AtCapacity):
            queue.refuse(number, of_grant=outcome.is_of_grant)
        else:
            self._around.failed(outcome.reason)
            queue.fail(number)

    def _give_back(self, store: Store, given_back: list[tuple[str, str, bool]]) -> None:
        waiting = [*self._unreturned, *given_back]
        self._unreturned = []
        for index, (of, use_id, is_permit) in enumerate(waiting):
            try:
                # What has ended meanwhile has nothing to give back.
                with suppress(StateError, UnknownIdError):
                    if is_permit:
                        store.permits.give_back(use_id, self._around.now_us())
                    else:
                        store.approvals.restore(of, use_id, _GIVEN_BACK_BY, self._around.now_us())
            except StoreError as error:  # noqa: PERF203  each may fail by itself
                self._around.failed(str(error))
                self._unreturned = waiting[index : index + _MOST_KEPT]
                return

    def _ask(self, question: Mapping[str, Any]) -> Ask:
        contents = _Contents(question, self._around)
        if question["fingerprint"] not in self._waiting:
            # For a new approval: before the transaction, which should not wait for files and other transactions.
            contents.look_up()
        call = Call(
            fingerprint=question["fingerprint"],
            grant=question["grant"],
            server=question["server"],
            tool=question["tool"],
            policy_digest=question["policy_digest"],
            pin_digest=question["pin_digest"],
        )
        return Ask(
            call=call,
            needs=tuple(_need(need) for need in question["needs"]),
            new_id=make_id(os.urandom(ID_BYTES)),
            use_id=question["use_id"],
            contents=contents,
            source=question["protocol"],
        )


class _Contents:
    """The arguments of a question, and the texts for people."""

    def __init__(self, question: Mapping[str, Any], around: Surroundings) -> None:
        self._around = around
        self._question = question
        self._arguments: Mapping[str, object] | None = None
        self._looked_up: tuple[Mapping[str, Any] | None, Person | None] | None = None

    def look_up(self) -> tuple[Mapping[str, Any] | None, Person | None]:
        """The definition of the tool, and the owner of the grant."""
        if self._looked_up is None:
            question, around = self._question, self._around
            definition = around.definition_of(question["server"], question["tool"])
            self._looked_up = definition, around.owner_of(question["grant"])
        return self._looked_up

    def arguments(self) -> Mapping[str, object]:
        """The top-level arguments."""
        if self._arguments is None:
            with self._readable():
                self._arguments = read_json(self._question["args_json"])
        return self._arguments

    def evidence(self) -> Evidence:
        """The arguments with masked values, and what is known of the call."""
        with self._readable():
            return self._evidence()

    def _evidence(self) -> Evidence:
        question = self._question
        definition, owner = self.look_up()
        shown, masked = masked_arguments(self.arguments(), self._around.mask())
        document = {
            "category": question["category"],
            "risk": question["risk"],
            "labels": question["labels"],
            "session": question["session"] or None,
            "protocol": question["protocol"],
            "limits": [_limit(limit) for limit in question["limits"]],
            "tool": definition,
            "entries": [{"rule": rule, "document": read_json(json)} for rule, json in question["entries"]],
            "policy": {"name": question["policy"], "version": question["policy_digest"][:12]},
            "masked": masked,
        }
        # Without a mask, people see the very numbers that the caller wrote.
        arguments = write_json(shown) if masked else question["args_json"]
        takes_passkey = self._around.takes_passkey(question["category"], question["risk"])
        return Evidence(arguments, write_json(document), owner, takes_passkey)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except (ValueError, RecursionError) as error:
            message = f"a question about `{self._question['tool']}` cannot be read: {error}"
            raise UnreadableError(message) from None


def _need(need: Mapping[str, Any]) -> Need:
    permit = need["permit"]
    return Need(
        rule=need["rule"],
        entry_digest=need["entry_digest"],
        timeout_us=need["timeout_us"],
        valid_us=need["valid_us"],
        approvers=tuple(need["approvers"]),
        count=need["count"],
        reason_required=need["reason_required"],
        permit=None if permit is None else PermitBounds(*permit),
    )


def _limit(limit: Mapping[str, Any]) -> dict[str, Any]:
    numbers = {name: Decimal(limit[name]) for name in ("max", "remaining", "over")}
    return {"counter": limit["counter"], "rule": limit["rule"], **numbers, "reset_after_ms": limit["reset_after_ms"]}
