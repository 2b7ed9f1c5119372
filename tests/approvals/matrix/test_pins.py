"""Tools that change between asking and use, at doors that pin them and at those that do not."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from callgate import Decision
from callgate._callgate import pins_read
from callgate.errors import ConfigError
from callgate.store.model import State
from support.gateway.offered import call, listed
from support.matrix import NEW, NONE, Row, play
from support.planes import wait_until
from support.program import run
from support.replicas import Replica
from support.scenes import Scene, Stage


@dataclass
class Pinned(Scene):
    """A scene at the gateway, whose tool is of a server that can change it."""

    at_server: str = "pinned"

    @property
    def server(self) -> str:
        return self.at_server

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.token}"}

    def check(self, at: Replica | None = None, **changed: Any) -> Decision:
        """Makes the call of MCP; an allowed one does not say which approval it has used."""
        fields = self.call(**changed)
        reply = call(self._url(at or self.stage.using), fields["tool"], self.headers, fields["args"])
        told = reply["result"].get("_meta", {}).get("callgate/decision")
        if told is None:
            assert not reply["result"]["isError"]
            return Decision(outcome="allow")
        return Decision(outcome=told["outcome"], rule=told["rule"], approval=told.get("approval"))

    def check_unpinned(self) -> Decision:
        """Makes the same call at a door that pins nothing."""
        return super().check()

    def list_everywhere(self) -> None:
        """Lists the tools at all replicas, which see their forms."""
        for each in self.stage.replicas:
            listed(self._url(each), self.headers)

    def offer(self, description: str) -> None:
        """Changes the tool, and waits until all replicas have written down its new form."""
        self.stage.tools.offered[self.tool] = description
        self.list_everywhere()
        for each in self.stage.replicas:
            wait_until(partial(self.is_written, each, description))

    def is_written(self, at: Replica, description: str) -> bool:
        """True if the file of pins has this form of the tool as the newest."""
        try:
            [server] = pins_read(at.folder / "state" / "pins", self.at_server)
        except ConfigError:
            # The first list comes to the file a moment later.
            return False
        [tool] = [tool for tool in server["tools"] if tool["tool"] == self.tool]
        newest = [*tool["pinned"], *tool["listed"]][-1]
        return json.dumps(description) in dict(newest["members"])["description"]

    def _url(self, at: Replica) -> str:
        return f"http://{at.running.address}/mcp/{self.at_server}"


def as_pinned(scene: Scene) -> Pinned:
    assert isinstance(scene, Pinned)
    return scene


def ask(scene: Scene) -> None:
    as_pinned(scene).list_everywhere()
    scene.ask()


def ask_unpinned(scene: Scene) -> None:
    as_pinned(scene).list_everywhere()
    scene.asked = as_pinned(scene).check_unpinned()


def changed(scene: Scene) -> None:
    as_pinned(scene).offer("does something else")


def changed_and_back(scene: Scene) -> None:
    changed(scene)
    as_pinned(scene).offer("as it was")


def accepted(scene: Scene) -> None:
    changed(scene)
    for each in scene.stage.replicas:
        words = (as_pinned(scene).at_server, scene.tool, "--state", each.folder / "state")
        assert run("pin", "accept", *words).code == 0
    for each in scene.stage.replicas:
        wait_until(partial(is_in_force, scene, each))


def is_in_force(scene: Scene, at: Replica) -> bool:
    return scene.check(at).rule != "(tool changed)"


def permit(scene: Scene) -> None:
    assert scene.permit() == ""


def permit_and_changed(scene: Scene) -> None:
    permit(scene)
    changed(scene)


def permit_and_accepted(scene: Scene) -> None:
    permit(scene)
    accepted(scene)


def after_the_end_of_the_permit(scene: Scene) -> Decision:
    # Its own question has everybody look at what is in force.
    decision = scene.check()
    wait_until(lambda: not scene.is_permit_active)
    return decision


def unpinned(scene: Scene) -> Decision:
    return as_pinned(scene).check_unpinned()


ALLOWED: dict[str, Any] = {"decision": "allow", "approval": NONE, "state": State.CONSUMED}
ANEW: dict[str, Any] = {"decision": "approval_required /tools/pin*/approval", "approval": NEW}
CHANGED: dict[str, Any] = {"decision": "deny (tool changed)", "approval": NONE}
PERMITTED: dict[str, Any] = {"answers": (), "state": State.CONSUMED}


def row(name: str, **fields: Any) -> Row:
    return Row(name, tool=None, **{"asks": ask, **fields})


ENFORCED = [
    row("nothing", **ALLOWED),
    row("a changed tool", then=changed, **CHANGED, state=State.APPROVED),
    row("a changed tool before the answer", before=changed, **CHANGED, state=State.APPROVED),
    row("a tool that changed and came back", then=changed_and_back, **ALLOWED),
    row("a changed tool that was accepted", then=accepted, **ANEW, state=State.ENDED),
    row("asked where nothing is pinned", asks=ask_unpinned, **ANEW, state=State.APPROVED),
    row("used where nothing is pinned", use=unpinned, **ANEW, state=State.APPROVED),
    row("a permit", then=permit, decision="allow", approval=NONE, **PERMITTED),
    row("a permit for a changed tool", then=permit_and_changed, **CHANGED, **PERMITTED),
    row(
        "a permit for a changed tool that was accepted",
        then=permit_and_accepted,
        use=after_the_end_of_the_permit,
        **ANEW,
        **PERMITTED,
    ),
    row("a permit where nothing is pinned", then=permit, use=unpinned, **ANEW, **PERMITTED),
]
REPORTED = [
    row("nothing", **ALLOWED),
    row("a changed tool", then=changed, **ANEW, state=State.ENDED),
    row("a permit for a changed tool", then=permit_and_changed, **ANEW, **PERMITTED),
]


@pytest.mark.parametrize("row", ENFORCED, ids=str)
def test_pins(theatre: Stage, row: Row) -> None:
    play(row, pinned_scene(theatre, "pinned"))


@pytest.mark.parametrize("row", REPORTED, ids=str)
def test_pins_that_only_report(theatre: Stage, row: Row) -> None:
    play(row, pinned_scene(theatre, "reported"))


def pinned_scene(theatre: Stage, server: str) -> Pinned:
    scene = theatre.scene()
    return Pinned(theatre, scene.number, scene.token, f"pin{scene.number}", at_server=server)
