"""`callgate freeze` and `callgate thaw`."""

from __future__ import annotations

import json
import os
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from callgate._callgate import freezes_read
from callgate.config.freezes import changed_freezes, new_freeze, read_freezes
from callgate.errors import ConfigError
from callgate.store.documents import Edit
from callgate.store.model import Actor
from callgate.store.place import in_folder
from callgate.store.store import open_store
from callgate.store.targets import Target
from support.program import ENVIRONMENT, refused, run, sidecar

NOBODY = (
    "no sidecar runs with the state folder `{}`: one that starts there obeys, and so does a `callgate wrap` with it "
    "within 2 seconds"
)
ALL_THE_SAME = "the freeze holds for that name all the same"
NOW = datetime(2026, 11, 23, 16, tzinfo=timezone.utc)


def rows(state: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads((state / "freeze.json").read_text())["freezes"]
    return found


def error(*words: str | Path) -> str:
    """The message of a usage error."""
    done = run(*words)
    assert done.code == 2, done
    return " ".join(done.err.split("Error: ", 1)[1].split())


def test_the_file_and_the_output(state: Path) -> None:
    done = run("freeze", "--state", state, "--server", "aws", "--tool", "create-*", "--reason", "quota", "--for", "90m")
    assert done.code == 0, done
    [row] = rows(state)
    times = {name: datetime.fromisoformat(row[name].replace("Z", "+00:00")) for name in ("at", "until")}
    assert timedelta(minutes=90) <= times["until"] - times["at"] <= timedelta(minutes=90, seconds=1)
    lines = done.out.splitlines()
    assert lines == [
        f"frozen: calls of the tool `create-*` at the server `aws`, until {row['until']}, by {row['by']}: quota",
        f"holds for the sidecar with the state folder `{state}` alone; others go on",
        NOBODY.format(state),
        f"ends with: callgate thaw --state {state} --server aws --tool 'create-*'",
    ]
    assert (state / "freeze.json").stat().st_mode & 0o777 == 0o600
    assert state.stat().st_mode & 0o777 == 0o700
    schema = json.loads(run("schema", "freezes").out)
    Draft202012Validator(schema).validate(json.loads((state / "freeze.json").read_text()))

    again = run("freeze", "--state", state, "--server", "aws", "--tool", "create-*", "--reason", "other", "--json")
    document = json.loads(again.out)
    assert document["freeze"] == rows(state)[0]
    assert (document["replaced"], document["sidecar_runs"], document["in_force"]) == (True, False, False)
    assert "until" not in document["freeze"]


def test_the_store_of_the_folder_has_both_in_its_admin_audit(state: Path) -> None:
    store = open_store(in_folder(state))
    try:
        for reason in ("quota", "still"):
            assert run("freeze", "--state", state, "--grant", "ci", "--reason", reason).code == 0
        assert run("thaw", "--state", state, "--grant", "ci").code == 0
        thawed, again, first = (one.change for one in store.audit.page())
    finally:
        store.close()
    assert [(one.action, one.kind, one.object_id, one.reason) for one in (first, again, thawed)] == [
        ("freeze", "freezes", "file: calls of the grant `ci`", "quota"),
        ("freeze", "freezes", "file: calls of the grant `ci`", "still"),
        ("thaw", "freezes", "file: calls of the grant `ci`", "thawed"),
    ]
    assert first.digest_before is None
    assert again.digest_before == first.digest_after
    assert again.digest_after == thawed.digest_before != first.digest_after
    assert thawed.digest_after is None


def test_a_store_that_cannot_be_used_keeps_nobody_from_a_freeze(state: Path) -> None:
    state.mkdir(mode=0o700)
    in_folder(state).path.write_bytes(b"no database" * 1_000)  # type: ignore[union-attr]
    done = run("freeze", "--state", state, "--all", "--reason", "r")
    assert (done.code, [row["reason"] for row in rows(state)]) == (0, ["r"])
    assert "callgate: warning: it is not in the admin audit: " in done.err
    document = json.loads(run("thaw", "--state", state, "--all", "--json").out)
    assert document["audit_fault"]
    assert not (state / "freeze.json").exists()


def test_thaw_ends_one_freeze(state: Path) -> None:
    for words in (("--all",), ("--server", "a"), ("--server", "a", "--tool", "t"), ("--grant", "g")):
        assert run("freeze", "--state", state, *words, "--reason", "r").code == 0
    assert [row.get("server") for row in rows(state)] == [None, "a", "a", None]
    done = run("thaw", "--state", state, "--all")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0] == "thawed: all calls"
    assert [line.split(", by ")[0] for line in lines[2:]] == [
        "still frozen: calls at the server `a`",
        "still frozen: calls of the tool `t` at the server `a`",
        "still frozen: calls of the grant `g`",
    ]
    document = json.loads(run("thaw", "--state", state, "--server", "a", "--json").out)
    assert (document["thawed"], document["still_frozen"]) == ({"server": "a"}, rows(state))
    assert refused("thaw", "--state", state, "--server", "a") == (
        f"calls at the server `a` are not frozen in the state folder `{state}`; frozen are calls of the tool `t` at "
        "the server `a` (`--server a --tool t`); calls of the grant `g` (`--grant g`)"
    )
    assert "frozen are calls of the tool `t`" in error("thaw", "--state", state)
    assert run("thaw", "--state", state, "--server", "a", "--tool", "t").code == 0
    assert run("thaw", "--state", state, "--grant", "g").code == 0
    assert not (state / "freeze.json").exists()
    assert refused("thaw", "--state", state, "--all").endswith("; nothing is frozen")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), "--all, --server NAME, --server NAME --tool PATTERN, or --grant ID"),
        (("--tool", "t"), "needs the server that offers the tool"),
        (("--all", "--server", "s"), "--all is every call, and --server some of them"),
        (("--server", "s", "--grant", "g"), "give either --server or --grant"),
        (("--all", "--for", "soon"), "expected a duration such as"),
        (("--all", "--for", "0s"), "it would end at once"),
    ],
)
def test_options_that_do_not_fit(state: Path, words: tuple[str, ...], expected: str) -> None:
    assert expected in error("freeze", "--state", state, "--reason", "r", *words)
    assert not state.exists()


