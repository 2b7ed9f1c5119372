"""One issuer: the way of a login there, from the address that a browser is sent to, to the person."""

from __future__ import annotations

import base64
import time
from dataclasses import dataclass
from http import HTTPStatus
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_plus, urlencode

from callgate.identity.errors import LoginError, LoginReason
from callgate.identity.oidc import tokens
from callgate.identity.oidc.http import IssuerHttp
from callgate.identity.oidc.keys import IssuerKeys
from callgate.identity.oidc.metadata import Metadata, discovered
from callgate.identity.oidc.people import groups_of, has_groups, name_of
from callgate.store.model import Person
from callgate.store.sessions import IssuedLogin
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate.config.login import Login, LoginSettings
    from callgate.identity.oidc.attempt import LoginAttempt
    from callgate.identity.oidc.tokens import LogoutToken, SignedToken

_METADATA_S: Final = 3_600.0
"""Time for which the metadata is kept."""

_PAUSE_S: Final = 2.0
"""Time after a failure for which the issuer is not asked again."""

_OLDEST_DEVICE_S: Final = 600
"""Age of an ID token of `callgate login`."""

_SHOWN_GROUPS: Final = 10

_FRESH_S: Final = 300
"""Time since a person has proven who they are, where that has to be anew."""


@dataclass(frozen=True)
class ConfirmedLogin:
    """A person whom an issuer has logged in."""

    login: IssuedLogin
    missing_claim: str | None
    """The claim with the groups, if the issuer gave none."""


@dataclass(frozen=True)
class _Known:
    metadata: Metadata
    fetched_s: float


