"""Backups of SQLite's store: consistent, private, and never the cause of a second use."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psycopg
import pytest

from callgate.disk import sync
from callgate.errors import StoreError
from callgate.store import sqlite_file
from callgate.store.attempts import Attempt
from callgate.store.backup import back_up, end_live, read_facts, restore
from callgate.store.documents import Edit
from callgate.store.errors import StateError, StoreBusyError, StoreDamagedError, StoreGoneError
from callgate.store.model import Actor, PermitBounds, PermitOffer, State, Used, Verdict, Waiting
from callgate.store.open import make_file
from callgate.store.place import Place, at_path, in_folder, parse_place
from callgate.store.revision import HEAD, REVISIONS
from callgate.store.store import open_store
from support.approvals import CALLER, HOUR, NOW, answer, ask, need, new_id
from support.postgres import Postgres
from support.program import ENVIRONMENT, PROGRAM


def test_a_restored_store_admits_nothing_that_was_used_since(tmp_path: Path) -> None:
    place, saved = in_folder(tmp_path / "state"), tmp_path / "saved"
    store = open_store(place)
    names = ("pending", "approved", "denied", "used", "permit")
    bounds = PermitBounds(5, HOUR)
    calls = {name: ask(name, need(permit=bounds)) for name in names}
    store.approvals.ask(list(calls.values()), NOW)
    ids = {name: call.new_id for name, call in calls.items()}
    for name in ("approved", "used"):
        store.approvals.answer(ids[name], answer(), NOW)
    store.approvals.answer(ids["denied"], answer("ann", Verdict.DENY), NOW)
    offer = PermitOffer(new_id(), "{}", 2, HOUR)
    store.approvals.answer(ids["permit"], answer(permit=offer), NOW)
    use = ask("used")
    assert store.approvals.ask([use], NOW) == [Used(ids["used"])]

    back_up(place, saved)
    assert stat.S_IMODE(saved.stat().st_mode) == 0o600
    # Used after the backup, which still has it as approved.
    assert store.approvals.ask([ask("approved")], NOW) == [Used(ids["approved"])]
    store.close()

    kept = restore(place, saved, NOW)
    assert kept is not None
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    store = open_store(place)
    states = {name: store.approvals.get(one, NOW).state for name, one in ids.items()}
    ended, consumed = State.ENDED, State.CONSUMED
    assert list(states.values()) == [ended, ended, State.DENIED, consumed, consumed]
    assert store.approvals.get(ids["approved"], NOW).cause == "the store was restored from a backup"
    assert not store.permits.get(offer.permit_id, NOW).is_active
    [record] = store.audit.page(kind="store")
    assert (record.change.action, record.change.reason) == ("restore", f"from {saved}")
    # Also by a replica whose clock is behind.
    assert store.approvals.restore(ids["used"], use.use_id, CALLER, NOW - 1).state is consumed
    assert all(isinstance(one, Waiting) for one in store.approvals.ask([ask("approved"), ask("used")], NOW))
    store.close()
    # What was there before is a backup as well; copied to the place of the store, it would admit calls again.
    assert read_facts(at_path(kept)).approvals == {"consumed": 3, "denied": 1, "pending": 1}
    for backup in (saved, kept):
        shutil.copy(backup, tmp_path / "copy.db")
        with pytest.raises(StoreDamagedError, match="is a backup, which would admit calls again; use `callgate store"):
            open_store(at_path(tmp_path / "copy.db"))


def test_a_backup_under_load_is_whole(tmp_path: Path) -> None:
    place = in_folder(tmp_path)
    store = open_store(place)
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            store.approvals.ask([ask(new_id(), grant=new_id())], NOW)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            back_up(place, tmp_path / str(number))
    finally:
        stop.set()
        writer.join()
    store.close()
    for number in range(5):
        of_copy = in_folder(tmp_path / f"restored-{number}")
        restore(of_copy, tmp_path / str(number), NOW)
        copied = open_store(of_copy)
        for one in copied.approvals.page(NOW, size=1_000).items:
            assert copied.approvals.record(one.id).document == "{}"
        copied.close()


def test_a_store_in_use_is_not_replaced(tmp_path: Path) -> None:
    place, saved = in_folder(tmp_path / "state"), tmp_path / "saved"
    store = open_store(place)
    back_up(place, saved)
    with pytest.raises(StoreBusyError, match="is in use; stop callgate, then restore it"):
        restore(place, saved, NOW)
    store.approvals.ask([ask()], NOW)
    store.close()
    assert sorted(path.name for path in (tmp_path / "state").iterdir()) == ["callgate.db"]


def test_nobody_opens_a_store_while_it_is_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place, saved = in_folder(tmp_path / "state"), tmp_path / "saved"
    store = open_store(place)
    back_up(place, saved)
    store.approvals.ask([ask("later")], NOW)
    store.close()
    words = [sys.executable, "-m", "support.asking", place.url, "1", "f"]
    errors: list[str] = []

    def start_another(path: Path) -> None:
        # The last step before the file takes its place.
        if not errors:
            tests = Path(__file__).resolve().parent.parent
            options: dict[str, Any] = {"cwd": tests, "stdin": subprocess.DEVNULL, "timeout": 120}
            done = subprocess.run(words, check=False, capture_output=True, text=True, **options)
            errors.append(done.stderr)
        sync(path)

    monkeypatch.setattr(sqlite_file, "sync", start_another)
    kept = restore(place, saved, NOW)
    assert len(errors) == 1
    assert "database is locked" in errors[0]
    assert read_facts(place).approvals == {}
    assert kept is not None
    assert read_facts(at_path(kept)).approvals == {"pending": 1}


def test_each_restore_keeps_a_file_of_its_own(tmp_path: Path) -> None:
    place, saved = in_folder(tmp_path / "state"), tmp_path / "saved"
    open_store(place).close()
    back_up(place, saved)
    kept = [restore(place, saved, NOW) for _ in range(3)]
    assert len(set(kept)) == 3
    assert all(one is not None and one.exists() for one in kept)


@pytest.mark.parametrize("damage", ["removed", "header", "pages"])
def test_a_damaged_store_is_replaced(tmp_path: Path, damage: str) -> None:
    place, saved = in_folder(tmp_path / "state"), tmp_path / "saved"
    store = open_store(place)
    store.approvals.ask([ask("kept")], NOW)
    back_up(place, saved)
    path = place.path
    assert path is not None
    if damage == "removed":
        # As after a crash: the log is left.
        log = (tmp_path / "state" / "callgate.db-wal").read_bytes()
        store.close()
        path.unlink()
        path.with_name("callgate.db-wal").write_bytes(log)
    else:
        store.close()
        content = bytearray(path.read_bytes())
        first, last = (0, 64) if damage == "header" else (8_192, 60_000)
        content[first:last] = b"\xff" * (last - first)
        path.write_bytes(content)
    with pytest.raises((StoreDamagedError, StoreGoneError)):
        open_store(place)
    restore(place, saved, NOW)
    store = open_store(place)
    assert [one.call.fingerprint for one in store.approvals.page(NOW).items] == ["kept"]
    store.close()


def test_an_older_backup_is_migrated(tmp_path: Path) -> None:
    saved, place = tmp_path / "saved", in_folder(tmp_path / "state")
    make_file(saved, REVISIONS[0])
    assert read_facts(at_path(saved)).revision == REVISIONS[0]
    assert restore(place, saved, NOW) is None
    facts = read_facts(place)
    assert (facts.revision, facts.is_current, facts.approvals, facts.active_permits) == (HEAD, True, {}, 0)
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["callgate.db"]


def test_what_is_no_backup(tmp_path: Path) -> None:
    place = in_folder(tmp_path / "state")
    open_store(place).close()
    (tmp_path / "text").write_text("x" * 200)
    with pytest.raises(StoreDamagedError, match="text` is no store of callgate"):
        restore(place, tmp_path / "text", NOW)
    with pytest.raises(StoreGoneError, match=r"there is no store `.*none`"):
        restore(place, tmp_path / "none", NOW)
    with pytest.raises(StoreError, match=r"text` exists already; name a new file"):
        back_up(place, tmp_path / "text")
    with pytest.raises(StoreError, match=r"cannot write the backup `.*`: no such file or directory"):
        back_up(place, tmp_path / "none" / "below")
    with pytest.raises(StoreGoneError, match="there is no store"):
        back_up(in_folder(tmp_path / "none"), tmp_path / "new")
    newer = tmp_path / "newer"
    shutil.copy(place.path or "", newer)
    with sqlite3.connect(newer) as connection:
        connection.execute("UPDATE callgate_revision SET version_num = '9999'")
    with pytest.raises(StoreError, match="made by a newer callgate"):
        restore(place, newer, NOW)
    assert read_facts(place).is_current


def test_postgresql_is_restored_by_its_own_programs(postgres: Postgres, tmp_path: Path) -> None:
    """The commands of `docs/store.md`."""
    database, url = postgres.new_database()
    place, dump = parse_place(url), tmp_path / "callgate.dump"
    store = open_store(place)
    store.policies.put([Edit("p", "{}")], Actor("ann", "here"), "why", NOW)
    used, permitted = ask("used"), ask("permitted", need(permit=PermitBounds(5, HOUR)))
    store.approvals.ask([used, permitted], NOW)
    store.approvals.answer(used.new_id, answer(), NOW)
    store.approvals.answer(permitted.new_id, answer(permit=PermitOffer(new_id(), "{}", 2, HOUR)), NOW)
    postgres.client("pg_dump", "--format", "custom", "--file", dump, database)
    # Used, changed and written after the backup.
    assert store.approvals.ask([ask("used")], NOW) == [Used(used.new_id)]
    store.policies.put([Edit("p", None), Edit("q", "{}")], Actor("ann", "here"), "", NOW)
    later = store.last_changes()
    store.close()

    postgres.client("pg_restore", "--clean", "--if-exists", "--dbname", database, dump)
    done = subprocess.run(
        [PROGRAM, "store", "end-approvals", "--config", configured(tmp_path, url)],
        env=ENVIRONMENT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout.split(":")[0]) == (0, "ended"), done.stderr

    store = open_store(place)
    try:
        assert store.approvals.get(used.new_id, NOW).state is State.ENDED
        assert [(one.id, one.content) for one in store.policies.page()] == [("p", "{}")]
        [waiting] = store.approvals.ask([ask("used")], NOW)
        assert isinstance(waiting, Waiting)
        [permit] = store.permits.page(NOW).items
        assert not permit.is_active
        # Changes are numbered on from the backup, and the audit still refuses to be rewritten.
        assert store.policies.put([Edit("r", "{}")], Actor("ann", "here"), "", NOW)
        assert store.last_changes() != later
    finally:
        store.close()
    with postgres.connect(database) as connection, pytest.raises(psycopg.errors.RaiseException):
        connection.execute("DELETE FROM admin_audit")


def configured(folder: Path, url: str) -> Path:
    """A configuration that names a store."""
    path = folder / "callgate.yaml"
    path.write_text(f"servers: {{}}\npolicies: {{}}\nstore: {{url: '{url}'}}\n")
    return path


def test_postgresql_has_programs_of_its_own(postgres: Postgres, tmp_path: Path) -> None:
    place = parse_place(postgres.new_schema())
    assert read_facts(place).revision is None
    store = open_store(place)
    store.approvals.ask([ask()], NOW)
    with pytest.raises(StateError):
        store.approvals.restore(store.approvals.page(NOW).items[0].id, new_id(), CALLER, NOW)
    store.close()
    assert read_facts(place).approvals == {"pending": 1}
    with pytest.raises(StoreError, match="is PostgreSQL's: back it up with `pg_dump`"):
        back_up(place, tmp_path / "saved")
    with pytest.raises(StoreError, match="is PostgreSQL's: restore it with `pg_restore`"):
        restore(place, tmp_path / "saved", NOW)


def test_approvals_are_ended_on_command(empty_place: Place) -> None:
    store = open_store(empty_place)
    calls = [ask(name) for name in "abc"]
    store.approvals.ask(calls, NOW)
    store.approvals.answer(calls[0].new_id, answer(), NOW)
    end_live(empty_place, NOW)
    assert {one.state for one in store.approvals.page(NOW).items} == {State.ENDED}
    assert len(store.approvals.since(0, NOW, size=2)) == 2
    assert [one.change.action for one in store.audit.page(kind="store", object_id="approvals")] == ["end_approvals"]
    store.close()


def test_a_restore_ends_sessions_and_links(tmp_path: Path) -> None:
    place, saved = in_folder(tmp_path / "state"), tmp_path / "saved"
    store = open_store(place)
    assert store.sessions.add_link("link", "root", NOW)
    assert store.sessions.add_link("used", "root", NOW)
    assert store.sessions.use_link("used", "session", Attempt(None, "127.0.0.1"), NOW)
    back_up(place, saved)
    store.close()
    restore(place, saved, NOW)
    store = open_store(place)
    assert store.sessions.find("session", NOW) is None
    assert not store.sessions.use_link("link", "second", Attempt(None, "127.0.0.1"), NOW)
    store.close()
