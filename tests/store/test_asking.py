"""Calls that need a person's approval: asked at sidecars that share a store, and answered there."""

from __future__ import annotations

import itertools
import json
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from callgate import Client, Decision, Engine
from callgate._callgate import ApprovalQueue
from callgate.approvals.asking import Asking, Surroundings
from callgate.store.approvals.answer import Answer
from callgate.store.freezes import Target
from callgate.store.model import Actor, Approval, Person, State, Verdict
from callgate.store.place import Place, in_folder
from callgate.store.store import Store, open_store
from support.approvals import new_id
from support.planes import wait_until
from support.replicas import ALLOW, ASKS, Replica, replica

ANN = Person("local", "ann")
BY = Actor("ann", "test")
UNAVAILABLE, GONE = "(approval store unavailable)", "(decision point unavailable)"
RULE = "/tools/risky/approval"
KEYS: dict[str, Any] = {
    "servers": {"s": {"policy": "asks"}, "other": {"policy": "allow"}},
    "policies": {"asks": "asks.json", "allow": "allow.json"},
    # A busy machine is slow to answer.
    "approvals": {"deadline": "2s"},
}


def now_us() -> int:
    return time.time_ns() // 1_000


def serving(stack: ExitStack, folder: Path, place: Place, **more: Any) -> Replica:
    folder.mkdir()
    (folder / "asks.json").write_text(json.dumps(ASKS))
    return stack.enter_context(replica(folder, place, **{**KEYS, **more}))


def ask(one: Replica | Client, **changed: Any) -> Decision:
    client = one.client if isinstance(one, Replica) else one
    return client.check(**{"grant": "g", "server": "s", "tool": "risky", "args": {"n": 1}, **changed})


def answer(store: Store, decision: Decision, verdict: Verdict = Verdict.APPROVE, reason: str = "") -> Approval:
    assert decision.approval is not None, decision
    given = Answer(ANN, frozenset(), verdict, "test", reason)
    return store.approvals.answer(decision.approval, given, now_us())


