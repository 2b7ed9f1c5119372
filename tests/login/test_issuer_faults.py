"""Answers, tokens and logouts that are not believed, and issuers that fail."""

from __future__ import annotations

import json
from typing import Any

import pytest
from joserfc.jwk import ECKey

from callgate.identity.errors import IdentityError, LoginError, LoginReason, RetryError
from callgate.identity.identities import Identities
from callgate.identity.oidc.attempt import LoginAttempt, read_attempt
from callgate.identity.oidc.issuers import Issuers
from callgate.identity.reports import LoginReport
from callgate.store.store import Store
from support.identities import Clock
from support.login.issuer import FakeIssuer, new_key, signed
from support.login.settings import Settings

EVENT: dict[str, Any] = {"http://schemas.openid.net/event/backchannel-logout": {}}
SOURCE = "192.0.2.7"
SECOND = 1_000_000
CONFIGURATION = "/.well-known/openid-configuration"


def begin(issuers: Issuers, issuer: FakeIssuer) -> tuple[LoginAttempt, dict[str, str]]:
    [choice] = issuers.choices()
    url, attempt = issuers.begin(choice.key, "/approvals")
    return attempt, issuer.begin(url).answer


def log_in(identities: Identities, issuers: Issuers, issuer: FakeIssuer, **answer: str) -> str:
    attempt, given = begin(issuers, issuer)
    token, _ = identities.log_in_by_issuer(attempt.cookie(), {**given, **answer}, SOURCE)
    return token


def refusal(identities: Identities, issuers: Issuers, issuer: FakeIssuer, **answer: str) -> LoginReason:
    """The reason for which a login fails; its message never has a secret."""
    with pytest.raises(LoginError) as caught:
        log_in(identities, issuers, issuer, **answer)
    assert "eyJ" not in str(caught.value)
    return caught.value.reason


def forget_failures(store: Store, clock: Clock) -> None:
    """Lets a day pass, after which no attempt is slowed."""
    clock.now_us += 25 * 3_600 * SECOND
    store.attempts.forget(clock.now_us)


NOT_BELIEVED: list[tuple[dict[str, Any], LoginReason]] = [
    ({"iss": "https://evil.example"}, LoginReason.ISSUER),
    ({"iss": None}, LoginReason.ISSUER),
    ({"aud": "another"}, LoginReason.AUDIENCE),
    ({"aud": None}, LoginReason.AUDIENCE),
    ({"aud": ["callgate", "another"]}, LoginReason.AUDIENCE),
    ({"aud": ["callgate", "another"], "azp": "another"}, LoginReason.AUDIENCE),
    ({"azp": "another"}, LoginReason.AUDIENCE),
    ({"aud": {"callgate": 1}}, LoginReason.AUDIENCE),
    ({"nonce": "another"}, LoginReason.NONCE),
    ({"nonce": None}, LoginReason.NONCE),
    ({"nonce": 7}, LoginReason.NONCE),
    ({"exp": None}, LoginReason.CLAIMS),
    ({"exp": "tomorrow"}, LoginReason.CLAIMS),
    ({"exp": True}, LoginReason.CLAIMS),
    ({"exp": 10**40}, LoginReason.CLAIMS),
    ({"iat": None}, LoginReason.CLAIMS),
    ({"sub": None}, LoginReason.CLAIMS),
    ({"sub": ""}, LoginReason.CLAIMS),
    ({"sub": 7}, LoginReason.CLAIMS),
    ({"sub": "a\u0000b"}, LoginReason.CLAIMS),
    ({"sub": "x" * 256}, LoginReason.CLAIMS),
    ({"sid": ["s"]}, LoginReason.CLAIMS),
    ({"auth_time": "now"}, LoginReason.CLAIMS),
]


def test_claims_that_are_not_believed(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer, store: Store, clock: Clock, reports: list[LoginReport]
) -> None:
    usual = dict(issuer.claims)
    for claims, reason in NOT_BELIEVED:
        issuer.claims = {**usual, **claims}
        assert refusal(identities, issuers, issuer) is reason, claims
        assert reports[-1].fields == {"reason": reason.value}
        assert reports[-1].source == SOURCE
        forget_failures(store, clock)
    assert not store.audit.page()


