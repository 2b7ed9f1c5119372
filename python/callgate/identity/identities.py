"""Identities: from a token, a password or a one-time link to the person or machine that it proves.

Every method blocks: on the store, and a login on argon2 too. A server runs them in threads.
"""

from __future__ import annotations

import hashlib
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from callgate.clock import now_us
from callgate.errors import StoreError
from callgate.identity.errors import IdentityError, LoginError, LoginReason, RetryError
from callgate.identity.passwords import Passwords
from callgate.identity.principal import Principal, local_admin, principal_of
from callgate.identity.reports import LoginMethod, LoginOutcome, LoginReport, no_observer
from callgate.identity.secret_text import Prefix, new_id, new_secret, secret_hash
from callgate.os_user import os_user
from callgate.store.attempts import Attempt
from callgate.store.errors import ConflictError
from callgate.store.people import Role
from callgate.store.sessions import Once
from callgate.store.tokens import NewToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from callgate.identity.oidc.issuer import ConfirmedLogin
    from callgate.identity.oidc.issuers import Issuers
    from callgate.identity.reports import LoginObserver
    from callgate.store.model import Actor
    from callgate.store.sessions import IssuedLogin, Session
    from callgate.store.store import Store
    from callgate.store.tokens import MachineToken, Scope

_MARKED_US: Final = 60_000_000
"""Uses are written once in this time: a session that is in use ends up to so much earlier than its idle time says."""

_REMEMBERED_US: Final = 2 * 3_600_000_000
"""Time for which a used login is remembered: longer than the answer of an issuer, or its token, could be used again."""


