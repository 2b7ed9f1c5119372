"""Tokens that an issuer has signed: ID tokens (OpenID Connect Core 1.0) and logout tokens (Back-Channel Logout 1.0)."""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from joserfc import jws
from joserfc.errors import InvalidKeyIdError, JoseError, UnsupportedAlgorithmError
from joserfc.jws import JWSRegistry

from callgate.exact_json import read_json
from callgate.identity.errors import LoginError, LoginReason
from callgate.text import is_text, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from joserfc.jwk import KeySet

ALGORITHMS: Final = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "EdDSA", "Ed25519"),
)
"""The algorithms that are believed: all with a private key, so that no published key can sign."""

LONGEST_TOKEN: Final = 64 << 10
_LONGEST_SUBJECT: Final = 255
"""Characters; OpenID Connect Core, section 2."""

_LONGEST_ID: Final = 1_024
_LONGEST_HEADER_BYTES: Final = 16 << 10
_OLDEST_LOGOUT_S: Final = 600
_LATEST_S: Final = 100_000_000_000
_LOGOUT_EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"


@dataclass(frozen=True)
class Expected:
    """The claims that a token must have."""

    issuer: str
    client_id: str
    now_s: float
    skew_s: float


@dataclass(frozen=True)
class LogoutToken:
    """The logout of a person, or of one session of theirs."""

    issuer: str
    subject: str | None
    sid: str | None
    id: str
    """The id of the token, which is used once."""
    expires_s: float


@dataclass(frozen=True)
class SignedToken:
    """The header and the claims of a token whose signature was verified."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]


class _Registry(JWSRegistry):
    """The algorithms that are believed, without the library's warning about the older name of Ed25519."""

    max_header_length = _LONGEST_HEADER_BYTES

    def __init__(self) -> None:
        # Fields of headers that are not known are ignored (RFC 7515, section 4), but for critical ones.
        super().__init__(algorithms=ALGORITHMS, strict_check_header=False)

    def get_alg(self, name: str) -> Any:  # noqa: ANN401  the library does not export the type
        if name not in ALGORITHMS:
            message = f"the algorithm {quoted(str(name))} is not allowed"
            raise UnsupportedAlgorithmError(message)
        return self.algorithms[name]


def verified(token: str, keys: Callable[[str | None], KeySet]) -> SignedToken:
    """A token whose signature is that of a key; `keys` gives them for the id of the key that the token names.

    Raises:
        LoginError: It is no token, or no key has signed it, or the keys cannot be had.
    """
    registry = _Registry()
    try:
        if len(token) > LONGEST_TOKEN or not token.isascii():
            raise _unsigned("it is too long or no token")
        signed = jws.extract_compact(token.encode(), registry=registry)
        key_id = signed.headers().get("kid")
        if not jws.validate_compact(signed, keys(key_id if isinstance(key_id, str) else None), registry=registry):
            raise _unsigned("its signature is wrong")
        claims = read_json(signed.payload)
    except InvalidKeyIdError:
        raise _unsigned("it is signed by a key that the issuer does not publish") from None
    except (JoseError, ValueError, TypeError, KeyError, RecursionError) as error:
        # The library's messages are words of its own, such as the name of an algorithm that is not allowed.
        reason = str(error) if isinstance(error, JoseError) else type(error).__name__
        raise _unsigned(quoted(reason).strip("`")) from None
    if not isinstance(claims, dict):
        raise _unsigned("its claims are no JSON object")
    return SignedToken(signed.headers(), claims)


def check_id_token(token: SignedToken, expected: Expected, nonce: str | None) -> None:
    """Refuses an ID token that is not for this client, this login and this time.

    `nonce` is that of the login; None for a login without one, whose token must have none.

    Raises:
        LoginError: It is refused, with the reason.
    """
    claims = token.claims
    if token.header.get("typ") not in {None, "JWT", "jwt"}:
        raise _claims(f"it is no ID token but {quoted(str(token.header.get('typ')))}")
    _check_issuer(claims, expected)
    _check_audience(claims, expected)
    _check_times(claims, expected)
    given = claims.get("nonce")
    if nonce is None:
        is_right = given is None
    else:
        is_right = isinstance(given, str) and hmac.compare_digest(given.encode(), nonce.encode())
    if not is_right:
        message = "the token of the issuer is of another login (`nonce`); log in again"
        raise LoginError(LoginReason.NONCE, message)
    subject_of(claims)


