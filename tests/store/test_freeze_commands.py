"""`callgate freeze` and `callgate thaw` with the store of replicas."""

from __future__ import annotations

import json
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from callgate.store.place import Place, parse_place
from callgate.store.store import open_store
from support.planes import wait_until
from support.postgres import Postgres
from support.program import refused, run
from support.replicas import Replica, replica

NOWHERE = Place("postgresql+psycopg://u@/x?host=/nowhere")


def obeys(one: Replica, rule: str) -> bool:
    return one.rule() == rule


@pytest.fixture
def place(postgres: Postgres) -> Place:
    return parse_place(postgres.new_schema())


def test_all_replicas_obey(tmp_path: Path, place: Place) -> None:
    with ExitStack() as stack:
        one, other = (stack.enter_context(replica(tmp_path / name, place)) for name in ("a", "b"))
        config = tmp_path / "a" / "callgate.json"
        done = run("freeze", "--config", config, "--server", "s", "--reason", "incident 7")
        assert (done.code, done.err) == (0, ""), done
        lines = done.out.splitlines()
        assert lines[0].startswith("frozen: calls at the server `s`, by ")
        assert lines[1].startswith("holds for all sidecars that share the store `postgresql+psycopg://callgate@/")
        assert lines[2] == "in force: the sidecar with this state folder obeys"
        assert lines[3] == f"ends with: callgate thaw --config {config} --server s"
        assert not (tmp_path / "a" / "state" / "freeze.json").exists()
        for each in (one, other):
            wait_until(partial(obeys, each, "(frozen)"))
        again = run("freeze", "--config", config, "--server", "s", "--reason", "other", "--for", "1h", "--json")
        document = json.loads(again.out)
        assert (document["replaced"], document["in_force"], document["file"]) == (True, True, None)
        assert [freeze["reason"] for freeze in one.status["freezes"]] == ["other"]
        # One of this sidecar alone, by its folder.
        alone = run("freeze", "--state", tmp_path / "b" / "state", "--grant", "g", "--reason", "r")
        assert "holds for the sidecar with the state folder" in alone.out
        assert "name the freeze to end" in run("thaw", "--config", config).err
        missing = refused("thaw", "--config", config, "--all")
        assert "all calls are not frozen in the state folder" in missing
        assert "frozen are calls at the server `s` (`--server s`)" in missing
        thawed = run("thaw", "--config", config, "--server", "s")
        assert (thawed.code, thawed.err) == (0, ""), thawed
        assert thawed.out.splitlines()[:2] == [
            "thawed: calls at the server `s`",
            "in force: the sidecar with this state folder obeys",
        ]
        assert one.rule() == ""
        assert other.rule() == "(frozen)"
    store = open_store(place)
    reasons = [row.change.reason for row in store.audit.page()]
    assert reasons == ["thawed", "frozen anew", "other", "incident 7"]
    store.close()


def test_what_a_sidecar_would_refuse_is_not_written(tmp_path: Path, place: Place) -> None:
    config = tmp_path / "callgate.json"
    config.write_text(json.dumps({"state": "state", "store": {"url": place.url}}))
    for words in (("--server", "s", "--tool", "a\\", "--reason", "r"), ("--all", "--reason", " ")):
        assert "expected" in refused("freeze", "--config", config, *words) or words[2] == "--tool"
    store = open_store(place)
    assert store.freezes.page().items == ()
    store.close()


def test_without_the_store_this_sidecar_obeys_and_the_command_fails(tmp_path: Path, place: Place) -> None:
    with replica(tmp_path / "a", place) as one:
        config = tmp_path / "a" / "callgate.json"
        document = json.loads(config.read_text())
        down = tmp_path / "a" / "down.json"
        down.write_text(json.dumps({**document, "store": {"url": NOWHERE.url}}))
        done = run("freeze", "--config", down, "--all", "--reason", "r")
        assert done.code == 1
        assert "NOT written to the store of all sidecars: the store `postgresql+psycopg://" in done.err
        assert one.rule() == "(frozen)"
        thawed = run("thaw", "--config", down, "--all", "--json")
        document = json.loads(thawed.out)
        assert (thawed.code, document["in_force"]) == (1, True)
        assert "does not answer" in document["store_fault"]
        assert one.rule() == ""
