"""Tokens that are replaced, servers and owners of grants: how the configuration says them, and what decides by them."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from callgate import Engine, hash_token, new_token
from callgate.config.bundle import Bundle, read_bundle
from callgate.config.check import check, warnings
from callgate.config.faults import InvalidConfigError
from support.setup import KEY, policy

A, B, C = (f"{number:064x}" for number in range(3))
UNTIL = "2026-06-01T00:00:00Z"
UNTIL_US = 1_780_272_000_000_000
QUIET = "servers: {s: {policy: p}, t: {}}\npolicies: {p: p.json, q: q.json}\ngrant_key_file: key\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("p.json").write_text(json.dumps(policy()))
    Path("q.json").write_text(json.dumps({**policy(), "name": "q"}))
    Path("key").write_text(KEY.hex())
    Path("key").chmod(0o600)
    return tmp_path


def read(text: str) -> Bundle:
    path = Path("callgate.yaml")
    path.write_text(QUIET + text)
    bundle = read_bundle(path)
    check(bundle)
    return bundle


def grant(fields: str) -> str:
    return f"grants:\n- {{id: a, {fields}}}\n"


def pep(fields: str) -> str:
    return f"peps:\n- {{name: a, {fields}}}\n"


BOTH = "`token_hash` is short for `tokens` with one entry, and both are given; keep `tokens`"
SERVERS = "`servers` gives each server its policy, and "
FAULTS = [
    (
        grant(f"server: s, tokens: [{{hash: '{A}'}}, {{hash: '{B}'}}, {{hash: '{C}'}}]"),
        "5:30: `grants[0].tokens`: expected at most 2 entries, got 3",
    ),
    (
        pep(f"tokens: [{{hash: '{A}'}}, {{hash: '{B}'}}, {{hash: '{C}'}}]"),
        "5:21: `peps[0].tokens`: expected at most 2 entries, got 3",
    ),
    (grant(f"server: s, token_hash: '{A}', tokens: [{{hash: '{B}'}}]"), f"5:3: `grants[0]`: {BOTH}"),
    (pep(f"token_hash: '{A}', tokens: [{{hash: '{B}'}}]"), f"5:3: `peps[0]`: {BOTH}"),
    (
        grant("server: s, tokens: [{until: 2026-06-01T00:00:00Z}]"),
        "5:31: `grants[0].tokens[0]`: the key `hash` is missing",
    ),
    (
        grant("server: s, tokens: [{hash: cgt_verysecret}]"),
        (
            "5:38: `grants[0].tokens[0].hash`: expected the hash of a token, this looks like a token itself; take the "
            "line that `create` prints"
        ),
    ),
    (
        grant(f"server: s, tokens: [{{hash: '{A}', until: tomorrow}}]"),
        (
            "5:113: `grants[0].tokens[0].until`: expected a time with its zone as in RFC 3339, such as "
            "`2027-01-31T00:00:00Z`, got `tomorrow`"
        ),
    ),
    (
        grant(f"server: s, tokens: [{{hash: '{A}'}}, {{hash: '{A}'}}]"),
        "5:114: this token is listed twice; keep one of them",
    ),
    (pep(f"tokens: [{{hash: '{A}'}}, {{hash: '{A}'}}]"), "5:105: this token is listed twice; keep one of them"),
    (
        grant(f"server: s, token_hash: '{A}'")
        + f"- {{id: b, server: s, tokens: [{{hash: '{B}'}}, {{hash: '{A}'}}]}}\n",
        "6:114: the grant `a` has the same token; make one for each",
    ),
    (
        pep(f"token_hash: '{A}'") + f"- {{name: b, tokens: [{{hash: '{A}', until: {UNTIL}}}]}}\n",
        "6:29: the PEP `a` has the same token; make one for each",
    ),
    (grant(f"token_hash: '{A}'"), "5:3: `grants[0]`: the key `server` is missing; `servers` lists several"),
    (
        grant("server: s, servers: {t: p}"),
        f"5:3: `grants[0]`: {SERVERS}`server` is given as well; keep `servers` alone",
    ),
    (
        grant("policy: p, servers: {t: p}"),
        f"5:3: `grants[0]`: {SERVERS}`policy` is given as well; keep `servers` alone",
    ),
    (grant("servers: {s: }"), "5:22: `grants[0].servers.s`: expected text, got nothing"),
    (grant("servers: {s: p, u: p}"), "5:27: unknown server `u`; expected one of `s`, `t`"),
    (grant("servers: {s: p, t: r}"), "5:30: unknown policy `r`; expected one of `p`, `q`"),
    (grant("server: s, owner: bob"), "5:29: `grants[0].owner`: expected keys and values, got text"),
    (
        grant("server: s, owner: {issuer: 'https://login.example.com'}"),
        "5:29: `grants[0].owner`: the key `subject` is missing",
    ),
    (
        grant("server: s, owner: {issuer: login, subject: bob}"),
        (
            "5:38: `grants[0].owner.issuer`: expected the URL that tokens have as `iss`, such as "
            "`https://login.example.com`, or `local` for a person of callgate's own store, got `login`"
        ),
    ),
    (
        grant("server: s, owner: {issuer: 'https://login.example.com', subject: ''}"),
        "5:76: `grants[0].owner.subject`: expected at least one character",
    ),
]


@pytest.mark.parametrize(("text", "expected"), FAULTS)
def test_faults_have_their_place(text: str, expected: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        read(text)
    [line] = str(caught.value).splitlines()
    assert line == f"callgate.yaml:{expected}"


NOW = datetime(2026, 6, 1, tzinfo=timezone.utc)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (f"[{{hash: '{A}'}}]", []),
        (f"[{{hash: '{A}', until: 2026-06-01T00:00:01Z}}, {{hash: '{B}'}}]", []),
        (f"[{{hash: '{A}', until: {UNTIL}}}, {{hash: '{B}'}}]", [f"has a token that ended at {UNTIL}; take it out"]),
        (f"[{{hash: '{A}'}}, {{hash: '{B}'}}]", ["has two tokens without an end; give the old one `until`"]),
    ],
)
def test_warnings_about_tokens(tokens: str, expected: list[str]) -> None:
    bundle = read(grant(f"servers: {{s: p, t: q}}, tokens: {tokens}") + pep(f"tokens: {tokens}").replace(A, C))
    found = warnings(bundle, NOW)
    for subject in ("the grant `a`", "the PEP `a`"):
        about = [line.partition(f"{subject} ")[2] for line in found if subject in line]
        assert about == expected, found
        assert all(line.startswith("callgate.yaml:") for line in found)
    assert len(found) == 2 * len(expected)


def test_a_revoked_grant_needs_no_care() -> None:
    bundle = read(
        grant(f"server: s, policy: p, revoked: true, tokens: [{{hash: '{A}', until: {UNTIL}}}]") + "peps: []\n"
    )
    assert [line for line in warnings(bundle, NOW) if "token that ended" in line] == []


def test_the_data_plane_takes_what_is_given() -> None:
    tokens = f"[{{hash: '{A}', until: {UNTIL}}}, {{hash: '{B}'}}]"
    owner = "{issuer: 'https://login.example.com', subject: bob}"
    bundle = read(
        grant(f"servers: {{s: p, t: q}}, owner: {owner}, tokens: {tokens}") + pep(f"tokens: {tokens}, vouches: true")
    )
    expected = [{"hash": A, "until_us": UNTIL_US}, {"hash": B, "until_us": None}]
    [first] = bundle.engine_keywords()["grants"]
    assert first == {
        "id": "a",
        "servers": {"s": "p", "t": "q"},
        "tokens": expected,
        "labels": {},
        "expires_at_us": None,
        "revoked": False,
    }
    [only] = bundle.peps() or []
    assert only == {"name": "a", "tokens": expected, "certificates": [], "uids": [], "vouches": True}


def test_a_grant_belongs_to_a_person_of_an_issuer_or_of_the_store() -> None:
    bundle = read(grant("server: s, owner: {issuer: local, subject: bob}"))
    [placed] = bundle.grants or ()
    assert placed.grant.owner is not None
    assert (placed.grant.owner.issuer, placed.grant.owner.subject) == ("local", "bob")


def test_an_end_before_the_data_plane_s_time_is_in_the_past() -> None:
    bundle = read(grant(f"server: s, tokens: [{{hash: '{A}', until: 1960-01-31T00:00:00Z}}]"))
    [first] = bundle.engine_keywords()["grants"]
    assert first["tokens"] == [{"hash": A, "until_us": 0}]


def engine_of(**fields: Any) -> Engine:
    Path("grants.json").write_text(json.dumps({"grants": [{"id": "a", **fields}]}))
    return Engine.from_config(**read("grants_file: grants.json\n").engine_keywords())


def test_the_end_of_a_token_is_judged_when_a_call_is_decided() -> None:
    old, new = new_token(), new_token()
    tokens = [{"hash": hash_token(KEY, old), "until": UNTIL}, {"hash": hash_token(KEY, new)}]
    engine = engine_of(server="s", policy="p", tokens=tokens)

    def check(token: str, now_ms: int) -> tuple[str, str, str]:
        decision = engine.check(grant_token=token, server="s", tool="t", now_ms=now_ms)
        return decision.outcome.value, decision.rule, decision.message

    end_ms = UNTIL_US // 1_000
    assert check(old, end_ms - 1) == check(new, end_ms - 1) == check(new, end_ms) == ("allow", "", "")
    assert check(old, end_ms) == check(new_token(), end_ms)
    assert check(old, end_ms)[:2] == ("deny", "(unknown grant)")
    # A clock that is put back makes it known again, as it does with grants that have expired.
    assert check(old, end_ms - 1)[0] == "allow"


def test_a_grant_of_several_servers() -> None:
    token = new_token()
    engine = engine_of(servers={"s": "p", "t": "q"}, token_hash=hash_token(KEY, token))
    found = {
        server: engine.check(grant_token=token, server=server, tool="t", now_ms=1_000) for server in ("s", "t", "u", "")
    }
    assert {server: decision.policy for server, decision in found.items()} == {"s": "p", "t": "q", "u": "", "": ""}
    assert [found[server].rule for server in found] == ["", "", "(unknown server)", "(invalid request)"]
    assert found[""].message == (
        "the grant is for several servers, and the call names none; name the server in the call"
    )
    one = engine_of(servers={"s": "p"}, token_hash=hash_token(KEY, token))
    assert one.check(grant_token=token, server="t", tool="t").rule == "(unknown grant)"
    assert one.check(grant_token=token, tool="t").rule == "(invalid request)"
