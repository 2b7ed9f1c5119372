"""Callers of a fleet: every kind of limit, at every callgate, all the time."""

from __future__ import annotations

import random
import time
from collections import Counter
from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

from callgate.clock import now_us
from callgate.errors import StoreError
from callgate.store.errors import StateError
from callgate.store.model import Verdict
from support.approvals import answer
from support.fleet.ledger import Ledger, Limit
from support.shared import limit, policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from callgate import Decision
    from callgate.store.store import Store
    from support.fleet.members import Member

WINDOW_S = 4
"""Far longer than a lease: the end of a lease alone brings nothing back that is still in a window."""
MANY = 40
FEW = 3
SPEND = 50.0
PAUSE_S = 0.004
"""Between two calls of a thread."""
SHARINGS = ("leased", "strict")


def _both(name: str, most: float, **more: Any) -> list[dict[str, Any]]:
    return [limit(f"{name}-{sharing}", most, f"{WINDOW_S}s", shared=sharing, **more) for sharing in SHARINGS]


POLICIES = {
    "s": policy(
        "fleet",
        leased=_both("plain", MANY)[:1],
        strict=_both("plain", MANY)[1:],
        mixed=_both("mixed", MANY),
        spend=_both("spend", SPEND, cost="args.price"),
        held=_both("held", MANY),
        approved={"action": "require_approval", "limits": _both("approved", FEW)},
    ),
}
COUNTERS = {
    "leased": ("plain-leased",),
    "strict": ("plain-strict",),
    **{tool: (f"{tool}-leased", f"{tool}-strict") for tool in ("mixed", "spend", "held", "approved")},
}
"""The limits of each tool."""
LIMITS = [
    Limit(entry["counter"], entry["max"], WINDOW_S, is_strict=entry["shared"] == "strict")
    for tool in COUNTERS
    for entry in POLICIES["s"]["tools"][tool]["limits"]
]


class Load:
    """Threads that ask until the end of a test."""

    def __init__(
        self,
        members: Sequence[Member],
        store: Store,
        seed: int,
        *,
        caller: Mapping[str, Any] | None = None,
        threads: int = 2,
    ) -> None:
        """Takes what it asks, and how.

        Args:
            members: The callgates.
            store: Their store, where a person answers.
            seed: The seed of its choices.
            caller: The arguments of `check` that say who calls; the grant `g` by default.
            threads: Threads for each callgate.
        """
        self.ledger = Ledger(LIMITS)
        self.outcomes: Counter[str] = Counter()
        self.uses: Counter[int] = Counter()
        """Allowed calls of each approval."""
        self.faults: list[str] = []
        self.durations: list[tuple[str, float]] = []
        """The tool of each call that was answered, and its seconds."""
        self._caller = caller or {}
        self._members = members
        self._store = store
        self._done = Event()
        work = [(self._ask, member) for member in members for _ in range(threads)]
        work += [(self._approve, member) for member in members[:2]]
        self._threads = [
            Thread(target=self._until_done, args=(kind, member, random.Random(seed * 1_000 + number)))
            for number, (kind, member) in enumerate(work)
        ]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends, when every call has its answer."""
        self._done.set()
        for thread in self._threads:
            thread.join(120)
            assert not thread.is_alive(), thread

    def has_admitted_since(self, moment: float) -> bool:
        """True if every callgate has admitted calls of every kind that it is asked for, since a moment."""
        asked = [limit.name for limit in LIMITS if not limit.name.startswith("approved")]
        each = all(self.ledger.last(name, member.number) > moment for name in asked for member in self._members)
        return each and any(self.ledger.last("approved-strict", member.number) > moment for member in self._members)

    def missing_since(self, moment: float) -> list[str]:
        """The limits and callgates of which there was no admission since a moment."""
        names = [limit.name for limit in LIMITS]
        numbers = [member.number for member in self._members]
        return [f"{name} at {by}" for name in names for by in numbers if self.ledger.last(name, by) <= moment]

    def _until_done(self, work: Callable[[Member, random.Random], None], member: Member, choose: random.Random) -> None:
        try:
            while not self._done.is_set():
                work(member, choose)
                time.sleep(PAUSE_S)
        except Exception as error:  # noqa: BLE001  told by the test
            self.faults.append(f"{work.__name__}: {error!r}")

    def _ask(self, member: Member, choose: random.Random) -> None:
        tool = choose.choice(("leased", "strict", "mixed", "spend", "held"))
        if tool == "held":
            self._hold(member, choose)
            return
        price = choose.randint(1, 20) / 4
        before = time.monotonic()
        decision = self._decided(member, tool, args={"price": price})
        if decision is not None and decision.allowed:
            self._record(tool, before, time.monotonic(), member, price if tool == "spend" else 1)

    def _hold(self, member: Member, choose: random.Random) -> None:
        """Reserves units, and keeps them or gives them back."""
        before = time.monotonic()
        decision = self._decided(member, "held", reserve=True)
        after = time.monotonic()
        if decision is None or not decision.allowed:
            return
        assert decision.reservation is not None
        time.sleep(choose.random() / 50)
        rolls_back = choose.random() < 0.5
        settled = member.settle(decision.reservation, rolls_back=rolls_back)
        # Without an answer nobody knows if units went back.
        if not rolls_back or settled is False:
            self._record("held", before, after, member)

    def _approve(self, member: Member, choose: random.Random) -> None:
        """Asks, lets a person approve, and uses the approval at two callgates at once."""
        number = choose.getrandbits(40)
        waiting = self._decided(member, "approved", args={"n": number})
        if waiting is None or waiting.approval is None:
            time.sleep(0.1)
            return
        if not self._answer(waiting.approval, Verdict.APPROVE):
            return
        users = [
            Thread(target=self._use, args=(one, number)) for one in (member, choose.choice(self._members)) for _ in "12"
        ]
        for user in users:
            user.start()
        for user in users:
            user.join()
        time.sleep(0.1)

    def _use(self, member: Member, number: int) -> None:
        before = time.monotonic()
        decision = self._decided(member, "approved", args={"n": number})
        if decision is not None and decision.allowed:
            self._record("approved", before, time.monotonic(), member)
            self.uses[number] += 1
        elif decision is not None and decision.approval is not None:
            # It came after the use, and waits anew: too many that wait would be refused.
            self._answer(decision.approval, Verdict.DENY)

    def _answer(self, approval_id: str, verdict: Verdict) -> bool:
        """A person's answer; True if the store has it for sure."""
        try:
            self._store.approvals.answer(approval_id, answer(verdict=verdict), now_us())
        except StoreError:
            self.outcomes["answer lost"] += 1
            return False
        except StateError:
            # Another thread has answered, or its policy was replaced meanwhile.
            self.outcomes["answer refused"] += 1
            return False
        return True

    def _decided(self, member: Member, tool: str, **more: Any) -> Decision | None:
        before = time.monotonic()
        decision = member.check(tool, **self._caller, **more)
        if decision is not None:
            self.durations.append((tool, time.monotonic() - before))
        outcome = "none" if decision is None else decision.rule or str(decision.outcome)
        self.outcomes[f"{tool} {outcome}"] += 1
        return decision

    def _record(self, tool: str, before: float, after: float, member: Member, units: float = 1) -> None:
        for name in COUNTERS[tool]:
            self.ledger.record(name, before, after, member.number, units)


@contextmanager
def running_load(members: Sequence[Member], store: Store, seed: int, **more: Any) -> Iterator[Load]:
    """A load that runs until the end of the block; see `Load` for `more`."""
    load = Load(members, store, seed, **more)
    load.start()
    try:
        yield load
    finally:
        load.stop()
