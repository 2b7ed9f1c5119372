"""Forms of tools that were accepted on one replica are accepted on the others, once they are listed there."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from callgate._callgate import pins_accept, pins_read, pins_record
from callgate.control.changes import Changes
from callgate.control.store_pins import StorePins
from callgate.store.model import Actor
from callgate.store.pins import Pin
from callgate.store.store import Store
from support.approvals import NOW
from support.planes import wait_until
from support.program import run

BY = Actor("ann", "test")
URL = "http://127.0.0.1:1/mcp"


def record(folder: Path, **descriptions: str) -> None:
    schema = {"type": "object"}
    tools = [{"name": name, "description": text, "inputSchema": schema} for name, text in descriptions.items()]
    pins_record(folder, "s", URL, None, json.dumps({"tools": tools}).encode())


def forms(folder: Path, name: str, kind: str = "pinned") -> list[str]:
    [server] = pins_read(folder, "s")
    tool: dict[str, Any] = next(tool for tool in server["tools"] if tool["tool"] == name)
    return [form["digest"] for form in tool[kind]]


def accept(store: Store, name: str, digest: str, *, forgotten: tuple[str, ...] = ()) -> None:
    store.pins.forget([Pin("s", name, one, "{}") for one in forgotten], BY, "", NOW)
    store.pins.accept([Pin("s", name, digest, "{}")], BY, "", NOW)


def test_a_listed_form_is_accepted_with_the_others_or_in_their_place(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("callgate.control.store_pins._LOOK_S", 0.1)
    folder = tmp_path / "pins"
    record(folder, t="one", u="one")
    [first_t], [first_u] = forms(folder, "t"), forms(folder, "u")
    record(folder, t="two", u="two")
    [second_t], [second_u] = forms(folder, "t", "listed"), forms(folder, "u", "listed")
    changes = Changes()
    part = StorePins(lambda: folder, changes)
    part.start(store)
    accept(store, "t", second_t, forgotten=(first_t,))
    accept(store, "u", first_u)
    accept(store, "u", second_u)
    changes.tell(frozenset({"pins"}))
    wait_until(lambda: forms(folder, "t") == [second_t])
    wait_until(lambda: forms(folder, "u") == [first_u, second_u])
    assert first_t not in forms(folder, "t")
    # What is listed later is accepted later; nothing else is.
    record(folder, t="three", u="three")
    accept(store, "t", "f" * 64)
    changes.tell(frozenset({"pins"}))
    [third] = forms(folder, "u", "listed")
    accept(store, "u", third, forgotten=(first_u, second_u))
    changes.tell(frozenset({"pins"}))
    wait_until(lambda: forms(folder, "u") == [third])
    assert forms(folder, "t") == [second_t]
    part.stop()


def test_without_files_and_with_a_damaged_one(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("callgate.control.store_pins._LOOK_S", 0.1)
    folder = tmp_path / "pins"
    changes = Changes()
    part = StorePins(lambda: folder, changes)
    accept(store, "t", "f" * 64)
    with caplog.at_level(logging.INFO, logger="callgate"):
        part.start(store)
        record(folder, t="one")
        record(folder, t="two")
        accept(store, "t", forms(folder, "t", "listed")[0])
        changes.tell(frozenset({"pins"}))
        wait_until(lambda: not forms(folder, "t", "listed"))
        part.stop()
    told = {record.msg for record in caplog.records}
    # Where replicas share the store, one may look between the two.
    assert "pin_accepted" in told
    assert told <= {"pin_accepted", "pin_differs_from_store"}
    assert pins_accept(folder, "s") == []


def in_force(store: Store) -> dict[str, set[str]]:
    """The digests that the store has as accepted, by tool."""
    found: dict[str, set[str]] = {}
    for one in store.pins.of_server("s"):
        if not one.is_deleted:
            found.setdefault(one.pin.tool, set()).add(one.pin.digest)
    return found


def test_first_lists_come_to_the_store_that_replicas_share(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("callgate.control.store_pins._LOOK_S", 0.1)
    one, other = tmp_path / "one", tmp_path / "other"
    record(one, t="good", u="good")
    changes = Changes()
    parts = [StorePins(lambda: one, changes), StorePins(lambda: other, changes)]
    with caplog.at_level(logging.INFO, logger="callgate"):
        for part in parts:
            part.start(store)
        if store.database.is_sqlite:
            # One folder is one machine: its files are enough.
            parts[0].share_first_lists(store)
        expected = {name: set(forms(one, name)) for name in ("t", "u")}
        wait_until(lambda: in_force(store) == expected)
        [written] = [row for row in store.pins.of_server("s") if row.pin.tool == "t"]
        assert (written.accepted_by, json.loads(written.pin.definition)["description"]) == ("callgate", "good")
        # What another replica is shown first, and differs, is told and does not come to the store.
        changes.tell(frozenset({"pins"}))
        wait_until(lambda: parts[1]._accepted)  # noqa: SLF001  as the log says nothing of it
        record(other, t="evil", u="good")
        parts[1].share_first_lists(store)
        assert in_force(store) == expected
        for part in parts:
            part.stop()
    assert "pin_differs_from_store" in [record.msg for record in caplog.records]
    # What people have replaced does not come back by a file that still has it.
    third = [Pin("s", "t", "f" * 64, "{}")]
    store.pins.forget([Pin("s", "t", forms(one, "t")[0], "{}")], BY, "", NOW)
    store.pins.accept_first([*third, Pin("s", "v", "e" * 64, "{}")], BY, "", NOW)
    assert in_force(store) == {"u": expected["u"], "v": {"e" * 64}}


def test_commands_write_to_the_store(store: Store, tmp_path: Path) -> None:
    if store.database.is_sqlite:
        place = {"store": {"url": store.place.url}}
    else:
        file = tmp_path / "url"
        file.write_text(store.place.url)
        file.chmod(0o600)
        place = {"store": {"url_file": str(file)}}
    config = tmp_path / "callgate.yaml"
    state = tmp_path / "state"
    config.write_text(json.dumps({"state": str(state), **place}))
    listed = tmp_path / "tools.json"

    def command(*words: str) -> str:
        done = run("pin", *words, "--config", config)
        assert done.code == 0, done
        return done.out

    def shown(**descriptions: str) -> None:
        schema = {"type": "object"}
        tools = [{"name": name, "description": text, "inputSchema": schema} for name, text in descriptions.items()]
        listed.write_text(json.dumps({"tools": tools}))
        command("record", "s", "--url", URL, "--list", str(listed))

    folder = state / "pins"
    shown(t="one", u="one")
    first = in_force(store)
    assert {name: len(digests) for name, digests in first.items()} == {"t": 1, "u": 1}
    shown(t="two", u="two")
    assert in_force(store) == first
    command("accept", "s", "t")
    command("accept", "s", "u", "--also")
    after = {name: set(forms(folder, name)) for name in ("t", "u")}
    assert in_force(store) == after
    assert (len(after["t"]), len(after["u"]), first["t"] & after["t"]) == (1, 2, set())
    [row] = [one for one in store.pins.of_server("s") if one.pin.tool == "t" and not one.is_deleted]
    assert row.accepted_by.endswith(" (local)")
    assert json.loads(row.pin.definition)["description"] == "two"
    assert "nothing to accept" in command("accept", "s", "--all")
    command("reset", "s")
    assert in_force(store) == {}


def test_without_the_store_no_pin_is_accepted(tmp_path: Path) -> None:
    state = tmp_path / "state"
    folder = state / "pins"
    record(folder, t="one")
    record(folder, t="two")
    (state / "callgate.db").write_text("no database, but long enough to be taken for one" * 99)
    done = run("pin", "accept", "s", "t", "--state", state)
    assert (done.code, done.out) == (2, "")
    assert len(forms(folder, "t", "listed")) == 1
    (state / "callgate.db").unlink()
    assert run("pin", "accept", "s", "t", "--state", state).code == 0
