"""Grants of the store in force: each change alone, and all of them at a start."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from callgate import Engine
from callgate._callgate import ManagedGrants
from callgate.control.changes import Changes
from callgate.control.known_grants import NAME
from callgate.control.refusals import Refusals
from callgate.control.reload_numbers import ReloadNumbers
from callgate.control.store_grants import StoreGrants
from callgate.store.backup import back_up, restore
from callgate.store.documents import Delta, Edit
from callgate.store.errors import StoreBusyError
from callgate.store.model import Actor
from callgate.store.place import in_folder
from callgate.store.store import Store, open_store
from support.planes import wait_until
from support.replicas import ALLOW, Replica, replica

BY = Actor("test", "here")
GRANTS = frozenset({"grants"})


class Sidecar:
    """An engine with its part of the control plane."""

    def __init__(self, state: Path | None) -> None:
        self.engine = Engine.from_config(**configuration())
        self.managed = ManagedGrants(self.engine)
        self.changes = Changes()
        self.numbers = ReloadNumbers()
        self.refusals = Refusals(self.numbers)
        self.part = StoreGrants(self.managed, self.changes, state, self.refusals)

    def obeys(self, *grants: str) -> bool:
        """True if exactly these grants of the store are known."""
        return len(self.managed) == len(grants) and set(self.managed.known(list(grants))) == set(grants)

    def hear(self) -> None:
        """The news of a change."""
        self.changes.tell(GRANTS)


def configuration(*policies: str) -> dict[str, Any]:
    named = {name: (f"{name}.json", json.dumps({**ALLOW, "name": name}).encode()) for name in ("p", *policies)}
    return {"policies": named, "servers": {"s": None}, "grants": [], "grant_key": bytes(32)}


@contextmanager
def running(store: Store, state: Path | None) -> Iterator[Sidecar]:
    one = Sidecar(state)
    one.part.restore()
    one.part.start(store)
    try:
        yield one
    finally:
        one.part.stop()


def put(store: Store, *names: str, **more: Any) -> None:
    edits = [Edit(name, json.dumps({"id": name, "server": "s", "policy": "p", **more})) for name in names]
    store.grants.put(edits, BY, "", time.time_ns() // 1_000)


def delete(store: Store, *names: str) -> None:
    store.grants.put([Edit(name, None) for name in names], BY, "", time.time_ns() // 1_000)


def test_each_change_is_read_alone_and_kept_for_a_start_without_the_store(tmp_path: Path, store: Store) -> None:
    known = tmp_path / NAME
    with running(store, tmp_path) as one:
        wait_until(known.exists)
        put(store, "a", "b")
        one.hear()
        wait_until(lambda: one.obeys("a", "b"))
        put(store, "b", revoked=True)
        delete(store, "a")
        put(store, "c")
        one.hear()
        wait_until(lambda: one.obeys("b", "c") and one.managed.known(["b"]) == {"b": True})
    lines = known.read_text().splitlines()
    later = Sidecar(tmp_path)
    later.part.restore()
    assert later.obeys("b", "c")
    # It goes on where the one before has ended.
    with running(store, tmp_path) as again:
        put(store, "d")
        again.hear()
        wait_until(lambda: again.obeys("b", "c", "d"))
    assert known.read_text().splitlines()[: len(lines)] == lines
    assert known.stat().st_mode & 0o777 == 0o600


def test_a_state_folder_takes_the_place_of_temporary_files(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a container with a read-only root."""

    asked: list[object] = []

    def no_folder(**words: object) -> None:
        asked.append(words)
        msg = "no usable temporary directory"
        raise FileNotFoundError(msg)

    monkeypatch.setattr("callgate.control.store_grants.tempfile.TemporaryDirectory", no_folder)
    put(store, "a")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a"))
    assert asked == []
    # Without a state folder it cannot do without one: the stand-in is in force.
    with running(store, None):
        wait_until(lambda: asked)


def test_changes_while_nothing_runs(tmp_path: Path, store: Store) -> None:
    put(store, "a", "b")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a", "b"))
    delete(store, "a")
    put(store, "c")
    with running(store, tmp_path) as again:
        assert again.managed.known(["a"]) in ({}, {"a": False})
        wait_until(lambda: again.obeys("b", "c"))


