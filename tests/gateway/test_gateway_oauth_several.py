"""Callers of several OAuth issuers at one gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx

from support.gateway.issuers import ISSUER, PUBLIC_URL, Key, ec_key, jwks
from support.gateway.oauth import CALL, TEAMS, send
from support.gateway.running import gateway
from support.proxies.upstream import keeping_upstream
from support.setup import Setup, until

OTHER = "https://other.example.com"
CAPPED = {**CALL, "params": {"name": "capped", "arguments": {}}}


def two_issuers(folder: Path, one: Key, two: Key, **of_two: Any) -> dict[str, Any]:
    for name, key in (("one", one), ("two", two)):
        (folder / f"{name}.json").write_text(json.dumps(jwks(key)), encoding="utf-8")
    return {
        "public_url": PUBLIC_URL,
        "oauth": [
            {"issuer": ISSUER, "prefix": "one:", "jwks": {"file": "one.json"}},
            {"issuer": OTHER, "prefix": "two:", "jwks": {"file": "two.json"}, **of_two},
        ],
    }


def test_each_issuer_names_callers_of_its_own(tmp_path: Path) -> None:
    # Both call their keys, and one of their subjects, by the same name.
    one, two, audit = ec_key("1"), ec_key("1"), tmp_path / "decisions.jsonl"
    (tmp_path / "own.json").write_text(json.dumps({**TEAMS, "name": "own"}), encoding="utf-8")
    gone = {"id": "two:gone", "server": "s", "policy": "own", "revoked": True}
    (tmp_path / "grants.json").write_text(json.dumps({"grants": [gone]}), encoding="utf-8")
    with (
        keeping_upstream() as upstream,
        gateway(
            tmp_path,
            {"s": f"http://127.0.0.1:{upstream.port}/mcp"},
            TEAMS,
            gateway=two_issuers(tmp_path, one, two, labels={"team": "team"}),
            policies={"p": "policy.json", "own": "own.json"},
            grants_file="grants.json",
            audit={"path": str(audit)},
        ) as running,
    ):
        url = running.url("s")
        of_one, of_two = one.token("alice"), two.token("alice", iss=OTHER, team="ops")
        for token in (of_one, of_two):
            texts = [send(url, token, CAPPED).text for _ in range(3)]
            assert ["isError" in text for text in texts] == [False, False, True], "units of its own"
        assert "isError" in send(url, of_one).text, "labels are of the issuer that says so"
        assert "isError" not in send(url, of_two).text
        assert send(url, one.token("gone")).status_code == 200
        locked_out = send(url, two.token("gone", iss=OTHER))
        assert locked_out.status_code == 401
        assert "(grant revoked)" in locked_out.text
        until(lambda: len(audit.read_text(encoding="utf-8").splitlines()) == 10)
        lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
    assert {line["grant"] for line in lines} == {"one:alice", "two:alice", "one:gone", "two:gone"}


def test_metadata_names_all_issuers_and_each_challenge_what_its_tokens_need(tmp_path: Path) -> None:
    one, two = ec_key("1"), ec_key("2")
    section = two_issuers(tmp_path, one, two, scopes=["tools:call"])
    with (
        keeping_upstream() as upstream,
        gateway(tmp_path, {"s": f"http://127.0.0.1:{upstream.port}/mcp"}, gateway=section) as running,
    ):
        found = httpx.get(f"http://{running.address}/.well-known/oauth-protected-resource/mcp/s", timeout=30).json()
        nobody, lacking = send(running.url("s"), None), send(running.url("s"), two.token(iss=OTHER))
        assert send(running.url("s"), one.token()).status_code == 200
        assert send(running.url("s"), two.token(iss=OTHER, scope="tools:call")).status_code == 200
    assert found["authorization_servers"] == [ISSUER, OTHER]
    assert found["scopes_supported"] == ["tools:call"]
    assert "scope=" not in nobody.headers["www-authenticate"], "which it needs depends on its issuer"
    assert lacking.status_code == 403
    assert 'scope="tools:call", resource_metadata=' in lacking.headers["www-authenticate"]


def test_issuers_come_and_go_while_the_gateway_runs(tmp_path: Path) -> None:
    setup, one, two = Setup(tmp_path), ec_key("1"), ec_key("2")
    section = two_issuers(tmp_path, one, two)
    with keeping_upstream() as upstream:
        server = {"policy": "p", "upstream": {"url": f"http://127.0.0.1:{upstream.port}/mcp"}}
        setup.write("p.json", TEAMS)

        def configure(oauth: object) -> None:
            setup.configure(
                servers={"s": server}, policies={"p": "p.json"}, gateway={"public_url": PUBLIC_URL, "oauth": oauth}
            )

        first, second = section["oauth"]
        configure(first)
        with setup.serving() as running:
            url = f"http://{running.address}/mcp/s"
            tokens = (one.token(), two.token(iss=OTHER))

            def statuses() -> list[int]:
                return [send(url, token).status_code for token in tokens]

            assert statuses() == [200, 401]
            with running.reload():
                configure([first, second])
            assert statuses() == [200, 200]
            with running.reload("failure"):
                configure([first, {**second, "prefix": "one:"}])
            assert statuses() == [200, 200]
            # Believed a moment ago, and no longer.
            with running.reload():
                configure(second)
            assert statuses() == [401, 200]
