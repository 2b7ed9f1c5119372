"""Secrets are recognised, and neither shown nor kept."""

from __future__ import annotations

import logging
import re

import pytest

from callgate.errors import CallgateError
from callgate.identity.errors import IdentityError
from callgate.identity.identities import Identities
from callgate.identity.passwords import Passwords
from callgate.identity.secret_text import Prefix, new_secret, secret_hash
from callgate.store.model import Actor
from callgate.store.people import LocalPerson, PersonEdit, Role
from callgate.store.store import Store
from callgate.text import masked
from support.approvals import DAY, NOW

BY = Actor("root (local)", "terminal")
GOOD = "correct horse battery"
HERE = "192.0.2.1"


@pytest.fixture
def ann(store: Store, passwords: Passwords) -> LocalPerson:
    """A person with a password."""
    edit = PersonEdit("ann", frozenset({Role.APPROVER}), password_hash=passwords.hash(GOOD))
    return store.people.put(edit, BY, "", NOW)


@pytest.mark.parametrize("prefix", Prefix)
def test_secrets_of_another_kind(identities: Identities, prefix: Prefix) -> None:
    secret = new_secret(prefix)
    assert secret.startswith(prefix.value)
    assert len(secret) == 47
    assert [other for other in Prefix if secret_hash(other, secret) is not None] == [prefix]
    for text in (secret, f"{secret}\n", secret[:-1], f"{secret}x", secret.upper(), "", "\udcff"):
        for prove in (identities.of_token, identities.of_session, lambda text: identities.of_once(text, text or "x")):
            with pytest.raises(IdentityError):
                prove(text)
    assert masked(f"x {secret} y") == f"x {prefix.value}... y"


def test_no_secret_is_shown(
    identities: Identities, store: Store, ann: LocalPerson, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    session = identities.log_in(ann.name, GOOD, HERE)
    stored, token = identities.new_token("ci", frozenset({Role.VIEWER}), None, NOW + DAY, BY, "")
    shown = [repr(ann), repr(stored), repr(identities.of_session(session)), repr(identities.of_token(token))]
    for name, password in ((ann.name, "wrong and secret"), (GOOD, "wrong and secret")):
        with pytest.raises(CallgateError) as raised:
            identities.log_in(name, password, HERE)
        shown += [str(raised.value), repr(raised.value)]
    shown += [repr(record) for record in store.audit.page()] + [record.getMessage() for record in caplog.records]
    hidden = [GOOD, "wrong and secret", session, token, "argon2"]
    hidden += [
        hashed for hashed in (secret_hash(Prefix.SESSION, session), secret_hash(Prefix.MACHINE, token)) if hashed
    ]
    assert [secret for secret in hidden if secret in "\n".join(shown)] == []


def test_nothing_that_is_typed_is_kept(identities: Identities, store: Store, ann: LocalPerson) -> None:
    session = identities.log_in(ann.name, GOOD, HERE)
    link = "cgl_" + "x" * 43
    for name, password in ((GOOD, "secret password 1"), (ann.name, "secret password 2")):
        with pytest.raises(IdentityError):
            identities.log_in(name, password, HERE)
    with pytest.raises(IdentityError):
        identities.of_once(link, HERE)
    path = store.place.path
    assert path is not None
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert re.search(rb"ann", content)
    for secret in (GOOD, "secret password", session, link):
        assert secret.encode() not in content
