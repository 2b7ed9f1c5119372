"""A sidecar of one test: an engine and a store of approvals, whose time is that of the test."""

from __future__ import annotations

import os
import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import ApprovalQueue
from callgate.approvals.asking import Asking, Surroundings
from callgate.approvals.offer import looked_at, make_terms, masked_names, permit_bounds
from callgate.approvals.shown import read_evidence
from callgate.errors import StoreError
from callgate.exact_json import read_json, write_json
from callgate.outcome import Outcome
from callgate.store.approvals.answer import Answer
from callgate.store.errors import AnswerError, StateError
from callgate.store.ids import ID_BYTES, make_id
from callgate.store.live import read_live
from callgate.store.model import Actor, PermitOffer, Person, State, Verdict
from callgate.store.place import at_path
from callgate.store.store import Store, open_store

if TYPE_CHECKING:
    from collections.abc import Mapping

    from typing_extensions import Self

    from callgate._callgate import Decision, Engine, Explanation
    from callgate.store.model import Approval
    from callgate.workbench.policy_tests.cases import AnswerStep
    from callgate.workbench.policy_tests.parts import Freeze, FreezeTarget, TermOrWord
    from callgate.workbench.policy_tests.policies import PolicySet

_ISSUER: Final = "https://people.invalid"
"""The issuer of the people of tests. People of another issuer than the store's own bring their groups with them."""

_DEADLINE_MS: Final = 30_000
"""Longest wait of a call for the store. It is time of the machine, and no test is about a slow one."""

_NO_APPROVAL: Final = make_id(bytes(ID_BYTES))
_VERSION_DIGITS: Final = 12


class AnswerRefusedError(Exception):
    """The answer of a person cannot be given; the text is the reason."""


