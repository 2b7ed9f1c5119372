"""Grants beside those of the configuration, changed one by one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from callgate import ConfigError, Engine, hash_token
from callgate._callgate import ManagedGrants
from callgate.config.grants import Grant

KEY = bytes(32)
POLICIES = {
    name: (f"{name}.json", json.dumps({"version": "1", "name": name, "default": "allow"}).encode()) for name in "pq"
}
LOADED = {"id": "loaded", "server": "s", "policy": "p"}
FORMS: list[dict[str, Any]] = [
    {"id": "one", "server": "s", "policy": "p", "token_hash": hash_token(KEY, "t1")},
    {"id": "none", "server": "s"},
    {"id": "list", "servers": {"s": "q", "u": "p"}, "labels": {"team": "ops", "ünit": "1"}},
    {
        "id": "two",
        "server": "u",
        "policy": "q",
        "tokens": [{"hash": hash_token(KEY, "t2")}, {"hash": hash_token(KEY, "t3"), "until": "2020-01-01T00:00:00Z"}],
    },
    {"id": "ended", "server": "s", "policy": "p", "expires_at": "2020-01-01T00:00:00Z"},
    {"id": "revoked", "server": "s", "policy": "p", "revoked": True},
    {"id": "owned", "server": "s", "policy": "p", "owner": {"issuer": "https://a.example", "subject": "ann"}},
]


def engine(*grants: dict[str, Any], **keys: Any) -> Engine:
    given: dict[str, Any] = {"servers": {"s": None, "u": None}, "grants": list(grants), "grant_key": KEY, **keys}
    return Engine.from_config(policies=POLICIES, **given)


def keywords(document: dict[str, Any]) -> dict[str, Any]:
    return Grant(**document).server_keywords()


def answers(asked: Engine) -> list[tuple[str, str, str]]:
    """Outcome, rule and policy of a call by every grant and token at both servers."""
    return [
        (found.outcome, found.rule, found.policy)
        for server in ("s", "u")
        for caller in (
            *({"grant": form["id"]} for form in (*FORMS, LOADED)),
            *({"grant_token": token} for token in ("t1", "t2", "t3", "t4")),
        )
        for found in [asked.check(server=server, tool="t", **caller)]
    ]


@pytest.mark.parametrize("way", ["change", "one by one", "file"])
def test_each_form_of_a_grant_means_what_it_means_in_the_configuration(way: str, tmp_path: Path) -> None:
    rows = [keywords(form) for form in FORMS]
    expected = answers(engine(LOADED, *rows))
    assert len(set(expected)) >= 5
    tried = engine(LOADED)
    assert answers(tried) != expected
    managed = ManagedGrants(tried)
    if way == "change":
        assert managed.change(rows) == []
    elif way == "one by one":
        assert [managed.change([row]) for row in rows] == [[]] * len(rows)
    else:
        lines = [{"version": "1"}, *({"put": row} for row in rows), {"mark": {"n": 1}}]
        file = tmp_path / "grants"
        file.write_text("".join(json.dumps(line) + "\n" for line in lines))
        assert managed.read_file(file) == ('{"n":1}', len(lines), [])
    assert answers(tried) == expected
    assert len(managed) == len(FORMS)
    tried.reload_config(policies=POLICIES, servers={"u": None, "s": None}, grants=[LOADED], grant_key=KEY)
    assert answers(tried) == expected
    assert managed.change([], [form["id"] for form in FORMS]) == []
    assert answers(tried) == answers(engine(LOADED))


def test_what_is_known_of_them() -> None:
    managed = ManagedGrants(engine(LOADED))
    managed.change([keywords(form) for form in FORMS])
    assert managed.known(["one", "revoked", "loaded", "nobody"]) == {"one": False, "revoked": True, "loaded": False}
    assert [managed.servers(name) for name in ("list", "loaded", "nobody")] == [["s", "u"], ["s"], None]
    assert managed.among(["loaded", "one", "nobody"]) == ["one"]
    assert managed.unserved() == []
    managed.change([{"id": "far", "server": "z", "policy": "p"}, {"id": "bare", "server": "s", "policy": "r"}])
    faults = [("bare", "unknown policy `r`"), ("far", "unknown server `z`")]
    assert sorted(managed.unserved()) == faults
    assert managed.unserved(["far", "one", "nobody"]) == faults[1:]
    assert len(managed.unserved(most=1)) == 1


def test_a_fault_leaves_the_grant_as_it_was() -> None:
    asked = engine(LOADED)
    managed = ManagedGrants(asked)
    managed.change([keywords(FORMS[0])])
    found = managed.change([{**keywords(FORMS[0]), "id": "other"}, LOADED])
    assert [name for name, _ in sorted(found)] == ["loaded", "other"]
    assert asked.check(grant_token="t1", server="s", tool="t").allowed
    with pytest.raises(ConfigError, match="grant `x`: `server` is missing"):
        managed.change([keywords(FORMS[1]), {"id": "x"}])
    assert len(managed) == 1
    with_tokens = [keywords(FORMS[0])]
    [(name, fault)] = ManagedGrants(engine(grant_key=None)).change(with_tokens)
    assert (name, "no grant key is configured" in fault) == ("one", True)
    [(_, fault)] = ManagedGrants(Engine.from_config(policies=POLICIES, servers={"s": None})).change(with_tokens)
    assert "write `grants: []`" in fault


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (['{"put": {"id": "a", "server": "s"}}'], "line 1 is damaged"),
        (['{"version": "2"}'], "line 1 is damaged"),
        (['{"version": "1"}', '{"put": {"id": "a", "server": "s"}}', "\0\0"], "line 3 is damaged"),
        (['{"version": "1"}', '{"put": {"id": "a", "server": "s", "revoke": true}}'], "line 2 is damaged"),
        (['{"version": "1"}', '{"put": {"id": "a", "server": "s", "token_hash": "00"}}'], "line 2 is damaged"),
        (['{"version": "1"}', '{"version": "1"}'], "line 2 is damaged"),
    ],
)
def test_a_damaged_file_leaves_no_managed_grant(tmp_path: Path, lines: list[str], fault: str) -> None:
    managed = ManagedGrants(engine())
    managed.change([keywords(FORMS[0])])
    file = tmp_path / "grants"
    file.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(ConfigError, match=fault):
        managed.read_file(file)
    assert len(managed) == 0


def test_the_lines_of_a_file_come_one_after_the_other(tmp_path: Path) -> None:
    managed = ManagedGrants(engine())
    managed.change([keywords(FORMS[0]), keywords(FORMS[2])])
    file = tmp_path / "grants"
    lines: list[dict[str, Any]] = [{"version": "1"}]
    lines += [{"put": {"id": f"g{number}", "server": "s", "token_hash": f"{number:064x}"}} for number in range(9_000)]
    # The token of one passes to another, which is a second line for one grant.
    lines += [{"remove": "g5"}, {"put": {"id": "g6", "server": "s"}}, {"put": {"id": "new", "server": "s"}}]
    lines += [{"put": {"id": "new", "server": "s", "token_hash": f"{6:064x}"}}, {"mark": 7}]
    written = "".join(json.dumps(line) + "\n" for line in lines)
    file.write_text(written + '{"put": {"id": "torn", "ser')
    assert managed.read_file(file) == ("7", len(lines), [])
    assert len(managed) == 9_000
    there = managed.known(["g5", "g6", "g8999", "new", "one", "list", "torn"])
    assert sorted(there) == ["g6", "g8999", "new"]
    with pytest.raises(ConfigError, match="cannot be read"):
        managed.read_file(tmp_path / "nothing")
