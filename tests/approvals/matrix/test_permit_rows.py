"""Permits: the approval is made into one, something changes, and a call is made under it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from callgate import Decision
from callgate.store.model import State
from support.matrix import ASKED, NEW, NONE, OTHER, PERMIT, Given, Row, play
from support.planes import wait_until
from support.scenes import ASKS, BY, TOOLS, Scene, Stage, now_us

AT_MOST_3: dict[str, Any] = {"n": {"at_most": {"greatest_json": "3"}}}
ANYTHING: dict[str, Any] = {"n": {"any": True}, "what": {"any": True}}
SECRET = {"user": "x", "password": "hunter2"}


def made(scene: Scene, name: str = "ann", **offer: Any) -> None:
    assert scene.permit(name, **offer) == ""
    assert scene.permit_id


def made_and(change: Callable[[Scene], object], scene: Scene, **offer: Any) -> None:
    made(scene, **offer)
    change(scene)


def refused(part: str, scene: Scene, name: str = "ann", **offer: Any) -> None:
    assert part in (message := scene.permit(name, **offer)), message
    assert not scene.permit_id


def used(scene: Scene, **changed: Any) -> None:
    decision = scene.check(**changed)
    assert (decision.outcome, decision.approval) == ("allow", scene.permit_id)


def used_twice(scene: Scene) -> None:
    for _ in range(2):
        used(scene)


def rolled_back(scene: Scene) -> None:
    used(scene)
    decision = scene.check(reserve=True)
    assert scene.stage.using.client.roll_back(str(decision.reservation))
    wait_until(lambda: scene.stage.store.permits.get(scene.permit_id, now_us()).uses_left == 1)


def rolled_back_after_its_end(scene: Scene) -> None:
    decision = scene.check(reserve=True)
    ended(scene)
    assert scene.stage.using.client.roll_back(str(decision.reservation))


def ended(scene: Scene) -> None:
    scene.stage.store.permits.end(scene.permit_id, BY, "enough", now_us())


def over(scene: Scene) -> None:
    wait_until(lambda: not scene.is_permit_active)


def revoked(scene: Scene) -> None:
    scene.change_grant(revoked=True)
    scene.wait_everywhere("(grant revoked)")
    over(scene)


def gone_and_back(scene: Scene) -> None:
    scene.remove_grant()
    scene.wait_everywhere("(unknown grant)")
    over(scene)
    scene.change_grant()
    scene.wait_everywhere("")


def entry_changed(scene: Scene) -> None:
    scene.change_policy(tools={"many": {**TOOLS["many"], "reason": "careful"}})


def entry_asks_more(scene: Scene) -> None:
    scene.change_policy(tools={"many": {**ASKS, "approval": {**TOOLS["many"]["approval"], "count": 2}}})


def other_entry_changed(scene: Scene) -> None:
    scene.change_policy(tools={"calm": {"reason": "careful"}})


def all_tools_ask(scene: Scene) -> None:
    scene.change_policy(all_tools=ASKS)


def denies(scene: Scene) -> None:
    scene.change_policy(tools={"many": {"action": "deny"}})


def frozen(scene: Scene) -> None:
    scene.freeze()


def frozen_and_thawed(scene: Scene) -> None:
    scene.thaw(scene.freeze())


def an_equal_call_is_denied(scene: Scene) -> None:
    """The permit covers it; it was asked for before that was made."""
    mine = scene.asked
    scene.ask(args={"n": 2, "what": "x"})
    assert scene.answer("ben", "deny") == ""
    scene.asked = mine
    made(scene, **AT_MOST_3)


def with_args(scene: Scene, **args: Any) -> Decision:
    return scene.check(args=args)


def of_another_grant(scene: Scene) -> Decision:
    other = scene.stage.scene("many")
    other.change_grant(servers={scene.server: scene.policy})
    other.wait_everywhere("", server=scene.server)
    return other.check(server=scene.server)


def ask_secret(scene: Scene) -> None:
    scene.ask(args=SECRET)


def of_two_people(scene: Scene) -> None:
    assert scene.permit("ann", **AT_MOST_3) == ""
    assert scene.state is State.PENDING
    made(scene, "ben", **AT_MOST_3)


def of_two_with_other_terms(scene: Scene) -> None:
    assert scene.permit("ann", **AT_MOST_3) == ""
    assert scene.permit("ben", **ANYTHING) == ""


def permit(name: str, change: Callable[[Scene], object] = made, **fields: Any) -> Row:
    return Row(name, **{"tool": "many", "answers": (), "then": change, "state": State.CONSUMED, **fields})


MADE_3 = partial(made, **AT_MOST_3)
COVERED: dict[str, Any] = {"decision": "allow", "approval": PERMIT}
ANEW: dict[str, Any] = {"decision": "approval_required", "approval": NEW}
WAITS: dict[str, Any] = {"decision": "approval_required", "approval": ASKED, "state": State.PENDING}
MASKED: dict[str, Any] = {"asks": ask_secret, "use": partial(with_args, user="x", password="other")}

ROWS = [
    permit("nothing", **COVERED),
    permit("within its terms", MADE_3, use=partial(with_args, n=2, what="x"), **COVERED),
    permit("another session", use=lambda scene: scene.check(session="b"), **COVERED),
    permit("beyond its terms", MADE_3, use=partial(with_args, n=4, what="x"), **ANEW),
    permit("below its terms", MADE_3, use=partial(with_args, n=-1, what="x"), **ANEW),
    permit("another type", MADE_3, use=partial(with_args, n="2", what="x"), **ANEW),
    permit("one more argument", MADE_3, use=partial(with_args, n=2, what="x", m=0), **ANEW),
    permit("one argument less", MADE_3, use=partial(with_args, n=2), **ANEW),
    permit("another tool", use=lambda scene: scene.check(tool="other"), approval=NEW,
           decision="approval_required /tools/other/approval"),
    permit("another server", use=lambda scene: scene.check(server="elsewhere"), **ANEW),
    permit("another grant", use=of_another_grant, **ANEW),
    permit("used up", partial(made_and, used_twice), **ANEW),
    permit("a use that was rolled back", partial(made_and, rolled_back), **COVERED),
    permit("a use that was rolled back after its end", partial(made_and, rolled_back_after_its_end), **ANEW),
    permit("ended", partial(made_and, ended), **ANEW),
    permit("over", partial(made_and, over, duration="1s"), **ANEW),
    permit("revoked", partial(made_and, revoked), decision="deny (grant revoked)", approval=NONE),
    permit("a grant that was gone", partial(made_and, gone_and_back), **ANEW),
    permit("an entry that changed", partial(made_and, entry_changed), **ANEW),
    permit("an entry that asks more people", partial(made_and, entry_asks_more), **ANEW),
    permit("another entry that changed", partial(made_and, other_entry_changed), **COVERED),
    permit("another entry that asks", partial(made_and, all_tools_ask), **ANEW),
    permit("an entry that denies", partial(made_and, denies), decision="deny /tools/many/action", approval=NONE),
    permit("frozen", partial(made_and, frozen), decision="deny (frozen)", approval=NONE),
    permit("frozen and thawed", partial(made_and, frozen_and_thawed), **COVERED),
    permit("a denial of the same call", an_equal_call_is_denied, decision="deny /tools/many/approval",
           use=partial(with_args, n=2, what="x"), approval=OTHER),
    permit("a masked argument of any value", partial(made, password={"any": True}), **MASKED, **COVERED),
    permit("a masked argument", partial(refused, "masked"), **MASKED, **ANEW, state=State.PENDING),
    permit("two people with the same terms", of_two_people, tool="many-two", **COVERED),
    permit("two people with other terms", of_two_with_other_terms, tool="many-two", **WAITS),
    permit("one of two people", lambda scene: scene.permit("ann"), tool="many-two", **WAITS),
    permit("the owner", partial(refused, "belongs to you", name="oli"), **WAITS),
    permit("more uses than the rule allows", partial(refused, "allows 1 to 3", uses=4), **WAITS),
    permit("a longer time than the rule allows", partial(refused, "3600 s", duration="3601s"), **WAITS),
    permit("a rule without permits", partial(refused, "lets nobody make a permit"), tool="risky", **WAITS),
    permit("answered before", partial(refused, "is approved"), answers=(Given(),), decision="allow", approval=ASKED),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_permits(theatre: Stage, row: Row) -> None:
    play(row, theatre.scene())
