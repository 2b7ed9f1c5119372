"""`callgate store`."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from callgate.store.place import in_folder
from callgate.store.revision import HEAD
from callgate.store.store import open_store
from support.approvals import NOW, answer, ask
from support.program import refused, run


def test_status_backup_and_restore(tmp_path: Path) -> None:
    state, saved = tmp_path / "state", tmp_path / "saved"
    assert run("store", "migrate", "--state", state).out == f"migrated: {state}/callgate.db has revision {HEAD}\n"
    store = open_store(in_folder(state))
    first, second = ask("a"), ask("b")
    store.approvals.ask([first, second], NOW)
    store.approvals.answer(first.new_id, answer(), NOW)
    done = run("store", "status", "--state", state)
    assert done.out.splitlines() == [
        f"store:          {state}/callgate.db",
        f"revision:       {HEAD}",
        "approvals:      1 approved, 1 pending",
        "active permits: 0",
    ]
    assert json.loads(run("store", "status", "--json", "--state", state).out)["is_current"] is True
    assert run("store", "backup", saved, "--state", state).out == f"backed up: {state}/callgate.db to {saved}\n"
    assert "is in use; stop callgate" in refused("store", "restore", saved, "--state", state)
    store.close()
    done = run("store", "restore", saved, "--state", state)
    assert (done.code, done.err) == (0, "")
    assert "what was pending or approved in it is ended" in done.out
    assert "before:   " in done.out
    document = json.loads(run("store", "status", "--json", "--state", state).out)
    assert document["approvals"] == {"ended": 2}
    done = run("store", "end-approvals", "--state", state)
    assert done.out == f"ended: everything pending or approved in {state}/callgate.db, and its permits\n"


@pytest.mark.parametrize("command", ["status", "backup", "restore", "end-approvals"])
def test_without_a_store(tmp_path: Path, command: str) -> None:
    words = [tmp_path / "saved"] if command in {"backup", "restore"} else []
    line = refused("store", command, *words, "--state", tmp_path / "state")
    assert line.startswith(f"there is no store `{tmp_path}/")
    assert not (tmp_path / "state").exists()


def test_a_password_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "callgate.yaml").write_text("servers: {s: {}}\nstore: {url_file: secret}\n")
    (tmp_path / "secret").write_text(f"postgresql://me:pass-word@/db?host={tmp_path}")
    line = refused("store", "status", "--config", tmp_path / "callgate.yaml")
    assert line.startswith(f"the store `postgresql+psycopg://me:***@/db?host={tmp_path}` does not answer: ")
    assert "pass-word" not in line


@pytest.mark.parametrize("words", [["--help"], ["version"], ["store", "--help"]])
def test_commands_without_a_store_do_not_import_it(words: list[str]) -> None:
    program = (
        "import sys\n"
        "import callgate\n"
        "import callgate.cli\n"
        f"sys.argv = ['callgate', *{words!r}]\n"
        "try:\n"
        "    callgate.cli.main()\n"
        "except SystemExit:\n"
        "    pass\n"
        "found = {'sqlalchemy', 'alembic', 'psycopg'} & set(sys.modules)\n"
        "assert not found, found\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
