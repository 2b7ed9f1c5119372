"""Passkeys (WebAuthn): their registration, and the proof that a person is there at the moment of an answer.

Imported only where the configuration asks for it. Every method blocks on the store.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from webauthn import (
    generate_authentication_options,
    generate_registration_options,
    options_to_json,
    verify_authentication_response,
    verify_registration_response,
)
from webauthn.helpers import base64url_to_bytes, bytes_to_base64url
from webauthn.helpers.exceptions import WebAuthnException
from webauthn.helpers.structs import (
    AuthenticatorSelectionCriteria,
    AuthenticatorTransport,
    PublicKeyCredentialDescriptor,
    ResidentKeyRequirement,
    UserVerificationRequirement,
)

from callgate.identity.errors import PasskeyError
from callgate.identity.secret_text import Prefix, secret_hash
from callgate.store.passkeys import Challenge, Passkey
from callgate.text import plain_line

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from callgate.identity.principal import Principal
    from callgate.store.model import Person
    from callgate.store.store import Store

_CHALLENGE_BYTES: Final = 32
_CHALLENGE_US: Final = 300_000_000
_TIMEOUT_MS: Final = 120_000
_LONGEST_NAME: Final = 64
_LONGEST_ANSWER: Final = 64 << 10
_REGISTRATION: Final = "registration"
_RP_NAME: Final = "callgate"


@dataclass(frozen=True)
class Purpose:
    """The purpose of a passkey's answer."""

    approval_id: str
    kind: str
    """The answer, such as `approve`."""
    fields: Mapping[str, str]
    """All that the person sends with it."""

    @property
    def digest(self) -> str:
        """The name of the purpose: another one for any other approval, answer, reason or permit."""
        document = [self.approval_id, self.kind, sorted(self.fields.items())]
        return hashlib.sha256(json.dumps(document).encode()).hexdigest()


