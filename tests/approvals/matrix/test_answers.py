"""Answers by people whose rights change: who may answer, and which answers still count."""

from __future__ import annotations

from typing import Any

import pytest

from callgate.store.model import State
from callgate.store.people import Role
from support.matrix import ASKED, DENIED, NEW, Given, Row, play
from support.scenes import Scene, Stage

OWN = "belongs to you, so that somebody else has to answer"
GROUPS = "this approval asks people of other groups: `dba`"


def owned_by(name: str, scene: Scene) -> None:
    scene.change_grant(owner={"issuer": "local", "subject": name})


def approved_by_ann_who_becomes_the_owner(scene: Scene) -> None:
    assert scene.answer("ann") == ""
    owned_by("ann", scene)


def approved_by_eve_who_leaves_her_group(scene: Scene) -> None:
    scene.stage.put_person("eve", ["dba"])
    assert scene.answer("eve") == ""
    scene.stage.put_person("eve", ["ops"])


def eve_leaves_her_group(scene: Scene) -> None:
    scene.stage.put_person("eve", ["dba"])
    scene.stage.session("eve")
    scene.stage.put_person("eve", [])


def eve_is_no_approver_any_more(scene: Scene) -> None:
    scene.stage.put_person("eve", ["dba"])
    scene.stage.session("eve")
    scene.stage.put_person("eve", ["dba"], Role.VIEWER)


def withdrawn(scene: Scene) -> None:
    """By the one who has answered it."""
    assert "it is withdrawn by an admin" in scene.answer("ben", "withdraw", reason="wrong")
    assert scene.answer("ann", "withdraw", reason="wrong") == ""


def withdrawn_by_the_owner(scene: Scene) -> None:
    assert scene.answer("oli", "withdraw", reason="wrong") == ""


def not_withdrawn_by_the_owner(scene: Scene) -> None:
    assert "others have denied it" in scene.answer("oli", "withdraw", reason="wrong")


WAITS: dict[str, Any] = {"decision": "approval_required", "approval": ASKED, "state": State.PENDING}
USED: dict[str, Any] = {"decision": "allow", "approval": ASKED, "state": State.CONSUMED}
ANEW: dict[str, Any] = {"decision": "approval_required", "approval": NEW}
REFUSED: dict[str, Any] = {"decision": "deny /tools/risky/approval", "approval": ASKED, "state": State.DENIED}

ROWS = [
    Row("nobody", answers=(), **WAITS),
    Row("denied", answers=DENIED, **REFUSED),
    Row("denied, then approved", answers=(*DENIED, Given("ben", refused="is denied, so that")), **REFUSED),
    Row("approved, then denied", answers=(Given(), Given("ben", "deny", "is approved, so that")), **USED),
    Row("the owner", answers=(Given("oli", refused=OWN),), **WAITS),
    Row("the owner denies", answers=(Given("oli", "deny", OWN),), **WAITS),
    Row("somebody else than the owner", **USED),
    Row("an owner since the question", before=lambda scene: owned_by("ann", scene), answers=(Given(refused=OWN),),
        **WAITS),
    Row("the owner at the question", before=lambda scene: owned_by("ann", scene),
        answers=(Given("oli", refused=OWN),), **WAITS),
    # Answers are held against the owner when they are given: at the last one that is needed.
    Row("an owner since the last answer", then=lambda scene: owned_by("ann", scene), **USED),
    Row("an owner between two answers", tool="two", before=approved_by_ann_who_becomes_the_owner,
        answers=(Given("ben"),), **WAITS),
    Row("an owner between two of three answers", tool="two", before=approved_by_ann_who_becomes_the_owner,
        answers=(Given("ben"), Given("cyd")), **USED),
    Row("one of two people", tool="two", **WAITS),
    Row("two people", tool="two", answers=(Given("ann"), Given("ben")), **USED),
    Row("one person twice", tool="two", answers=(Given(), Given()), **WAITS),
    Row("one person twice, and another", tool="two", answers=(Given(), Given(), Given("ben")), **USED),
    Row("one of two denies", tool="two", answers=(Given("ann"), Given("ben", "deny")),
        **{**REFUSED, "decision": "deny /tools/two/approval"}),
    Row("no group", tool="dba", answers=(Given("cyd", refused=GROUPS),), **WAITS),
    Row("no group, denying", tool="dba", answers=(Given("cyd", "deny", GROUPS),), **WAITS),
    Row("the group", tool="dba", **USED),
    Row("a group that is taken away", tool="dba", before=eve_leaves_her_group,
        answers=(Given("eve", refused=GROUPS),), **WAITS),
    Row("a role that is taken away", tool="dba", before=eve_is_no_approver_any_more,
        answers=(Given("eve", refused="approver"),), **WAITS),
    # An answer counts as long as its person is not changed.
    Row("a group that is taken away after the answer", tool="two-dba", before=approved_by_eve_who_leaves_her_group,
        answers=(Given("ben"),), **WAITS),
    Row("one of two without the group", tool="two-dba", answers=(Given("ann"), Given("cyd", refused=GROUPS)), **WAITS),
    Row("withdrawn", then=withdrawn, state=State.ENDED, **ANEW),
    Row("withdrawn before the answer", before=withdrawn_by_the_owner, answers=(Given(refused="is ended, so that"),),
        state=State.ENDED, **ANEW),
    Row("a denial that is withdrawn", answers=DENIED, then=withdrawn, state=State.ENDED, **ANEW),
    Row("a denial that the owner withdraws", answers=DENIED, then=not_withdrawn_by_the_owner, **REFUSED),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_answers(theatre: Stage, row: Row) -> None:
    play(row, theatre.scene())
