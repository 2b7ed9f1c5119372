"""The store is made, recognised, migrated or refused, and never silently made anew."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.engine import Connection

from callgate.errors import ConfigError, StoreError
from callgate.store import open as opening
from callgate.store.backup import back_up, restore
from callgate.store.changes import Kind, last_numbers
from callgate.store.database import Database
from callgate.store.engine import connect_sqlite, open_engine
from callgate.store.errors import StoreDamagedError, StoreGoneError, StoreVersionError
from callgate.store.migrate import alembic_config, upgrade
from callgate.store.open import make_file, migrated, open_database
from callgate.store.place import Place, at_path, in_folder, parse_place
from callgate.store.revision import HEAD, REVISIONS, TABLE
from callgate.store.sqlite_file import APPLICATION_ID
from callgate.store.tables import metadata
from support.postgres import Postgres


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def at_revision(place: Place, revision: str) -> None:
    """Makes a store of an older revision."""
    if place.path is not None:
        place.path.parent.mkdir()
        make_file(place.path, revision)
        return
    engine = open_engine(place)
    with engine.begin() as connection:
        upgrade(connection, revision)
    engine.dispose()


def write(database: Database) -> None:
    """Any change."""
    database.write(lambda at: at.execute(text("INSERT INTO changes VALUES ('approvals', 7)")))


def test_a_new_store_has_the_tables_of_the_model(empty_place: Place) -> None:
    database = open_database(empty_place)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
        script = ScriptDirectory.from_config(alembic_config(connection))
        assert tuple(one.revision for one in script.walk_revisions())[::-1] == REVISIONS
    database.close()


def test_files_are_for_this_user_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        database = open_database(in_folder(tmp_path / "state"))
        write(database)
    finally:
        os.umask(before)
    files = sorted((tmp_path / "state").iterdir())
    assert [file.name for file in files] == ["callgate.db", "callgate.db-shm", "callgate.db-wal"]
    assert [mode(file) for file in files] == [0o600] * 3
    assert mode(tmp_path / "state") == 0o700
    database.close()
    files[0].chmod(0o644)
    open_database(in_folder(tmp_path / "state")).close()
    assert mode(files[0]) == 0o600


def test_files_that_are_there_become_private_too(tmp_path: Path) -> None:
    database = open_database(in_folder(tmp_path))
    write(database)
    for file in tmp_path.iterdir():
        file.chmod(0o644)
    open_database(in_folder(tmp_path)).close()
    assert {mode(file) for file in tmp_path.iterdir()} == {0o600}
    database.close()


def test_files_that_a_killed_process_left_are_removed(tmp_path: Path) -> None:
    for name in (".callgate.db.0123abcd", ".callgate.db.0123abcd-wal", ".callgate.db.notes", "callgate.db.0123abcd"):
        (tmp_path / name).write_text("")
        os.utime(tmp_path / name, (0, 0))
    (tmp_path / ".callgate.db.89abcdef").write_text("")
    open_database(in_folder(tmp_path)).close()
    left = {".callgate.db.89abcdef", ".callgate.db.notes", "callgate.db.0123abcd", "callgate.db"}
    assert {path.name for path in tmp_path.iterdir()} == left


def test_a_link_to_the_file(tmp_path: Path) -> None:
    (tmp_path / "far").mkdir()
    link = tmp_path / "callgate.db"
    link.symlink_to(tmp_path / "far" / "real.db")
    open_database(at_path(link)).close()
    back_up(at_path(link), tmp_path / "saved")
    restore(at_path(link), tmp_path / "saved", 0)
    assert link.is_symlink()
    (tmp_path / "far" / "real.db").unlink()
    (tmp_path / "far" / "real.db-wal").write_bytes(b"x")
    with pytest.raises(StoreDamagedError, match=r"real\.db-wal` of it is still there"):
        open_database(at_path(link))


def test_settings_of_sqlite(tmp_path: Path) -> None:
    database = open_database(in_folder(tmp_path))
    wanted = {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "secure_delete": 1, "busy_timeout": 2000}
    with database.engine.connect() as connection:
        assert {name: connection.execute(text(f"PRAGMA {name}")).scalar() for name in wanted} == wanted
    database.close()


def test_a_wait_for_another_process_is_what_is_left_of_it(tmp_path: Path) -> None:
    open_database(in_folder(tmp_path)).close()
    with closing(connect_sqlite(tmp_path / "callgate.db")) as connection:
        for seconds, expected_ms in ((1.99, 2_000), (1.2, 1_200), (1.19, 1_200), (0, 0), (2.0, 2_000)):
            connection.wait_at_most(seconds)
            assert connection.execute("PRAGMA busy_timeout").fetchone() == (expected_ms,)


@pytest.mark.parametrize("revision", REVISIONS[:-1])
def test_an_older_store_is_migrated(empty_place: Place, revision: str) -> None:
    at_revision(empty_place, revision)
    if empty_place.path is None:
        with pytest.raises(StoreVersionError, match=rf"has revision `{revision}`.*`callgate store migrate`"):
            open_database(empty_place)
    open_database(empty_place, migrate=True).close()
    database = open_database(empty_place)
    with database.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"version_table": TABLE, "compare_type": True})
        assert compare_metadata(context, metadata) == []
    database.close()
    if empty_place.path is not None:
        backup = empty_place.path.with_name(f"callgate.db.before-{HEAD}")
        assert mode(backup) == 0o600
        with sqlite3.connect(backup) as old:
            assert old.execute(f"SELECT version_num FROM {TABLE}").fetchone() == (revision,)
        assert sorted(path.name for path in empty_place.path.parent.iterdir()) == ["callgate.db", backup.name]


def test_what_an_older_store_holds_is_kept(empty_place: Place) -> None:
    at_revision(empty_place, REVISIONS[0])
    database = Database(empty_place, open_engine(empty_place))
    write(database)
    database.close()
    database = open_database(empty_place, migrate=True)
    assert database.read(last_numbers)[Kind.APPROVALS] == 7
    database.close()


def test_a_second_backup_does_not_replace_the_first(tmp_path: Path) -> None:
    place = in_folder(tmp_path / "state")
    at_revision(place, REVISIONS[0])
    assert place.path
    first = place.path.with_name(f"callgate.db.before-{HEAD}")
    first.write_text("kept")
    open_database(place).close()
    assert first.read_text() == "kept"
    assert first.with_name(f"{first.name}-1").exists()


def test_a_failed_migration_changes_nothing(empty_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    at_revision(empty_place, REVISIONS[0])
    real = opening._upgrade  # noqa: SLF001  what every start runs

    def broken(connection: Connection, revision: str) -> None:
        real(connection, revision)
        message = "the disk is full"
        raise StoreError(message)

    monkeypatch.setattr(opening, "_upgrade", broken)
    with pytest.raises(StoreError, match="the disk is full"):
        open_database(empty_place, migrate=True)
    monkeypatch.undo()
    database = Database(empty_place, open_engine(empty_place))
    assert opening.read_store_revision(database) == REVISIONS[0]
    database.close()


def test_only_one_replica_migrates(empty_place: Place) -> None:
    at_revision(empty_place, REVISIONS[0])
    results: list[Path | None] = []

    def start() -> None:
        database = Database(empty_place, open_engine(empty_place))
        results.append(migrated(database))
        database.close()

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    assert sum(result is not None for result in results) == (1 if empty_place.path else 0)
    open_database(empty_place).close()


def test_replicas_that_start_at_once_make_one_store(empty_place: Place) -> None:
    failures: list[BaseException] = []

    def start() -> None:
        try:
            open_database(empty_place).close()
        except BaseException as error:  # noqa: BLE001  shown below
            failures.append(error)

    threads = [threading.Thread(target=start) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    database = open_database(empty_place)
    write(database)
    database.close()


def test_a_newer_store_is_refused(empty_place: Place) -> None:
    database = open_database(empty_place)
    database.write(lambda at: at.execute(text(f"UPDATE {TABLE} SET version_num = '9999'")))
    database.close()
    for migrate in (None, True):
        with pytest.raises(StoreVersionError, match="revision `9999`, made by a newer callgate"):
            open_database(empty_place, migrate=migrate)


def other_program(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (a)")


def cut_off(path: Path) -> None:
    make_file(path)
    os.truncate(path, 3 * 4096)


def overwritten(path: Path) -> None:
    make_file(path)
    content = bytearray(path.read_bytes())
    content[8192:40960] = b"\xff" * 32768
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: path.write_bytes(b""), "is no store of callgate, or damaged"),
        (lambda path: path.write_text("hello" * 100), "is no store of callgate, or damaged"),
        (lambda path: path.mkdir(), "cannot read the store|is no store of callgate"),
        (os.mkfifo, "is no store of callgate, or damaged"),
        (other_program, "is another program's SQLite file"),
        (cut_off, "is damaged|malformed"),
        (overwritten, "is damaged|malformed"),
        (lambda path: path.with_name("callgate.db-wal").write_bytes(b"x"), "callgate.db-wal` of it is still there"),
    ],
)
def test_what_is_no_store_is_refused_and_left(tmp_path: Path, make: Callable[[Path], None], expected: str) -> None:
    path = tmp_path / "callgate.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None
    with pytest.raises((StoreDamagedError, StoreGoneError), match=expected):
        open_database(at_path(path))
    assert (path.read_bytes() if path.is_file() else None) == before


def test_an_empty_table_of_the_file_format(tmp_path: Path) -> None:
    path = tmp_path / "callgate.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA application_id={APPLICATION_ID}")
        connection.execute("CREATE TABLE t (a)")
        connection.execute("DROP TABLE t")
    with pytest.raises(StoreDamagedError, match="is empty: it is damaged"):
        open_database(at_path(path))


def test_a_database_of_another_program_is_refused(postgres: Postgres) -> None:
    name, url = postgres.new_database()
    postgres.run("CREATE TABLE t (a int)", name)
    with pytest.raises(StoreDamagedError, match="holds tables, but no store of callgate"):
        open_database(parse_place(url))


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"cannot make the store `.*`: file exists"):
        open_database(in_folder(tmp_path / "file"))


def test_a_database_that_does_not_answer(tmp_path: Path) -> None:
    place = parse_place(f"postgresql://me:se%40cret@/db?host={tmp_path}")
    with pytest.raises(StoreGoneError) as raised:
        open_database(place)
    assert "does not answer" in str(raised.value)
    assert "se%40cret" not in str(raised.value)
    assert "se@cret" not in f"{raised.value} {place} {place!r}"


def test_without_the_driver(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "psycopg", None)
    with pytest.raises(ConfigError, match=r"pip install 'callgate\[postgres\]'"):
        open_database(parse_place("postgresql://u:secret@h/d"))