def test_grants_of_another_store_are_forgotten(tmp_path: Path, store: Store) -> None:
    put(store, "a", "b")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a", "b"))
    other = open_store(in_folder(tmp_path / "other"))
    put(other, "b", "c")
    put(other, "d")
    with running(other, tmp_path) as again:
        wait_until(lambda: again.obeys("b", "c", "d"))
    other.close()


def test_an_older_state_of_the_store_is_obeyed(tmp_path: Path) -> None:
    place = in_folder(tmp_path / "store")
    store = open_store(place)
    put(store, "a", "b")
    back_up(place, tmp_path / "backup.db")
    with running(store, tmp_path) as one:
        put(store, "c")
        one.hear()
        wait_until(lambda: one.obeys("a", "b", "c"))
    store.close()
    restore(place, tmp_path / "backup.db", time.time_ns() // 1_000)
    store = open_store(place)
    with running(store, tmp_path) as again:
        wait_until(lambda: again.obeys("a", "b"))
    store.close()


@pytest.mark.parametrize(
    "spoil",
    [
        lambda file: file.write_bytes(b"\0" * 9_000),
        lambda file: file.write_text(file.read_text() + '{"put": {"id": "c", "ser'),
        lambda file: file.write_text(file.read_text().replace('"remove": "z"', '"remove" "z"')),
        lambda file: file.unlink(),
    ],
    ids=["zeros", "torn", "damaged", "gone"],
)
def test_a_file_that_is_damaged(tmp_path: Path, store: Store, spoil: Callable[[Path], object]) -> None:
    put(store, "a", "z")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a", "z"))
        delete(store, "z")
        one.hear()
        wait_until(lambda: one.obeys("a"))
    spoil(tmp_path / NAME)
    with running(store, tmp_path) as again:
        wait_until(lambda: again.obeys("a"))
        put(store, "b")
        again.hear()
        wait_until(lambda: again.obeys("a", "b"))
        # A change is obeyed before it is written.
        wait_until(lambda: (tmp_path / NAME).exists() and '"id": "b"' in (tmp_path / NAME).read_text())
    later = Sidecar(tmp_path)
    later.part.restore()
    assert later.obeys("a", "b")


def test_a_read_that_breaks_off_begins_anew(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    put(store, "a")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a"))
    known = tmp_path / NAME
    known.write_text(known.read_text().rstrip("\n"))
    put(store, "a", revoked=True)
    # More than one statement reads.
    put(store, *(f"g{number}" for number in range(1_000)))
    breaks, since = iter([False, True]), store.grants.since

    def breaking_off(change: int) -> Delta:
        if next(breaks, False):
            raise StoreBusyError("the store is busy")
        return since(change)

    monkeypatch.setattr(store.grants, "since", breaking_off)
    with running(store, tmp_path) as again:
        wait_until(lambda: len(again.managed) == 1_001)
        assert again.managed.known(["a"]) == {"a": True}
    assert next(breaks, None) is None
    later = Sidecar(tmp_path)
    later.part.restore()
    assert len(later.managed) == 1_001


def spoilt_mark(text: str) -> str:
    """The file as if it were of another store."""
    return text.replace('"made_us": ', '"made_us": 1')


@pytest.mark.parametrize("spoil", [spoilt_mark, lambda text: text.rstrip("\n")], ids=["another store", "torn"])
def test_a_revocation_is_obeyed_while_all_grants_are_read(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[str], str]
) -> None:
    put(store, "a")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a"))
    known = tmp_path / NAME
    known.write_text(spoil(known.read_text()))
    # More than one statement reads.
    put(store, *(f"g{number}" for number in range(1_500)))
    again, since = Sidecar(tmp_path), store.grants.since
    pages = list[int]()
    known_after_first_page = list[dict[str, bool]]()

    def reading(change: int) -> Delta:
        if pages == [change]:
            known_after_first_page.append(again.managed.known(["a"]))
        delta = since(change)
        if change == 0 and not pages:
            pages.append(delta.change)
            put(store, "a", revoked=True)
        return delta

    monkeypatch.setattr(store.grants, "since", reading)
    again.part.restore()
    assert again.managed.known(["a"]) == {"a": False}
    again.part.start(store)
    try:
        wait_until(lambda: len(again.managed) == 1_501 and known_after_first_page)
    finally:
        again.part.stop()
    assert known_after_first_page[0] == {"a": True}
    assert again.managed.known(["a"]) == {"a": True}
    later = Sidecar(tmp_path)
    later.part.restore()
    assert later.managed.known(["a"]) == {"a": True}
    assert len(later.managed) == 1_501


def test_a_file_of_many_changes_is_written_anew(tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.control.store_grants._SPARE_LINES", 20)
    known = tmp_path / NAME
    with running(store, tmp_path) as one:
        for number in range(60):
            put(store, "a", labels={"n": str(number)})
            one.hear()
            wait_until(lambda: one.obeys("a"))
        put(store, "b")
        one.hear()
        wait_until(lambda: one.obeys("a", "b"))
        wait_until(lambda: known.exists() and len(known.read_text().splitlines()) < 60)


def test_a_file_that_cannot_be_written_is_told_and_grants_are_obeyed(
    tmp_path: Path, store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    put(store, "a")
    with running(store, tmp_path) as one:
        wait_until(lambda: one.obeys("a"))
        wait_until((tmp_path / NAME).exists)

        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("callgate.control.store_grants.append_known", full)
        for name in ("b", "c"):
            put(store, name)
            one.hear()
            wait_until(partial(lambda name: bool(one.managed.known([name])), name))
        # It would be out of date.
        assert not (tmp_path / NAME).exists()
    told = [record for record in caplog.records if record.getMessage() == "store_grants_not_kept"]
    assert len(told) == 1


def test_what_cannot_be_served_is_told_until_a_reload_mends_it(store: Store) -> None:
    put(store, "good")
    put(store, "early", policy="late")
    put(store, "bad", servers={"s": "p"})
    with running(store, None) as one:
        wait_until(lambda: one.refusals.text is not None)
        assert one.obeys("good", "early")
        assert one.refusals.text is not None
        assert "store:grants/bad.json:1:" in one.refusals.text
        assert one.refusals.text.endswith("; store:grants/early.json: unknown policy `late`")
        assert one.numbers.are_documents_refused
        assert one.engine.check(grant="early", server="s", tool="t").rule == "(no policy)"
        one.engine.reload_config(**configuration("late"))
        one.part.reloaded()
        wait_until(lambda: "early" not in (one.refusals.text or ""))
        delete(store, "bad")
        one.hear()
        wait_until(lambda: one.refusals.text is None)
        assert not one.numbers.are_documents_refused


def test_a_grant_in_a_file_and_in_the_store(tmp_path: Path) -> None:
    grants = [{"id": "file", "server": "s", "policy": "allow"}]
    with replica(tmp_path, None, watch=True, grants=grants) as one:
        store = open_store(in_folder(tmp_path / "state"))
        put(store, "both", policy="allow")
        wait_until(lambda: one.status["grants"] == 2)
        document = json.loads((tmp_path / "callgate.json").read_text())
        again = {**document, "grants": [*grants, {"id": "both", "server": "s", "policy": "allow"}]}
        (tmp_path / "callgate.json").write_text(json.dumps(again))
        wait_until(lambda: one.status["configuration"]["newer_refused"] is not None)
        assert "the grant `both` stands here and in the store" in one.status["configuration"]["newer_refused"]
        assert "callgate.json:1:" in one.status["configuration"]["newer_refused"]
        (tmp_path / "callgate.json").write_text(json.dumps(document))
        wait_until(lambda: one.status["configuration"]["newer_refused"] is None)
        # The other way round, the one in the file stays.
        put(store, "file", policy="allow", revoked=True)
        wait_until(lambda: refused(one) is not None)
        assert refused(one) == (
            "store:grants/file.json: the configuration has a grant with this `id`; take one of them out"
        )
        (tmp_path / "callgate.json").write_text(json.dumps({**document, "grants": []}))
        wait_until(lambda: refused(one) is None)
        assert one.status["grants"] == 2
        store.close()


def refused(one: Replica) -> Any:
    return one.status["configuration"]["store_refused"]
