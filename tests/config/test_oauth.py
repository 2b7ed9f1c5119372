"""The section `gateway.oauth`: what reaches the data plane, and what cannot be meant."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callgate import ConfigError, Engine, Server
from callgate.config import InvalidConfigError, load, read_bundle, warnings
from config.setup import Setup
from gateway.issuers import ec_key, jwks

POLICY = {"version": "1", "name": "p", "default": "deny", "tools": {"open": {}}}
URL = "https://login.example.com/jwks.json"
GOOD: dict[str, Any] = {"issuer": "https://login.example.com", "audience": "callgate", "jwks": {"url": URL}}


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    found = Setup(tmp_path)
    found.write("p.json", POLICY)
    return found


def test_every_key_reaches_the_data_plane(setup: Setup) -> None:
    document = jwks(ec_key("e"))
    setup.write("keys/jwks.json", document)
    setup.configure(
        gateway={
            "public_url": "https://callgate.example.com",
            "oauth": {
                "issuer": "https://login.example.com/realms/a",
                "jwks": {"file": "keys/jwks.json"},
                "algorithms": ["ES384", "EdDSA", "ES256"],
                "grant": ["act", "sub"],
                "labels": {"team": "https://example.com/team", "tenant": ["realm", "tenant"]},
                "clock_skew": "5s",
                "scopes": ["tools:call"],
            },
        }
    )
    keywords = read_bundle(setup.file).gateway()
    found = keywords["oauth"]
    assert json.loads(found.pop("jwks")) == document
    assert found == {
        "issuer": "https://login.example.com/realms/a",
        "jwks_url": None,
        "jwks_ca": None,
        "audience": None,
        "algorithms": ["ES384", "EdDSA", "ES256"],
        "grant": ["act", "sub"],
        "labels": {"team": ["https://example.com/team"], "tenant": ["realm", "tenant"]},
        "clock_skew_ms": 5000,
        "scopes": ["tools:call"],
    }
    Server(Engine.from_dict(POLICY), gateway=read_bundle(setup.file).gateway()).check()


def test_what_is_not_said_has_a_default(setup: Setup) -> None:
    setup.configure(gateway={"oauth": GOOD})
    keywords = read_bundle(setup.file).gateway()
    assert keywords["oauth"] == {
        "issuer": "https://login.example.com",
        "jwks": None,
        "jwks_url": URL,
        "jwks_ca": None,
        "audience": "callgate",
        "algorithms": ["RS256", "ES256"],
        "grant": ["sub"],
        "labels": {},
        "clock_skew_ms": 30_000,
        "scopes": [],
    }
    Server(Engine.from_dict(POLICY), gateway=keywords).check()


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"issuer": None}, "issuer"),
        ({"issuer": "login.example.com"}, "expected the URL that tokens have as `iss`"),
        ({"issuer": "https://login.example.com?x=y"}, "expected the URL that tokens have as `iss`"),
        ({"audience": None}, "tokens for anybody would be taken"),
        ({"audience": ""}, "at least one character"),
        ({"jwks": {}}, "either `url` or `file`"),
        ({"jwks": {"url": URL, "file": "x"}}, "either `url` or `file`"),
        ({"jwks": {"file": "x", "ca": "y"}}, "`ca` means nothing"),
        ({"jwks": {"url": "http://localhost/", "ca": "y"}}, "`ca` means nothing"),
        ({"jwks": {"url": "http://login.example.com/jwks.json"}}, "expected `https`"),
        ({"jwks": {"url": "http://127.0.0.1.example.com/"}}, "expected `https`"),
        ({"jwks": {"url": "https://user:secret@login.example.com/"}}, "without user"),
        ({"jwks": {"url": "file:///etc/jwks.json"}}, "expected a URL"),
        ({"jwks": URL}, "expected keys and values"),
        ({"algorithms": []}, "at least 1"),
        ({"algorithms": ["none"]}, "expected `RS256`"),
        ({"algorithms": ["HS256"]}, "expected `RS256`"),
        ({"algorithms": ["ES256", "es256"]}, "expected `RS256`"),
        ({"grant": ""}, "at least one character"),
        ({"grant": []}, "the name of a claim"),
        ({"grant": [1]}, "the names of claims"),
        ({"grant": 7}, "the name of a claim"),
        ({"labels": {"team": ["a", ""]}}, "at least one character"),
        ({"labels": {"": "team"}}, "at least one character"),
        ({"labels": ["team"]}, "keys and values"),
        ({"clock_skew": "6m"}, "at most `5m`"),
        ({"clock_skew": 30}, "with its unit"),
        ({"scopes": ["a b"]}, "one scope"),
        ({"scopes": ['a"b']}, "one scope"),
        ({"client_id": "x"}, "unknown key"),
    ],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, change: dict[str, Any], fault: str) -> None:
    section = {name: value for name, value in {**GOOD, **change}.items() if value is not None}
    path = tmp_path / "callgate.json"
    path.write_text(json.dumps({"servers": {"s": {}}, "gateway": {"oauth": section}}), encoding="utf-8")
    with pytest.raises(InvalidConfigError, match=fault) as raised:
        load(path)
    assert "secret" not in str(raised.value)


def test_warnings_say_what_is_so_with_an_issuer(setup: Setup) -> None:
    setup.configure(gateway={"oauth": GOOD})
    [trusting] = [warning for warning in warnings(read_bundle(setup.file)) if "no grants" in warning]
    assert trusting.endswith("trusted to name the grant that is charged, at every door but the gateway")
    setup.configure(grants=[])
    assert (
        "the list of grants is empty, so every call is denied but those that come with a token of `gateway.oauth`"
        in (warnings(read_bundle(setup.file)))
    )
    # A grant without a token is its subject's.
    setup.configure(grants=[{"id": "alice", "server": "s", "policy": "p"}])
    assert not [warning for warning in warnings(read_bundle(setup.file)) if "alice" in warning]
    setup.configure(gateway=None)
    assert [warning for warning in warnings(read_bundle(setup.file)) if "nobody can use it" in warning]


@pytest.mark.parametrize(
    ("document", "fault"),
    [
        (None, "no such file"),
        ("{", "is no JSON"),
        ({"keys": []}, "holds no key for signatures"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}, "holds no key for signatures"),
    ],
)
def test_a_file_without_keys_is_refused(setup: Setup, document: object, fault: str) -> None:
    if isinstance(document, str):
        (setup.folder / "jwks.json").write_text(document, encoding="utf-8")
    elif document is not None:
        setup.write("jwks.json", document)
    setup.configure(gateway={"oauth": {**GOOD, "jwks": {"file": "jwks.json"}}})
    with pytest.raises(ConfigError, match=fault):
        Server(Engine.from_dict(POLICY), gateway=read_bundle(setup.file).gateway()).check()


KEYWORDS: dict[str, Any] = {
    "issuer": "https://login.example.com",
    "jwks_url": URL,
    "audience": "callgate",
    "algorithms": ["ES256"],
    "grant": ["sub"],
    "clock_skew_ms": 0,
}


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"issuer": None}, "`issuer` is missing"),
        ({"issuer": ""}, "gateway.oauth.issuer"),
        ({"audience": None}, "gateway.oauth.audience"),
        ({"jwks": b"{}"}, "either `jwks` or `jwks_url`"),
        ({"jwks_url": None}, "either `jwks` or `jwks_url`"),
        ({"jwks_url": "http://login.example.com/"}, "gateway.oauth.jwks.url"),
        ({"jwks_ca": b"x"}, "gateway.oauth.jwks.ca"),
        ({"algorithms": []}, "gateway.oauth.algorithms"),
        ({"algorithms": ["none"]}, "`none` is no algorithm"),
        ({"grant": []}, "gateway.oauth.grant"),
        ({"secret": "x"}, "unknown field `secret`"),
    ],
)
def test_the_library_refuses_it_as_well(change: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Server(Engine.from_dict(POLICY), gateway={"oauth": {**KEYWORDS, **change}}).check()
    Server(Engine.from_dict(POLICY), gateway={"oauth": KEYWORDS}).check()
