"""Tokens that are not the issuer's, or not for callgate: none of them reaches a server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization

from support.gateway.issuers import ISSUER, PUBLIC_URL, Key, bearing, ec_key, jwks, oauth, rsa_key
from support.gateway.oauth import CALL, send
from support.gateway.running import Gateway, gateway
from support.proxies.upstream import Upstream, keeping_upstream, send_raw

OTHER = "https://other.example.com"


def now_s() -> int:
    """Looked at when a token is made: other tests may run for long before."""
    return int(time.time())


@dataclass(frozen=True)
class Place:
    """A gateway that believes `key` and `other`, and what arrived behind it."""

    running: Gateway
    upstream: Upstream
    key: Key
    rsa: Key
    small: Key
    encrypting: Key
    stranger: Key
    other: Key
    """The key of another issuer that is believed where there are `several`, under the same id."""
    several: bool


@pytest.fixture(scope="module", params=[False, True], ids=["one issuer", "two issuers"])
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder, several = tmp_path_factory.mktemp("hostile"), bool(request.param)
    other = ec_key("e")
    key, rsa, small, encrypting = ec_key("e"), rsa_key("r"), rsa_key("small", 1024), ec_key("enc")
    document = {
        "keys": [
            *jwks(key, rsa, small)["keys"],
            encrypting.public(use="enc"),
            {"kty": "oct", "kid": "secret", "k": encoded(b"a secret that somebody published")},
        ]
    }
    (folder / "jwks.json").write_text(json.dumps(document), encoding="utf-8")
    section = oauth(jwks={"file": "jwks.json"}, labels={"team": "team"}, scopes=[])
    if several:
        (folder / "other.json").write_text(json.dumps(jwks(other)), encoding="utf-8")
        second = {"issuer": OTHER, "prefix": "two:", "jwks": {"file": "other.json"}, "algorithms": ["ES256"]}
        section["oauth"] = [{**section["oauth"], "prefix": "one:"}, second]
    with (
        keeping_upstream() as upstream,
        gateway(folder, {"s": f"http://127.0.0.1:{upstream.port}/mcp"}, gateway=section) as running,
    ):
        yield Place(running, upstream, key, rsa, small, encrypting, Key("e", ec_key("x").private), other, several)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def forged(header: dict[str, Any], key: bytes | None = None, claims: dict[str, Any] | None = None) -> str:
    """A token with any header, signed by HMAC or not at all."""
    said = claims or {"iss": ISSUER, "aud": f"{PUBLIC_URL}/mcp/s", "sub": "alice", "exp": now_s() + 600}
    signed = f"{encoded(json.dumps(header).encode())}.{encoded(json.dumps(said).encode())}"
    signature = b"" if key is None else hmac.new(key, signed.encode(), hashlib.sha256).digest()
    return f"{signed}.{encoded(signature)}"


def pem(key: Key, kind: serialization.PublicFormat = serialization.PublicFormat.SubjectPublicKeyInfo) -> bytes:
    return key.private.public_key().public_bytes(serialization.Encoding.PEM, kind)


def jwk_bytes(key: Key) -> bytes:
    return json.dumps(key.public()).encode()


def with_payload(place: Place, payload: bytes) -> str:
    """The signature of another payload."""
    header, _, signature = place.key.token().split(".")
    return f"{header}.{encoded(payload)}.{signature}"


def duplicated(place: Place) -> str:
    """A payload with a key twice, rightly signed."""
    import jwt  # noqa: PLC0415

    payload = (
        f'{{"iss":"{ISSUER}","aud":"{PUBLIC_URL}/mcp/s","exp":{now_s() + 600},"sub":"alice","sub":"admin"}}'.encode()
    )
    return jwt.api_jws.encode(payload, place.key.private, "ES256", headers={"kid": "e"})


HOSTILE: dict[str, tuple[Callable[[Place], str], str]] = {
    "no signature": (lambda _: forged({"alg": "none"}), "`alg`"),
    "no signature, called ES256": (lambda _: forged({"alg": "ES256", "kid": "e"}), "well-formed"),
    "none, with a signature": (lambda _: forged({"alg": "none"}, b"x"), "`alg`"),
    "None": (lambda _: forged({"alg": "None", "kid": "e"}, b"x"), "`alg`"),
    "no algorithm": (lambda _: forged({"kid": "e"}, b"x"), "`alg`"),
    "HMAC with the public key": (lambda place: forged({"alg": "HS256", "kid": "r"}, pem(place.rsa)), "`alg`"),
    "HMAC with the public key, called RS256": (
        lambda place: forged({"alg": "RS256", "kid": "r"}, pem(place.rsa)),
        "signature is wrong",
    ),
    "HMAC with the published key": (lambda place: forged({"alg": "HS256", "kid": "e"}, jwk_bytes(place.key)), "`alg`"),
    "HMAC with a published secret": (
        lambda _: forged({"alg": "HS256", "kid": "secret"}, b"a secret that somebody published"),
        "`alg`",
    ),
    "a secret's id": (lambda place: place.key.token(header={"kid": "secret"}), "none of the issuer's keys"),
    "an algorithm that is not pinned": (
        lambda place: forged({"alg": "PS256", "kid": "r"}, pem(place.rsa)),
        "`alg`",
    ),
    "another key under the same id": (lambda place: place.stranger.token(), "signature is wrong"),
    "another key without an id": (
        lambda place: Key("", place.stranger.private).token(),
        "none of the issuer's keys",
    ),
    "a key that is not published": (lambda _: ec_key("new").token(), "none of the issuer's keys"),
    "the id of a key of another kind": (
        lambda place: place.key.token(header={"kid": "r"}),
        "none of the issuer's keys",
    ),
    "a key that is too short": (lambda place: place.small.token(), "none of the issuer's keys"),
    "a key for encryption": (lambda place: place.encrypting.token(), "none of the issuer's keys"),
    "a key that it brings along": (
        lambda place: Key("x", place.stranger.private).token(header={"jwk": place.stranger.public()}),
        "none of the issuer's keys",
    ),
    "a place to fetch keys from": (
        lambda place: Key("x", place.stranger.private).token(header={"jku": "http://127.0.0.1:9/"}),
        "none of the issuer's keys",
    ),
    "a header that is critical": (lambda place: place.key.token(header={"crit": ["exp"], "exp": 1}), "`crit`"),
    "a token for another purpose": (lambda place: place.key.token(header={"typ": "logout+jwt"}), "`typ`"),
    "another issuer": (lambda place: place.key.token(iss="https://evil.example.com"), "another issuer"),
    "almost the issuer": (lambda place: place.key.token(iss=ISSUER + "/"), "another issuer"),
    "no issuer": (lambda place: place.key.token(iss=None), "another issuer"),
    "issuers": (lambda place: place.key.token(iss=[ISSUER]), "another issuer"),
    "another audience": (lambda place: place.key.token(aud="https://api.example.com"), "another audience"),
    "the audience of another server": (lambda place: place.key.token("alice", "t"), "another audience"),
    "the beginning of the audience": (lambda place: place.key.token(aud=PUBLIC_URL), "another audience"),
    "no audience": (lambda place: place.key.token(aud=None), "another audience"),
    "any audience": (lambda place: place.key.token(aud=["*", ""]), "another audience"),
    "expired": (lambda place: place.key.token(exp=now_s() - 31), "expired"),
    "no expiry": (lambda place: place.key.token(exp=None), "expired"),
    "an expiry in words": (lambda place: place.key.token(exp="2100-01-01"), "well-formed"),
    "an expiry that is no number": (lambda place: place.key.token(exp=True), "well-formed"),
    "an expiry beyond all numbers": (lambda place: place.key.token(exp=10**400), "well-formed"),
    "not valid yet": (lambda place: place.key.token(nbf=now_s() + 300), "not valid yet"),
    "nobody": (lambda place: place.key.token(sub=None), "names the grant"),
    "an empty name": (lambda place: place.key.token(""), "names the grant"),
    "a name that is no text": (lambda place: place.key.token(sub={"id": "alice"}), "names the grant"),
    "a name with NUL": (lambda place: place.key.token("alice\0"), "names the grant"),
    "a name without an end": (lambda place: place.key.token("a" * 256), "names the grant"),
    "a label that is a list": (lambda place: place.key.token(team=["ops"]), "label"),
    "other claims under the signature": (lambda place: with_payload(place, b'{"sub":"admin"}'), "signature is wrong"),
    "a claim that stands twice": (duplicated, "well-formed"),
    "claims that are no JSON": (lambda place: with_payload(place, b"alice"), "signature is wrong"),
    "too long": (lambda place: place.key.token(padding="x" * 13_000), "well-formed"),
    "two parts": (lambda place: place.key.token().rpartition(".")[0], "well-formed"),
    "five parts": (lambda place: place.key.token() + ".a.b", "well-formed"),
    "padding": (lambda place: place.key.token() + "==", "well-formed"),
    "no JWT at all": (lambda _: "gho_16C7e42F292c6912E7710c838347Ae178B4a", "well-formed"),
    "a grant's token of nobody": (lambda _: "cgt_nobody", "no grant of this server"),
}


AMONG_SEVERAL = {
    # Whose token it is cannot be told, so that no key is asked.
    "other claims under the signature": "another issuer",
    "claims that are no JSON": "well-formed",
}
"""Reasons that are others where there are several issuers."""

OF_ANOTHER: dict[str, tuple[Callable[[Place], str], str]] = {
    "one's name, the other's key": (lambda place: place.other.token(), "signature is wrong"),
    "the other's name, one's key": (lambda place: place.key.token(iss=OTHER), "signature is wrong"),
    "one's name, the other's key without an id": (
        lambda place: Key("", place.other.private).token(),
        "none of the issuer's keys",
    ),
    "the other's name, one's key without an id": (
        lambda place: Key("", place.key.private).token(iss=OTHER),
        "none of the issuer's keys",
    ),
    "the other's name, an id of one": (
        lambda place: place.key.token(iss=OTHER, header={"kid": "r"}),
        "none of the issuer's keys",
    ),
    "the other's name, an algorithm of one": (lambda place: place.rsa.token(iss=OTHER), "`alg`"),
    "the other's name, HMAC with its public key": (
        lambda place: forged(
            {"alg": "HS256", "kid": "e"},
            pem(place.other),
            {"iss": OTHER, "aud": f"{PUBLIC_URL}/mcp/s", "sub": "alice", "exp": now_s() + 600},
        ),
        "`alg`",
    ),
    "the other's name, HMAC called ES256": (
        lambda place: forged(
            {"alg": "ES256", "kid": "e"},
            pem(place.other),
            {"iss": OTHER, "aud": f"{PUBLIC_URL}/mcp/s", "sub": "alice", "exp": now_s() + 600},
        ),
        "signature is wrong",
    ),
    "both names": (lambda place: place.key.token(iss=[ISSUER, OTHER]), "another issuer"),
    "another audience of the other": (lambda place: place.other.token("alice", "t", iss=OTHER), "another audience"),
}


def refused(place: Place, token: str, reason: str) -> None:
    before = len(place.upstream.arrived)
    answer = send(place.running.url("s"), token)
    assert answer.status_code == 401, answer.text
    challenge = answer.headers["www-authenticate"]
    assert challenge.startswith('Bearer error="invalid_token"')
    assert f'resource_metadata="{PUBLIC_URL}/.well-known/oauth-protected-resource/mcp/s"' in challenge
    assert reason in answer.text
    assert len(place.upstream.arrived) == before
    assert "alice" not in answer.text


# Of the one that is too short to be believed.
@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_token_gets_nowhere(place: Place, name: str) -> None:
    make, reason = HOSTILE[name]
    refused(place, make(place), AMONG_SEVERAL.get(name, reason) if place.several else reason)


@pytest.mark.parametrize("name", OF_ANOTHER)
def test_no_issuer_speaks_for_another(place: Place, name: str) -> None:
    make, reason = OF_ANOTHER[name]
    if not place.several:
        assert send(place.running.url("s"), make(place)).status_code == 401
        return
    refused(place, make(place), reason)


def test_the_table_is_about_tokens(place: Place) -> None:
    for key in (place.key, place.rsa):
        for claims in (
            {},
            {"aud": ["x", f"{PUBLIC_URL}/mcp/s"]},
            {"nbf": now_s()},
            {"exp": now_s() + 7.5},
            {"team": 7},
        ):
            assert send(place.running.url("s"), key.token(**claims)).status_code == 200, claims
        assert send(place.running.url("s"), key.token(header={"typ": "at+jwt"})).status_code == 200
    of_other = send(place.running.url("s"), place.other.token(iss=OTHER)).status_code
    assert of_other == (200 if place.several else 401)


def test_a_token_is_sent_once_and_in_its_header(place: Place) -> None:
    before, url, token = len(place.upstream.arrived), place.running.url("s"), place.key.token()
    body = json.dumps(CALL).encode()
    fields = [("content-type", b"application/json"), ("accept", b"application/json, text/event-stream")]
    for authorization in (
        [f"Bearer {token}", f"Bearer {token}"],
        [f"Bearer {token}, Bearer {token}"],
        [f"Basic {token}"],
        [token],
        ["Bearer"],
        [],
    ):
        sent = [*fields, *(("authorization", value.encode()) for value in authorization)]
        assert send_raw(place.running.address, "POST", "/mcp/s", sent, body).status == 401, authorization
    asked = httpx.post(f"{url}?access_token={token}", json=CALL, headers=bearing(token), timeout=30)
    assert asked.status_code == 400
    assert token not in asked.text
    assert len(place.upstream.arrived) == before