CLOCKS: list[tuple[dict[str, Any], LoginReason | None]] = [
    ({"aud": ["callgate"]}, None),
    ({"aud": ["callgate", "api"], "azp": "callgate"}, None),
    ({"exp": -20}, None),
    ({"exp": -31}, LoginReason.EXPIRED),
    ({"iat": 25}, None),
    ({"iat": 35}, LoginReason.EARLY),
    ({"nbf": 35}, LoginReason.EARLY),
]
"""Claims, with times in seconds from now; 30 of them are allowed."""


def test_clocks_that_differ(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer, store: Store, clock: Clock
) -> None:
    usual = dict(issuer.claims)
    for claims, reason in CLOCKS:
        now_s = clock() // SECOND
        changed = {name: now_s + value if isinstance(value, int) else value for name, value in claims.items()}
        issuer.claims = {**usual, **changed}
        if reason is None:
            log_in(identities, issuers, issuer)
        else:
            with pytest.raises(LoginError, match="clock") as caught:
                log_in(identities, issuers, issuer)
            assert caught.value.reason is reason
        forget_failures(store, clock)


def test_signatures_that_are_not_believed(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer, store: Store, clock: Clock
) -> None:
    own = issuer.signing
    stranger = new_key(own.kid or "")
    cases: list[tuple[ECKey, dict[str, Any]]] = [
        # Another key under the same id.
        (stranger, {}),
        (own, {"kid": "unknown"}),
        (own, {"kid": 7}),
        (own, {"crit": ["x"], "x": 1}),
        (own, {"typ": "at+jwt"}),
        (own, {"typ": "logout+jwt"}),
    ]
    for key, header in cases:
        issuer.signing, issuer.header = key, header
        assert refusal(identities, issuers, issuer) in {LoginReason.SIGNATURE, LoginReason.CLAIMS}
        forget_failures(store, clock)
    issuer.signing, issuer.header = own, {}
    log_in(identities, issuers, issuer)


def test_a_published_key_signs_nothing(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer, store: Store, clock: Clock
) -> None:
    """The algorithm comes from the token: the public key must not count as a secret, nor no signature as one."""
    public = issuer.signing.as_pem(private=False)
    for algorithm, key in (("none", b""), ("HS256", public), ("HS256", b""), ("ES384", public)):
        attempt, answer = begin(issuers, issuer)
        now_s = int(issuer.clock_s())
        claims = {"iss": issuer.url, "aud": "callgate", "nonce": attempt.nonce, "iat": now_s, "exp": now_s + 60}
        token = signed({"alg": algorithm, "kid": issuer.signing.kid}, {**issuer.claims, **claims}, key)
        for given in (token, f"{token.rpartition('.')[0]}."):
            issuer.answers["/token"] = (200, json.dumps({"id_token": given}).encode())
            with pytest.raises(LoginError) as caught:
                identities.log_in_by_issuer(attempt.cookie(), answer, SOURCE)
            assert caught.value.reason is LoginReason.SIGNATURE
            forget_failures(store, clock)
            attempt, answer = begin(issuers, issuer)


