"""Identities: from a token, a password or a one-time link to the person or machine that it proves.

Every method blocks: on the store, and a login on argon2 too. A server runs them in threads.
"""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from callgate.clock import now_us
from callgate.errors import StoreError
from callgate.identity.errors import IdentityError, RetryError
from callgate.identity.passwords import Passwords
from callgate.identity.principal import Principal, local_admin, principal_of
from callgate.identity.reports import LoginMethod, LoginOutcome, LoginReport, no_observer
from callgate.identity.secret_text import Prefix, new_id, new_secret, secret_hash
from callgate.os_user import os_user
from callgate.store.attempts import Attempt
from callgate.store.errors import ConflictError
from callgate.store.tokens import NewToken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from callgate.identity.reports import LoginObserver
    from callgate.store.model import Actor
    from callgate.store.people import Role
    from callgate.store.store import Store
    from callgate.store.tokens import MachineToken, Scope

_MARKED_US: Final = 60_000_000
"""Uses are written once in this time: a session that is in use ends up to so much earlier than its idle time says."""


class Identities:
    """Proves who administers."""

    def __init__(
        self,
        store: Store,
        *,
        passwords: Passwords | None = None,
        clock: Callable[[], int] = now_us,
        observer: LoginObserver = no_observer,
    ) -> None:
        """Takes an open store, hashes, the clock, and the function that takes reports of logins."""
        self._store = store
        self._passwords = Passwords() if passwords is None else passwords
        self._clock = clock
        self._observer = observer

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
        return Principal(f"{token.name} (token {token.id})", None, token.roles, scopes=token.scopes)

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
        return principal_of(session.local) if session.local is not None else local_admin(session.person.subject)

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
        except IdentityError:
            self._observer(LoginReport(method, LoginOutcome.FAILURE, source, known))
            raise
        self._observer(LoginReport(method, LoginOutcome.SUCCESS, source, known))

    def _begin(self, attempt: Attempt) -> None:
        # A look first: it takes no lock, so that refused attempts hold up nobody.
        wait_us = self._store.attempts.wait_us(attempt, self._clock())
        wait_us = wait_us or self._store.attempts.begin(attempt, self._clock())
        if wait_us:
            raise RetryError("too many failed attempts", wait_us)


def _new(prefix: Prefix) -> tuple[str, str]:
    text = new_secret(prefix)
    text_hash = secret_hash(prefix, text)
    if text_hash is None:
        raise AssertionError  # what was made is of its form
    return text, text_hash
