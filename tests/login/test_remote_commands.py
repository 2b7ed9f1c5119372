"""Commands at an admin port, as the person whose session is kept in a file."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import typer
from prometheus_client import CollectorRegistry

from callgate._proto.callgate.admin.v1 import policies_pb2
from callgate.admin.site import Site
from callgate.cli import approvals, proposals
from callgate.cli.remote.port import RefusedError, admin_address
from callgate.cli.remote.saved import SavedSession, find, forget, save, sessions_folder
from callgate.clock import now_us
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.errors import CallgateError, ConfigError
from callgate.store.model import Evidence, PermitBounds, State
from callgate.store.people import Role
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.admin import POLICY, Admin, running_admin
from support.approvals import HOUR, ask, need
from support.evidence import evidence


class Scene:
    """An admin port, and the person who is logged in at it."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        store = open_store(in_folder(folder / "store"))
        stack.callback(store.close)
        given = {"four_eyes": ["policies"]}
        self.admin: Admin = stack.enter_context(running_admin(store, folder / "files", admin=given))
        assert self.admin.face.identities is not None
        pages = Pages(CollectorRegistry())
        site = Site(store, self.admin.face.identities, is_private=True, registry=self.admin.face.registry)
        pages.site = site
        server = AdminServer(BoundAddress("127.0.0.1:0"), pages)
        server.start()
        stack.callback(server.stop)
        stack.callback(site.close)
        self.url = f"http://{server.address}"

    def become(self, name: str, *roles: Role) -> None:
        """Keeps the session of a person for the commands."""
        token = self.admin.session(name, *roles, groups=["dba"])
        save(SavedSession(self.url, token, f"{name} (local)", "later"))

    def pending(self, fingerprint: str, *, takes_passkey: bool = False) -> str:
        """A call that waits for people."""
        asked = ask(fingerprint, need(permit=PermitBounds(5, HOUR)), arguments={"count": 3}, evidence=evidence())
        shown = Evidence('{"count": 3}', evidence(), takes_passkey=takes_passkey)
        object.__setattr__(asked.contents, "shown", shown)
        [outcome] = self.admin.store.approvals.ask([asked], now_us())
        return str(outcome.approval_id)  # type: ignore[union-attr]


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    with ExitStack() as stack:
        yield Scene(stack, tmp_path)


def test_approvals_are_listed_shown_and_answered(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.become("ann", Role.APPROVER)
    ids = [scene.pending(name) for name in "abc"]
    guarded = scene.pending("d", takes_passkey=True)
    approvals.list_command(admin=scene.url)
    out = capsys.readouterr().out
    assert all(name in out for name in (*ids, guarded))

    with pytest.raises(CallgateError, match="several ids begin with"):
        approvals.show(ids[0][:8], admin=scene.url)
    approvals.show(ids[0], admin=scene.url)
    assert '"count": 3' in capsys.readouterr().out
    approvals.approve(ids[0], reason="fine", admin=scene.url)
    assert f"approved: {ids[0]}" in capsys.readouterr().out
    approvals.deny([ids[1]], reason="no", admin=scene.url, as_json=True)
    [denied] = json.loads(capsys.readouterr().out)
    assert (denied["id"], denied["state"]) == (ids[1], "denied")
    approvals.approve(ids[2], uses=2, length="10m", term=["count=at_most:5"], admin=scene.url)
    assert "permit: " in capsys.readouterr().out
    [permit] = scene.admin.store.permits.page(now_us()).items
    assert (permit.max_uses, json.loads(permit.terms)) == (2, {"count": {"at_most": [0, 5]}})

    # What takes a passkey is refused, and says where it is done; denying it is not.
    approvals.show(guarded, admin=scene.url)
    assert "approving takes one" in capsys.readouterr().out
    with pytest.raises(RefusedError, match=f"/approvals/{guarded}"):
        approvals.approve(guarded, admin=scene.url)
    assert scene.admin.store.approvals.get(guarded, now_us()).state is State.PENDING
    approvals.deny([guarded], admin=scene.url)
    assert scene.admin.store.approvals.get(guarded, now_us()).state is State.DENIED

    scene.become("ben", Role.APPROVER)
    with pytest.raises(RefusedError):
        approvals.withdraw(guarded, "wrong", admin=scene.url)
    scene.become("ann", Role.APPROVER)
    approvals.withdraw(guarded, "wrong", admin=scene.url)
    assert f"ended: {guarded}" in capsys.readouterr().out
    assert scene.admin.store.approvals.get(guarded, now_us()).state is State.ENDED

    with pytest.raises(CallgateError, match="there is no approval"):
        approvals.show("zzzzzz", admin=scene.url)
    with pytest.raises(CallgateError, match="too short"):
        approvals.show("z", admin=scene.url)
    with pytest.raises(typer.BadParameter, match="either"):
        approvals.show("zzzzzz", state=Path("x"), admin=scene.url)


def test_proposals_are_confirmed_by_another_person(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    scene.become("ann", Role.POLICY_MANAGER)
    ann = scene.admin.person("ann", Role.POLICY_MANAGER)
    request = policies_pb2.CreatePolicyRequest(policy={"id": "new", "document": POLICY}, reason="a\u202eb")
    made = ann(request, policies_pb2.CreatePolicyResponse).proposal
    with pytest.raises(RefusedError, match="another person has to confirm"):
        proposals.confirm(made.id, admin=scene.url)
    scene.become("ben", Role.POLICY_MANAGER)
    proposals.list_command(admin=scene.url)
    out = capsys.readouterr().out
    assert made.id in out
    assert "\u202e" not in out
    proposals.show(made.id, admin=scene.url)
    assert "+default: allow" in capsys.readouterr().out
    proposals.confirm(made.id, admin=scene.url, reason="read it")
    assert capsys.readouterr().out == "confirmed: create of the policy `new`\n"
    proposals.list_command(admin=scene.url, is_all=True, as_json=True)
    [listed] = json.loads(capsys.readouterr().out)
    assert (listed["state"], listed["decideReason"]) == ("STATE_CONFIRMED", "read it")
    assert scene.admin.store.policies.get("new").content == POLICY


def test_a_session_is_for_one_address_and_one_user(scene: Scene) -> None:
    with pytest.raises(ConfigError, match="callgate login --admin"):
        approvals.list_command(admin=scene.url)
    scene.become("ann", Role.APPROVER)
    [file] = sessions_folder().iterdir()
    # One of another address, put in its place.
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "admin": "https://evil.example"}))
    with pytest.raises(ConfigError, match="is no session at"):
        find(scene.url)
    file.write_text("[]")
    with pytest.raises(ConfigError, match="is no session at"):
        find(scene.url)
    target = file.with_name("elsewhere")
    file.rename(target)
    file.symlink_to(target)
    with pytest.raises(ConfigError, match="cannot read"):
        find(scene.url)
    forget(scene.url)
    assert find(scene.url) is None


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("https://Callgate.example.com/", "https://callgate.example.com"),
        ("https://callgate.example.com:443", "https://callgate.example.com"),
        ("http://127.0.0.1:9193", "http://127.0.0.1:9193"),
        ("https://[::1]:9193", "https://[::1]:9193"),
        ("http://callgate.example.com", None),
        ("callgate.example.com", None),
        ("https://u:p@callgate.example.com", None),
        ("https://callgate.example.com/x", None),
        ("https://callgate.example.com:x", None),
    ],
)
def test_addresses(text: str, address: str | None) -> None:
    if address is not None:
        assert admin_address(text) == address
        return
    with pytest.raises(typer.BadParameter):
        admin_address(text)
