"""The section `gateway.oauth`: what reaches the data plane, and what cannot be meant."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from callgate import ConfigError, Engine, Server
from callgate.config.bundle import read_bundle
from callgate.config.check import check, warnings
from callgate.config.faults import InvalidConfigError
from callgate.config.load import load
from callgate.config.oauth import listed
from support.gateway.issuers import ec_key, jwks
from support.setup import Setup

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
                "prefix": "corp:",
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
        "prefix": "corp:",
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
        "prefix": None,
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
        ({"jwks": {"file": "x", "ca": "y"}}, "`ca` has no effect"),
        ({"jwks": None, "issuer": "http://login.example.com"}, "needs `jwks`"),
        ({"jwks": {"ca": "y"}, "issuer": "http://127.0.0.1:1"}, "`jwks.ca` has no effect"),
        ({"prefix": "corp"}, "that end in `:`"),
        ({"prefix": ""}, "that end in `:`"),
        ({"prefix": "x" * 64 + ":"}, "at most 64"),
        ({"prefix": "a\n:"}, "that end in `:`"),
        ({"jwks": {"url": "http://localhost/", "ca": "y"}}, "`ca` has no effect"),
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


def test_keys_may_be_looked_for_by_the_issuer_s_metadata(setup: Setup) -> None:
    (setup.folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----", encoding="utf-8")
    for jwks_of, ca in (({}, None), ({"jwks": {"ca": "ca.pem"}}, b"-----BEGIN CERTIFICATE-----")):
        section = {name: value for name, value in GOOD.items() if name != "jwks"} | jwks_of
        setup.configure(gateway={"oauth": section})
        found = read_bundle(setup.file).gateway()["oauth"]
        assert (found["jwks"], found["jwks_url"], found["jwks_ca"]) == (None, None, ca)
    Server(Engine.from_dict(POLICY), gateway={"oauth": {**KEYWORDS, "jwks_url": None}}).check()


ONE = {**GOOD, "prefix": "one:"}
TWO = {**GOOD, "issuer": "https://two.example.com", "prefix": "two:"}


def test_several_issuers_reach_the_data_plane(setup: Setup) -> None:
    setup.configure(gateway={"oauth": [ONE, TWO]})
    bundle = read_bundle(setup.file)
    check(bundle)
    keywords = bundle.gateway()
    assert [(found["issuer"], found["prefix"]) for found in keywords["oauth"]] == [
        ("https://login.example.com", "one:"),
        ("https://two.example.com", "two:"),
    ]
    Server(Engine.from_dict(POLICY), gateway=keywords).check()
    # One in a list needs no prefix, and keeps its place in messages.
    setup.configure(gateway={"oauth": [GOOD]})
    check(read_bundle(setup.file))


@pytest.mark.parametrize(
    ("issuers", "path", "fault"),
    [
        ([ONE, {**TWO, "prefix": "one:"}], "gateway.oauth[1].prefix", "neither begins with the other"),
        ([ONE, {**TWO, "prefix": "one:two:"}], "gateway.oauth[1].prefix", "neither begins with the other"),
        ([{**ONE, "prefix": "one:two:"}, {**TWO, "prefix": "one:"}], "gateway.oauth[1].prefix", "neither begins"),
        ([ONE, {**TWO, "prefix": None}], "gateway.oauth[1].prefix", "missing"),
        ([{**ONE, "prefix": None}, TWO], "gateway.oauth[0].prefix", "missing"),
        ([ONE, {**TWO, "issuer": ONE["issuer"]}], "gateway.oauth[1].issuer", "keep one of them"),
    ],
)
def test_issuers_of_which_two_could_mean_one_id_are_refused(
    setup: Setup, issuers: list[dict[str, Any]], path: str, fault: str
) -> None:
    written = [{name: value for name, value in issuer.items() if value is not None} for issuer in issuers]
    setup.configure(gateway={"oauth": written})
    with pytest.raises(InvalidConfigError, match=fault) as raised:
        check(read_bundle(setup.file))
    [found] = raised.value.faults
    assert found.file == str(setup.file)
    # The data plane refuses it by itself.
    keywords = [{**KEYWORDS, "issuer": issuer["issuer"], "prefix": issuer["prefix"]} for issuer in issuers]
    with pytest.raises(ConfigError, match=re.escape(path)):
        Server(Engine.from_dict(POLICY), gateway={"oauth": keywords}).check()


@pytest.mark.parametrize(
    ("oauth", "fault"),
    [
        ([], "at least 1"),
        ([GOOD, 7], r"`gateway.oauth\[1\]`: expected keys and values"),
        ([{**GOOD, "client_id": "x"}], r"`gateway.oauth\[0\]`: unknown key `client_id`"),
        ([{**GOOD, "audience": None}], "tokens for anybody"),
    ],
)
def test_faults_of_a_list_say_where_they_are(setup: Setup, oauth: list[Any], fault: str) -> None:
    setup.configure(gateway={"oauth": oauth})
    with pytest.raises(InvalidConfigError, match=fault):
        load(setup.file)


def test_the_environment_says_either_form(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLGATE_GATEWAY__OAUTH__ISSUER", "https://login.example.com")
    monkeypatch.setenv("CALLGATE_GATEWAY__OAUTH__AUDIENCE", "callgate")
    [(_, issuer)] = listed(load(None).config.gateway.oauth)
    assert (issuer.issuer, issuer.audience) == ("https://login.example.com", "callgate")
    monkeypatch.delenv("CALLGATE_GATEWAY__OAUTH__ISSUER")
    monkeypatch.delenv("CALLGATE_GATEWAY__OAUTH__AUDIENCE")
    monkeypatch.setenv("CALLGATE_GATEWAY__OAUTH", json.dumps([ONE, TWO]))
    assert [issuer.prefix for _, issuer in listed(load(None).config.gateway.oauth)] == ["one:", "two:"]


def test_a_grant_s_own_token_for_an_issuer_s_id_is_told(setup: Setup) -> None:
    setup.configure(
        gateway={"oauth": ONE},
        grants=[
            {"id": "one:alice", "server": "s", "policy": "p", "token_hash": "0" * 64},
            {"id": "one:bob", "server": "s", "policy": "p"},
            {"id": "carol", "server": "s", "policy": "p", "token_hash": "1" * 64},
        ],
    )
    told = [warning for warning in warnings(read_bundle(setup.file)) if "has a token of its own" in warning]
    [warning] = told
    assert "`one:alice` has a token of its own, and is also `alice` of the issuer" in warning


def test_warnings_say_what_is_so_with_an_issuer(setup: Setup) -> None:
    setup.configure(gateway={"oauth": GOOD})
    [trusting] = [warning for warning in warnings(read_bundle(setup.file)) if "no grants" in warning]
    assert trusting.endswith("trusted to name the grant that is charged, at every door but the gateway")
    setup.configure(grants=[])
    assert (
        "the list of grants is empty, so every call is denied but those with a grant of the store or with a token of "
        "`gateway.oauth`" in (warnings(read_bundle(setup.file)))
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
        ({"jwks": b"{}"}, "not both"),
        ({"jwks_url": None, "issuer": "http://login.example.com"}, "gateway.oauth.issuer"),
        ({"prefix": "corp"}, "gateway.oauth.prefix"),
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
