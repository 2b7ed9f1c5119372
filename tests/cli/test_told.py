"""Mistakes and facts that commands must not keep to themselves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from callgate import ConfigError
from callgate.cli import app
from callgate.config.bundle import read_bundle
from callgate.config.key import is_in_state
from support.program import ENVIRONMENT, run, sidecar
from support.setup import Setup, policy

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def setup(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Setup:
    monkeypatch.chdir(tmp_path)
    setup = Setup(tmp_path)
    setup.configure()
    return setup


def refusal(*words: str) -> str:
    """The text with which a command refuses, on one line."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code != 0
    if isinstance(done.exception, ConfigError):
        return str(done.exception)
    return " ".join(done.output.split())


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--id", "alice"), "callgate.yaml:1:"),
        (("--id", "alice"), "the grant `alice` exists already; choose another id"),
        (("--id", "bob"), "bob.yaml:1:10: the grant `bob` exists already"),
        (("--id", "a", "--expires", "2020-01-31T00:00:00Z"), "`2020-01-31T00:00:00Z` is over"),
        (("--id", "a", "--expires", "0s"), "`0s` is over"),
        (("--id", "a", "--policy", "team-b"), "unknown policy `team-b`; did you mean `team-a`?"),
    ],
)
def test_grants_that_would_be_of_no_use(setup: Setup, words: tuple[str, ...], expected: str) -> None:
    setup.write("policies/team-a.json", policy())
    setup.write("bob.yaml", "grants: [{id: bob, server: s}]\n")
    setup.configure(grants=[{"id": "alice", "server": "s"}], grants_file="bob.yaml", policies_folder="policies")
    said = refusal("grants", "create", "--config", "callgate.yaml", "--server", "s", *words)
    assert expected in said
    assert "cgt_" not in said


def test_a_pep_that_exists(setup: Setup) -> None:
    setup.configure(peps=[{"name": "gateway", "uids": [0]}])
    said = refusal("peps", "create", "--config", "callgate.yaml", "--name", "gateway")
    assert "the PEP `gateway` exists already; choose another name" in said


@pytest.mark.parametrize("command", ["list", "variants"])
def test_pins_of_a_folder_that_is_none(setup: Setup, command: str) -> None:
    assert refusal("pin", command, "--state", "stat").startswith("`stat` is no folder; name the sidecar's state folder")
    (setup.folder / "state").mkdir()
    done = CliRunner().invoke(app, ["pin", command, "--state", "state", "--json"])
    assert (done.exit_code, json.loads(done.stdout)) == (0, [])
    assert done.stderr.startswith("no tools are pinned in `state`")


def test_repeated_decisions_show_what_is_in_shadow(setup: Setup) -> None:
    rules = {"mode": "shadow", "rate_limit": {"max": 1, "window": "day"}}
    setup.write("shadow.json", {"version": "1", "default": "deny", "tools": {"t": rules}})
    words = ["check", "--policy", "shadow.json", "--grant", "g", "--tool", "t", "--repeat", "3"]
    done = CliRunner().invoke(app, words)
    lines = done.stdout.splitlines()
    assert lines[0] == "1 allow"
    assert lines[1].startswith("2 allow in shadow: rate_limited /tools/t/")
    assert lines[3:] == ["3 allow", "in shadow: 2 rate_limited"]


def test_a_state_folder_that_cannot_be_read(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    # As root, no folder is unreadable; a name that is too long fails with another error in the same call.
    setup.configure(state="x" * 300, grant_key_file=None)
    monkeypatch.delenv("CALLGATE_GRANT_KEY", raising=False)
    with pytest.raises(ConfigError) as raised:
        read_bundle(setup.file)
    assert str(raised.value).startswith("cannot read the state folder `")
    assert "name another with --state" in str(raised.value)
    assert "grant.key" not in str(raised.value)


def test_a_state_folder_without_a_key(setup: Setup) -> None:
    setup.configure(state="state", grant_key_file=None)
    assert not is_in_state(read_bundle(setup.file).config)


def test_logs_in_json_have_no_plain_text_beside_them(setup: Setup) -> None:
    with sidecar("--config", setup.file, "--log-format", "json") as running:
        # The helper turns the greeting into text; a line that was no JSON would be among it.
        assert not any(line.startswith("callgate ") for line in running.greeting)
        code, err = running.stop()
    assert code == 0
    assert all(json.loads(line)["event"] for line in err.splitlines())
    words = ["serve", "--config", "callgate.yaml", "--log-format", "json", "--admin", "127.0.0.1:0"]
    failed = run(*words, "--listen", "192.0.2.1:1", cwd=setup.folder)
    assert (failed.code, failed.out) == (2, "")
    (line,) = failed.err.splitlines()
    assert json.loads(line)["event"] == "start_failed"
    assert "192.0.2.1:1" in json.loads(line)["error"]


def test_counters_in_memory_leave_nothing_in_the_users_folder(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    home = setup.folder / "home"
    monkeypatch.setitem(ENVIRONMENT, "XDG_STATE_HOME", str(home))
    words = ("--policy", "p.json", "--upstream", "aws=http://127.0.0.1:9/mcp", "--counters", "memory")
    with sidecar(*words, cwd=setup.folder) as running:
        kept = running.said(r"^warning: +with --counters memory, accepted tools are kept in `(.*)` until callgate ends")
        assert running.stop()[0] == 0
    assert not (home / "callgate").exists()
    assert not (setup.folder / kept).exists()


@pytest.mark.parametrize("command", [("status",), ("pin", "list")])
def test_a_folder_of_another_user_is_told_in_the_words_of_this_project(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    # As root, no folder is unreadable; this is what the library that reads options asks.
    monkeypatch.setattr("os.access", lambda *_, **__: False)
    done = CliRunner().invoke(app, [*command, "--state", str(tmp_path)])
    assert "is not readable" not in f"{done.output} {done.exception}"