def test_an_approved_call_is_allowed_once_on_any_replica(empty_place: Place, tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = (serving(stack, tmp_path / name, empty_place) for name in ("a", "b"))
        store = stack.enter_context(closing(open_store(empty_place)))
        asked = ask(one)
        assert (asked.outcome, asked.rule) == ("approval_required", RULE)
        assert ask(two).approval == asked.approval
        recorded = store.approvals.record(str(asked.approval))
        assert recorded.arguments == '{"n":1}'
        answer(store, asked)
        # Whatever differs is another call.
        others = [ask(one, args={"n": 2}), ask(one, grant="h"), ask(one, args={"n": 1, "m": 0})]
        assert {other.outcome for other in others} == {"approval_required"}
        assert len({asked.approval, *(other.approval for other in others)}) == 4
        used = ask(two, args={"n": 1.0})
        assert (used.outcome, used.approval) == ("allow", asked.approval)
        again = ask(one)
        assert again.outcome == "approval_required"
        assert again.approval != asked.approval
        assert store.approvals.get(str(asked.approval), now_us()).state is State.CONSUMED


def test_a_denial_and_its_reason_reach_the_agent_everywhere(empty_place: Place, tmp_path: Path) -> None:
    with ExitStack() as stack:
        one, two = (serving(stack, tmp_path / name, empty_place) for name in ("a", "b"))
        store = stack.enter_context(closing(open_store(empty_place)))
        asked = ask(one)
        answer(store, asked, Verdict.DENY, "use the test account")
        for decision in (ask(one), ask(two)):
            assert (decision.outcome, decision.rule, decision.approval) == ("deny", RULE, asked.approval)
            assert "use the test account" in decision.message


def test_a_roll_back_and_a_freeze_give_the_approval_back(empty_place: Place, tmp_path: Path) -> None:
    def is_approved(asked: Decision) -> bool:
        return store.approvals.get(str(asked.approval), now_us()).state is State.APPROVED

    with ExitStack() as stack:
        one = serving(stack, tmp_path / "a", empty_place)
        store = stack.enter_context(closing(open_store(empty_place)))
        asked = ask(one)
        answer(store, asked)
        allowed = ask(one, reserve=True)
        assert allowed.allowed
        assert allowed.reservation is not None
        assert one.client.roll_back(allowed.reservation)
        wait_until(lambda: is_approved(asked))
        frozen = store.freezes.freeze(new_id(), Target(tool="risky", server="s"), "stop", BY, now_us())
        # By another call: one that came before the freeze would use the approval.
        wait_until(lambda: ask(one, args={"n": 2}).rule == "(frozen)")
        assert ask(one).rule == "(frozen)"
        assert is_approved(asked)
        store.freezes.thaw(frozen.id, BY, "over", now_us())
        wait_until(lambda: ask(one).allowed)


CALLS = 100


@contextmanager
def approved(place: Place, folder: Path) -> Iterator[tuple[list[Replica], Store, Decision]]:
    """Two replicas, their store, and the question about a call that was approved."""
    with ExitStack() as stack:
        replicas = [serving(stack, folder / name, place) for name in ("a", "b")]
        store = stack.enter_context(closing(open_store(place)))
        asked = ask(replicas[0])
        answer(store, asked)
        yield replicas, store, asked


def together(call: Callable[[int], Decision]) -> list[Decision]:
    """The decisions of all calls, twenty at a time."""
    with ThreadPoolExecutor(20) as pool:
        return list(pool.map(call, range(CALLS)))


def insist(replicas: Sequence[Replica], number: int) -> Decision:
    """Asks until there is an answer, as an agent does: at the other replica, if one is gone."""
    end = time.monotonic() + 60
    for one in itertools.cycle([replicas[number % 2], replicas[number % 2], *replicas]):
        decision = ask(one)
        # Within the deadline not all of them may be answered on a busy machine.
        if decision.rule not in {UNAVAILABLE, GONE}:
            return decision
        assert time.monotonic() < end, decision
    raise AssertionError


def one_is_admitted(decisions: Sequence[Decision], asked: Decision) -> None:
    """One is allowed by the approval, and all others wait for one new one."""
    [allowed] = [one for one in decisions if one.allowed]
    assert allowed.approval == asked.approval
    others = [one for one in decisions if not one.allowed]
    assert len(others) == CALLS - 1
    assert {one.outcome for one in others} == {"approval_required"}
    [waits] = {one.approval for one in others}
    assert waits != asked.approval


def test_one_approval_admits_one_of_a_hundred_calls(empty_place: Place, tmp_path: Path) -> None:
    with approved(empty_place, tmp_path) as (replicas, store, asked):
        decisions = together(partial(insist, replicas))
        one_is_admitted(decisions, asked)
        assert len(store.approvals.page(now_us(), grant="g").items) == 2


def test_a_kill_in_the_middle_of_a_hundred_calls(empty_place: Place, tmp_path: Path) -> None:
    """Once somebody has been told of the use, one replica is killed: the calls that it leaves go to the other."""
    with approved(empty_place, tmp_path) as (replicas, store, asked):

        def race(number: int) -> Decision:
            decision = insist(replicas, number)
            if decision.allowed:
                replicas[0].running.process.kill()
            return decision

        decisions = together(race)
        replicas[0].running.process.wait(60)
        one_is_admitted(decisions, asked)
        assert len(store.approvals.page(now_us(), grant="g").items) == 2


def test_a_kill_before_anybody_is_told(empty_place: Place, tmp_path: Path) -> None:
    with approved(empty_place, tmp_path) as (replicas, store, asked):

        def race(number: int) -> Decision:
            if number == 5:
                replicas[0].running.process.kill()
            return insist(replicas, number)

        decisions = together(race)
        # The killed one may have used it without an answer; then all wait for one new approval.
        allowed = [one for one in decisions if one.allowed]
        assert len(allowed) <= 1
        assert len({one.approval for one in decisions if not one.allowed}) == 1
        assert {one.outcome for one in decisions} <= {"allow", "approval_required"}
        assert store.approvals.get(str(asked.approval), now_us()).state is State.CONSUMED


def test_while_the_store_is_locked_only_calls_that_need_it_are_denied(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = serving(stack, tmp_path / "a", in_folder(tmp_path / "state"), approvals={"deadline": "400ms"})
        store = stack.enter_context(closing(open_store(in_folder(tmp_path / "state"))))
        asked = ask(one)
        answer(store, asked)
        with closing(sqlite3.connect(tmp_path / "state" / "callgate.db", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            denied = ask(one)
            assert (denied.outcome, denied.rule) == ("deny", UNAVAILABLE)
            assert ask(one, tool="calm").allowed
            other.execute("ROLLBACK")
        # The late answer was given back.
        wait_until(lambda: ask(one).allowed)


def test_a_flood_of_one_grant_meets_its_cap(tmp_path: Path) -> None:
    with ExitStack() as stack:
        one = serving(stack, tmp_path / "a", in_folder(tmp_path / "state"))
        rules = [ask(one, args={"n": number}).rule for number in range(25)]
        assert rules == [RULE] * 20 + ["(approval capacity)"] * 5
        assert ask(one, grant="h").rule == RULE


def test_floods_on_two_replicas_meet_the_caps_and_others_go_on(empty_place: Place, tmp_path: Path) -> None:
    caps = {"deadline": "2s", "pending_per_grant": 3, "pending": 5}
    with ExitStack() as stack:
        replicas = [serving(stack, tmp_path / name, empty_place, approvals=caps) for name in ("a", "b")]
        store = stack.enter_context(closing(open_store(empty_place)))

        def flood(number: int) -> str:
            return ask(replicas[number % 2], grant="flood", args={"n": number}).rule

        calm = ask(replicas[0], grant="calm")
        with ThreadPoolExecutor(10) as pool:
            rules = list(pool.map(flood, range(40)))
        assert sorted(rules) == ["(approval capacity)"] * 37 + [RULE] * 3
        assert ask(replicas[1], grant="late").rule == RULE
        # Now there are five in all: whoever comes is refused, and what waits or was answered goes on.
        assert [ask(one, grant="later").rule for one in replicas] == ["(approval capacity)"] * 2
        assert ask(replicas[1], grant="calm").approval == calm.approval
        answer(store, calm)
        assert ask(replicas[1], grant="calm").allowed
        assert ask(replicas[0], grant="flood", tool="calm").allowed
        assert [ask(one, grant="later").rule for one in replicas] == [RULE] * 2


def test_masked_arguments_are_neither_kept_nor_shown(tmp_path: Path) -> None:
    with ExitStack() as stack:
        place = in_folder(tmp_path / "state")
        mask = {"deadline": "2s", "mask": ["args.password", "args.users[*].pin", "args.none"]}
        one = serving(stack, tmp_path / "a", place, approvals=mask)
        args = {"password": "hunter2", "users": [{"pin": 1234, "name": "x"}], "n": 1}
        asked = ask(one, args=args)
        store = stack.enter_context(closing(open_store(place)))
        recorded = store.approvals.record(str(asked.approval))
        assert recorded.arguments is not None
        assert "hunter2" not in recorded.arguments
        assert "1234" not in recorded.arguments
        evidence = json.loads(recorded.document)
        assert evidence["masked"] == ["args.password", "args.users[*].pin"]
        assert evidence["entries"] == [{"rule": "/tools/risky", "document": {"action": "require_approval"}}]
        answer(store, asked)
        assert ask(one, args=args).allowed


def test_people_see_the_tool_and_the_log_names_the_approval(tmp_path: Path) -> None:
    facts = {"category": "Write", "risk": "high", "description": "Does it.", "input_schema": {"type": "object"}}
    catalogue = tmp_path / "catalogue.json"
    catalogue.write_text(json.dumps({"version": "1", "servers": {"s": {"tools": {"risky": facts}}}}))
    log = tmp_path / "decisions.jsonl"
    with ExitStack() as stack:
        place = in_folder(tmp_path / "state")
        keys = {"catalogue": str(catalogue), "audit": {"path": str(log)}}
        one = serving(stack, tmp_path / "a", place, **keys)
        asked = ask(one, session="x1")
        store = stack.enter_context(closing(open_store(place)))
        evidence = json.loads(store.approvals.record(str(asked.approval)).document)
        assert evidence["tool"] == {"description": "Does it.", "input_schema": {"type": "object"}}
        assert (evidence["category"], evidence["risk"], evidence["session"]) == ("Write", "high", "x1")
        answer(store, asked)
        assert ask(one).allowed
        assert one.running.stop()[0] == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["outcome"], line["approval"], line["args_keys"]) for line in lines] == [
        ("approval_required", asked.approval, ["n"]),
        ("allow", asked.approval, ["n"]),
    ]


def test_an_embedded_engine_asks_its_store(tmp_path: Path) -> None:
    queue = ApprovalQueue(deadline_ms=2_000)
    engine = Engine.from_dict(ASKS, approvals=queue)
    alone = Engine.from_dict(ASKS)
    assert alone.check(grant="g", tool="risky").rule == UNAVAILABLE
    with closing(open_store(in_folder(tmp_path / "state"))) as store:
        asking = Asking(queue)
        asking.start(store)
        try:
            asked = engine.check(grant="g", tool="risky", args={"n": 1})
            assert asked.outcome == "approval_required"
            answer(store, asked)
            allowed = engine.check(grant="g", tool="risky", args={"n": 1}, reserve=True)
            assert allowed.approval == asked.approval
            assert engine.roll_back(str(allowed.reservation))
            wait_until(lambda: engine.check(grant="g", tool="risky", args={"n": 1}).allowed)
        finally:
            asking.stop()
        assert engine.check(grant="g", tool="calm").allowed


def test_a_look_neither_asks_nor_uses(tmp_path: Path) -> None:
    queue = ApprovalQueue(deadline_ms=2_000)
    engine = Engine.from_dict(ASKS, approvals=queue)
    call: dict[str, Any] = {"grant": "g", "tool": "risky", "args": {"n": 1}}

    def look() -> None:
        for decision in (engine.explain(**call).decision, engine.peek(**call).decision):
            assert decision is not None
            assert (decision.outcome, decision.rule, decision.approval) == ("approval_required", RULE, None)

    look()
    assert queue.take(1, 0) == ([], [], [])
    with closing(open_store(in_folder(tmp_path / "state"))) as store:
        asking = Asking(queue)
        asking.start(store)
        try:
            look()
            asked = engine.check(**call)
            answer(store, asked)
            look()
            assert store.approvals.get(str(asked.approval), now_us()).state is State.APPROVED
            assert engine.check(**call).approval == asked.approval
            look()
            assert store.approvals.get(str(asked.approval), now_us()).state is State.CONSUMED
        finally:
            asking.stop()


def test_tool_and_owner_are_looked_up_for_a_new_approval_alone(tmp_path: Path) -> None:
    looked_up: list[str] = []

    def definition_of(_server: str, tool: str) -> dict[str, str]:
        looked_up.append(tool)
        return {"description": "Does it."}

    def owner_of(grant: str) -> Person:
        looked_up.append(grant)
        return ANN

    given = Answer(Person("local", "ben"), frozenset(), Verdict.APPROVE, "test")
    queue = ApprovalQueue(deadline_ms=2_000)
    engine = Engine.from_dict(ASKS, approvals=queue)
    with closing(open_store(in_folder(tmp_path))) as store:
        asking = Asking(queue, Surroundings(definition_of=definition_of, owner_of=owner_of))
        asking.start(store)
        try:
            for count in (1, 2):
                asked = engine.check(grant="g", tool="risky", args={"n": 1})
                evidence = json.loads(store.approvals.record(str(asked.approval)).document)
                assert evidence["tool"] == {"description": "Does it."}
                assert store.approvals.get(str(asked.approval), now_us()).call.owner == ANN
                assert engine.check(grant="g", tool="risky", args={"n": 1}).approval == asked.approval
                store.approvals.answer(str(asked.approval), given, now_us())
                assert engine.check(grant="g", tool="risky", args={"n": 1}).allowed
                assert looked_up == ["risky", "g"] * count
            first = engine.check(grant="g", tool="risky", args={"n": 1})
            store.approvals.withdraw(str(first.approval), BY, "", now_us())
            # It is still taken for one that waits.
            second = engine.check(grant="g", tool="risky", args={"n": 1})
            assert json.loads(store.approvals.record(str(second.approval)).document)["tool"] is not None
        finally:
            asking.stop()


def test_no_other_call_waits() -> None:
    # Nobody takes the questions.
    engine = Engine.from_dict(ALLOW, approvals=ApprovalQueue(deadline_ms=60_000))
    assert engine.check(grant="g", tool="t").allowed
