"""Any sequence of changes gives what a plain model of the contract gives, on both databases."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from sqlalchemy import text

from callgate.store.errors import AnswerError, StateError
from callgate.store.model import Denied, Person, State, Used, Verdict, Waiting
from callgate.store.place import in_folder, parse_place
from callgate.store.store import Store, open_store
from support.approval_model import Model
from support.approvals import CALLER, ISSUER, NOW, SECOND, answer, ask, need
from support.postgres import Postgres

PER_GRANT, IN_ALL = 2, 3
NEEDS = {
    "a": need("/a", timeout_us=30 * SECOND, valid_us=20 * SECOND),
    "b": need("/b", timeout_us=60 * SECOND, valid_us=60 * SECOND, approvers=("ops", "boss"), count=2),
}
NAMES = ("ann", "bob", "cat")
GROUPS = st.frozensets(st.sampled_from(["ops", "boss", "guests"]))
# One fingerprint is of one grant and one policy, as the contract makes it.
FINGERPRINTS = {"f1": ("g", "p"), "f2": ("g", "q"), "f3": ("h", "p"), "f4": ("g", "q"), "f5": ("h", "p")}
OWNERS = {"g": Person(ISSUER, "cat"), "h": None}
ASKS = st.tuples(st.sampled_from(sorted(FINGERPRINTS)), st.sampled_from(["a", "b", "ab"]))


class StoreMachine(RuleBasedStateMachine):
    """The store beside the model."""

    store: Store

    def __init__(self) -> None:
        super().__init__()
        # Hypothesis runs many of them on one store.
        self.store.database.write(lambda at: at.execute(text("DELETE FROM approvals")))
        self.model = Model(PER_GRANT, IN_ALL)
        self.now_us = NOW
        self.uses: list[tuple[str, str]] = []

    @rule(asks=st.lists(ASKS, min_size=1, max_size=4))
    def ask(self, asks: list[tuple[str, str]]) -> None:
        """Several calls wait at once."""
        calls = []
        for fingerprint, names in asks:
            grant, policy = FINGERPRINTS[fingerprint]
            needs = [NEEDS[name] for name in names]
            calls.append(ask(fingerprint, *needs, grant=grant, policy_digest=policy, owner=OWNERS[grant]))
        found = self.store.approvals.ask(calls, self.now_us)
        known = [isinstance(outcome, (Used, Denied, Waiting)) for outcome in found]
        ids = [outcome.approval_id if isinstance(outcome, (Used, Denied, Waiting)) else None for outcome in found]
        assert len(known) == len(calls)
        wanted = [self.model.ask(call, self.now_us) for call in calls]
        assert list(zip([type(outcome).__name__ for outcome in found], ids, strict=True)) == wanted
        self.uses += [
            (outcome.approval_id, call.use_id)
            for call, outcome in zip(calls, found, strict=True)
            if isinstance(outcome, Used)
        ]

    @rule(which=st.integers(0), name=st.sampled_from(NAMES), groups=GROUPS, verdict=st.sampled_from(Verdict))
    def answer(self, which: int, name: str, groups: frozenset[str], verdict: Verdict) -> None:
        """A person answers any approval."""
        if self.model.all:
            one = self.model.all[-1 - which % len(self.model.all)]
            given = answer(name, verdict, *groups)
            taken = done(lambda: self.store.approvals.answer(one.id, given, self.now_us))
            assert taken == self.model.answer(one, name, groups, verdict, self.now_us)

    @rule(which=st.integers(0))
    def approve(self, which: int) -> None:
        """A pending one gets all answers that it needs."""
        pending = [one for one in self.model.all if self.model.state(one, self.now_us) is State.PENDING]
        if pending:
            one = pending[which % len(pending)]
            for name in ("ann", "bob"):
                given = answer(name, Verdict.APPROVE, "ops")
                taken = done(lambda given=given: self.store.approvals.answer(one.id, given, self.now_us))
                assert taken == self.model.answer(one, name, frozenset({"ops"}), Verdict.APPROVE, self.now_us)

    @rule(which=st.integers(0))
    def restore(self, which: int) -> None:
        """A use is given back, perhaps not for the first time."""
        if self.uses:
            approval_id, use_id = self.uses[-1 - which % len(self.uses)]
            [one] = [one for one in self.model.all if one.id == approval_id]
            taken = done(lambda: self.store.approvals.restore(approval_id, use_id, CALLER, self.now_us))
            assert taken == self.model.restore(one, use_id, self.now_us)

    @rule(which=st.integers(0))
    def withdraw(self, which: int) -> None:
        """Any approval is withdrawn."""
        if self.model.all:
            one = self.model.all[-1 - which % len(self.model.all)]
            taken = done(lambda: self.store.approvals.withdraw(one.id, CALLER, "", self.now_us))
            assert taken == self.model.withdraw(one, self.now_us)

    @rule(seconds=st.integers(1, 40))
    def wait(self, seconds: int) -> None:
        """Time passes."""
        self.now_us += seconds * SECOND

    @rule()
    def expire(self) -> None:
        """Expires all approvals that are due."""
        # Not their number: a call that waits writes what is due of its own fingerprint.
        self.store.approvals.expire_due(self.now_us)
        self.model.expire(self.now_us)

    @rule(digest=st.sampled_from(["p", "q"]))
    def end_of_policy(self, digest: str) -> None:
        """A policy is no longer in force."""
        # What is due may be written as expired or as ended; both are over.
        self.expire()
        self.store.approvals.end_of_policy(digest, CALLER, self.now_us)
        self.model.end_of_policy(digest, self.now_us)

    @rule(grant=st.sampled_from(["g", "h"]))
    def end_of_grant(self, grant: str) -> None:
        """A grant is revoked."""
        self.expire()
        self.store.approvals.end_of_grant(grant, CALLER, "revoked", self.now_us)
        self.model.end_of_grant(grant, self.now_us)

    @invariant()
    def states_are_equal(self) -> None:
        """Each approval has the state of the model."""
        found = {one.id: one.state for one in self.store.approvals.page(self.now_us, size=1_000).items}
        assert found == self.model.states(self.now_us)
        consumed = sum(state is State.CONSUMED for state in found.values())
        assert consumed == self.model.admitted - self.model.given_back


def done(work: Any) -> bool:
    """True if the store makes the change."""
    try:
        work()
    except (StateError, AnswerError):
        return False
    return True


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_the_store_is_the_model(database: str, request: pytest.FixtureRequest) -> None:
    with tempfile.TemporaryDirectory() as folder:
        if database == "sqlite":
            place = in_folder(Path(folder))
        else:
            server: Postgres = request.getfixturevalue("postgres")
            place = parse_place(server.new_schema())
        opened = open_store(place)
        store = Store(opened.database, per_grant=PER_GRANT, in_all=IN_ALL)
        # Each change takes longer there.
        examples = 40 if database == "sqlite" else 15
        machine = type("Machine", (StoreMachine,), {"store": store})
        run_state_machine_as_test(machine, settings=settings(max_examples=examples, stateful_step_count=50))
        store.close()