def check_access_token(token: SignedToken, access_token: str) -> None:
    """Refuses an access token that did not come with this ID token, if that says so (`at_hash`).

    Raises:
        LoginError: It is another one.
    """
    expected = token.claims.get("at_hash")
    if expected is None:
        return
    algorithm = str(token.header.get("alg"))
    # OpenID Connect Core, 3.1.3.6: the hash of the signature's algorithm. That of Ed25519 is SHA-512.
    hashed = hashlib.new(f"sha{algorithm[-3:]}" if algorithm[-3:] in {"256", "384", "512"} else "sha512")
    hashed.update(access_token.encode(errors="replace"))
    half = hashed.digest()[: hashed.digest_size // 2]
    if base64.urlsafe_b64encode(half).rstrip(b"=").decode() != expected:
        raise _claims("the access token is not the one that belongs to it (`at_hash`)")


def read_logout(token: SignedToken, expected: Expected) -> LogoutToken:
    """The logout that a token asks for.

    Raises:
        LoginError: It is no logout token, or not for this client and this time.
    """
    claims = token.claims
    if token.header.get("typ") not in {None, "JWT", "jwt", "logout+jwt", "application/logout+jwt"}:
        raise _claims(f"it is no logout token but {quoted(str(token.header.get('typ')))}")
    _check_issuer(claims, expected)
    _check_audience(claims, expected)
    expires_s = _check_times(claims, expected, needs_end=False)
    if expected.now_s - _time(claims, "iat") > _OLDEST_LOGOUT_S + expected.skew_s:
        message = "the token was made too long ago; compare the clocks of the issuer and of callgate"
        raise LoginError(LoginReason.AGE, message)
    events = claims.get("events")
    if not isinstance(events, dict) or not isinstance(events.get(_LOGOUT_EVENT), dict):
        raise _claims("it has no event of a logout")
    if "nonce" in claims:
        # By this it differs from an ID token.
        raise _claims("a logout token has no `nonce`")
    subject = None if claims.get("sub") is None else subject_of(claims)
    sid = sid_of(claims)
    if subject is None and sid is None:
        raise _claims("it names neither a person (`sub`) nor a session (`sid`)")
    made = claims.get("jti")
    if not isinstance(made, str) or not 0 < len(made) <= _LONGEST_ID:
        raise _claims("it has no id (`jti`)")
    return LogoutToken(expected.issuer, subject, sid, made, expires_s or expected.now_s + 2 * _OLDEST_LOGOUT_S)


def subject_of(claims: Mapping[str, Any]) -> str:
    """The person whom claims are about.

    Raises:
        LoginError: They name nobody.
    """
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= _LONGEST_SUBJECT or not _is_storable(subject):
        raise _claims(f"it names no person (`sub`) by 1 to {_LONGEST_SUBJECT} printable characters")
    return subject


def sid_of(claims: Mapping[str, Any]) -> str | None:
    """The session at the issuer; None if it has no name.

    Raises:
        LoginError: It cannot be read.
    """
    sid = claims.get("sid")
    if sid is None:
        return None
    if not isinstance(sid, str) or not 0 < len(sid) <= _LONGEST_ID or not _is_storable(sid):
        raise _claims("its session (`sid`) cannot be read")
    return sid


def authenticated_s(claims: Mapping[str, Any]) -> float | None:
    """The time at which the person has proven who they are to the issuer; None if it does not say so.

    Raises:
        LoginError: It is no time.
    """
    return None if claims.get("auth_time") is None else _time(claims, "auth_time")


def _check_issuer(claims: Mapping[str, Any], expected: Expected) -> None:
    if claims.get("iss") != expected.issuer:
        message = f"the token is of another issuer, {quoted(str(claims.get('iss')))}"
        raise LoginError(LoginReason.ISSUER, message)


def _check_audience(claims: Mapping[str, Any], expected: Expected) -> None:
    audience = claims.get("aud")
    for_whom = [audience] if isinstance(audience, str) else audience
    if not isinstance(for_whom, list) or expected.client_id not in for_whom:
        own = quoted(expected.client_id)
        message = f"the token is for another client, {quoted(str(audience))}; `client_id` is {own}"
        raise LoginError(LoginReason.AUDIENCE, message)
    authorised = claims.get("azp")
    if (authorised is None and len(for_whom) > 1) or (authorised is not None and authorised != expected.client_id):
        message = f"the token was made for another client (`azp`), {quoted(str(authorised))}"
        raise LoginError(LoginReason.AUDIENCE, message)


def _check_times(claims: Mapping[str, Any], expected: Expected, *, needs_end: bool = True) -> float | None:
    """The end of the token; None if it has none."""
    expires_s = _time(claims, "exp") if needs_end or claims.get("exp") is not None else None
    if expires_s is not None and expected.now_s >= expires_s + expected.skew_s:
        late_s = expected.now_s - expires_s
        message = f"the token is over since {late_s:.0f} s; log in again, or compare the clocks of issuer and callgate"
        raise LoginError(LoginReason.EXPIRED, message)
    early_s = _time(claims, "iat") - expected.now_s
    if claims.get("nbf") is not None:
        early_s = max(early_s, _time(claims, "nbf") - expected.now_s)
    if early_s > expected.skew_s:
        message = f"the token is from {early_s:.0f} s in the future: the clock of the issuer or of callgate is wrong"
        raise LoginError(LoginReason.EARLY, message)
    return expires_s


def _time(claims: Mapping[str, Any], name: str) -> float:
    """A time in Unix seconds."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not 0 <= value < _LATEST_S:
        raise _claims(f"`{name}` is no time")
    return float(value)


def _is_storable(text: str) -> bool:
    return text.isprintable() and is_text(text)


def _unsigned(reason: str) -> LoginError:
    return LoginError(LoginReason.SIGNATURE, f"the token of the issuer cannot be believed: {reason}")


def _claims(reason: str) -> LoginError:
    return LoginError(LoginReason.CLAIMS, f"the token of the issuer cannot be used: {reason}")
