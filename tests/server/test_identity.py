"""Grants, enforcement points and TLS, through the Python API."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from callgate import AsyncClient, Client, ConfigError, Decision, Engine, PolicyError, Server, hash_token, new_token
from callgate.client import UNAVAILABLE
from support.program import refused, run

ROOT = Path(__file__).parents[2]
BUILD_FILES = (ROOT / "Makefile", ROOT / "Dockerfile")
"""The files that build wheels for users."""

KEY = bytes(range(32))
GRANT, PROXY, GATEWAY = new_token(), new_token(), new_token()
HASH = hash_token(KEY, GRANT)
POLICY = json.dumps(
    {
        "version": "1",
        "name": "p",
        "default": "deny",
        "tools": {
            "t": {"limits": [{"counter": "c", "window": "day", "max": 2}]},
            "labelled": {"require": [{"conditions": [{"path": "grant.labels.team", "op": "eq", "value": "red"}]}]},
        },
    }
).encode()


def configuration(**changes: Any) -> dict[str, Any]:
    """One server, one policy, one grant."""
    grant = {"id": "g", "token_hash": hash_token(KEY, GRANT), "server": "aws", "policy": "p", "labels": {"team": "red"}}
    return {
        "policies": {"p": ("p.json", POLICY)},
        "servers": {"aws": None},
        "grants": [grant | changes],
        "grant_key": KEY,
    }


def peps() -> list[dict[str, Any]]:
    return [
        {"name": "proxy", "token_hash": hash_token(KEY, PROXY)},
        {"name": "gateway", "token_hash": hash_token(KEY, GATEWAY), "vouches": True, "certificates": ["gw.example"]},
    ]


@pytest.fixture
def server() -> Iterator[Server]:
    engine = Engine.from_config(**configuration())
    with Server(engine, workers=1, grace_ms=1_000, peps=peps(), pep_key=KEY) as server:
        yield server


def test_tokens_and_hashes() -> None:
    assert GRANT.startswith("cgt_")
    assert len(GRANT) == 47
    assert GRANT != PROXY
    assert hash_token(KEY, GRANT) == hash_token(KEY, GRANT) != hash_token(KEY, GRANT.swapcase())
    assert hash_token(KEY, GRANT) != hash_token(bytes(32), GRANT)
    with pytest.raises(ConfigError, match=r"^key: expected 32 bytes, got 5"):
        hash_token(b"short", GRANT)


def test_in_this_process() -> None:
    engine = Engine.from_config(**configuration())
    assert engine.check(grant_token=GRANT, tool="labelled").allowed
    assert engine.check(grant="g", tool="labelled", server="aws").allowed
    assert engine.check(grant="g", tool="labelled", server="aws", vouched=False).rule == "(unknown grant)"
    assert engine.check(grant_token=GRANT.swapcase(), tool="t").rule == "(unknown grant)"
    assert engine.check(grant_token=GRANT, grant="g", tool="t").rule == "(invalid request)"
    assert engine.check(grant_token=GRANT, labels={"team": "red"}, tool="t").rule == "(invalid request)"
    assert engine.check(tool="t").rule == "(invalid request)"
    assert engine.explain(grant_token=GRANT, tool="labelled").decision.allowed
    assert [(policy.server, policy.name) for policy in engine.policies] == [("aws", "p")]


def test_a_reload_keeps_counts_and_takes_effect() -> None:
    engine = Engine.from_config(**configuration())
    call: dict[str, Any] = {"grant_token": GRANT, "tool": "t", "now_ms": 1_000}
    assert engine.check(**call).limits[0].remaining == 1
    changes: list[tuple[dict[str, Any], str]] = [
        ({"revoked": True}, "(grant revoked)"),
        ({"expires_at_us": 1_000_000}, "(grant expired)"),
        ({"policy": None}, "(no policy)"),
        ({"token_hash": None}, "(unknown grant)"),
    ]
    for change, rule in changes:
        engine.reload_config(**configuration(**change))
        assert engine.check(**call).rule == rule
    with pytest.raises(ConfigError):
        engine.reload_config(**configuration(server="nowhere"))
    assert engine.check(**call).rule == "(unknown grant)", "the one before stays"
    engine.reload_config(**configuration(expires_at_us=1_000_001))
    assert engine.check(**call).limits[0].remaining == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"server": "x"}, "grant `g`: unknown server `x`; expected one of `aws`, or add it"),
        ({"policy": "x"}, "grant `g`: unknown policy `x`; expected one of `p`, or add it"),
        ({"token_hash": "cgt_x"}, "grant `g`: `token_hash` is no hash; expected 64 hexadecimal digits"),
        ({"revoked": "no"}, "grant `g`: `revoked` has the wrong type or range (got str)"),
        ({"expires_at_us": -1}, "grant `g`: `expires_at_us` has the wrong type or range (got int)"),
        ({"labels": ["a"]}, "grant `g`: `labels`: expected a mapping, got list"),
        ({"labels": {"a": 1}}, "grant `g`: `labels`: `a` has the wrong type or range (got int)"),
        ({"expiry": 1}, "grant `g`: unknown field `expiry`; expected one of `expires_at_us`, `id`"),
        ({"id": None}, "grant number 1: `id` is missing; add it"),
        ({"server": None}, "grant `g`: `server` is missing; add it"),
        ({"tokens": []}, "grant `g`: `token_hash` and `tokens` are both given; keep `tokens`"),
        ({"token_hash": None, "tokens": [{}]}, "grant `g`: token number 1: `hash` is missing; add it"),
        (
            {"token_hash": None, "tokens": [{"hash": "cgt_x"}]},
            "grant `g`: token number 1: `hash` is no hash; expected 64 hexadecimal digits",
        ),
        (
            {"token_hash": None, "tokens": [{"hash": HASH, "until": 1}]},
            "grant `g`: token number 1: unknown field `until`; expected one of `hash`, `until_us`",
        ),
        ({"token_hash": None, "tokens": [{"hash": HASH}] * 2}, "grant `g`: it has the same token twice; keep one"),
        ({"token_hash": None, "tokens": [{"hash": HASH}] * 3}, "grant `g`: it has 3 tokens, expected at most 2; take"),
        ({"servers": {"aws": "p"}}, "grant `g`: it has `servers`, and `server` or `policy` as well; keep `servers`"),
        ({"server": None, "servers": {"aws": "p"}}, "grant `g`: it has `servers`, and `server` or `policy` as well"),
        (
            {"server": None, "policy": None, "servers": {"x": "p"}},
            "grant `g`: unknown server `x`; expected one of `aws`",
        ),
        (
            {"server": None, "policy": None, "servers": {"aws": "x"}},
            "grant `g`: unknown policy `x`; expected one of `p`",
        ),
    ],
)
def test_faults_of_a_grant(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Engine.from_config(**configuration(**change))
    assert str(caught.value).startswith(message)


def test_faults_of_a_configuration() -> None:
    with pytest.raises(PolicyError, match=r"^p\.yaml:1:2: "):
        Engine.from_config(**configuration() | {"policies": {"p": ("p.yaml", b"[")}})
    with pytest.raises(ConfigError, match="no grant key is configured"):
        Engine.from_config(**configuration() | {"grant_key": None})
    twice = configuration()
    twice["grants"] *= 2
    with pytest.raises(ConfigError, match="a second grant has this `id`"):
        Engine.from_config(**twice)
    without = configuration() | {"grants": None, "servers": {"aws": "p", "bare": None}}
    engine = Engine.from_config(**without)
    assert engine.check(grant="anyone", tool="t", server="aws").allowed
    assert engine.check(grant="anyone", tool="t", server="bare").rule == "(no policy)"
    assert engine.check(grant="anyone", tool="t").rule == "(unknown server)"


def features_of_core(*words: str) -> set[str]:
    """The features of the core in a build of the extension with these options of Cargo."""
    command = ["cargo", "tree", "--locked", "--offline", "--package", "callgate-python", "--edges", "normal"]
    done = subprocess.run(
        [*command, "--prefix", "none", "--format", "{p} {f}", *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60.0,
        check=True,
    )
    lines = {line.removesuffix(" (*)") for line in done.stdout.splitlines() if line.startswith("callgate-core ")}
    assert lines
    return {feature for line in lines for feature in line.rpartition(")")[2].strip().split(",") if feature}


def test_a_panic_for_tests_is_in_no_wheel() -> None:
    assert features_of_core("--features", "tests") == {"forced-panic"}
    assert features_of_core() == set()
    # Whoever builds a wheel takes the features that are named here.
    assert "\nfeatures = []\n" in (ROOT / "pyproject.toml").read_text()
    building = [line for file in BUILD_FILES for line in file.read_text().splitlines() if "maturin build" in line]
    assert building
    assert not [line for line in building if "--features" in line]


def test_only_known_enforcement_points_are_answered(server: Server) -> None:
    target = str(server.address)
    with Client(target, token=PROXY) as client:
        held = client.check(grant_token=GRANT, tool="t", reserve=True)
        assert held.allowed
        assert client.check(grant="g", server="aws", tool="t").rule == "(unknown grant)"
    assert held.reservation is not None
    with Client(target, token=GATEWAY) as client:
        assert client.check(grant="g", server="aws", tool="t").allowed
        assert client.roll_back(held.reservation) is False
    with Client(target, token=PROXY) as client:
        assert client.roll_back(held.reservation) is True
    for token in (None, PROXY.swapcase(), GRANT):
        with Client(target, token=token, on_failure="fail_open") as client:
            decision = client.check(grant_token=GRANT, tool="t")
            assert (decision.outcome, decision.rule) == ("deny", UNAVAILABLE)
            assert "UNAUTHENTICATED" in decision.message
            assert GRANT not in decision.message

    server.reload(peps=[{"name": "proxy", "token_hash": hash_token(KEY, GATEWAY)}])
    with Client(target, token=PROXY) as client:
        assert "UNAUTHENTICATED" in client.check(grant_token=GRANT, tool="t").message


@pytest.mark.parametrize("token", ["", "a b", "a\nb", "é"])
def test_tokens_that_are_none(token: str) -> None:
    with pytest.raises(ValueError, match="`token` is not of the form") as caught:
        Client("127.0.0.1:1", token=token)
    assert not token or token not in str(caught.value)


@pytest.mark.parametrize(
    ("pep", "message"),
    [
        ({"name": "a"}, "pep `a`: it has no credential"),
        ({"name": "a", "uids": [-1]}, "pep `a`: `uids` has the wrong type or range (got list)"),
        ({"name": "a", "users": [1]}, "pep `a`: unknown field `users`; expected one of `certificates`"),
        ({"uids": [1]}, "pep number 1: `name` is missing; add it"),
        ({"name": "proxy", "uids": [1]}, "pep `proxy`: a second one has this `name`"),
    ],
)
def test_faults_of_an_enforcement_point(pep: dict[str, Any], message: str, server: Server) -> None:
    with pytest.raises(ConfigError) as caught:
        server.reload(peps=[pep, *peps()])
    assert str(caught.value).startswith(message)
    with Client(str(server.address), token=PROXY) as client:
        assert client.check(grant_token=GRANT, tool="t").allowed


def pem(authority: trustme.CA, name: str) -> dict[str, bytes]:
    pair = authority.issue_cert(name)
    chain = b"".join(blob.bytes() for blob in pair.cert_chain_pems)
    return {"certificate": chain, "key": pair.private_key_pem.bytes()}


def test_mutual_tls_sync_and_async() -> None:
    authority, own = trustme.CA(), {}
    tls = pem(authority, "localhost") | {"client_ca": authority.cert_pem.bytes()}
    own = pem(authority, "gw.example")
    credentials = grpc.ssl_channel_credentials(authority.cert_pem.bytes(), own["key"], own["certificate"])
    engine = Engine.from_config(**configuration())
    with Server(engine, workers=1, grace_ms=1_000, peps=peps(), pep_key=KEY, tls=tls) as server:
        target = f"localhost:{str(server.address).rpartition(':')[2]}"

        async def ask() -> Decision:
            async with AsyncClient(target, credentials=credentials, timeout_ms=20_000) as client:
                return await client.check(grant="g", server="aws", tool="t")

        with Client(target, credentials=credentials, timeout_ms=20_000) as client:
            assert client.check(grant="g", server="aws", tool="t").allowed
            assert asyncio.run(ask()).allowed
            with pytest.raises(ConfigError, match="tls key: it does not fit the certificate"):
                server.reload(tls=tls | {"key": own["key"]})
            other = trustme.CA()
            server.reload(tls=pem(other, "localhost") | {"client_ca": authority.cert_pem.bytes()})
            assert client.check(grant="g", server="aws", tool="t").rule != UNAVAILABLE, "open connections go on"
        with Client(target, credentials=credentials, timeout_ms=2_000) as client:
            assert client.check(grant="g", server="aws", tool="t").rule == UNAVAILABLE
        # The client knows a moment before the server has counted it.
        deadline = time.monotonic() + 20.0
        while not server.metrics().tls_handshakes_failed and time.monotonic() < deadline:
            time.sleep(0.01)
        assert server.metrics().tls_handshakes_failed >= 1


def test_an_empty_list_of_grants_is_nobody() -> None:
    parts = configuration()
    empty, without = {**parts, "grants": []}, {**parts, "grants": None, "servers": {"aws": "p"}}

    def rules(engine: Engine) -> set[str]:
        asked: list[dict[str, Any]] = [{"grant": "anybody"}, {"grant": "g"}, {"grant_token": GRANT}]
        return {
            engine.check(tool="t", server="aws", vouched=vouched, **caller).rule
            for vouched in (True, False)
            for caller in asked
        }

    engine = Engine.from_config(**empty)
    assert rules(engine) == {"(unknown grant)"}
    engine.reload_config(**without)
    assert engine.check(tool="t", server="aws", grant="anybody").allowed
    engine.reload_config(**empty)
    assert rules(engine) == {"(unknown grant)"}
    with Server(engine, workers=1, grace_ms=1_000) as server:
        client = Client(str(server.address))
        assert client.check(tool="t", server="aws", grant="anybody").rule == "(unknown grant)"
        server.reload(**without)
        assert client.check(tool="t", server="aws", grant="anybody")
        server.reload(**empty)
        assert client.check(tool="t", server="aws", grant="anybody").rule == "(unknown grant)"


def test_an_empty_list_of_peps_is_nobody() -> None:
    engine = Engine.from_config(**configuration())
    nobody: list[Sequence[dict[str, Any]]] = [[], ()]
    for peps in nobody:
        with Server(engine, workers=1, grace_ms=1_000, peps=peps) as server:
            assert Client(str(server.address)).check(tool="t", grant="g", server="aws").rule == UNAVAILABLE
    with Server(engine, workers=1, grace_ms=1_000) as server:
        client = Client(str(server.address))
        assert client.check(tool="t", grant_token=GRANT, server="aws")
        server.reload(peps=[])
        assert client.check(tool="t", grant_token=GRANT, server="aws").rule == UNAVAILABLE


def test_faults_of_certificates() -> None:
    engine = Engine.from_config(**configuration())
    with pytest.raises(ConfigError, match=r"^tls: `key` is missing; add it"):
        Server(engine, tls={"certificate": b""})
    with pytest.raises(ConfigError, match=r"^tls certificate: no certificate is in it"):
        Server(engine, tls={"certificate": b"", "key": b""}).start()
    with pytest.raises(ConfigError, match=r"^pep_key: expected 32 bytes, got 1"):
        Server(engine, pep_key=b"x")
    with Server(engine, workers=1) as server, pytest.raises(ConfigError, match="started without certificates"):
        server.reload(tls=pem(trustme.CA(), "localhost"))


def test_the_command_line(tmp_path: Path) -> None:
    authority = trustme.CA()
    tls = pem(authority, "localhost") | {"client_ca": authority.cert_pem.bytes()}
    files = pem(authority, "other.example") | {"ca": authority.cert_pem.bytes()}
    files |= {"grant": f"{GRANT}\n".encode(), "proxy": PROXY.encode(), "none": b"\n"}
    paths = {name: tmp_path / name for name in files}
    for name, contents in files.items():
        paths[name].write_bytes(contents)
    engine = Engine.from_config(**configuration())
    with Server(engine, workers=1, grace_ms=1_000, peps=peps(), pep_key=KEY, tls=tls) as server:
        target = f"localhost:{str(server.address).rpartition(':')[2]}"
        secure: list[str | Path] = ["--tls-ca", paths["ca"], "--tls-cert", paths["certificate"]]
        secure += ["--tls-key", paths["key"]]
        words: list[str | Path] = ["check", "--target", target, "--tool", "labelled", *secure]
        words += ["--grant-token-file", paths["grant"]]
        assert run(*words, "--token-file", paths["proxy"]).code == 0
        done = run(*words)
        assert done.code == 2
        assert "UNAUTHENTICATED" in done.err
        assert GRANT not in done.out + done.err
        assert "holds no token" in refused(*words, "--token-file", paths["none"])
        assert "cannot read" in refused(*words, "--token-file", tmp_path / "missing")
