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
    accept(store, "t", second_t)
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
    assert [record.msg for record in caplog.records] == ["pin_accepted"]
    assert pins_accept(folder, "s") == []