def test_a_rotated_key_is_found_and_a_flood_of_unknown_ones_is_not_followed(
    identities: Identities,
    issuers: Issuers,
    issuer: FakeIssuer,
    store: Store,
    clock: Clock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now_s = [1_000.0]
    [found] = [issuers._by_key(one.key) for one in issuers.choices()]  # noqa: SLF001  its clock is that of the system
    monkeypatch.setattr(found._keys, "_clock_s", lambda: now_s[0])  # noqa: SLF001
    log_in(identities, issuers, issuer)
    assert issuer.asked["/jwks"] == 1
    now_s[0] += 20
    issuer.rotate("2")
    log_in(identities, issuers, issuer)
    assert issuer.asked["/jwks"] == 2
    now_s[0] += 20
    known, issuer.signing = issuer.signing, new_key("3")
    for _ in range(4):
        assert refusal(identities, issuers, issuer) is LoginReason.SIGNATURE
    assert issuer.asked["/jwks"] == 3
    issuer.signing = known
    log_in(identities, issuers, issuer)
    assert issuer.asked["/jwks"] == 3
    forget_failures(store, clock)
    # Keys that are old are not believed while new ones cannot be had.
    now_s[0] += 601
    issuer.answers["/jwks"] = (500, b"{}")
    for _ in range(2):
        assert refusal(identities, issuers, issuer) is LoginReason.KEYS
    assert issuer.asked["/jwks"] == 4
    # What the issuer has withdrawn is forgotten after a while, even if no token names another key.
    now_s[0] += 16
    issuer.answers.clear()
    issuer.published = [new_key("4")]
    assert refusal(identities, issuers, issuer) is LoginReason.SIGNATURE


def test_answers_that_belong_to_no_login_of_this_browser(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer, clock: Clock
) -> None:
    attempt, answer = begin(issuers, issuer)
    other, _ = begin(issuers, issuer)
    for cookie in ("", "nonsense", "bnVsbA", other.cookie(), "W10", "x" * 5_000, "é"):
        with pytest.raises(LoginError) as caught:
            identities.log_in_by_issuer(cookie, answer, SOURCE)
        assert caught.value.reason is LoginReason.NOT_STARTED
    with pytest.raises(LoginError):
        identities.log_in_by_issuer(attempt.cookie(), {**answer, "state": ""}, SOURCE)
    assert issuer.asked["/token"] == 0
    clock.now_us += 901 * SECOND
    with pytest.raises(LoginError, match="15 minutes"):
        identities.log_in_by_issuer(attempt.cookie(), answer, SOURCE)
    assert read_attempt(attempt.cookie()) == attempt


def test_an_answer_is_used_once(identities: Identities, issuers: Issuers, issuer: FakeIssuer) -> None:
    attempt, answer = begin(issuers, issuer)
    identities.log_in_by_issuer(attempt.cookie(), answer, SOURCE)
    with pytest.raises(LoginError) as caught:
        identities.log_in_by_issuer(attempt.cookie(), answer, SOURCE)
    assert caught.value.reason is LoginReason.REFUSED
    # Nor if the issuer gives a token for the code once more.
    token = issuer.token(nonce=attempt.nonce)
    issuer.answers["/token"] = (200, json.dumps({"id_token": token}).encode())
    with pytest.raises(LoginError) as caught:
        identities.log_in_by_issuer(attempt.cookie(), answer, SOURCE)
    assert caught.value.reason is LoginReason.REPEATED


def test_a_code_of_another_login_gives_no_session(identities: Identities, issuers: Issuers, issuer: FakeIssuer) -> None:
    """An attacker's own code, in the address of a victim's login: the verifier is another one."""
    attempt, answer = begin(issuers, issuer)
    _, stolen = begin(issuers, issuer)
    with pytest.raises(LoginError) as caught:
        identities.log_in_by_issuer(attempt.cookie(), {**answer, "code": stolen["code"]}, SOURCE)
    assert caught.value.reason is LoginReason.REFUSED


def test_the_issuer_names_itself(identities: Identities, issuers: Issuers, issuer: FakeIssuer) -> None:
    """RFC 9207."""
    issuer.metadata["authorization_response_iss_parameter_supported"] = True
    assert refusal(identities, issuers, issuer) is LoginReason.ISSUER
    assert refusal(identities, issuers, issuer, iss="https://evil.example") is LoginReason.ISSUER
    log_in(identities, issuers, issuer, iss=issuer.url)


def test_a_refusal_of_the_issuer_is_shown_and_hides_nothing(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer
) -> None:
    with pytest.raises(LoginError) as caught:
        log_in(identities, issuers, issuer, error="access_denied", error_description="no\u202e <b>")
    assert caught.value.reason is LoginReason.REFUSED
    assert "`access_denied`: `no\\u{202e} <b>`" in str(caught.value)


def test_guessing_is_slowed(identities: Identities, issuers: Issuers, issuer: FakeIssuer, clock: Clock) -> None:
    slowed = 0
    for _ in range(12):
        attempt, answer = begin(issuers, issuer)
        with pytest.raises(IdentityError) as caught:
            identities.log_in_by_issuer(attempt.cookie(), {**answer, "code": "guessed"}, SOURCE)
        slowed += isinstance(caught.value, RetryError)
    assert slowed == 7
    assert issuer.asked["/token"] == 5
    clock.now_us += 11 * SECOND
    log_in(identities, issuers, issuer)


FAILURES: list[tuple[str, tuple[int, bytes], LoginReason, str]] = [
    (CONFIGURATION, (500, b"{}"), LoginReason.METADATA, "HTTP 500"),
    (CONFIGURATION, (200, b"[]"), LoginReason.METADATA, "a JSON object"),
    (CONFIGURATION, (200, b'{"issuer": "https://a.example"}'), LoginReason.METADATA, "itself"),
    (CONFIGURATION, (302, b"http://127.0.0.1:1/"), LoginReason.METADATA, "leads elsewhere"),
    ("/token", (302, b"http://127.0.0.1:1/"), LoginReason.METADATA, "leads elsewhere"),
    ("/token", (200, b"{}"), LoginReason.METADATA, "no ID token"),
    ("/token", (200, b"x" * 600_000), LoginReason.UNREACHABLE, "512 KiB"),
    ("/token", (400, b'{"error": "invalid_client"}'), LoginReason.REFUSED, "invalid_client"),
    ("/jwks", (404, b"{}"), LoginReason.KEYS, "without a list"),
    ("/jwks", (200, b'{"keys": [{"kty": "oct", "k": "AAAA"}, {"kty": "EC"}, 7]}'), LoginReason.KEYS, "no usable"),
]


def test_an_issuer_that_fails(
    store: Store, clock: Clock, settings: Settings, issuer: FakeIssuer, reports: list[LoginReport]
) -> None:
    for path, answer, reason, words in FAILURES:
        # Others would still know what the issuer said before.
        issuers = Issuers(settings, settings.public_url, lambda: clock() / SECOND)
        identities = Identities(store, clock=clock, observer=reports.append, issuers=issuers)
        issuer.answers = {path: answer}
        with pytest.raises(LoginError, match=words) as caught:
            log_in(identities, issuers, issuer)
        assert caught.value.reason is reason
        forget_failures(store, clock)


METADATA: list[tuple[str, object]] = [
    ("token_endpoint", "http://login.example.com/token"),
    ("jwks_uri", None),
    ("authorization_endpoint", "javascript:alert(1)"),
    ("authorization_endpoint", "https://a.example/x#y"),
    ("code_challenge_methods_supported", ["plain"]),
]


def test_metadata_that_is_not_used(settings: Settings, issuer: FakeIssuer) -> None:
    for field, value in METADATA:
        issuers = Issuers(settings, settings.public_url)
        issuer.metadata = {field: value}
        with pytest.raises(LoginError) as caught:
            begin(issuers, issuer)
        assert caught.value.reason is LoginReason.METADATA


def test_an_issuer_that_is_down_is_not_asked_by_everybody(issuers: Issuers, settings: Settings) -> None:
    settings.login["issuer"] = "http://127.0.0.1:1"
    [choice] = issuers.choices()
    messages = set()
    for _ in range(3):
        with pytest.raises(LoginError) as caught:
            issuers.begin(choice.key, "/approvals")
        assert caught.value.is_of_issuer
        messages.add(str(caught.value))
    assert len(messages) == 1
    assert "refused" in messages.pop()


def test_issuers_that_are_not_configured(identities: Identities, issuers: Issuers, issuer: FakeIssuer) -> None:
    with pytest.raises(LoginError):
        issuers.begin("0" * 12, "/approvals")
    for token in ("", "a.b.c", "é.é.é", issuer.token(iss="https://evil.example"), "x" * 100_000):
        with pytest.raises(LoginError):
            identities.log_in_by_id_token(token, SOURCE)


def logout(issuer: FakeIssuer, **claims: Any) -> str:
    usual = {"nonce": None, "groups": None, "events": EVENT, "jti": "1", "auth_time": None, "sid": None}
    return issuer.token(**{**usual, **claims})


def test_an_issuer_ends_sessions(identities: Identities, issuers: Issuers, issuer: FakeIssuer, store: Store) -> None:
    issuer.claims["sid"] = "s1"
    first, second = log_in(identities, issuers, issuer), log_in(identities, issuers, issuer)
    issuer.claims["sid"] = "s2"
    third = log_in(identities, issuers, issuer)
    issuer.claims |= {"sub": "ben"}
    of_ben = log_in(identities, issuers, issuer)
    issuer.claims["sub"] = None
    issuer.claims["sid"] = None
    token = logout(issuer, sid="s1", jti="a")
    assert identities.log_out_by_issuer(token, SOURCE) == 2
    for ended in (first, second):
        with pytest.raises(IdentityError):
            identities.of_session(ended)
    # By their own session there alone, and once.
    with pytest.raises(LoginError) as caught:
        identities.log_out_by_issuer(token, SOURCE)
    assert caught.value.reason is LoginReason.REPEATED
    assert identities.log_out_by_issuer(logout(issuer, sub="ben", sid="s1", jti="b"), SOURCE) == 0
    assert identities.of_session(third).person is not None
    assert identities.log_out_by_issuer(logout(issuer, sub="ann", jti="c"), SOURCE) == 1
    with pytest.raises(IdentityError):
        identities.of_session(third)
    assert identities.of_session(of_ben).name == f"ben ({issuer.url})"
    newest = store.audit.page()[0].change
    assert (newest.action, newest.by.name, newest.object_id) == ("log_out", issuer.url, f"ann ({issuer.url})")


LOGOUTS: list[dict[str, Any]] = [
    {"events": None},
    {"events": {}},
    {"events": {"http://schemas.openid.net/event/backchannel-logout": 1}},
    {"nonce": "n"},
    {"sub": None},
    {"jti": None},
    {"aud": "another"},
    {"iss": "https://evil.example"},
    {"exp": 1},
    {"iat": 1},
]


def test_logouts_that_are_not_believed(
    identities: Identities, issuers: Issuers, issuer: FakeIssuer, reports: list[LoginReport]
) -> None:
    session = log_in(identities, issuers, issuer)
    for claims in LOGOUTS:
        with pytest.raises(LoginError):
            identities.log_out_by_issuer(logout(issuer, **claims), SOURCE)
        assert identities.of_session(session).person is not None, claims
        assert reports[-1].method.value == "logout"


def test_no_token_is_taken_for_another_kind(identities: Identities, issuers: Issuers, issuer: FakeIssuer) -> None:
    """An ID token ends no session, and a logout token begins none."""
    session = log_in(identities, issuers, issuer)
    with pytest.raises(LoginError):
        identities.log_out_by_issuer(issuer.token(), SOURCE)
    issuer.header["typ"] = "logout+jwt"
    with pytest.raises(LoginError):
        identities.log_in_by_id_token(logout(issuer, groups=["dba"]), SOURCE)
    assert identities.log_out_by_issuer(logout(issuer), SOURCE) == 1
    with pytest.raises(IdentityError):
        identities.of_session(session)


def test_an_id_token_of_a_program_is_used_once(
    identities: Identities, issuer: FakeIssuer, settings: Settings, clock: Clock
) -> None:
    token = issuer.token()
    session, opened = identities.log_in_by_id_token(token, SOURCE)
    assert identities.of_session(session).name == f"ann ({issuer.url})"
    assert opened.person.subject == "ann"
    with pytest.raises(LoginError) as caught:
        identities.log_in_by_id_token(token, SOURCE)
    assert caught.value.reason is LoginReason.REPEATED
    now_s = clock() // SECOND
    refused: list[tuple[dict[str, Any], LoginReason]] = [
        # That of a browser's login is for this login alone.
        ({"nonce": "n"}, LoginReason.NONCE),
        ({"iat": now_s - 700}, LoginReason.AGE),
    ]
    for claims, reason in refused:
        with pytest.raises(LoginError) as caught:
            identities.log_in_by_id_token(issuer.token(**claims), SOURCE)
        assert caught.value.reason is reason
    settings.login["device_client_id"] = "cli"
    with pytest.raises(LoginError) as caught:
        identities.log_in_by_id_token(issuer.token(), SOURCE)
    assert caught.value.reason is LoginReason.AUDIENCE
    identities.log_in_by_id_token(issuer.token(aud="cli"), SOURCE)
    settings.login |= {"device_client_id": None, "client_secret_file": "secret"}
    with pytest.raises(LoginError, match="device_client_id"):
        identities.log_in_by_id_token(issuer.token(aud="cli"), SOURCE)