class PasskeyGuard:
    """Registers passkeys and verifies their answers, for the pages of one address."""

    def __init__(self, store: Store, public_url: str, clock: Callable[[], int]) -> None:
        """Takes an open store, the URL of the port for browsers, and the time in Unix microseconds."""
        self._store = store
        parts = urlsplit(public_url)
        self._rp_id = parts.hostname or ""
        # As browsers write it: without the usual port.
        usual = {"https": 443, "http": 80}.get(parts.scheme)
        self._origin = f"{parts.scheme}://{self._rp_id}{'' if parts.port in {None, usual} else f':{parts.port}'}"
        self._clock = clock

    def of(self, person: Person) -> list[Passkey]:
        """The passkeys of a person.

        Raises:
            StoreError: The store does not answer.
        """
        return self._store.passkeys.of(person)

    def begin_registration(self, principal: Principal, session: str) -> str:
        """The options with which a browser makes a passkey, as JSON.

        Raises:
            PasskeyError: This is no person with a session.
            StoreError: The store does not answer.
        """
        person = _person(principal)
        options = generate_registration_options(
            rp_id=self._rp_id,
            rp_name=_RP_NAME,
            user_name=principal.title,
            # The same for all passkeys of a person, and no name of theirs.
            user_id=hashlib.sha256(f"{person.issuer}\0{person.subject}".encode()).digest(),
            challenge=self._challenge(session, _REGISTRATION),
            timeout=_TIMEOUT_MS,
            authenticator_selection=AuthenticatorSelectionCriteria(
                resident_key=ResidentKeyRequirement.DISCOURAGED, user_verification=UserVerificationRequirement.REQUIRED
            ),
            exclude_credentials=[_descriptor(one) for one in self.of(person)],
        )
        return options_to_json(options)

    def register(self, principal: Principal, session: str, answer: str, name: str, source: str) -> Passkey:
        """Stores the passkey that a browser has made.

        Raises:
            PasskeyError: The answer is not believed.
            ConflictError: It is registered already, or the person has too many.
            StoreError: The store does not answer.
        """
        person, now_us = _person(principal), self._clock()
        document, challenge = self._taken(session, _REGISTRATION, answer)
        try:
            made = verify_registration_response(
                credential=document,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise _not_believed(error) from None
        shown = plain_line(name)[:_LONGEST_NAME] or "passkey"
        passkey = Passkey(
            bytes_to_base64url(made.credential_id),
            person,
            shown,
            made.credential_public_key,
            made.sign_count,
            _transports(document),
            now_us,
            source,
        )
        self._store.passkeys.add(passkey, principal.actor(source), now_us)
        return passkey

    def remove(self, principal: Principal, passkey_id: str, source: str) -> None:
        """Removes a passkey of this person.

        Raises:
            UnknownIdError: They have no such passkey.
            StoreError: The store does not answer.
        """
        person = _person(principal)
        self._store.passkeys.remove(passkey_id, person, principal.actor(source), "by its person", self._clock())

    def begin(self, principal: Principal, session: str, purpose: Purpose) -> str:
        """The options with which a browser asks a passkey of this person, as JSON.

        Raises:
            PasskeyError: The person has no passkey.
            StoreError: The store does not answer.
        """
        own = self.of(_person(principal))
        if not own:
            message = "you have no passkey; register one under `Passkeys` first"
            raise PasskeyError(message)
        options = generate_authentication_options(
            rp_id=self._rp_id,
            challenge=self._challenge(session, purpose.digest),
            timeout=_TIMEOUT_MS,
            allow_credentials=[_descriptor(one) for one in own],
            user_verification=UserVerificationRequirement.REQUIRED,
        )
        return options_to_json(options)

    def verify(self, principal: Principal, session: str, purpose: Purpose, answer: str) -> str:
        """The id of the passkey that has answered for this purpose, once.

        Raises:
            PasskeyError: The answer is not believed.
            StoreError: The store does not answer.
        """
        person = _person(principal)
        document, challenge = self._taken(session, purpose.digest, answer)
        named = document.get("id")
        passkey = next((one for one in self.of(person) if one.id == named), None)
        if passkey is None:
            message = "this passkey is not registered for you, or not any more"
            raise PasskeyError(message)
        try:
            found = verify_authentication_response(
                credential=document,
                expected_challenge=challenge,
                expected_rp_id=self._rp_id,
                expected_origin=self._origin,
                credential_public_key=passkey.public_key,
                credential_current_sign_count=passkey.sign_count,
                require_user_verification=True,
            )
        except (WebAuthnException, ValueError, TypeError, KeyError) as error:
            raise _not_believed(error) from None
        if not self._store.passkeys.used(passkey, found.new_sign_count, self._clock()):
            message = "the passkey was used or removed at the same time; try again"
            raise PasskeyError(message)
        return passkey.id

    def _challenge(self, session: str, purpose: str) -> bytes:
        now_us, challenge = self._clock(), secrets.token_bytes(_CHALLENGE_BYTES)
        stored = Challenge(hashlib.sha256(challenge).hexdigest(), _hash(session), purpose, now_us + _CHALLENGE_US)
        self._store.passkeys.challenge(stored, now_us)
        return challenge

    def _taken(self, session: str, purpose: str, answer: str) -> tuple[dict[str, Any], bytes]:
        """The answer of a browser, and the challenge that it is for, which is used up."""
        document = _document(answer)
        challenge = _challenge_of(document)
        digest = hashlib.sha256(challenge).hexdigest()
        if not self._store.passkeys.take(digest, _hash(session), purpose, self._clock()):
            message = (
                "the answer of the passkey is for something else, was used before, or came too late; load the page "
                "again"
            )
            raise PasskeyError(message)
        return document, challenge


def _person(principal: Principal) -> Person:
    if principal.person is None:
        message = "passkeys are for people"
        raise PasskeyError(message)
    return principal.person


def _hash(session: str) -> str:
    session_hash = secret_hash(Prefix.SESSION, session)
    if session_hash is None:
        message = "passkeys take a session"
        raise PasskeyError(message)
    return session_hash


def _document(answer: str) -> dict[str, Any]:
    try:
        document = json.loads(answer) if len(answer) <= _LONGEST_ANSWER else None
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        message = "the browser sent no answer of a passkey; it has to run the script of this page"
        raise PasskeyError(message)
    return document


def _challenge_of(document: dict[str, Any]) -> bytes:
    """The challenge that an answer names. It is believed once its signature is verified."""
    try:
        client_data = json.loads(base64url_to_bytes(document["response"]["clientDataJSON"]))
        return bytes(base64url_to_bytes(client_data["challenge"]))
    except (ValueError, TypeError, KeyError, RecursionError):
        message = "the answer of the passkey cannot be read"
        raise PasskeyError(message) from None


def _transports(document: dict[str, Any]) -> tuple[str, ...]:
    response = document.get("response")
    named = response.get("transports") if isinstance(response, dict) else None
    known = [one.value for one in AuthenticatorTransport]
    return tuple(one for one in known if isinstance(named, list) and one in named)


def _descriptor(passkey: Passkey) -> PublicKeyCredentialDescriptor:
    return PublicKeyCredentialDescriptor(
        id=base64url_to_bytes(passkey.id),
        transports=[AuthenticatorTransport(one) for one in passkey.transports] or None,
    )


def _not_believed(error: Exception) -> PasskeyError:
    # The library's messages name no secret: challenges are used up, and signatures are not in them.
    return PasskeyError(f"the answer of the passkey is not believed: {plain_line(str(error))[:200]}")
