"""Passkeys: who may register one, which answers are believed, and which approvals take one."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from callgate.admin.site import Site
from callgate.config.step_up import StepUp
from callgate.control.port.address import BoundAddress
from callgate.control.port.http import AdminServer
from callgate.control.port.pages import Pages
from callgate.identity.errors import PasskeyError
from callgate.identity.identities import Identities
from callgate.identity.passkeys import PasskeyGuard, Purpose
from callgate.identity.passwords import Passwords
from callgate.identity.principal import Principal
from callgate.store.errors import ConflictError, PasskeyNeededError, UnknownIdError
from callgate.store.model import Actor, Evidence, PermitBounds, State, Verdict
from callgate.store.people import PersonEdit, Role
from callgate.store.store import Store
from support.approvals import HOUR, NOW, SECOND, answer, ask, need
from support.chromium import chromium
from support.evidence import evidence
from support.identities import Clock
from support.login.authenticator import PRESENT, Authenticator
from support.site import GOOD, Browser

BY = Actor("root (local)", "terminal")
HOME = "/approvals"


@pytest.fixture
def people(store: Store, passwords: Passwords) -> None:
    hashed = passwords.hash(GOOD)
    for name in ("ann", "ben"):
        edit = PersonEdit(name, frozenset({Role.APPROVER}), frozenset({"dba"}), hashed)
        store.people.put(edit, BY, "", NOW)


@pytest.fixture
def address() -> Iterator[BoundAddress]:
    address = BoundAddress("127.0.0.1:0")
    yield address
    address.close()


@pytest.fixture
def public_url(address: BoundAddress) -> str:
    return f"http://{address}".replace("127.0.0.1", "localhost")


@pytest.fixture
def identities(store: Store, clock: Clock, passwords: Passwords) -> Identities:
    return Identities(store, passwords=passwords, clock=clock)


@pytest.fixture
def guard(store: Store, clock: Clock, public_url: str) -> PasskeyGuard:
    return PasskeyGuard(store, public_url, clock)


@pytest.fixture
def browser(
    store: Store, clock: Clock, identities: Identities, public_url: str, address: BoundAddress
) -> Iterator[Browser]:
    pages = Pages(CollectorRegistry())
    pages.site = Site(store, identities, is_private=True, clock_us=clock, public_url=public_url, has_passkeys=True)
    admin = AdminServer(address, pages)
    admin.start()
    with ExitStack() as stack:
        yield Browser(stack, admin.address.replace("127.0.0.1", "localhost"))
    admin.stop()


class Person:
    """A person with a session and an authenticator."""

    def __init__(self, identities: Identities, guard: PasskeyGuard, name: str, origin: str) -> None:
        self.session = identities.log_in(name, GOOD, "127.0.0.1")
        self.principal: Principal = identities.of_session(self.session)
        self.key = Authenticator(origin)
        self._guard = guard

    def register(self) -> str:
        options = self._guard.begin_registration(self.principal, self.session)
        return self._guard.register(self.principal, self.session, self.key.make(options), "a phone", "here").id

    def prove(self, purpose: Purpose) -> str:
        options = self._guard.begin(self.principal, self.session, purpose)
        return self._guard.verify(self.principal, self.session, purpose, self.key.get(options))


@pytest.fixture
def ann(people: None, identities: Identities, guard: PasskeyGuard, public_url: str) -> Person:  # noqa: ARG001
    return Person(identities, guard, "ann", public_url)


def pending(store: Store, fingerprint: str = "f", *, takes_passkey: bool = True, **more: object) -> str:
    needs = more.pop("needs", (need(),))
    asked = ask(fingerprint, *needs, evidence=evidence(), **more)  # type: ignore[misc]
    shown = asked.contents.evidence()
    object.__setattr__(
        asked.contents, "shown", Evidence(shown.arguments, shown.document, shown.owner, takes_passkey=takes_passkey)
    )
    [outcome] = store.approvals.ask([asked], NOW)
    return str(outcome.approval_id)  # type: ignore[union-attr]


PURPOSE = Purpose("a", "approve", {"reason": "fine"})


def test_a_passkey_answers_for_one_purpose_once(ann: Person, guard: PasskeyGuard, store: Store) -> None:
    name = ann.register()
    [stored] = store.passkeys.of(ann.principal.person)  # type: ignore[arg-type]
    assert (stored.id, stored.name, stored.transports, stored.sign_count) == (name, "a phone", ("internal",), 0)
    assert ann.prove(PURPOSE) == name
    [stored] = store.passkeys.of(stored.person)
    assert (stored.sign_count, stored.used_us) == (1, NOW)
    options = guard.begin(ann.principal, ann.session, PURPOSE)
    said = ann.key.get(options)
    for other in (
        Purpose("b", "approve", PURPOSE.fields),
        Purpose("a", "permit", PURPOSE.fields),
        Purpose("a", "approve", {"reason": "another"}),
    ):
        with pytest.raises(PasskeyError, match="something else"):
            guard.verify(ann.principal, ann.session, other, said)
        # A failure uses the challenge up as well.
        with pytest.raises(PasskeyError, match="used before"):
            guard.verify(ann.principal, ann.session, PURPOSE, said)
        said = ann.key.get(guard.begin(ann.principal, ann.session, PURPOSE))
    assert guard.verify(ann.principal, ann.session, PURPOSE, said) == name
    with pytest.raises(PasskeyError, match="used before"):
        guard.verify(ann.principal, ann.session, PURPOSE, said)


def test_answers_that_are_not_believed(
    ann: Person, guard: PasskeyGuard, identities: Identities, public_url: str, clock: Clock
) -> None:
    ann.register()
    ben = Person(identities, guard, "ben", public_url)
    ben.register()

    def refused(words: str, person: Person = ann, key: Authenticator = ann.key, **changes: object) -> None:
        options = guard.begin(person.principal, person.session, PURPOSE)
        with pytest.raises(PasskeyError, match=words):
            guard.verify(person.principal, person.session, PURPOSE, key.get(options, **changes))

    refused("not registered for you", key=ben.key)
    refused("origin", origin="https://evil.example")
    refused("type", type="webauthn.create")
    stranger = Authenticator(public_url, id=ann.key.id, count=50)
    refused("signature", key=stranger)
    ann.key.rp_id = "evil.example"
    refused("RP ID")
    ann.key.rp_id = "localhost"
    ann.key.flags = PRESENT
    refused("[Uu]ser verification")
    ann.key.flags = 4
    refused("present")
    ann.key.flags = 5
    # A copy of the passkey, whose count is behind.
    ann.key.count, ann.key.step = 0, 0
    ann.prove(PURPOSE)
    ann.key.step = 1
    ann.prove(PURPOSE)
    ann.key.count = 0
    refused("[Ss]ign count")
    # The challenge of another session of the same person, and one whose time is over.
    ann.key.count = 100
    other = identities.log_in("ann", GOOD, "127.0.0.1")
    said = ann.key.get(guard.begin(ann.principal, other, PURPOSE))
    with pytest.raises(PasskeyError, match="something else"):
        guard.verify(ann.principal, ann.session, PURPOSE, said)
    said = ann.key.get(guard.begin(ann.principal, ann.session, PURPOSE))
    clock.now_us += 301 * SECOND
    with pytest.raises(PasskeyError, match="too late"):
        guard.verify(ann.principal, ann.session, PURPOSE, said)
    for nonsense in ("", "[]", "{}", '{"response": {"clientDataJSON": "AAAA"}}', "x" * 100_000):
        with pytest.raises(PasskeyError):
            guard.verify(ann.principal, ann.session, PURPOSE, nonsense)
    ann.prove(PURPOSE)


def test_registrations_that_are_refused(ann: Person, guard: PasskeyGuard, store: Store, public_url: str) -> None:
    options = guard.begin_registration(ann.principal, ann.session)
    with pytest.raises(PasskeyError, match="not believed"):
        guard.register(ann.principal, ann.session, Authenticator("https://evil.example").make(options), "x", "here")
    with pytest.raises(PasskeyError, match="used before"):
        guard.register(ann.principal, ann.session, ann.key.make(options), "x", "here")
    unverified = Authenticator(public_url, flags=PRESENT)
    options = guard.begin_registration(ann.principal, ann.session)
    with pytest.raises(PasskeyError, match="not believed"):
        guard.register(ann.principal, ann.session, unverified.make(options), "x", "here")
    # The answer to a challenge is none to a registration.
    ann.register()
    options = guard.begin(ann.principal, ann.session, PURPOSE)
    with pytest.raises(PasskeyError, match="something else"):
        guard.register(ann.principal, ann.session, Authenticator(public_url).make(options), "x", "here")
    with pytest.raises(ConflictError, match="already"):
        ann.register()
    for _ in range(9):
        ann.key = Authenticator(public_url)
        ann.register()
    ann.key = Authenticator(public_url)
    with pytest.raises(ConflictError, match="10 passkeys"):
        ann.register()
    machine = Principal("ci (token x)", None, frozenset({Role.ADMIN}))
    with pytest.raises(PasskeyError):
        guard.begin_registration(machine, ann.session)
    assert len(store.passkeys.every()) == 10


def test_passkeys_go_with_their_person(
    ann: Person, guard: PasskeyGuard, store: Store, identities: Identities, public_url: str
) -> None:
    name = ann.register()
    ben = Person(identities, guard, "ben", public_url)
    with pytest.raises(UnknownIdError):
        guard.remove(ben.principal, name, "here")
    store.people.remove("ann", BY, "", NOW)
    assert store.passkeys.every() == []
    kept = ben.register()
    removed = store.passkeys.remove(kept, None, BY, "lost", NOW)
    assert removed.person.subject == "ben"
    recorded = [(one.change.action, one.change.kind) for one in store.audit.page(kind="passkeys")]
    assert recorded == [("delete", "passkeys"), ("create", "passkeys"), ("delete", "passkeys"), ("create", "passkeys")]


def test_no_door_approves_without_the_passkey(store: Store) -> None:
    approval = pending(store)
    assert store.approvals.get(approval, NOW).takes_passkey
    with pytest.raises(PasskeyNeededError, match=f"/approvals/{approval}"):
        store.approvals.answer(approval, answer(), NOW)
    assert store.approvals.get(approval, NOW).state is State.PENDING
    assert store.approvals.answer(approval, answer(passkey="p"), NOW).state is State.APPROVED
    assert store.approvals.record(approval).answers[0].passkey == "p"
    denied = pending(store, "g")
    assert store.approvals.answer(denied, answer(verdict=Verdict.DENY), NOW).state is State.DENIED


@pytest.mark.parametrize(
    ("category", "risk", "is_taken"),
    [
        ("Financial", "low", True),
        ("Read", "critical", True),
        ("Read", "low", False),
        (None, "low", True),
        ("Read", None, True),
    ],
)
def test_which_calls_take_a_passkey(category: str | None, risk: str | None, *, is_taken: bool) -> None:
    step_up = StepUp.model_validate({"categories": ["Financial", "Destructive"], "risks": ["critical"]})
    assert step_up.takes_passkey(category, risk) is is_taken
    assert not StepUp().takes_passkey(category, risk)


@pytest.mark.usefixtures("people")
def test_the_page_asks_for_a_recent_login(browser: Browser, clock: Clock) -> None:
    browser.log_in()
    text = browser.get("/passkeys").text
    assert 'data-challenge="/passkeys/challenge"' in text
    assert "You have none" in text
    assert "script-src 'self'" in browser.get("/passkeys").headers["Content-Security-Policy"]
    assert browser.get("/passkey.js").headers["Content-Type"].startswith("text/javascript")
    clock.now_us += 601 * SECOND
    text = browser.get("/passkeys").text
    assert "Log in anew" in text
    assert "data-challenge" not in text
    refused = browser.send("/passkeys/challenge", HOME, {})
    assert (refused.status_code, "more than 10 minutes" in refused.json()["error"]) == (403, True)
    assert browser.send("/passkeys", HOME, {"passkey": "{}", "name": "x"}).status_code == 403


@pytest.mark.usefixtures("people")
def test_a_page_without_scripts_approves_nothing(browser: Browser, store: Store) -> None:
    approval = pending(store, needs=(need(permit=PermitBounds(5, HOUR)),))
    page = f"{HOME}/{approval}"
    browser.log_in()
    text = browser.get(page).text
    assert "you have registered none" in text
    assert f"{page}/approve" not in text
    for kind in ("approve", "permit"):
        refused = browser.send(f"{page}/{kind}", page, {"reason": "x", "uses": "1", "minutes": "1", "passkey": "{}"})
        assert refused.status_code == 403
        challenge = browser.send(f"{page}/challenge/{kind}", page, {"reason": "x"})
        assert (challenge.status_code, "no passkey" in challenge.json()["error"]) == (403, True)
    assert store.approvals.get(approval, NOW).state is State.PENDING
    # Others have neither a script nor a passkey.
    plain = pending(store, "plain", takes_passkey=False)
    shown = browser.get(f"{HOME}/{plain}")
    assert "script-src" not in shown.headers["Content-Security-Policy"]
    assert "passkey.js" not in shown.text
    assert browser.send(f"{HOME}/{plain}/approve", f"{HOME}/{plain}", {}).status_code == 303


@pytest.mark.usefixtures("people")
def test_a_person_registers_and_approves_in_a_browser(browser: Browser, store: Store, tmp_path: Path) -> None:
    approval = pending(store, needs=(need(reason_required=True),))
    url = browser.origin
    with chromium(tmp_path / "profile") as tab:
        tab.ask("WebAuthn.enable")
        options = {
            "protocol": "ctap2",
            "transport": "internal",
            "hasUserVerification": True,
            "isUserVerified": True,
            "automaticPresenceSimulation": True,
        }
        key = tab.ask("WebAuthn.addVirtualAuthenticator", options=options)["authenticatorId"]
        tab.go(f"{url}/login?next=%2Fpasskeys")
        tab.run(f"document.querySelector('#name').value = 'ann'; document.querySelector('#password').value = '{GOOD}'")
        tab.leave("document.querySelector('form.fields button').click()")
        tab.until("location.pathname === '/passkeys' && document.readyState === 'complete'")
        tab.run("document.querySelector('#name').value = 'a laptop'")
        tab.leave("document.querySelector('form[data-challenge] button').click()")
        tab.until("document.body.innerText.includes('a laptop') && document.readyState === 'complete'")
        [stored] = store.passkeys.every()
        assert (stored.name, stored.person.subject) == ("a laptop", "ann")

        tab.go(f"{url}{HOME}/{approval}")
        tab.run("document.querySelector('#why').value = 'agreed'")
        # A person whom the authenticator does not recognise approves nothing, and is told so.
        tab.ask("WebAuthn.setUserVerified", authenticatorId=key, isUserVerified=False)
        tab.leave("document.querySelector('button.approve').click()")
        tab.until("[...document.querySelectorAll('[role=alert]')].some(told => !told.hidden)")
        assert store.approvals.get(approval, NOW).state is State.PENDING
        tab.ask("WebAuthn.setUserVerified", authenticatorId=key, isUserVerified=True)
        tab.leave("document.querySelector('button.approve').click()")
        tab.until("document.body.innerText.includes('with a passkey: agreed') && document.readyState === 'complete'")
    assert store.approvals.get(approval, NOW).state is State.APPROVED
    [given] = store.approvals.record(approval).answers
    assert (given.reason, given.passkey) == ("agreed", stored.id)


def test_the_library_is_imported_where_passkeys_are_configured_alone() -> None:
    script = "import sys, json; from callgate.admin.site import Site; print(json.dumps([*sys.modules]))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = set(json.loads(done.stdout))
    assert imported.isdisjoint({"webauthn", "joserfc", "cbor2", "OpenSSL"})
