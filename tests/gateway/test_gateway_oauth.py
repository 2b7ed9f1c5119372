"""Callers who bear the token of an OAuth issuer, in front of real servers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from callgate._callgate import hash_token
from support.gateway.issuers import ISSUER, PUBLIC_URL, bearing, ec_key, oauth, publisher, rsa_key
from support.gateway.oauth import CALL, TEAMS, file_of, send
from support.gateway.running import KEY, TOKENS, bearer, gateway
from support.proxies.mcp import mcp_client, mcp_server
from support.proxies.policies import POLICY
from support.proxies.upstream import keeping_upstream
from support.setup import until

CALLS: list[tuple[str, dict[str, Any]]] = [("open", {"n": 3}), ("capped", {}), ("capped", {}), ("capped", {})]
PING = {"jsonrpc": "2.0", "id": 2, "method": "ping"}
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}},
}


@pytest.mark.parametrize(("mode", "stateless"), [("auto", True), ("legacy", False)])
@pytest.mark.parametrize("kind", ["file", "url"])
def test_a_real_client_is_let_in_by_its_token(tmp_path: Path, mode: str, stateless: bool, kind: str) -> None:
    key = rsa_key("r") if kind == "file" else ec_key("e")
    labels = {"team": "https://example.com/team", "tenant": ["realm", "tenant"]}
    with (
        mcp_server("/mcp", "secret", stateless=stateless) as port,
        publisher(key) as published,
    ):
        jwks_at = file_of(tmp_path, key) if kind == "file" else {"jwks": {"url": published.url}}
        section = oauth(**jwks_at, labels=labels)
        with gateway(tmp_path, {"s": f"http://127.0.0.1:{port}/mcp"}, TEAMS, gateway=section) as running:
            said: dict[str, Any] = {"https://example.com/team": "ops", "realm": {"tenant": 7}}
            ops = key.token("alice", **said)
            saw = mcp_client(running.url("s"), [*CALLS, ("small", {"n": 1}), ("secret", {})], bearing(ops), mode)
            said = {"https://example.com/team": "sales", "realm": {"tenant": 8}}
            sales = key.token("bob", **said)
            other = mcp_client(running.url("s"), [*CALLS, ("small", {"n": 1})], bearing(sales), mode)
            bare = mcp_client(running.url("s"), CALLS[:1], bearing(key.token("carol")), mode)
    assert saw["tools"] == ["capped", "open", "small"], "lists are the caller's too"
    opened, one, two, three, small, hidden = saw["seen"]
    assert [opened[0], one[0], two[0], small[0]] == ["done"] * 4
    assert [three[0], hidden[0]] == ["refused"] * 2
    opened, *capped, three, small = other["seen"]
    assert [opened[0], small[0], three[0]] == ["refused"] * 3
    assert [kind for kind, _ in capped] == ["done", "done"], "each subject has units of its own"
    assert bare["seen"][0][0] == "refused", "an absent claim is no label"


def test_a_token_goes_no_further(tmp_path: Path) -> None:
    key = ec_key("e")
    audit = tmp_path / "decisions.jsonl"
    with (
        keeping_upstream() as upstream,
        gateway(
            tmp_path,
            {"s": f"http://127.0.0.1:{upstream.port}/mcp"},
            gateway=oauth(**file_of(tmp_path, key)),
            audit={"path": str(audit)},
        ) as running,
    ):
        token, refused = key.token("alice"), key.token("mallory", aud="x")
        assert send(running.url("s"), token).status_code == 200
        assert send(running.url("s"), refused).status_code == 401
        [arrived] = upstream.arrived
        until(lambda: len(audit.read_text(encoding="utf-8").splitlines()) == 2)
        lines = [json.loads(line) for line in audit.read_text(encoding="utf-8").splitlines()]
        shown = audit.read_text(encoding="utf-8") + httpx.get(f"http://{running.sidecar.admin}/metrics").text
    assert arrived.header("authorization") is None
    assert [line["grant"] for line in lines] == ["alice", ""]
    assert [line["rule"] for line in lines] == ["", "(unknown grant)"]
    for secret in (*token.split("."), *refused.split("."), "mallory"):
        assert secret not in shown
        assert secret not in str(arrived)


def test_what_protects_a_server_is_told(tmp_path: Path) -> None:
    key = ec_key("e")
    section = oauth(**file_of(tmp_path, key), scopes=["tools:call", "tools:list"])
    with (
        keeping_upstream() as upstream,
        gateway(tmp_path, {"s": f"http://127.0.0.1:{upstream.port}/mcp"}, gateway=section) as running,
    ):
        path = "/.well-known/oauth-protected-resource/mcp/s"
        assert httpx.get(f"http://{running.address}{path}").json() == {
            "resource": f"{PUBLIC_URL}/mcp/s",
            "authorization_servers": [ISSUER],
            "scopes_supported": ["tools:call", "tools:list"],
            "bearer_methods_supported": ["header"],
        }
        nobody = send(running.url("s"), None)
        lacking = send(running.url("s"), key.token(scope="tools:list"))
        allowed = send(running.url("s"), key.token(scope="openid tools:list tools:call"))
    whole = 'scope="tools:call tools:list", ' + f'resource_metadata="{PUBLIC_URL}{path}"'
    assert (nobody.status_code, nobody.headers["www-authenticate"]) == (401, f"Bearer {whole}")
    assert lacking.status_code == 403
    challenge = lacking.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="insufficient_scope", error_description="')
    assert challenge.endswith(whole)
    assert allowed.status_code == 200
    assert len(upstream.arrived) == 1


def test_a_configured_grant_is_the_caller_of_its_id(tmp_path: Path) -> None:
    key = ec_key("e")
    grants: list[dict[str, Any]] = [
        {"id": "alice", "server": "s", "policy": "own", "labels": {"team": "ops"}},
        {"id": "gone", "server": "s", "policy": "own", "revoked": True},
        {"id": "late", "server": "s", "policy": "own", "expires_at": "2020-01-01T00:00:00Z"},
        {"id": "elsewhere", "server": "t", "policy": "own", "expires_at": "2020-01-01T00:00:00Z"},
        {"id": "gone elsewhere", "server": "t", "policy": "own", "revoked": True},
        {"id": "tokened", "server": "s", "policy": "own", "token_hash": hash_token(KEY, TOKENS["alice"])},
    ]
    (tmp_path / "key").write_text(KEY.hex(), encoding="utf-8")
    (tmp_path / "key").chmod(0o600)
    (tmp_path / "own.json").write_text(json.dumps({**TEAMS, "name": "own"}), encoding="utf-8")
    section = oauth(**file_of(tmp_path, key), labels={"team": "team"})
    with (
        keeping_upstream() as upstream,
        gateway(
            tmp_path,
            dict.fromkeys("st", f"http://127.0.0.1:{upstream.port}/mcp"),
            POLICY,
            gateway=section,
            policies={"p": "policy.json", "own": "own.json"},
            grant_key_file="key",
            grants_file=str(grants_file(tmp_path, grants)),
        ) as running,
    ):

        def outcome(token: str, tool: str = "open") -> tuple[int, str]:
            message = {**CALL, "params": {"name": tool, "arguments": {}}}
            answer = send(running.url("s"), token, message)
            return answer.status_code, answer.text

        # The labels are the grant's, whatever the token says, and so is the policy.
        assert outcome(key.token("alice", team="sales")) == (200, "ok")
        status, text = outcome(key.token("alice"), "small")
        assert (status, "isError" in text) == (200, True), "a policy's denial is an answer"
        # An id is configured once, so whoever is locked out at one server is so at all of them.
        for revoked, rule in (
            ("gone", "(grant revoked)"),
            ("late", "(grant expired)"),
            ("gone elsewhere", "(grant revoked)"),
        ):
            status, text = outcome(key.token(revoked))
            assert status == 401
            assert rule in text
        # A grant of another server is none here, and whoever else comes falls under the server's own policy.
        assert outcome(key.token("elsewhere")) == (200, "ok")
        assert outcome(key.token("somebody")) == (200, "ok")
        # Tokens of grants are good as ever, and are no tokens of the issuer.
        assert outcome(TOKENS["alice"], "capped") == (200, "ok")
        assert outcome("cgt_nobody")[0] == 401
        # Units are those of the id, whichever way its owner proves who it is.
        assert outcome(key.token("tokened"), "capped") == (200, "ok")
        status, text = outcome(key.token("tokened"), "capped")
        assert "isError" in text


def grants_file(folder: Path, grants: list[dict[str, Any]]) -> Path:
    path = folder / "grants.json"
    path.write_text(json.dumps({"grants": grants}), encoding="utf-8")
    return path


@pytest.mark.parametrize("keyed", [True, False])
def test_a_session_belongs_to_its_subject(tmp_path: Path, keyed: bool) -> None:
    key = ec_key("e")
    # The grant `alice` with a token of callgate's own, where there are such.
    grants = {"alice": "s"} if keyed else None
    with (
        mcp_server("/mcp", stateless=False) as port,
        gateway(
            tmp_path, {"s": f"http://127.0.0.1:{port}/mcp"}, grants=grants, gateway=oauth(**file_of(tmp_path, key))
        ) as running,
    ):
        url, alice = running.url("s"), key.token("alice")
        begun = send(url, alice, INITIALIZE)
        session = begun.headers["mcp-session-id"]
        assert send(url, alice, PING, mcp_session_id=session).status_code == 200
        assert send(url, key.token("alice", jti="another"), PING, mcp_session_id=session).status_code == 200
        assert send(url, key.token("bob"), PING, mcp_session_id=session).status_code == 404
        bare = session.partition(".")[2]
        assert send(url, alice, PING, mcp_session_id=bare).status_code == 404
        if keyed:
            assert send(url, None, PING, mcp_session_id=session, **bearer("alice")).status_code == 200


def test_one_audience_may_stand_for_every_server(tmp_path: Path) -> None:
    key = ec_key("e")
    section: dict[str, Any] = {"oauth": {"issuer": ISSUER, "audience": "callgate", "grant": ["act", "sub"]}}
    section["oauth"] |= file_of(tmp_path, key)
    with (
        keeping_upstream() as upstream,
        gateway(tmp_path, dict.fromkeys("st", f"http://127.0.0.1:{upstream.port}/mcp"), gateway=section) as running,
    ):
        token = key.token(aud=["other", "callgate"], act={"sub": "robot"})
        for server in "st":
            assert send(running.url(server), token).status_code == 200
        assert send(running.url("s"), key.token(act={"sub": "robot"})).status_code == 401
        assert send(running.url("s"), key.token(aud="callgate")).status_code == 401, "nobody acts"


def test_a_token_is_for_one_server(tmp_path: Path) -> None:
    key = ec_key("e")
    with (
        keeping_upstream() as upstream,
        gateway(
            tmp_path,
            dict.fromkeys("st", f"http://127.0.0.1:{upstream.port}/mcp"),
            gateway=oauth(**file_of(tmp_path, key)),
        ) as running,
    ):
        for server, other in ("st", "ts"):
            assert send(running.url(server), key.token("alice", server)).status_code == 200
            refused = send(running.url(server), key.token("alice", other))
            assert refused.status_code == 401
            assert "another audience" in refused.headers["www-authenticate"]
