"""Uses: repeated, rolled back, in batches, at once, by callers who are gone, and beside limits."""

from __future__ import annotations

import http.client
import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from typing import Any

import pytest

from callgate import Decision
from callgate.store.model import State
from support.matrix import ASKED, DENIED, NEW, NONE, Row, play
from support.planes import wait_until
from support.scenes import Scene, Stage


def used(scene: Scene) -> None:
    assert scene.check().allowed


def asked_again_elsewhere(scene: Scene) -> None:
    assert scene.check().approval == scene.approval_id


def reserved(scene: Scene) -> str:
    decision = scene.check(reserve=True)
    assert decision.reservation is not None, decision
    return decision.reservation


def rolled_back(scene: Scene) -> None:
    assert scene.stage.using.client.roll_back(reserved(scene))
    scene.wait_for(State.APPROVED)


def rolled_back_twice(scene: Scene) -> None:
    reservation = reserved(scene)
    assert scene.stage.using.client.roll_back(reservation)
    assert not scene.stage.using.client.roll_back(reservation)
    scene.wait_for(State.APPROVED)


def rolled_back_used_and_rolled_back_again(scene: Scene) -> None:
    """The second roll-back is of the first use: it does not give back the second one."""
    reservation = reserved(scene)
    assert scene.stage.using.client.roll_back(reservation)
    scene.wait_for(State.APPROVED)
    used(scene)
    assert not scene.stage.using.client.roll_back(reservation)


def rolled_back_twice_in_a_row(scene: Scene) -> None:
    rolled_back(scene)
    rolled_back(scene)


def committed(scene: Scene) -> None:
    reservation = reserved(scene)
    assert scene.stage.using.client.commit(reservation)
    assert not scene.stage.using.client.roll_back(reservation)


def cause(scene: Scene) -> str:
    return scene.stage.store.approvals.get(scene.approval_id, 0).cause


