"""`callgate check --config`: a decision with the grants, policies and catalogue of a configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from support.program import refused, run

CONFIG = """\
servers:
  srv: {policy: open}
  aws: {}
policies: {open: open.yaml, team: team.yaml}
catalogue: catalogue.json
state: state
"""
GRANTS = """\
grants:
  - {id: ci, servers: {aws: team}, labels: {team: red}}
  - {id: gone, server: aws, policy: team, revoked: true}
"""
CATALOGUE = {"version": "1", "servers": {"aws": {"tools": {"drop": {"category": "Destructive"}}}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "open.yaml").write_text("{version: '1', default: allow}")
    (tmp_path / "team.yaml").write_text(
        "{version: '1', default: deny, categories: {Destructive: {action: deny}}, tools: {"
        "create: {require: [{conditions: [{path: grant.labels.team, op: eq, value: red}]}],"
        "limits: [{counter: c, window: day, max: 2}]}}}"
    )
    (tmp_path / "catalogue.json").write_text(json.dumps(CATALOGUE))
    (tmp_path / "callgate.yaml").write_text(CONFIG + GRANTS)
    (tmp_path / "open-to-all.yaml").write_text(CONFIG)
    return tmp_path


def outcome(folder: Path, *words: str, config: str = "callgate.yaml") -> str:
    return run("check", "--config", config, *words, cwd=folder).out.partition("\n")[0]


def test_the_grant_decides_which_policy(folder: Path) -> None:
    aws = ("--grant", "ci", "--server", "aws", "--tool")
    assert outcome(folder, *aws, "create") == "allow"
    assert outcome(folder, *aws, "drop") == "deny /categories/Destructive/action"
    assert outcome(folder, *aws, "other") == "deny (default deny)"
    assert outcome(folder, "--grant", "ci", "--server", "srv", "--tool", "create") == "deny (unknown grant)"
    assert outcome(folder, "--grant", "gone", "--server", "aws", "--tool", "create") == "deny (grant revoked)"
    assert outcome(folder, "--grant", "nobody", "--server", "aws", "--tool", "create") == "deny (unknown grant)"
    assert outcome(folder, "--grant", "any", "--tool", "create", config="open-to-all.yaml") == "allow"
    assert outcome(folder, "--grant", "any", "--server", "aws", "--tool", "t", config="open-to-all.yaml") == (
        "deny (no policy)"
    )


def test_counts_are_new_and_nothing_is_made(folder: Path) -> None:
    words = ("check", "--config", "callgate.yaml", "--grant", "ci", "--server", "aws", "--tool", "create")
    for _ in range(2):
        assert run(*words, "--repeat", "2", cwd=folder).code == 0
    assert run(*words, "--repeat", "3", cwd=folder).code == 3
    explained = run(*words, "--explain", cwd=folder)
    assert (explained.code, "grant.labels.team eq" in explained.out) == (0, True), explained
    assert not (folder / "state").exists()


def test_a_token_of_the_configuration(folder: Path) -> None:
    create = ("--id", "alice", "--server", "aws", "--policy", "team", "--label", "team=red", "--write", "--json")
    made = run("grants", "create", "--config", folder / "callgate.yaml", *create)
    assert made.code == 0, made
    token = folder / "token"
    token.write_text(json.loads(made.out)["token"])
    # The token says at which server it is valid.
    words = ("--tool", "create", "--grant-token-file", str(token))
    assert outcome(folder, *words) == "allow"
    token.write_text("cgt_" + "x" * 43)
    assert outcome(folder, *words) == "deny (unknown grant)"


def test_a_configuration_that_cannot_be_served_is_refused(folder: Path) -> None:
    (folder / "open.yaml").write_text("{")
    ask = ("check", "--config", folder / "callgate.yaml", "--grant", "ci", "--tool", "t")
    assert "open.yaml:1:2: " in refused(*ask)
    assert "no such file" in refused("check", "--config", folder / "gone.yaml", "--grant", "ci", "--tool", "t")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--policy", "open.yaml"], "give one of --policy, --config and --target"),
        (["--target", "127.0.0.1:1"], "give one of --policy, --config and --target"),
        (["--catalogue", "catalogue.json"], "works with --policy alone"),
        (["--token-file", "token"], "works with --target alone"),
    ],
)
def test_wrong_use(folder: Path, words: list[str], said: str) -> None:
    done = run("check", "--config", "callgate.yaml", "--grant", "ci", "--tool", "t", *words, cwd=folder)
    assert (done.code, done.out) == (2, "")
    assert said in " ".join(done.err.replace("│", " ").split())
