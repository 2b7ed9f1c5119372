"""The keys of `admin.login`: faults with their places, warnings, and secrets that are not shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callgate.config.bundle import read_bundle
from callgate.config.check import warnings
from callgate.config.faults import InvalidConfigError
from callgate.config.load import load
from callgate.config.login import Login
from callgate.config.origins import effective
from support.setup import Setup

SECRET = "a-secret-of-the-client"
PUBLIC = "http://localhost:9193"
LOGIN: dict[str, Any] = {
    "issuer": "https://login.example.com",
    "client_id": "callgate",
    "roles": {"viewer": ["*"], "approver": ["dba", "ops"]},
}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


def fault(setup: Setup, admin: dict[str, Any]) -> str:
    setup.configure(admin=admin)
    with pytest.raises(InvalidConfigError) as caught:
        read_bundle(setup.file)
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"issuer": "http://login.example.com"}, "needs `https`"),
        ({"issuer": "login.example.com"}, "expected the URL that tokens have as `iss`"),
        ({"scopes": ["profile"]}, "needs `openid`"),
        ({"scopes": ["openid", "a b"]}, "one scope"),
        ({"roles": {}}, "roles"),
        ({"roles": {"approvers": ["dba"]}}, "expected `viewer`, `approver`"),
        ({"roles": {"admin": ["*"]}}, "gives `viewer` and `approver` alone"),
        ({"roles": {"policy_manager": ["ops", "*"]}}, "gives `viewer` and `approver` alone"),
        ({"clock_skew": "10m"}, "at most `5m`"),
        ({"client_secret": SECRET}, "client_secret_file"),
        ({"client_secret_file": "missing"}, "missing"),
        ({"client_secret_file": "empty"}, "expected the secret of the client"),
        ({"ca": "empty"}, "as PEM"),
        ({"issuer": "http://127.0.0.1:1", "ca": "empty"}, "`ca` has no effect"),
    ],
    ids=lambda value: str(value)[:40],
)
@pytest.mark.parametrize("is_list", [False, True])
def test_faults(setup: Setup, changes: dict[str, Any], words: str, *, is_list: bool) -> None:
    setup.write("empty", "")
    login = {**LOGIN, **changes}
    text = fault(setup, {"public_url": PUBLIC, "login": [login] if is_list else login})
    assert words in text
    assert SECRET not in text
    # Each fault has its place.
    assert "callgate.yaml:" in text


@pytest.mark.parametrize(
    ("admin", "words"),
    [
        ({"login": LOGIN}, "needs `public_url`"),
        ({"login": [LOGIN, LOGIN], "public_url": PUBLIC}, "an issuer twice"),
        ({"login": [], "public_url": PUBLIC}, "login"),
        ({"public_url": "callgate.example.com"}, "a scheme, a host"),
        ({"public_url": "https://callgate.example.com/x"}, "without a path"),
        ({"public_url": "http://callgate.example.com"}, "loopback alone"),
    ],
)
def test_faults_of_the_port(setup: Setup, admin: dict[str, Any], words: str) -> None:
    assert words in fault(setup, admin)


def test_the_secret_is_read_and_never_shown(setup: Setup) -> None:
    setup.write("secret", f"{SECRET}\n")
    (setup.folder / "secret").chmod(0o644)
    setup.configure(admin={"public_url": PUBLIC, "login": {**LOGIN, "client_secret_file": "secret"}})
    bundle = read_bundle(setup.file)
    [found] = bundle.logins
    assert found.secret == SECRET
    shown = [str(list(effective(load(setup.file)))), repr(bundle), repr(found), *warnings(bundle, quick=False)]
    assert all(SECRET not in text for text in shown)
    assert any("other users may read the secret" in text for text in shown)


def test_a_name_that_the_port_does_not_answer_to_is_a_warning(setup: Setup) -> None:
    for url, is_warned in [("https://callgate.example.com", True), (PUBLIC, False)]:
        setup.configure(admin={"public_url": url, "login": LOGIN})
        found = warnings(read_bundle(setup.file), quick=False)
        assert any("admin.public_url" in text for text in found) is is_warned


def test_groups_have_roles_and_names() -> None:
    login = Login.model_validate({**LOGIN, "approver_groups": {"dba": ["db-admins", "dba"], "all": ["everyone"]}})
    assert login.roles_of(()) == {"viewer"}
    assert login.roles_of({"ops", "x"}) == {"viewer", "approver"}
    assert login.approver_groups_of({"db-admins", "ops"}) == {"dba"}
    assert login.label == "login.example.com"
    assert login.device_client == "callgate"
    assert Login.model_validate({**LOGIN, "client_secret_file": "s"}).device_client is None
    assert Login.model_validate({**LOGIN, "client_secret_file": "s", "device_client_id": "c"}).device_client == "c"
