"""The issuers of the configuration in force."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from threading import Lock
from typing import TYPE_CHECKING, Final

from callgate.identity.errors import LoginError, LoginReason
from callgate.identity.oidc.attempt import LONGEST_S, issuer_key, new_attempt, read_attempt
from callgate.identity.oidc.issuer import Issuer
from callgate.identity.oidc.tokens import LONGEST_TOKEN
from callgate.identity.oidc.unverified import issuer_of
from callgate.text import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from callgate.config.login import Login, LoginSettings
    from callgate.identity.oidc.attempt import LoginAttempt
    from callgate.identity.oidc.issuer import ConfirmedLogin
    from callgate.identity.oidc.tokens import LogoutToken

CALLBACK: Final = "/login/callback"
"""The path to which issuers send people back."""


@dataclass(frozen=True)
class Choice:
    """An issuer on the log-in page."""

    key: str
    label: str


@dataclass(frozen=True)
class DeviceIssuer:
    """An issuer for `callgate login`."""

    issuer: str
    name: str
    client_id: str
    scopes: tuple[str, ...]

    def document(self) -> dict[str, object]:
        """The issuer as JSON."""
        return {**asdict(self), "scopes": list(self.scopes)}


class Issuers:
    """Logs people in at the issuers of the configuration in force, which may change. Methods that ask one block."""

    def __init__(
        self, settings: Callable[[], Sequence[LoginSettings]], public_url: str, clock_s: Callable[[], float] = time.time
    ) -> None:
        """Takes the settings in force, the URL of the port for browsers, and the clock by which tokens end."""
        self._settings = settings
        self._redirect_url = f"{public_url}{CALLBACK}"
        self._clock_s = clock_s
        self._lock = Lock()
        self._issuers: dict[str, Issuer] = {}

    def choices(self) -> list[Choice]:
        """The issuers in the order of the configuration."""
        return [Choice(issuer_key(one.login.issuer), one.login.label) for one in self._settings()]

    def key_of(self, issuer: str) -> str:
        """The key of an issuer in paths."""
        return issuer_key(issuer)

    def devices(self) -> list[DeviceIssuer]:
        """The issuers that have a client for `callgate login`."""
        logins = [(one.login, one.login.device_client) for one in self._settings()]
        return [
            DeviceIssuer(login.issuer, login.label, client, tuple(login.scopes))
            for login, client in logins
            if client is not None
        ]

    def rules(self, issuer: str) -> Login | None:
        """The section of an issuer, by which groups give roles; None if it is not configured any more."""
        return next((one.login for one in self._settings() if one.login.issuer == issuer), None)

    def begin(self, key: str, target: str, *, is_fresh: bool = False) -> tuple[str, LoginAttempt]:
        """The URL at which a browser begins a login, and the login, which the browser keeps as a cookie.

        Raises:
            LoginError: There is no such issuer, or it does not answer.
        """
        issuer = self._by_key(key)
        attempt = new_attempt(key, self._clock_s(), target, is_fresh=is_fresh)
        return issuer.authorization_url(attempt, self._redirect_url), attempt

    def begun(self, cookie: str, answer: Mapping[str, str]) -> LoginAttempt:
        """The login that an answer belongs to; asks no issuer.

        Raises:
            LoginError: This browser has begun no such login, or it took too long.
        """
        attempt = read_attempt(cookie)
        if attempt is None or answer.get("state") != attempt.state:
            message = (
                "this browser has begun no such login, or another one since; log in again, and allow cookies for this "
                "page"
            )
            raise LoginError(LoginReason.NOT_STARTED, message)
        if not 0 <= self._clock_s() - attempt.began_s <= LONGEST_S:
            message = f"the login took more than {LONGEST_S // 60} minutes; log in again"
            raise LoginError(LoginReason.NOT_STARTED, message)
        return attempt

    def finish(self, attempt: LoginAttempt, answer: Mapping[str, str]) -> ConfirmedLogin:
        """The person whom the issuer has logged in.

        Raises:
            LoginError: It is nobody, with the reason.
        """
        return self._by_key(attempt.issuer).finish(attempt, answer, self._redirect_url)

    def of_id_token(self, text: str) -> ConfirmedLogin:
        """The person of an ID token that `callgate login` has got.

        Raises:
            LoginError: It is nobody, with the reason.
        """
        return self._of_token(text).of_id_token(text)

    def read_logout(self, text: str) -> LogoutToken:
        """The logout that an issuer asks for.

        Raises:
            LoginError: The token cannot be believed.
        """
        return self._of_token(text).read_logout(text)

    def _of_token(self, text: str) -> Issuer:
        """The issuer that a token names, which has yet to prove it."""
        named = issuer_of(text) if len(text) <= LONGEST_TOKEN else None
        found = None if named is None else self._find(lambda one: one.login.issuer == named)
        if found is None:
            message = f"the token is of the issuer {quoted(named or '')}, at which nobody logs in here"
            raise LoginError(LoginReason.ISSUER, message)
        return found

    def _by_key(self, key: str) -> Issuer:
        found = self._find(lambda one: issuer_key(one.login.issuer) == key)
        if found is None:
            message = "there is no such issuer, or not any more; log in again"
            raise LoginError(LoginReason.NOT_STARTED, message)
        return found

    def _find(self, is_wanted: Callable[[LoginSettings], bool]) -> Issuer | None:
        wanted = next((one for one in self._settings() if is_wanted(one)), None)
        if wanted is None:
            return None
        with self._lock:
            known = self._issuers.get(wanted.login.issuer)
            if known is None or known.settings != wanted:
                known = self._issuers[wanted.login.issuer] = Issuer(wanted, self._clock_s)
            return known