class StoreTemplate:
    """An empty store, of which each test gets a copy: to make one takes a hundred times as long."""

    def __init__(self) -> None:
        """Makes nothing yet."""
        self._folder: TemporaryDirectory[str] | None = None
        self._copies = 0

    def copy(self) -> Path:
        """The file of a new store."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="callgate-tests-")
            open_store(at_path(Path(self._folder.name) / "empty.db")).close()
        self._copies += 1
        path = Path(self._folder.name) / f"{self._copies}.db"
        shutil.copyfile(path.with_name("empty.db"), path)
        path.chmod(0o600)
        return path

    def close(self) -> None:
        """Removes all copies."""
        if self._folder is not None:
            self._folder.cleanup()


@dataclass(frozen=True)
class Decided:
    """A decision, and the steps to it before units were taken."""

    decision: Decision
    explanation: Explanation


class World:
    """An engine and its surroundings; every change happens at `now_us`."""

    def __init__(self, policies: PolicySet, stores: StoreTemplate, now_us: int) -> None:
        """Begins with new counters, without approvals and freezes.

        Args:
            policies: The policies in force.
            stores: Gives the store, once a call asks for an approval.
            now_us: The time.

        Raises:
            CallgateError: The policies cannot be put into an engine.
        """
        self._now_us = now_us
        self._policies = policies
        self._stores = stores
        self._failures: list[str] = []
        self._store: Store | None = None
        most = policies.approvals.max_arguments_bytes
        self._queue = ApprovalQueue(deadline_ms=_DEADLINE_MS, max_arguments_bytes=most)
        self.engine: Engine = policies.build(self._queue)
        self._opened = ExitStack()

    def _open_store(self) -> Store:
        terms, opened = self._policies.approvals, self._opened
        path = self._stores.copy()
        opened.callback(path.unlink, missing_ok=True)
        store = open_store(at_path(path), per_grant=terms.per_grant, in_all=terms.in_all)
        opened.callback(store.close)
        surroundings = Surroundings(
            mask=lambda: terms.mask,
            owner_of=self._owner_of,
            failed=self._failures.append,
            now_us=lambda: self._now_us,
        )
        asking = Asking(self._queue, surroundings)
        asking.start(store)
        opened.callback(asking.stop)
        opened.callback(self._queue.close)
        return store

    def __enter__(self) -> Self:
        """Returns itself."""
        return self

    def __exit__(self, *_exception: object) -> None:
        """Ends it."""
        self._opened.close()

    def move_to(self, now_us: int) -> None:
        """Lets time pass."""
        if now_us != self._now_us:
            self._settle()
            self._now_us = now_us

    def decide(self, call: Mapping[str, Any]) -> Decided:
        """Decides a call, and takes its units if it is allowed.

        Raises:
            StoreError: The store of this test failed.
        """
        keywords = {**call, "now_ms": self._now_us / 1_000}
        explanation = self.engine.explain(**keywords)
        if self._store is None and explanation.decision.outcome is Outcome.APPROVAL_REQUIRED:
            # Most tests ask for none, and to open a store takes much longer than to decide.
            self._store = self._open_store()
        decision = self.engine.check(**keywords, reserve=True)
        if self._failures:
            raise StoreError(self._failures[0])
        return Decided(decision, explanation)

    def roll_back(self, decision: Decision) -> bool:
        """Gives the units of an allowed call back, and the use of its approval; false if its time is over."""
        if decision.reservation is None:
            return False
        is_done = self.engine.roll_back(decision.reservation, now_ms=self._now_us / 1_000)
        self._settle()
        return is_done

    def freeze(self, freeze: Freeze) -> None:
        """Freezes calls."""
        until_us = None if freeze.duration is None else self._now_us + freeze.duration // timedelta(microseconds=1)
        self.engine.freeze(
            reason=freeze.reason,
            server=freeze.server,
            tool=freeze.tool,
            grant=freeze.grant,
            until_us=until_us,
            now_ms=self._now_us / 1_000,
        )

    def thaw(self, target: FreezeTarget) -> bool:
        """Ends a freeze; false if there is none with these names."""
        return self.engine.thaw(server=target.server, tool=target.tool, grant=target.grant)

    def reload(self, policies: PolicySet) -> None:
        """Puts other policies in force; pending approvals of the ones before end.

        Raises:
            CallgateError: They cannot be put into the engine.
        """
        if policies.reload is not None:
            policies.reload(self.engine)
        if self._store is None:
            return
        in_force = {policy.version for policy in self.engine.policies}
        for digest in sorted(read_live(self._store.database, self._now_us).policies):
            if digest[:_VERSION_DIGITS] not in in_force:
                self._store.approvals.end_of_policy(digest, Actor("callgate", ""), self._now_us)

    def answer(self, approval_id: str, step: AnswerStep) -> State:
        """Writes a person's answer; the state that it leads to.

        Raises:
            AnswerRefusedError: The answer cannot be given.
            StoreError: The store of this test failed.
        """
        if self._store is None:
            raise AnswerRefusedError("no call has asked for an approval")
        store = self._store
        approval = store.approvals.get(approval_id, self._now_us)
        verdict = Verdict.DENY if step.verb == "deny" else Verdict.APPROVE
        try:
            offer = self._offer(approval, step) if step.verb == "permit" else None
            person = Person(_ISSUER, step.person)
            owner = self._owner_of(approval.call.grant)
            given = Answer(person, step.groups, verdict, "test", step.reason, offer, owner)
            return store.approvals.answer(approval_id, given, self._now_us).state
        except (AnswerError, StateError) as error:
            raise AnswerRefusedError(str(error)) from None

    def _offer(self, approval: Approval, step: AnswerStep) -> PermitOffer:
        """The permit that the step wants, within the bounds of the policy.

        Raises:
            AnswerError: It cannot be.
        """
        bounds = permit_bounds(approval.needs)
        if bounds is None or self._store is None:
            raise AnswerError("a rule that asked lets nobody make a permit")
        record = self._store.approvals.record(approval.id)
        arguments, evidence = read_json(record.arguments or "{}"), read_evidence(record)
        chosen = {name: _condition(term) for name, term in step.terms.items()}
        terms = make_terms(arguments, chosen, looked_at(evidence), masked_names(evidence))
        return PermitOffer(
            make_id(os.urandom(ID_BYTES)),
            terms,
            bounds.max_uses if step.uses is None else step.uses,
            bounds.max_duration_us if step.duration_us is None else step.duration_us,
        )

    def _owner_of(self, grant: str) -> Person | None:
        """The owner of a grant, as a person of the test with the same name."""
        name = self._policies.approvals.owners.get(grant)
        return None if name is None else Person(_ISSUER, name)

    def _settle(self) -> None:
        """Waits until everything that was given back so far is written, at the time at which it was given back."""
        if self._store is not None:
            # The thread that answers this look has worked on everything before it.
            self.engine.approval(_NO_APPROVAL)


def _condition(term: TermOrWord) -> dict[str, Any]:
    if isinstance(term, str):
        return {term: True}
    if term.one_of is None:
        return {"at_most": term.at_most}
    # The store compares exact numbers, and a document has the nearest floats.
    return {"one_of": read_json(write_json(term.one_of))}
