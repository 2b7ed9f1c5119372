"""Policies, grants, freezes and time between asking and use."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from callgate import Decision
from callgate.store.model import State
from support.matrix import ASKED, DENIED, NEW, NONE, Given, Row, play
from support.scenes import ASKS, Scene, Stage

OVER = "is expired, so that"
ENDED = "is ended, so that"


def another_version(scene: Scene) -> None:
    scene.change_policy(description="another")


def another_version_ends_the_question(scene: Scene) -> None:
    another_version(scene)
    scene.wait_for(State.ENDED)


def another_version_and_back(scene: Scene) -> None:
    another_version(scene)
    scene.change_policy()


def asks_no_more(scene: Scene) -> None:
    scene.change_policy(tools={"risky": {}})


def denies(scene: Scene) -> None:
    scene.change_policy(tools={"risky": {"action": "deny"}})


def hides(scene: Scene) -> None:
    scene.change_policy(hide=["risky"])


def asks_more_people(scene: Scene) -> None:
    scene.change_policy(tools={"risky": {**ASKS, "approval": {"count": 2}}})


def only_looks(scene: Scene) -> None:
    scene.change_policy(mode="shadow")


def expired(scene: Scene) -> None:
    scene.wait_for(State.EXPIRED)


def revoked(scene: Scene) -> None:
    scene.change_grant(revoked=True)
    scene.wait_everywhere("(grant revoked)")
    scene.wait_for(State.ENDED)


def gone(scene: Scene) -> None:
    scene.remove_grant()
    scene.wait_everywhere("(unknown grant)")
    scene.wait_for(State.ENDED)


def back_after(scene: Scene, change: Callable[[Scene], None]) -> None:
    change(scene)
    scene.change_grant()
    scene.wait_everywhere("")


def over(scene: Scene) -> None:
    scene.change_grant(expires_at="2020-01-01T00:00:00Z")
    scene.wait_everywhere("(grant expired)")


def frozen(scene: Scene) -> None:
    scene.freeze()


def frozen_and_thawed(scene: Scene) -> None:
    scene.thaw(scene.freeze())


def peeked(scene: Scene) -> Decision:
    """A peek uses nothing; the call after it does."""
    call = scene.call()
    looked = scene.stage.using.client.peek(**call).decision
    assert looked is not None
    assert looked.outcome == "approval_required"
    assert scene.state is State.APPROVED
    return scene.check()


ANEW: dict[str, Any] = {"decision": "approval_required", "approval": NEW}
USED: dict[str, Any] = {"decision": "allow", "approval": ASKED, "state": State.CONSUMED}
LEFT: dict[str, Any] = {"approval": NONE, "state": State.APPROVED}

ROWS = [
    Row("another policy", then=another_version, state=State.APPROVED, **ANEW),
    Row("another policy before the answer", before=another_version_ends_the_question,
        answers=(Given(refused=ENDED),), state=State.ENDED, **ANEW),
    Row("another policy after a denial", answers=DENIED, then=another_version, state=State.DENIED, **ANEW),
    Row("another policy, and the one before again", then=another_version_and_back, **USED),
    Row("a policy that asks no more", decision="allow", then=asks_no_more, **LEFT),
    Row("a policy that denies", decision="deny /tools/risky/action", then=denies, **LEFT),
    Row("a policy that hides", decision="deny (hidden)", then=hides, **LEFT),
    Row("a policy that asks more people", then=asks_more_people, state=State.APPROVED, **ANEW),
    Row("a policy that only looks", decision="allow", then=only_looks, **LEFT),
    Row("a question that is over", tool="hasty", before=expired, answers=(Given(refused=OVER),),
        state=State.EXPIRED, **ANEW),
    Row("an approval that is over", tool="brief", then=expired, state=State.EXPIRED, **ANEW),
    Row("a denial that is over", tool="hasty", answers=DENIED, then=expired, state=State.EXPIRED, **ANEW),
    Row("revoked", decision="deny (grant revoked)", approval=NONE, state=State.ENDED, then=revoked),
    Row("revoked before the answer", decision="deny (grant revoked)", approval=NONE, state=State.ENDED,
        before=revoked, answers=(Given(refused=ENDED),)),
    Row("revoked, and back by an older file", then=partial(back_after, change=revoked), state=State.ENDED, **ANEW),
    Row("gone", decision="deny (unknown grant)", approval=NONE, state=State.ENDED, then=gone),
    Row("gone and back", then=partial(back_after, change=gone), state=State.ENDED, **ANEW),
    Row("a grant that is over", decision="deny (grant expired)", then=over, **LEFT),
    Row("frozen", decision="deny (frozen)", then=frozen, **LEFT),
    Row("frozen before the answer", decision="deny (frozen)", before=frozen, **LEFT),
    Row("frozen and thawed", then=frozen_and_thawed, **USED),
    Row("peeked", use=peeked, **USED),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_changes(theatre: Stage, row: Row) -> None:
    play(row, theatre.scene())