class Identities:
    """Proves who administers."""

    def __init__(
        self,
        store: Store,
        *,
        passwords: Passwords | None = None,
        clock: Callable[[], int] = now_us,
        observer: LoginObserver = no_observer,
        issuers: Issuers | None = None,
    ) -> None:
        """Takes an open store, hashes, the clock, the function that takes reports of logins, and issuers, if any."""
        self._store = store
        self._passwords = Passwords() if passwords is None else passwords
        self._clock = clock
        self._observer = observer
        self.issuers = issuers
        """The issuers at which people log in; None if there are none."""

    @property
    def passwords(self) -> Passwords:
        """Hashes for new passwords."""
        return self._passwords

    def of_token(self, text: str, source: str | None = None) -> Principal:
        """The machine of a token. With the address that it came from, a refusal is reported.

        Raises:
            IdentityError: It is unknown or has ended.
            StoreError: The store does not answer.
        """
        now_us = self._clock()
        token_hash = secret_hash(Prefix.MACHINE, text)
        token = None if token_hash is None else self._store.tokens.find(token_hash)
        # One message: whoever found an old token learns nothing.
        if token is None or not token.is_valid(now_us):
            if source is not None:
                known = {} if token is None else {"token": token.id, "name": token.name}
                self._observer(LoginReport(LoginMethod.TOKEN, LoginOutcome.FAILURE, source, known))
            message = "unknown token"
            raise IdentityError(message)
        if token.used_us is None or now_us >= token.used_us + _MARKED_US:
            # A full disk must not keep a machine from reading.
            with suppress(StoreError):
                self._store.tokens.mark_used(token.id, now_us)
        name, made_by = f"{token.name} (token {token.id})", token.made_by.name
        return Principal(name, None, token.roles, scopes=token.scopes, made_by=made_by)

    def of_bearer(self, text: str, source: str | None = None) -> Principal:
        """The machine of a token, or the person of a session whose token a program sends.

        With the address that it came from, a refusal is reported.

        Raises:
            IdentityError: It is unknown or has ended.
            StoreError: The store does not answer.
        """
        is_session = text.startswith(Prefix.SESSION.value)
        return self.of_session(text, source) if is_session else self.of_token(text, source)

    def log_in(self, name: str, password: str, source: str) -> str:
        """A session token for a person's name and password; `source` is the address of the client, without a port.

        Raises:
            RetryError: Guessing is slowed, or too many people log in; the password was not looked at.
            IdentityError: The name or the password is wrong, or the person is not active.
            StoreError: The store does not answer.
        """
        attempt = Attempt(name, source)
        # A name is reported if somebody has it: else it may be a password that was typed in the wrong field.
        known: dict[str, str] = {}
        with self._reported(LoginMethod.PASSWORD, source, known):
            # The turn comes first: who gets none has not failed.
            with self._passwords.turn():
                self._begin(attempt)
                found = self._store.people.password_hash(name)
                person, password_hash = (None, None) if found is None else found
                known.update({} if person is None else {"name": person.name})
                is_right = self._passwords.verify(password_hash, password)
            if person is None or not is_right or not person.is_active:
                message = "wrong name or password"
                raise IdentityError(message)
            token, token_hash = _new(Prefix.SESSION)
            try:
                self._store.sessions.open(token_hash, person, attempt, self._clock())
            except ConflictError as error:
                raise IdentityError(str(error)) from None
        return token

    def of_session(self, text: str, source: str | None = None) -> Principal:
        """The person of a session. With the address that it came from, a refusal is reported.

        Raises:
            IdentityError: It is unknown or has ended.
            StoreError: The store does not answer.
        """
        now_us = self._clock()
        session_hash = secret_hash(Prefix.SESSION, text)
        session = None if session_hash is None else self._store.sessions.find(session_hash, now_us)
        if session_hash is None or session is None:
            if source is not None:
                self._observer(LoginReport(LoginMethod.SESSION, LoginOutcome.FAILURE, source))
            message = "not logged in, or not any more"
            raise IdentityError(message)
        if now_us >= session.used_us + _MARKED_US:
            with suppress(StoreError):
                self._store.sessions.mark_used(session_hash, now_us)
        if session.issued is not None:
            return self._issued(session.issued)
        return principal_of(session.local) if session.local is not None else local_admin(session.person.subject)

    def log_in_by_issuer(self, cookie: str, answer: Mapping[str, str], source: str) -> tuple[str, str]:
        """A session token for the answer of an issuer to a login of this browser, and the page to show then.

        Raises:
            RetryError: Guessing is slowed; the issuer was not asked.
            LoginError: It is nobody's answer, or not to this login, or the person has no role.
            StoreError: The store does not answer.
        """
        issuers = self._must_have_issuers()
        known: dict[str, str] = {}
        with self._reported(LoginMethod.ISSUER, source, known):
            begun = issuers.begun(cookie, answer)
            attempt = Attempt(None, source)
            self._begin(attempt)
            confirmed = issuers.finish(begun, answer)
            known.update(_facts(confirmed))
            until_us = self._clock() + _REMEMBERED_US
            return self._open_issued(confirmed.login, Once(begun.digest, until_us), attempt), begun.target

    def log_in_by_id_token(self, text: str, source: str) -> tuple[str, Session]:
        """A session token for an ID token that `callgate login` has got, once, and the session.

        Raises:
            RetryError: Guessing is slowed; the token was not looked at.
            LoginError: The token is not believed, was used before, or the person has no role.
            StoreError: The store does not answer.
        """
        issuers = self._must_have_issuers()
        known: dict[str, str] = {}
        with self._reported(LoginMethod.ISSUER, source, known):
            attempt = Attempt(None, source)
            self._begin(attempt)
            confirmed = issuers.of_id_token(text)
            known.update(_facts(confirmed))
            digest = hashlib.sha256(b"id token\0" + text.encode()).hexdigest()
            token = self._open_issued(confirmed.login, Once(digest, self._clock() + _REMEMBERED_US), attempt)
        session_hash = secret_hash(Prefix.SESSION, token)
        session = None if session_hash is None else self._store.sessions.find(session_hash, self._clock())
        if session is None:
            message = "the session has ended already; log in again"
            raise IdentityError(message)
        return token, session

    def log_out_by_issuer(self, text: str, source: str) -> int:
        """Ends the sessions that the logout token of an issuer names; their number.

        Raises:
            LoginError: The token is not believed, or was used before.
            StoreError: The store does not answer.
        """
        issuers = self._must_have_issuers()
        with self._reported(LoginMethod.LOGOUT, source, {}):
            asked = issuers.read_logout(text)
            digest = hashlib.sha256(f"logout\0{asked.issuer}\0{asked.id}".encode()).hexdigest()
            until_us = max(int(asked.expires_s * 1_000_000), self._clock()) + _REMEMBERED_US
            ended = self._store.sessions.end_issued(
                asked.issuer, asked.subject, asked.sid, Once(digest, until_us), source, self._clock()
            )
            if ended is None:
                raise LoginError(LoginReason.REPEATED, "this logout was asked for before")
        return ended

    def login_age_us(self, text: str) -> int | None:
        """The time since the person of a session has proven who they are; None if nobody knows it.

        Raises:
            StoreError: The store does not answer.
        """
        session = self._session(text)
        if session is None:
            return None
        # An issuer may have logged the person in by a session of its own, without a question.
        proven_us = session.made_us if session.issued is None else session.issued.authenticated_us
        return None if proven_us is None else max(self._clock() - proven_us, 0)

    def issuer_of_session(self, text: str) -> str | None:
        """The key of the issuer of a session; None for a session without one.

        Raises:
            StoreError: The store does not answer.
        """
        session = self._session(text)
        if session is None or session.issued is None or self.issuers is None:
            return None
        return self.issuers.key_of(session.person.issuer)

    def log_out(self, text: str) -> None:
        """Ends a session, if there is one.

        Raises:
            StoreError: The store does not answer.
        """
        if (session_hash := secret_hash(Prefix.SESSION, text)) is not None:
            self._store.sessions.end(session_hash)

    def new_once(self) -> str:
        """The token of a one-time link, which logs in as the operating system's user of this process, as an admin.

        The caller serves it on loopback alone, and prints it where this user alone reads it.

        Raises:
            IdentityError: The store has people, who log in themselves.
            StoreError: The store does not answer.
        """
        token, token_hash = _new(Prefix.LINK)
        if not self._store.sessions.add_link(token_hash, os_user(), self._clock()):
            message = "the store has people: they log in with their passwords, and there are no one-time links"
            raise IdentityError(message)
        return token

    def of_once(self, text: str, source: str) -> str:
        """A session token for the token of a one-time link, once.

        Raises:
            RetryError: Guessing is slowed; the link was not looked at.
            IdentityError: The link is unknown, used or over, or there are people by now.
            StoreError: The store does not answer.
        """
        attempt = Attempt(None, source)
        with self._reported(LoginMethod.LINK, source, {}):
            self._begin(attempt)
            token, token_hash = _new(Prefix.SESSION)
            link_hash = secret_hash(Prefix.LINK, text)
            if link_hash is None or not self._store.sessions.use_link(link_hash, token_hash, attempt, self._clock()):
                message = "this link does not work, or not any more"
                raise IdentityError(message)
        return token

    def new_token(
        self,
        name: str,
        roles: frozenset[Role],
        scopes: frozenset[Scope] | None,
        expires_us: int,
        by: Actor,
        reason: str,
    ) -> tuple[MachineToken, str]:
        """A new token for a machine, and its text, which is stored nowhere.

        Raises:
            ValueError: A machine may not have these roles, scopes or this end.
            StoreError: The store does not answer.
        """
        text, token_hash = _new(Prefix.MACHINE)
        new = NewToken(new_id(), name, token_hash, roles, scopes, expires_us)
        return self._store.tokens.create(new, by, reason, self._clock()), text

    @contextmanager
    def _reported(self, method: LoginMethod, source: str, known: dict[str, str]) -> Iterator[None]:
        """Reports the result of a login; none if the store did not answer."""
        try:
            yield
        except RetryError:
            self._observer(LoginReport(method, LoginOutcome.SLOWED, source, known))
            raise
        except IdentityError as error:
            why = error.fields if isinstance(error, LoginError) else {}
            self._observer(LoginReport(method, LoginOutcome.FAILURE, source, {**known, **why}))
            raise
        self._observer(LoginReport(method, LoginOutcome.SUCCESS, source, known))

    def _session(self, text: str) -> Session | None:
        session_hash = secret_hash(Prefix.SESSION, text)
        return None if session_hash is None else self._store.sessions.find(session_hash, self._clock())

    def _issued(self, login: IssuedLogin) -> Principal:
        """The person of an issuer, with the roles that their groups there have in the configuration in force."""
        rules = None if self.issuers is None else self.issuers.rules(login.person.issuer)
        roles = frozenset[str]() if rules is None else rules.roles_of(login.groups)
        if rules is None or not roles:
            message = "you have no role here any more; ask an administrator of callgate, and log in again"
            raise IdentityError(message)
        groups = rules.approver_groups_of(login.groups)
        return Principal(
            str(login.person), login.person, frozenset(map(Role, roles)), groups, shown_name=login.name or None
        )

    def _open_issued(self, login: IssuedLogin, once: Once, attempt: Attempt) -> str:
        token, token_hash = _new(Prefix.SESSION)
        if not self._store.sessions.open_issued(token_hash, login, once, attempt, self._clock()):
            message = "this login was used before, or the page was loaded a second time; log in again"
            raise LoginError(LoginReason.REPEATED, message)
        return token

    def _must_have_issuers(self) -> Issuers:
        if self.issuers is None:
            message = "nobody logs in at an issuer here"
            raise LoginError(LoginReason.NOT_STARTED, message)
        return self.issuers

    def _begin(self, attempt: Attempt) -> None:
        # A look first: it takes no lock, so that refused attempts hold up nobody.
        wait_us = self._store.attempts.wait_us(attempt, self._clock())
        wait_us = wait_us or self._store.attempts.begin(attempt, self._clock())
        if wait_us:
            raise RetryError("too many failed attempts", wait_us)


def _facts(confirmed: ConfirmedLogin) -> dict[str, str]:
    """The facts about a login for the log."""
    missing = {} if confirmed.missing_claim is None else {"missing_claim": confirmed.missing_claim}
    return {"person": str(confirmed.login.person), **missing}


def _new(prefix: Prefix) -> tuple[str, str]:
    text = new_secret(prefix)
    text_hash = secret_hash(prefix, text)
    if text_hash is None:
        raise AssertionError  # what was made is of its form
    return text, text_hash