def test_a_reason_is_needed(state: Path) -> None:
    assert "--reason" in run("freeze", "--state", state, "--all").err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--all", "--reason", " "), "`reason`: expected a text that is not empty"),
        (("--all", "--reason", "a\nb"), "`reason`: expected one line"),
        (("--all", "--reason", "a\u202eb"), "`reason`: expected a text without invisible characters, got `\\u{202e}`"),
        (("--server", "s", "--tool", "a\\", "--reason", "r"), "`tool`: `a\\` ends in a lone `\\`"),
        (("--server", "", "--reason", "r"), "`server`: expected a name that is not empty"),
        (("--all", "--reason", "r", "--for", "36000d"), ""),
    ],
)
def test_what_the_sidecar_would_refuse_is_not_written(state: Path, words: tuple[str, ...], expected: str) -> None:
    assert run("freeze", "--state", state, "--grant", "g", "--reason", "r").code == 0
    before = (state / "freeze.json").read_bytes()
    done = run("freeze", "--state", state, *words)
    if not expected:
        assert done.code == 0, done
        return
    assert done.code == 2, done
    assert expected in done.err
    assert "Traceback" not in done.err
    # A file that was only tried is gone when people read of it.
    assert ".freeze.json" not in done.err
    assert (state / "freeze.json").read_bytes() == before
    assert [path.name for path in state.iterdir()] == ["freeze.json"]


NO_TOOL = "neither policies nor the catalogue nor pins have a tool"


def configuration(folder: Path, **further: Any) -> Path:
    (folder / "p.json").write_text('{"version": "1", "default": "allow", "tools": {"refund": {}}}')
    path = folder / "callgate.yaml"
    document = {"state": "state", "servers": {"aws": {"policy": "p"}}, "policies": {"p": "p.json"}, **further}
    path.write_text(yaml.safe_dump(document))
    return path


def test_unknown_names_of_a_configuration_are_warned_about(tmp_path: Path) -> None:
    grants = [{"id": "alice", "server": "aws", "policy": "p"}]
    path = configuration(tmp_path, grants=grants)
    for words, warning in [
        (("--server", "aw"), "unknown server `aw`; did you mean `aws`?"),
        (("--grant", "alise"), "unknown grant `alise`; did you mean `alice`?"),
        (("--server", "aws"), None),
        (("--grant", "alice"), None),
        (("--server", "aws", "--tool", "refnud"), f"{NO_TOOL} `refnud` of `aws`; did you mean `refund`?"),
        (("--server", "aws", "--tool", "refund"), None),
    ]:
        done = run("freeze", "--config", path, *words, "--reason", "r")
        assert done.code == 0
        assert done.err == ("" if warning is None else f"callgate: warning: {warning}; {ALL_THE_SAME}\n")
    assert len(rows(tmp_path / "state")) == 6


