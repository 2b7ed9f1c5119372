"""Rows of the matrix: a call asks, something changes, the call is made again."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from callgate import Decision
from callgate.store.model import State
from support.planes import wait_until
from support.scenes import Scene, now_us

ASKED, NEW, PERMIT, OTHER, NONE = "asked", "new", "permit", "other", "none"
"""The approval that a decision names."""


@dataclass(frozen=True)
class Given:
    """A person's answer, and a part of the message if it is refused."""

    name: str = "ann"
    verb: str = "approve"
    refused: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


def nothing(_scene: Scene) -> None:
    """Changes nothing."""


def ask(scene: Scene) -> None:
    """Makes the call, which waits for people."""
    scene.ask()


def check(scene: Scene) -> Decision:
    """Makes the same call again."""
    return scene.check()


APPROVED = (Given(),)
DENIED = (Given(verb="deny", fields={"reason": "use the test account"}),)


@dataclass(frozen=True)
class Row:
    """One change between asking and use, and its answer."""

    name: str
    decision: str
    """Outcome and rule of the use; without a rule, that of the tool's entry is expected where one asks."""
    approval: str
    """The approval that the decision names."""
    state: State
    """The state of the approval that was asked for, after the use."""
    tool: str | None = "risky"
    asks: Callable[[Scene], None] = ask
    before: Callable[[Scene], object] = nothing
    """The change before people answer."""
    answers: Sequence[Given] = APPROVED
    then: Callable[[Scene], object] = nothing
    """The change after they have answered."""
    use: Callable[[Scene], Decision] = check

    def __str__(self) -> str:
        return self.name


def play(row: Row, scene: Scene) -> None:
    """Plays the row, and compares its outcome."""
    scene.tool = row.tool or scene.tool
    row.asks(scene)
    row.before(scene)
    for given in row.answers:
        refused = scene.answer(given.name, given.verb, **given.fields)
        assert bool(refused) == bool(given.refused), refused
        assert given.refused in refused
    row.then(scene)
    decision = row.use(scene)
    expected = row.decision
    if expected == "approval_required":
        expected = f"approval_required /tools/{row.tool}/approval"
    assert f"{decision.outcome} {decision.rule}".strip() == expected, decision
    assert _named(scene, decision) == row.approval, decision
    wait_until(lambda: scene.state is row.state, lambda: f"{scene.state}, {decision}")
    # No question was made beside.
    assert _waiting(scene) <= {decision.approval, scene.approval_id}


def _waiting(scene: Scene) -> set[str | None]:
    """The questions of the scene's grant that wait for people, but for those of the tool by which changes are seen."""
    page = scene.stage.store.approvals.page(now_us(), state=State.PENDING, grant=scene.grant)
    return {one.id for one in page.items if one.state is State.PENDING and one.call.tool != "calm"}


def _named(scene: Scene, decision: Decision) -> str:
    if decision.approval is None:
        return NONE
    if decision.approval in {scene.approval_id, scene.permit_id}:
        return ASKED if decision.approval == scene.approval_id else PERMIT
    other = scene.stage.store.approvals.get(decision.approval, now_us())
    # A new one waits for people.
    return NEW if other.state is State.PENDING else OTHER