def rolled_back_when_it_is_over(scene: Scene) -> None:
    reservation = reserved(scene)
    until_us = scene.stage.store.approvals.get(scene.approval_id, 0).until_us
    wait_until(lambda: time.time_ns() // 1_000 > until_us)
    assert scene.stage.using.client.roll_back(reservation)
    wait_until(lambda: cause(scene) == "rolled back, not restored")


def rolled_back_after_it_was_revoked(scene: Scene) -> None:
    reservation = reserved(scene)
    scene.change_grant(revoked=True)
    scene.wait_everywhere("(grant revoked)")
    # It cannot be restored any more.
    wait_until(lambda: scene.stage.store.approvals.get(scene.approval_id, 0).until_us == 0)
    assert scene.stage.using.client.roll_back(reservation)
    wait_until(lambda: cause(scene) == "rolled back, not restored")


def second_of_a_batch(scene: Scene) -> Decision:
    first, second = scene.stage.using.client.check_batch([scene.call(), scene.call()])  # type: ignore[list-item]
    assert first.allowed
    return second


def last_of_a_stream(scene: Scene) -> Decision:
    first, *others = scene.stage.using.client.check_stream([scene.call()] * 5)  # type: ignore[list-item]
    assert first.allowed
    assert len({other.approval for other in others}) == 1
    return others[-1]


def loser_of_a_batch_and_a_check(scene: Scene) -> Decision:
    """At all replicas at once: one of all these calls is allowed."""

    def batch() -> list[Decision]:
        return scene.stage.using.client.check_batch([scene.call(), scene.call()])  # type: ignore[list-item]

    with ThreadPoolExecutor(3) as pool:
        one, other = pool.submit(batch), pool.submit(batch)
        alone = pool.submit(partial(scene.check, scene.stage.asking))
        decisions = [*one.result(), *other.result(), alone.result()]
    assert sum(decision.allowed for decision in decisions) == 1
    refused = [decision for decision in decisions if not decision.allowed]
    assert len({decision.approval for decision in refused}) == 1
    return refused[0]


def hang_up(scene: Scene) -> None:
    """Makes the call over a connection that is closed while the question waits for the store."""
    host = scene.stage.using.running.address
    with closing(http.client.HTTPConnection(host, timeout=30)) as connection, scene.stage.locked():
        body = json.dumps(scene.call())
        connection.request("POST", "/v1/check", body, {"Content-Type": "application/json"})
        # Long enough to become a question; one that comes later is the same to the row.
        time.sleep(0.3)
        connection.close()


def gone_while_it_waited(scene: Scene) -> None:
    """The approval is not used, or given back: the next call finds it."""
    hang_up(scene)
    wait_until(lambda: scene.state is State.APPROVED)


def gone_while_it_asked(scene: Scene) -> None:
    hang_up(scene)
    scene.ask()


def full(scene: Scene) -> None:
    """Takes the one unit of a limit, at all replicas: each counts by itself."""
    for each in scene.stage.replicas:
        assert scene.check(each).allowed
    scene.ask()


def full_of_others(scene: Scene) -> None:
    """The approval was asked for by its entry alone, and now the limit asks as well."""
    scene.ask()
    other = asked_and_used(scene, args={"n": 2})
    assert other.allowed


def asked_and_used(scene: Scene, **changed: Any) -> Decision:
    """Another call is asked for, approved, and made."""
    mine, scene.asked = scene.asked, None
    scene.ask(**changed)
    assert scene.answer() == ""
    decision = scene.check(**changed)
    scene.asked = mine
    return decision


def room_again(scene: Scene) -> None:
    def left() -> float | None:
        [limit] = scene.stage.using.client.peek(**scene.call()).limits
        return limit.remaining

    wait_until(lambda: left() == 1)


ANEW: dict[str, Any] = {"decision": "approval_required", "approval": NEW}
USED: dict[str, Any] = {"decision": "allow", "approval": ASKED, "state": State.CONSUMED}
GONE: dict[str, Any] = {**ANEW, "state": State.CONSUMED}
AT_HOUR: dict[str, Any] = {"tool": "hour", "asks": full}

ROWS = [
    Row("replayed", then=used, **GONE),
    Row("asked again before the answer", before=asked_again_elsewhere, **USED),
    Row("rolled back", then=rolled_back, **USED),
    Row("rolled back, with the same message twice", then=rolled_back_twice, **USED),
    Row("rolled back again after another use", then=rolled_back_used_and_rolled_back_again, **GONE),
    Row("rolled back from two uses", then=rolled_back_twice_in_a_row, **USED),
    Row("committed", then=committed, **GONE),
    Row("rolled back when it is over", tool="brief", then=rolled_back_when_it_is_over, **GONE),
    Row("rolled back after the grant was revoked", decision="deny (grant revoked)", approval=NONE,
        state=State.CONSUMED, then=rolled_back_after_it_was_revoked),
    Row("twice in a batch", use=second_of_a_batch, **GONE),
    Row("five times in a stream", use=last_of_a_stream, **GONE),
    Row("in batches and alone at once", use=loser_of_a_batch_and_a_check, **GONE),
    Row("a caller who is gone", then=gone_while_it_waited, **USED),
    Row("a caller who is gone before the answer", asks=gone_while_it_asked, **USED),
    Row("a full limit", **AT_HOUR, **USED),
    Row("a full limit, denied", **AT_HOUR, answers=DENIED, decision="deny /tools/hour/limits/hour", approval=ASKED,
        state=State.DENIED),
    Row("a full limit, replayed", **AT_HOUR, then=used, approval=NEW,
        decision="approval_required /tools/hour/limits/hour", state=State.CONSUMED),
    Row("a limit with room again", tool="window", asks=full, then=room_again, decision="allow", approval=NONE,
        state=State.APPROVED),
    Row("a limit that asks as well", tool="both", asks=full_of_others, **ANEW, state=State.APPROVED),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_uses(theatre: Stage, row: Row) -> None:
    play(row, theatre.scene())


def test_another_replica_rolls_nothing_back(theatre: Stage) -> None:
    """A reservation is known where it was made; the call stays used."""
    scene = theatre.scene()
    scene.ask()
    assert scene.answer() == ""
    reservation = reserved(scene)
    for each in theatre.replicas[:-1]:
        assert not each.client.roll_back(reservation)
    assert scene.state is State.CONSUMED
