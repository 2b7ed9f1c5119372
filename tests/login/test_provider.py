"""Logins at a real OpenID provider: in a browser, by a command, and their ends."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from prometheus_client import CollectorRegistry

from callgate.admin.site import Site
from callgate.cli.login import login
from callgate.cli.logout import logout
from callgate.cli.remote import device
from callgate.cli.remote.approvals import remote_approvals
from callgate.cli.remote.port import RefusedError
from callgate.cli.remote.saved import find, sessions_folder
from callgate.clock import now_us
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.errors import ConfigError
from callgate.identity.identities import Identities
from callgate.identity.oidc.issuers import Issuers
from callgate.store.model import Person, State, Verdict
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.admin import running_admin
from support.approvals import need, waiting
from support.login.provider import Provider, provider
from support.login.settings import Settings
from support.site import Browser

SECRET = "a secret of the client"
ACCOUNTS: dict[str, dict[str, Any]] = {
    "ann": {"groups": ["dba"]},
    "ben": {"groups": "readers"},
    "cid": {},
}
HOME = "/approvals"


class Scene:
    """A provider, and the admin port whose people it logs in."""

    def __init__(self, stack: ExitStack, folder: Path) -> None:
        address = BoundAddress("127.0.0.1:0")
        stack.callback(address.close)
        self.url = f"http://{address}"
        web = {
            "client_id": "callgate",
            "client_secret": SECRET,
            "redirect_uris": [f"{self.url}/login/callback"],
            "backchannel_logout_uri": f"{self.url}/login/backchannel",
            "backchannel_logout_session_required": True,
        }
        commands = {
            "client_id": "callgate-cli",
            "token_endpoint_auth_method": "none",
            "application_type": "native",
            "grant_types": ["urn:ietf:params:oauth:grant-type:device_code"],
            "response_types": [],
            "redirect_uris": [],
        }
        self.provider: Provider = stack.enter_context(provider([web, commands], ACCOUNTS))
        self.settings = Settings(self.provider.url, self.url)
        self.settings.login["scopes"] = ["openid", "profile", "groups"]
        self.settings.login["device_client_id"] = "callgate-cli"
        self.settings.secret = SECRET
        self.store: Store = open_store(in_folder(folder))
        stack.callback(self.store.close)
        self.issuers = Issuers(self.settings, self.url)
        face = stack.enter_context(running_admin(self.store, folder / "files", issuers=lambda: self.issuers)).face
        assert face.identities is not None
        self.identities: Identities = face.identities
        pages = Pages(CollectorRegistry())
        site = Site(self.store, self.identities, is_private=True, registry=face.registry, public_url=self.url)
        pages.site = site
        stack.callback(site.close)
        admin = AdminServer(address, pages)
        admin.start()
        stack.callback(admin.stop)
        self.browser = Browser(stack, admin.address)

    def log_in(self, account: str, target: str = HOME) -> str:
        """Logs in, and returns the text of the page that the issuer leads back to."""
        self.browser.client.cookies.clear()
        self.provider.choose(account)
        [choice] = self.issuers.choices()
        sent = self.browser.get(f"/login/issuer/{choice.key}?next={target}")
        back = self.provider.follow(sent.headers["Location"])
        assert isinstance(back, str), back
        assert back.startswith(f"{self.url}/login/callback?"), back
        parts = urlsplit(back)
        return self.browser.get(f"{parts.path}?{parts.query}", **{"Sec-Fetch-Site": "cross-site"}).text

    def is_logged_in(self) -> bool:
        return self.browser.get(HOME).status_code == 200


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(stack, tmp_path_factory.mktemp("state"))


def test_people_log_in_and_the_provider_ends_their_sessions(scene: Scene) -> None:
    assert 'http-equiv="refresh"' in scene.log_in("ann")
    assert f"ann@example.com, ann ({scene.provider.url})" in scene.browser.get(HOME).text
    session = scene.browser.client.cookies["callgate"]
    scene.provider.log_out()
    assert not scene.is_logged_in()
    # The group is one text, and no list.
    scene.log_in("ben")
    assert scene.is_logged_in()
    assert "have no role here" in scene.log_in("cid")
    assert not scene.is_logged_in()
    assert session not in scene.browser.client.cookies.values()


def test_keys_are_replaced(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.log_in("ann")
    scene.provider.rotate()
    [found] = [scene.issuers._by_key(one.key) for one in scene.issuers.choices()]  # noqa: SLF001  its keys are old
    monkeypatch.setattr(found._keys, "_tried_s", (found._keys._tried_s or 0) - 20)  # noqa: SLF001
    scene.log_in("ann")
    assert scene.is_logged_in()


def test_a_command_logs_in_and_answers(
    scene: Scene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setattr(device, "_USUAL_INTERVAL_S", 0.2)
    with pytest.raises(ConfigError, match="not logged in"):
        remote_approvals(scene.url)
    scene.provider.choose("ann")
    begun: list[device.DeviceCode] = []
    begin = device.begin

    def noticed(*arguments: object) -> device.DeviceCode:
        begun.append(begin(*arguments))  # type: ignore[arg-type]
        return begun[-1]

    monkeypatch.setattr(device, "begin", noticed)
    with ThreadPoolExecutor(1) as threads:
        done = threads.submit(login, admin=scene.url)
        while not begun:
            assert not done.done(), done.exception()
        assert begun[0].full_url is not None
        # The person compares the code, and says yes.
        scene.provider.follow(begun[0].full_url)
        done.result(60)
    out, err = capsys.readouterr()
    assert begun[0].user_code in err
    assert f"logged in as ann@example.com, ann ({scene.provider.url})" in out
    [file] = sessions_folder().iterdir()
    assert (stat.S_IMODE(file.stat().st_mode), stat.S_IMODE(file.parent.stat().st_mode)) == (0o600, 0o700)
    saved = find(scene.url)
    assert saved is not None
    assert saved.token not in out + err

    asked = waiting(scene.store, "remote", at=now_us(), needs=(need(approvers=("dba",)),))
    remote = remote_approvals(scene.url)
    assert [one.id for one in remote.listed(State.PENDING, None)] == [asked]
    approval, record = remote.get(asked[:6])
    assert (approval.id, approval.state, record.answers) == (asked, State.PENDING, ())
    answered, permit = remote.answer(approval, Verdict.APPROVE, "agreed")
    assert (answered.state, permit) == (State.APPROVED, None)
    [given] = remote.get(asked)[1].answers
    assert (given.person, given.groups, given.reason) == (Person(scene.provider.url, "ann"), ("dba",), "agreed")
    with pytest.raises(RefusedError, match="is approved"):
        remote.answer(approval, Verdict.DENY, "")

    file.chmod(0o640)
    with pytest.raises(ConfigError, match="others could read"):
        remote_approvals(scene.url)
    file.chmod(0o600)
    logout(admin=scene.url)
    assert find(scene.url) is None
    with pytest.raises(RefusedError, match="callgate login --admin"):
        remote.get(asked)
