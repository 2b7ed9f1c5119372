"""A sidecar with a signed log: killed, started again, and compared with its store."""

from __future__ import annotations

import json
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from callgate import Client
from callgate.cli import app
from callgate.cli.audit_inputs import store_of
from callgate.store.audit import Change
from callgate.store.model import Actor
from callgate.store.place import in_folder
from callgate.store.store import open_store
from support.program import TIMEOUT_S, refused, sidecar

POLICY: dict[str, Any] = {"version": "1", "name": "p", "default": "deny", "tools": {"t": {}}}


@pytest.fixture
def config(tmp_path: Path) -> Path:
    done = CliRunner().invoke(app, ["audit", "key", "new", str(tmp_path / "audit.key"), "--expires", "1h"])
    assert done.exit_code == 0, done.output
    (tmp_path / "p.json").write_text(json.dumps(POLICY))
    path = tmp_path / "callgate.yaml"
    document = {
        "state": "state",
        "servers": {"srv": {"policy": "p"}},
        "policies": {"p": "p.json"},
        "audit": {
            "path": "log",
            "mode": "required",
            "key_file": "audit.key",
            "checkpoint_interval": "100ms",
            "sync_interval": "100ms",
            "checkpoints_file": "checkpoints",
        },
    }
    path.write_text(yaml.safe_dump(document))
    return path


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def ask(address: str, count: int) -> None:
    with Client(address) as client:
        for _ in range(count):
            client.check(grant="g", tool="t", server="srv")


def verified(config: Path, code: int = 0) -> dict[str, Any]:
    words = ["audit", "verify", str(config.parent / "log"), "--config", str(config), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == code, done.output
    [found] = json.loads(done.stdout)["logs"]
    return dict(found)


def change(folder: Path, reason: str) -> None:
    """A change of the store by somebody else than the sidecar, as by a command."""
    store = open_store(in_folder(folder / "state"))
    try:
        store.audit.add(Change(Actor("ann", "cli"), "create", "people", "ann", reason), time.time_ns() // 1_000)
    finally:
        store.close()


def admin_lines(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "log").read_bytes().splitlines() if b'"kind":"admin"' in line]
    return [line for line in lines if line["kind"] == "admin"]


def test_a_killed_sidecar_goes_on_and_its_store_knows_the_log(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = config.parent
    monkeypatch.delenv("CALLGATE_CONFIG", raising=False)
    with sidecar("--config", config, "--state", folder / "state") as running:
        ask(running.address, 5)
        wait_until(lambda: (folder / "checkpoints").exists() and (folder / "state" / "callgate.db").exists())
        # Killed with lines that may not be signed.
        ask(running.address, 20)
        running.process.send_signal(signal.SIGKILL)
        running.process.wait(TIMEOUT_S)
    with sidecar("--config", config, "--state", folder / "state") as running:
        change(folder, "while it runs")
        ask(running.address, 3)
        wait_until(lambda: [line["reason"] for line in admin_lines(folder)] == ["while it runs"])
        code, err = running.stop()
        assert code == 0
        assert "audit" not in err
    found = verified(config)
    assert (found["integrity"], found["complete"], found["unsigned"]) == ("ok", "yes", 0)
    assert found["admin_changes"] == 1
    assert found["known_until"] == found["entries"] - 1, "the store has the last checkpoint"
    assert found["decisions"] >= 8
    # The line is old enough to be expected, and the row says something else, or is gone.
    records = store_of(None, config)
    assert records is not None
    [line] = admin_lines(folder)
    number = line["number"]
    assert records.compare(found["origin"], {number: line}) == []
    changed = {**line, "object_id": "bob"}
    assert records.compare(found["origin"], {number: changed}) == [
        f"the admin change {number} is another one in the log than in the store"
    ]
    with sqlite3.connect(folder / "state" / "callgate.db") as database:
        database.execute("UPDATE audit_logs SET admin_until = ?", (number,))
    records = store_of(None, config)
    assert records is not None
    assert records.compare(found["origin"], {}) == [f"the admin change {number} is in the store, and not in the log"]
    unknown = records.compare(found["origin"], {number: line, number + 1: line})
    assert unknown == [f"the admin change {number + 1} is in the log, and the store has no such record"]
    # A log that was cut off is not continued, and what is left is a part of what the store knows.
    lines = (folder / "log").read_bytes().splitlines(keepends=True)
    (folder / "log").write_bytes(b"".join(lines[:4]))
    message = refused("serve", "--config", config, "--state", folder / "state", "--listen", "127.0.0.1:0")
    assert "it is cut off: it has 4 entries" in message
    (folder / "log.checkpoint").unlink()
    assert verified(config, 1)["complete"] == "no"


def test_a_key_that_has_expired_is_refused(config: Path) -> None:
    folder = config.parent
    statement = (folder / "audit.key.pub").read_text().splitlines()
    statement[3] = "expires 2020-01-01T00:00:00Z"
    (folder / "audit.key.pub").write_text("\n".join(statement) + "\n")
    message = refused("serve", "--config", config, "--listen", "127.0.0.1:0")
    assert "the audit key has expired (2020-01-01T00:00:00Z)" in message
    assert "callgate audit key rotate" in message
    assert message.startswith(f"{config}:")