class Issuer:
    """An issuer of the configuration. Its methods block and may be called on every thread."""

    def __init__(self, settings: LoginSettings, clock_s: Callable[[], float] = time.time) -> None:
        """Takes its settings, and the clock by which tokens end."""
        self.settings = settings
        self._clock_s = clock_s
        self._http = IssuerHttp(settings.ca)
        self._keys = IssuerKeys(self._http)
        self._lock = Lock()
        self._known: _Known | None = None
        self._failed: tuple[float, LoginError] | None = None

    @property
    def login(self) -> Login:
        """Its section of the configuration."""
        return self.settings.login

    def authorization_url(self, attempt: LoginAttempt, redirect_url: str) -> str:
        """The URL at which a browser begins the login.

        Raises:
            LoginError: The issuer does not answer, or cannot be used.
        """
        endpoint = self._metadata().authorization_endpoint
        fields = {
            "response_type": "code",
            "client_id": self.login.client_id,
            "redirect_uri": redirect_url,
            "scope": " ".join(self.login.scopes),
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        if attempt.is_fresh:
            fields |= {"prompt": "login", "max_age": "0"}
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(fields)}"

    def finish(self, attempt: LoginAttempt, answer: Mapping[str, str], redirect_url: str) -> ConfirmedLogin:
        """The person whom the answer to a browser's login is about. The caller has compared its `state`.

        Raises:
            LoginError: It is nobody, with the reason.
        """
        metadata = self._metadata()
        named = answer.get("iss")
        if named != self.login.issuer and (named is not None or metadata.is_issuer_in_answers):
            message = "the answer does not come from the issuer at which this login began (`iss`); log in again"
            raise LoginError(LoginReason.ISSUER, message)
        if "error" in answer:
            raise _refused(answer)
        code = answer.get("code", "")
        if not code:
            message = "the answer of the issuer has neither a code nor an error; log in again"
            raise LoginError(LoginReason.METADATA, message)
        given = self._exchange(metadata, attempt, code, redirect_url)
        token = self._verified(str(given["id_token"]), metadata)
        tokens.check_id_token(token, self._expected(self.login.client_id), attempt.nonce)
        if attempt.is_fresh:
            self._check_fresh(token)
        return self._person(token, self._claims(token, given.get("access_token"), metadata))

    def of_id_token(self, text: str) -> ConfirmedLogin:
        """The person of an ID token that `callgate login` has got.

        Raises:
            LoginError: It is nobody, with the reason.
        """
        client = self.login.device_client
        if client is None:
            message = (
                f"the issuer {quoted(self.login.issuer)} has no public client for `callgate login`; name one as "
                "`device_client_id` in the configuration"
            )
            raise LoginError(LoginReason.AUDIENCE, message)
        token = self._verified(text, self._metadata())
        expected = self._expected(client)
        tokens.check_id_token(token, expected, None)
        if expected.now_s - float(token.claims["iat"]) > _OLDEST_DEVICE_S + expected.skew_s:
            message = "the token was made too long ago; run `callgate login` again"
            raise LoginError(LoginReason.AGE, message)
        return self._person(token, token.claims)

    def read_logout(self, text: str) -> LogoutToken:
        """The logout that the issuer asks for.

        Raises:
            LoginError: The token cannot be believed.
        """
        token = self._verified(text, self._metadata())
        audience = token.claims.get("aud")
        clients = {self.login.client_id, self.login.device_client or self.login.client_id}
        # A client of the command line can have its own logouts.
        named = clients & set(audience if isinstance(audience, list) else [str(audience)])
        return tokens.read_logout(token, self._expected(min(named, default=self.login.client_id)))

    def _metadata(self) -> Metadata:
        with self._lock:
            now_s = time.monotonic()
            if self._known is not None and now_s - self._known.fetched_s < _METADATA_S:
                return self._known.metadata
            if self._failed is not None and now_s - self._failed[0] < _PAUSE_S:
                raise LoginError(self._failed[1].reason, str(self._failed[1]))
            try:
                metadata = discovered(self._http, self.login.issuer)
            except LoginError as error:
                # Those who wait for the lock get the same answer at once.
                self._failed = (time.monotonic(), error)
                raise
            self._known, self._failed = _Known(metadata, now_s), None
            return metadata

    def _exchange(self, metadata: Metadata, attempt: LoginAttempt, code: str, redirect_url: str) -> Mapping[str, Any]:
        """The answer of the token endpoint, which has an ID token."""
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_url,
            "code_verifier": attempt.verifier,
        }
        headers: dict[str, str] = {}
        client, secret = self.login.client_id, self.settings.secret
        if secret is None:
            fields["client_id"] = client
        elif metadata.takes_basic:
            # RFC 6749, 2.3.1: both are encoded as in forms first.
            pair = f"{quote_plus(client)}:{quote_plus(secret)}"
            headers["Authorization"] = f"Basic {base64.b64encode(pair.encode()).decode()}"
        else:
            fields |= {"client_id": client, "client_secret": secret}
        status, given = self._http.post(metadata.token_endpoint, fields, headers)
        if status != HTTPStatus.OK:
            raise _refused(given)
        if not isinstance(given.get("id_token"), str):
            message = "the issuer gave no ID token; `openid` must be among the scopes that it grants"
            raise LoginError(LoginReason.METADATA, message)
        return given

    def _claims(self, token: SignedToken, access_token: object, metadata: Metadata) -> Mapping[str, Any]:
        """The claims of the ID token, with those of the userinfo endpoint where they are needed and asked for."""
        is_asked = self.login.userinfo and not has_groups(token.claims, self.login)
        if not is_asked or metadata.userinfo_endpoint is None or not isinstance(access_token, str):
            return token.claims
        tokens.check_access_token(token, access_token)
        if not access_token.isascii() or not access_token.isprintable() or " " in access_token:
            message = "the issuer gave an access token that cannot be sent"
            raise LoginError(LoginReason.METADATA, message)
        status, claims = self._http.get(metadata.userinfo_endpoint, {"Authorization": f"Bearer {access_token}"})
        if status != HTTPStatus.OK:
            message = f"the userinfo endpoint of the issuer answers with HTTP {status}"
            raise LoginError(LoginReason.METADATA, message)
        if claims.get("sub") != token.claims["sub"]:
            # OpenID Connect Core, 5.3.2: else it may be another person's.
            message = "the userinfo endpoint of the issuer tells of another person"
            raise LoginError(LoginReason.CLAIMS, message)
        return {**claims, **token.claims}

    def _person(self, token: SignedToken, claims: Mapping[str, Any]) -> ConfirmedLogin:
        login, subject = self.login, tokens.subject_of(token.claims)
        groups = groups_of(claims, login)
        name, person = name_of(claims, login), Person(login.issuer, subject)
        missing = None if has_groups(claims, login) else ".".join(login.groups_claim)
        if not login.roles_of(groups):
            raise _without_role(person, name, groups, missing)
        issued = IssuedLogin(person, name, groups, tokens.sid_of(token.claims), _authenticated_us(token))
        return ConfirmedLogin(issued, missing)

    def _check_fresh(self, token: SignedToken) -> None:
        authenticated_s = tokens.authenticated_s(token.claims)
        expected = self._expected(self.login.client_id)
        if authenticated_s is None or expected.now_s - authenticated_s > _FRESH_S + expected.skew_s:
            message = "the issuer did not ask you anew who you are (`auth_time`); log in again"
            raise LoginError(LoginReason.AGE, message)

    def _verified(self, text: str, metadata: Metadata) -> SignedToken:
        return tokens.verified(text, lambda key_id: self._keys.get(metadata.jwks_uri, key_id))

    def _expected(self, client_id: str) -> tokens.Expected:
        return tokens.Expected(self.login.issuer, client_id, self._clock_s(), self.login.clock_skew.total_seconds())


def _authenticated_us(token: SignedToken) -> int | None:
    authenticated_s = tokens.authenticated_s(token.claims)
    return None if authenticated_s is None else int(authenticated_s * 1_000_000)


def _without_role(person: Person, name: str, groups: frozenset[str], missing_claim: str | None) -> LoginError:
    shown = ", ".join(quoted(group) for group in sorted(groups)[:_SHOWN_GROUPS])
    found = f"your groups there are {shown}" if shown else "you are in no group there"
    if missing_claim is not None:
        found = f"the issuer does not tell your groups: it gives no claim `{missing_claim}`"
    who = quoted(name or person.subject)
    message = f"the issuer knows you as {who}, but you have no role here: {found}; ask an administrator of callgate"
    return LoginError(LoginReason.NO_ROLE, message, person=str(person))


def _refused(answer: Mapping[str, Any]) -> LoginError:
    """The error for an answer that has one, whose words are the issuer's or a stranger's."""
    words = [str(answer[name]) for name in ("error", "error_description") if isinstance(answer.get(name), str)]
    shown = ": ".join(quoted(word) for word in words) or "without a reason"
    return LoginError(LoginReason.REFUSED, f"the issuer refused the login, {shown}")
