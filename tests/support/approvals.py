"""Waiting calls and people for tests of approvals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from callgate.store.approvals.answer import Answer
from callgate.store.ids import make_id
from callgate.store.model import Actor, Ask, Call, Evidence, Need, Person, State, Verdict, Waiting
from callgate.store.store import Store

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
NOW = 1_800_000_000 * SECOND
RULE = "/tools/t/approval"
ISSUER = "https://login.example.com"
CALLER = Actor("callgate", "test")

_numbers = count(1)


def new_id() -> str:
    """An id that no other call of this function gives."""
    return make_id(next(_numbers).to_bytes(16, "big"))


def need(rule: str = RULE, **more: Any) -> Need:
    """A need that waits an hour, and whose approval is valid for an hour."""
    return Need(**{"rule": rule, "entry_digest": f"digest of {rule}", "timeout_us": HOUR, "valid_us": HOUR, **more})


@dataclass(frozen=True)
class FixedContents:
    """The contents of a call that was read."""

    given: Mapping[str, object]
    shown: Evidence

    def arguments(self) -> Mapping[str, object]:
        return self.given

    def evidence(self) -> Evidence:
        return self.shown


def ask(fingerprint: str = "f", *needs: Need, **more: Any) -> Ask:
    """A waiting call; arguments that no field of `Ask` and of its contents has are those of `Call`."""
    shown = Evidence(more.pop("evidence_arguments", "{}"), more.pop("evidence", "{}"), more.pop("owner", None))
    contents = FixedContents(more.pop("arguments", {}), shown)
    of_ask = {name: more.pop(name) for name in list(more) if name in Ask.__dataclass_fields__}
    call = {"grant": "g", "server": "s", "tool": "t", "policy_digest": "p", "pin_digest": None, **more}
    fields = {
        "new_id": new_id(),
        "use_id": new_id(),
        "contents": contents,
        "source": "here",
        **of_ask,
    }
    return Ask(call=Call(fingerprint=fingerprint, **call), needs=needs or (need(),), **fields)


def answer(name: str = "ann", verdict: Verdict = Verdict.APPROVE, *groups: str, **more: Any) -> Answer:
    """A person's answer."""
    return Answer(Person(ISSUER, name), frozenset(groups), verdict, "terminal", **more)


def waiting(store: Store, fingerprint: str = "f", at: int = NOW, needs: Sequence[Need] = (), **more: Any) -> str:
    """The id of a pending approval."""
    [outcome] = store.approvals.ask([ask(fingerprint, *needs, **more)], at)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def approved(store: Store, fingerprint: str = "f", at: int = NOW, **more: Any) -> str:
    """The id of an approval that can be used."""
    approval_id = waiting(store, fingerprint, at, **more)
    assert store.approvals.answer(approval_id, answer(), at).state is State.APPROVED
    return approval_id


def state(store: Store, approval_id: str, at: int = NOW) -> State:
    """The state of an approval at a time."""
    return store.approvals.get(approval_id, at).state
