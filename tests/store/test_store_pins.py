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


def pinned(folder: Path) -> list[dict[str, Any]]:
    """The pinned forms of all tools, without the times at which they were listed."""
    [server] = pins_read(folder, "s")
    forms = [form for tool in server["tools"] for form in tool["pinned"]]
    assert all(form.pop("listed_at_unix_s") for form in forms)
    return forms


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
    if not store.database.is_sqlite:
        # The first list comes to the store first, so that it is forgotten there.
        wait_until(lambda: in_force(store) == {"t": {first_t}, "u": {first_u}})
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


def replica_of(folder: Path, changes: Changes, *, server: str = "s", url: str = URL) -> StorePins:
    return StorePins(lambda: folder, changes, lambda: {server: url})


def look(part: StorePins, store: Store) -> None:
    """One look of a replica that shares the store."""
    part._read(store)  # noqa: SLF001  without a thread, so that nothing is waited for
    part.adopt()
    part.accept_listed()
    part.share_first_lists(store)


def states(folder: Path) -> dict[str, str]:
    [server] = pins_read(folder, "s")
    return {tool["tool"]: tool["state"] for tool in server["tools"]}


def test_a_new_replica_begins_with_the_pins_of_the_store(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    first, changes = tmp_path / "first" / "pins", Changes()
    old = replica_of(first, changes)
    record(first, t="good", u="good")
    look(old, store)
    expected = in_force(store)
    assert {name: len(digests) for name, digests in expected.items()} == {"t": 1, "u": 1}
    # It was shown a list before the store was open.
    early = tmp_path / "early" / "pins"
    part = replica_of(early, changes)
    record(early, t="evil", u="good", v="more")
    assert states(early) == {"t": "pinned", "u": "pinned", "v": "pinned"}
    with caplog.at_level(logging.INFO, logger="callgate"):
        look(part, store)
    assert states(early) == {"t": "changed", "u": "pinned", "v": "new"}
    assert set(forms(early, "t")) == expected["t"]
    # And another one after it.
    late = tmp_path / "late" / "pins"
    with caplog.at_level(logging.INFO, logger="callgate"):
        look(replica_of(late, changes), store)
    assert states(late) == {"t": "pinned", "u": "pinned"}
    record(late, t="evil", u="good")
    assert states(late) == {"t": "changed", "u": "pinned"}
    assert in_force(store) == expected
    assert [row.msg for row in caplog.records] == ["first_list_replaced", "pins_taken_from_store"]
    # Neither is asked again: what somebody accepts in a file of a replica stays.
    pins_accept(early, "s", ["t"], None, False)
    look(part, store)
    assert states(early)["t"] == "pinned"
    # Nothing is left beside the folders of pins.
    assert [path.name for path in early.parent.iterdir()] == ["pins"]


def test_a_replica_keeps_what_it_had_before(store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, changes = tmp_path / "first" / "pins", Changes()
    record(first, t="good")
    look(replica_of(first, changes), store)
    other = tmp_path / "other" / "pins"
    record(other, t="other")
    with caplog.at_level(logging.INFO, logger="callgate"):
        look(replica_of(other, changes), store)
    assert states(other) == {"t": "pinned"}
    assert [row.msg for row in caplog.records] == ["pin_differs_from_store"]
    caplog.clear()
    # The digests contain the endpoint, so that these pins say nothing of another one.
    third = tmp_path / "third" / "pins"
    with caplog.at_level(logging.INFO, logger="callgate"):
        look(replica_of(third, changes, url="http://127.0.0.1:2/mcp"), store)
    assert [row.msg for row in caplog.records] == ["pins_of_another_endpoint"]
    assert not third.exists()
    # A damaged file was a list of something.
    fourth = tmp_path / "fourth" / "pins"
    fourth.mkdir(parents=True)
    (fourth / "s.json").write_text("{")
    look(replica_of(fourth, changes), store)
    assert (fourth / "s.json").read_text() == "{"


def test_further_forms_of_a_first_list_reach_new_replicas(store: Store, tmp_path: Path) -> None:
    first, changes = tmp_path / "first" / "pins", Changes()
    old = replica_of(first, changes)
    record(first, t="one", u="one")
    look(old, store)
    # People have replaced a form on another replica, and this one accepts others for another variant of clients.
    [gone] = in_force(store)["u"]
    accept(store, "u", "f" * 64, forgotten=(gone,))
    record(first, t="two", u="two")
    pins_accept(first, "s", None, None, True)
    look(old, store)
    assert in_force(store) == {"t": set(forms(first, "t")), "u": {"f" * 64}}
    assert len(in_force(store)["t"]) == 2
    late = tmp_path / "late" / "pins"
    look(replica_of(late, changes), store)
    assert set(forms(late, "t")) == in_force(store)["t"]
    # The form that cannot be made again with its digest is not accepted here, and is once it is listed.
    assert states(late) == {"t": "pinned"}


def test_what_came_while_it_ran_is_its_own_list_or_that_of_another(store: Store, tmp_path: Path) -> None:
    changes = Changes()
    one, two, three = (tmp_path / name / "pins" for name in ("one", "two", "three"))
    parts = [replica_of(folder, changes) for folder in (one, two, three)]
    for part in parts:
        look(part, store)
    record(one, t="good")
    record(two, t="evil")
    for part in parts:
        look(part, store)
    # The list of the first one stands, with its variants; the times are those at which each replica has written it.
    assert pinned(one) == pinned(three)
    look(parts[0], store)
    assert (states(one), states(three)) == ({"t": "pinned"}, {"t": "pinned"})
    look(parts[1], store)
    assert states(two) == {"t": "changed"}
