"""Approvals that wait, permits and freezes, where an operator looks: `callgate status` and `callgate top`."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from callgate import Outcome, clock
from callgate.config.approvals import Approvals
from callgate.control.changes import Changes
from callgate.control.housekeeping import Housekeeping, InForce
from callgate.control.store_numbers import StoreNumbers
from callgate.store.live import count_live
from callgate.store.model import PermitBounds, PermitOffer, Waiting
from callgate.store.place import Place, in_folder
from callgate.store.store import Store, open_store
from support.approvals import HOUR, NOW, SECOND, answer, ask, need, new_id
from support.planes import wait_until
from support.program import run
from support.replicas import ASKS, Replica, replica

TOP = ("top", "--once", "--interval", "0.1")


def waits(store: Store, fingerprint: str, at_us: int, timeout_us: int = HOUR) -> str:
    needed = need(permit=PermitBounds(5, HOUR), timeout_us=timeout_us)
    [outcome] = store.approvals.ask([ask(fingerprint, needed)], at_us)
    assert isinstance(outcome, Waiting)
    return outcome.approval_id


def test_counts_are_those_of_the_time(store: Store) -> None:
    assert count_live(store.database, NOW).approvals == {"approved": 0, "denied": 0, "pending": 0}
    first, second, _ = (waits(store, name, NOW + at * SECOND) for at, name in enumerate("abc"))
    counts = count_live(store.database, NOW + 3 * SECOND)
    assert (counts.approvals["pending"], counts.oldest_pending_us) == (3, NOW)
    assert (counts.permits, counts.next_end_us) == (0, NOW + HOUR)
    store.approvals.answer(first, answer(permit=PermitOffer(new_id(), "{}", 5, HOUR // 2)), NOW + 3 * SECOND)
    store.approvals.answer(second, answer(), NOW + 3 * SECOND)
    counts = count_live(store.database, NOW + 3 * SECOND)
    assert counts.approvals == {"approved": 1, "denied": 0, "pending": 1}
    assert (counts.oldest_pending_us, counts.permits) == (NOW + 2 * SECOND, 1)
    assert counts.next_end_us == NOW + 3 * SECOND + HOUR // 2
    # Nobody has written that their time is over.
    after = count_live(store.database, NOW + 2 * HOUR)
    assert (after.approvals["pending"], after.oldest_pending_us, after.permits, after.next_end_us) == (0, None, 0, None)


class Nothing(InForce):
    """A sidecar that serves nothing."""

    def policy_versions(self) -> frozenset[str]:
        return frozenset()

    def pins_stamp(self) -> None:
        return None

    def configured_grants(self, grants: object) -> dict[str, bool]:  # noqa: ARG002  it has none
        return {}

    def pin_digests(self, server: str, tools: object) -> dict[str, str]:  # noqa: ARG002  likewise
        return {}


def test_what_is_over_is_counted_anew_without_a_change(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.control.housekeeping._COUNT_EVERY_S", 0.05)
    numbers = StoreNumbers()
    assert numbers.approvals(NOW) is None
    numbers.set_available(is_available=True)
    # Open, and not counted yet.
    assert numbers.approvals(NOW) is None
    asked_us = clock.now_us()
    waits(store, "f", asked_us, timeout_us=3 * SECOND)
    keeper = Housekeeping(Nothing(), Approvals, Changes(), numbers)
    keeper.start(store)
    wait_until(lambda: numbers.approvals(asked_us))
    assert numbers.approvals(asked_us + 2 * SECOND) == {"pending": 1, "oldest_pending_s": 2, "active_permits": 0}
    # Well before the minute in which housekeeping looks again by itself.
    wait_until(lambda: (numbers.approvals(asked_us) or {})["pending"] == 0)
    keeper.stop()
    numbers.set_available(is_available=False)
    assert numbers.approvals(NOW) is None


def rows(one: Replica, *words: str) -> dict[str, str]:
    """The rows of a command's text by their names."""
    done = run(*words, "--state", one.folder / "state")
    assert done.code == 0, done
    return {name: value.strip() for name, _, value in (line.partition(":") for line in done.out.splitlines())}


def test_status_and_top_show_what_waits(empty_place: Place, tmp_path: Path) -> None:
    risky = {"action": "require_approval", "approval": {"permit": {"max_uses": 5, "max_duration": "1h"}}}
    with replica(tmp_path / "a", empty_place) as one:
        (one.folder / "allow.json").write_text(json.dumps({**ASKS, "tools": {"risky": risky}}))
        wait_until(lambda: one.client.check(grant="g", server="s", tool="risky").outcome is Outcome.APPROVAL_REQUIRED)
        asked = one.client.check(grant="g", server="s", tool="risky", args={"n": 1}).approval
        wait_until(lambda: one.status["approvals"]["pending"] == 2)
        numbers = one.status["approvals"]
        assert (numbers["oldest_pending_s"] >= 0, numbers["active_permits"]) == (True, 0)
        command = r"callgate approvals watch --config FILE"
        if empty_place.path is not None and empty_place.path.parent == one.folder / "state":
            command = f"callgate approvals watch --state {re.escape(str(one.folder / 'state'))}"
        for words in (("status",), TOP):
            shown = rows(one, *words)
            assert re.fullmatch(rf"2 wait for people, the oldest \d+s: {command}", shown["approvals"]), shown
            assert (shown["permits"], shown["freezes"]) == ("none active", "none")

        store = open_store(empty_place)
        permit = PermitOffer(new_id(), '{"n": {"any": true}}', 5, HOUR)
        store.approvals.answer(str(asked), answer(permit=permit), clock.now_us())
        store.close()
        wait_until(lambda: one.status["approvals"]["active_permits"] == 1)
        assert run("freeze", "--state", one.folder / "state", "--all", "--reason", "test").code == 0
        for words in (("status",), TOP):
            shown = rows(one, *words)
            assert re.match(r"1 waits for a person, for \d+s: callgate", shown["approvals"]), shown
            assert shown["permits"] == "1 active, by which calls pass without asking"
        assert rows(one, *TOP)["freezes"] == "1 in force; `callgate status` prints them"
        frozen = rows(one, "status")["freezes"]
        assert re.fullmatch(r"all calls are denied; frozen by \S+: test", frozen), frozen
        document = json.loads(run(*TOP, "--state", one.folder / "state", "--json").out)
        assert (document["approvals"]["pending"], document["freezes_in_force"]) == (1, 1)


def test_without_the_store_nobody_is_told_that_nothing_waits(tmp_path: Path) -> None:
    place = in_folder(tmp_path / "a" / "state")
    assert place.path is not None
    place.path.parent.mkdir(parents=True)
    place.path.write_bytes(os.urandom(8_192))
    with replica(tmp_path / "a", None, waits=False) as one:
        one.wait_for_store("unavailable")
        assert one.status["approvals"] is None
        for words in (("status",), TOP):
            shown = rows(one, *words)
            assert shown["approvals"] == shown["permits"] == "unknown, because the store is not open"
