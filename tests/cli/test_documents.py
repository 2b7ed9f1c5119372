"""`callgate validate`, `schema` and `version`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import callgate
from support.cases import CASES
from support.program import run, sidecar

GOOD = '{"version": "1", "default": "deny"}'


def test_validate(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text("version: '1'\ndefault: maybe\n")
    done = run("validate", "good.json", cwd=tmp_path)
    assert (done.code, done.out, done.err) == (0, "good.json: ok\n", "")
    done = run("validate", "nope.json", "bad.yaml", "good.json", cwd=tmp_path)
    assert (done.code, done.out) == (2, "good.json: ok\n")
    unreadable, faulty = done.err.splitlines()
    assert unreadable == "cannot read `nope.json`: no such file or folder"
    assert faulty.startswith("bad.yaml:2:10: ")
    assert run("validate").code == 2


def test_warnings_are_no_errors(tmp_path: Path) -> None:
    rules = {"limits": [{"counter": "c", "window": "minute", "max": 1, "scope": "session"}]}
    (tmp_path / "p.json").write_text(json.dumps({"version": "1", "default": "deny", "tools": {"t": rules}}))
    done = run("validate", "p.json", cwd=tmp_path)
    warning, ok = done.out.splitlines()
    assert (done.code, ok) == (0, "p.json: ok")
    assert warning.startswith("p.json:1:")
    assert ": warning: " in warning


INEFFECTIVE = """version: "1"
default: deny
tools:
  t:
    limits:
    - counter: c
      window: minute
      max: 1
      on_store_failure: allow
"""
WARNING = (
    "p.yaml:9:7: warning: `on_store_failure` has no effect while counters are this process's own: it is for those that "
    "several nodes share, see `counters.shared` in docs/configuration.md"
)


def test_what_has_no_effect_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(INEFFECTIVE)
    done = run("validate", "p.yaml", cwd=tmp_path)
    assert (done.code, done.out.splitlines()) == (0, [WARNING, "p.yaml: ok"])


@pytest.mark.parametrize("source", ["a policy", "a folder", "a configuration"])
def test_the_start_of_serve_says_so_as_well(tmp_path: Path, source: str) -> None:
    (tmp_path / "policies").mkdir()
    policy = tmp_path / "policies" / "p.yaml"
    policy.write_text(INEFFECTIVE)
    config = tmp_path / "callgate.yaml"
    config.write_text("servers: {s: {policy: p}}\npolicies_folder: policies\n")
    arguments = {
        "a policy": ("--policy", str(policy)),
        "a folder": ("--policy", str(policy.parent)),
        "a configuration": ("--config", str(config)),
    }[source]
    with sidecar(*arguments, "--state", str(tmp_path / "state")) as running:
        said = [line for line in running.greeting if line.endswith(WARNING.partition("warning: ")[2])]
    assert said == [f"warning:   {policy}:9:7: {WARNING.partition('warning: ')[2]}"]


def test_seeds_are_valid() -> None:
    seeds = sorted(CASES.glob("seeds/*.json"))
    assert run("validate", *seeds).out.splitlines() == [f"{seed}: ok" for seed in seeds]


def test_schema() -> None:
    assert (
        run("schema").out.rstrip("\n")
        == run("schema", "policy").out.rstrip("\n")
        == callgate.policy_schema().rstrip("\n")
    )
    catalogue = json.loads(run("schema", "catalogue").out)
    assert catalogue["title"] == "callgate catalogue"
    assert run("schema", "grant").code == 2


def test_version() -> None:
    assert run("version").out == f"callgate {callgate.version()}\n"


@pytest.mark.parametrize("words", [[], ["--help"], ["serve", "--help"], ["check", "--help"]])
def test_help(words: list[str]) -> None:
    done = run(*words)
    assert "Usage: callgate" in done.out + done.err
