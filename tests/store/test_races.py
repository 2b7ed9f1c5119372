"""Replicas that ask at once: one approved approval admits one call, also if a replica is killed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from callgate.store.backup import back_up
from callgate.store.model import State, Used, Waiting
from callgate.store.place import Place, in_folder
from callgate.store.store import Store, open_store
from support.approvals import NOW, answer, ask

TIMEOUT_S = 120.0
CALLS = 100
SUPPORT = Path(__file__).resolve().parent.parent


class Replica:
    """A process of `support/asking.py`."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert self.read() == {"ready": True}

    def read(self) -> dict[str, Any] | None:
        """The next outcome; None at the end."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        # A killed one leaves a line without its end, or none.
        return json.loads(line) if line.endswith("\n") else None

    def begin(self) -> None:
        """Lets it ask."""
        assert self.process.stdin is not None
        self.process.stdin.close()

    def rest(self) -> list[dict[str, Any]]:
        """Reads the remaining outcomes."""
        found = []
        while (line := self.read()) is not None:
            found.append(line)
        self.process.wait(TIMEOUT_S)
        return found


@contextmanager
def replica(place: Place, threads: int, *fingerprints: str) -> Iterator[Replica]:
    words = [sys.executable, "-m", "support.asking", place.url, str(threads), *fingerprints]
    pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(words, cwd=SUPPORT, text=True, **pipes) as process:
        try:
            yield Replica(process)
        finally:
            process.kill()


def approve(store: Store, fingerprint: str) -> str:
    [outcome] = store.approvals.ask([ask(fingerprint)], NOW)
    assert isinstance(outcome, Waiting)
    store.approvals.answer(outcome.approval_id, answer(), NOW)
    return outcome.approval_id


def test_of_a_hundred_calls_on_two_replicas_one_is_admitted(empty_place: Place, store: Store) -> None:
    approval_id = approve(store, "f")
    with ExitStack() as stack:
        replicas = [stack.enter_context(replica(empty_place, 10, *["f"] * (CALLS // 2))) for _ in range(2)]
        for one in replicas:
            one.begin()
        outcomes = [outcome for one in replicas for outcome in one.rest()]
    assert len(outcomes) == CALLS
    assert [outcome["used"] for outcome in outcomes if "used" in outcome] == [approval_id]
    assert len({outcome["waiting"] for outcome in outcomes if "waiting" in outcome}) == 1
    assert sum(outcome.get("is_new", False) for outcome in outcomes) == 1
    assert sum("waiting" in outcome for outcome in outcomes) == CALLS - 1


def test_threads_of_one_process(store: Store) -> None:
    """Batches that wait for each other, as in a sidecar."""
    from concurrent.futures import ThreadPoolExecutor  # noqa: PLC0415  beside its only use

    approval_id = approve(store, "f")
    batches = [[ask("f"), ask(f"other-{number % 3}"), ask("f")] for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        outcomes = [one for batch in pool.map(lambda batch: store.approvals.ask(batch, NOW), batches) for one in batch]
    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    assert kinds == {"Used": 1, "Waiting": 59}
    waiting = [outcome for outcome in outcomes if isinstance(outcome, Waiting)]
    assert len({outcome.approval_id for outcome in waiting}) == 4
    assert sum(outcome.is_new for outcome in waiting) == 4
    assert approval_id not in {outcome.approval_id for outcome in waiting}


@pytest.mark.parametrize("after", [1, 7, 20])
def test_a_replica_that_is_killed(empty_place: Place, store: Store, after: int) -> None:
    """Every outcome that it was told is kept, and an approval that it may have used is not used again."""
    fingerprints = [f"f{number}" for number in range(40)]
    store = Store(store.database, per_grant=10_000)
    approved = {approve(store, fingerprint) for fingerprint in fingerprints}
    with replica(empty_place, 4, *fingerprints) as killed, replica(empty_place, 4, *reversed(fingerprints)) as other:
        killed.begin()
        told = [killed.read() for _ in range(after)]
        other.begin()
        killed.process.kill()
        first = [one for one in [*told, *killed.rest()] if one is not None]
        second = other.rest()
    assert len(second) == len(fingerprints)
    used = [outcome["used"] for outcome in [*first, *second] if "used" in outcome]
    assert len(set(used)) == len(used)
    consumed = {one.id for one in store.approvals.page(NOW, state=State.CONSUMED).items}
    assert set(used) <= consumed <= approved
    # Each of its four threads may have lost one answer.
    assert len(consumed - set(used)) <= 4
    left = {one.id for one in store.approvals.page(NOW, state=State.APPROVED).items}
    assert consumed | left == approved


@pytest.mark.parametrize("between", ["open", "back up"])
def test_a_second_opening_in_one_process_keeps_the_locks(tmp_path: Path, between: str) -> None:
    """POSIX drops all locks of a process on a file when it closes any descriptor of it."""
    place = in_folder(tmp_path)
    store = open_store(place)
    approval_id = approve(store, "f")
    if between == "open":
        open_store(place).close()
    else:
        back_up(place, tmp_path / "saved")
    with replica(place, 1) as other:
        other.begin()
        assert other.rest() == []
    assert store.approvals.ask([ask("f")], NOW) == [Used(approval_id)]
    with replica(place, 1, "f") as later:
        later.begin()
        assert [outcome["is_new"] for outcome in later.rest()] == [True]
    store.close()