def test_names_of_the_store_are_known_without_a_sidecar(tmp_path: Path) -> None:
    path = configuration(tmp_path, grants=[])
    store, by = open_store(in_folder(tmp_path / "state")), Actor("test", "here")
    store.grants.put([Edit("stored", '{"server": "aws", "policy": "p"}')], by, "", 1)
    store.servers.put([Edit("kept", '{"policy": "p"}')], by, "", 1)
    store.close()
    for option, name, is_known in [
        ("--grant", "stored", True),
        ("--grant", "other", False),
        ("--server", "kept", True),
        ("--server", "keep", False),
    ]:
        done = run("freeze", "--config", path, option, name, "--reason", "r")
        assert (done.code, "unknown" not in done.err) == (0, is_known)


def test_unknown_names_of_a_sidecar_are_warned_about(tmp_path: Path) -> None:
    path = configuration(tmp_path, grants=[{"id": "alice", "server": "aws", "policy": "p"}], counters="memory")
    with sidecar("--config", path):
        for words, warning in [
            (("--server", "aw"), "unknown server `aw`; did you mean `aws`?"),
            (("--grant", "alise"), "unknown grant `alise`; did you mean `alice`?"),
            (("--grant", "zoe"), "unknown grant `zoe`; `callgate grants list` prints the configured ones"),
            (("--grant", "alice"), None),
            (("--server", "aws", "--tool", "refnud"), f"{NO_TOOL} `refnud` of `aws`; did you mean `refund`?"),
            (("--server", "aws", "--tool", "refund"), None),
            (("--server", "aws", "--tool", "refnud*"), None),
        ]:
            done = run("freeze", "--state", tmp_path / "state", *words, "--reason", "r", "--json")
            document = json.loads(done.out)
            assert (document["warning"], document["in_force"]) == (warning, True)


def test_a_policy_for_every_server_knows_any_name(tmp_path: Path, state: Path) -> None:
    (tmp_path / "p.json").write_text('{"version": "1", "default": "allow"}')
    with sidecar("--policy", tmp_path / "p.json", "--state", state):
        done = run("freeze", "--state", state, "--server", "any", "--reason", "r")
        assert (done.code, done.err) == (0, "")


def test_a_broken_configuration_does_not_keep_from_a_freeze(tmp_path: Path, state: Path) -> None:
    path = tmp_path / "callgate.yaml"
    path.write_text("{")
    assert run("freeze", "--config", path, "--state", state, "--all", "--reason", "r").code == 0
    assert len(rows(state)) == 1


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    message = refused("freeze", "--state", tmp_path / "file" / "state", "--all", "--reason", "r")
    assert message.startswith(f"cannot write `{tmp_path}/file/state/freeze.json`: ")


def test_ended_freezes_are_removed_by_the_next_command(state: Path) -> None:
    with changed_freezes(state, NOW) as freezes:
        freezes.append(new_freeze(Target(grant="a"), "r", timedelta(seconds=1), NOW))
        freezes.append(new_freeze(Target(grant="b"), "r", None, NOW))
    assert len(read_freezes(state)) == 2
    with changed_freezes(state, NOW + timedelta(minutes=1)) as freezes:
        assert [freeze.target.grant for freeze in freezes] == ["b"]
    assert [row["grant"] for row in rows(state)] == ["b"]


def test_root_gives_the_file_to_the_owner_of_the_folder(state: Path) -> None:
    state.mkdir()
    owner = 12_345 if os.geteuid() == 0 else os.geteuid()
    os.chown(state, owner, -1)
    assert run("freeze", "--state", state, "--all", "--reason", "r").code == 0
    assert (state / "freeze.json").stat().st_uid == owner


def test_nothing_is_written_if_the_change_fails(state: Path) -> None:
    def fail() -> None:
        with changed_freezes(state, NOW) as freezes:
            freezes.append(new_freeze(Target(), "r", None, NOW))
            raise ConfigError("not this time")

    with pytest.raises(ConfigError, match="not this time"):
        fail()
    assert list(state.iterdir()) == []


def test_the_state_folder_is_found_as_serve_finds_it(tmp_path: Path) -> None:
    variables = {"CALLGATE_STATE": tmp_path / "named"}
    assert run("freeze", "--all", "--reason", "r", variables=variables).code == 0
    assert len(freezes_read(tmp_path / "named" / "freeze.json")) == 1
    assert ENVIRONMENT["XDG_STATE_HOME"] not in run("thaw", "--all", variables=variables).out
