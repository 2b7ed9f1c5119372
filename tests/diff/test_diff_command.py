"""`callgate diff` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from support.program import run

OLD = """\
version: "1"
default: deny
tools:
  create_charge:
    deny_if:
      - conditions: [{path: args.amount, op: gt, value: 50000}]
    limits:
      - {counter: spend, window: day, max: 100000, cost: args.amount}
"""
NEW = OLD.replace("50000}", "80000}")


def policy(**fields: Any) -> str:
    return json.dumps({"version": "1", "default": "deny", **fields})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "old.yaml").write_text(OLD)
    (tmp_path / "new.yaml").write_text(NEW)
    return tmp_path


def test_a_difference_with_its_call(folder: Path) -> None:
    done = run("diff", "old.yaml", "new.yaml", cwd=folder)
    assert (done.code, done.err) == (0, "")
    assert done.out == (
        "old.yaml -> new.yaml: wider\n"
        "\n"
        "wider: `create_charge`\n"
        "  old  deny /tools/create_charge/deny_if/args.amount-gt  old.yaml:6:9\n"
        "  new  allow                                             new.yaml:4:3\n"
        '  call create_charge {"amount": 80000}, grant agent, Mon 2024-01-01 12:00:00 UTC\n'
    )


def test_the_shown_call_is_decided_so(folder: Path) -> None:
    found = json.loads(run("diff", "--json", "old.yaml", "new.yaml", cwd=folder).out)
    (difference,) = found["comparisons"][0]["differences"]
    call = difference["witness"]["call"]
    for name in ("old", "new"):
        done = run(
            "check", "--policy", f"{name}.yaml", "--grant", call["grant"], "--tool", call["tool"],
            "--args", json.dumps(call["args"]), "--json", cwd=folder,
        )  # fmt: skip
        assert json.loads(done.out)["outcome"] == difference[name]["outcome"]


def test_json(folder: Path) -> None:
    found = json.loads(run("diff", "--json", "old.yaml", "new.yaml", cwd=folder).out)
    assert found["verdict"] == "wider"
    (comparison,) = found["comparisons"]
    assert (comparison["old"], comparison["new"], comparison["not_excluded"]) == ("old.yaml", "new.yaml", [])
    (difference,) = comparison["differences"]
    assert difference["old"] == {
        "outcome": "deny",
        "rule": "/tools/create_charge/deny_if/args.amount-gt",
        "place": "old.yaml:6:9",
    }
    assert difference["witness"] == {
        "before": [],
        "call": {
            "grant": "agent",
            "server": "srv",
            "tool": "create_charge",
            "args": {"amount": 80000},
            "now_ms": 1704110400000,
        },
    }


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ([], 0),
        (["--fail-on", "wider"], 1),
        (["--fail-on", "stricter"], 0),
        (["--fail-on", "stricter,wider"], 1),
        (["--fail-on", "stricter", "--fail-on", "any"], 1),
        (["--fail-on", "unknown"], 0),
    ],
)
def test_fail_on(folder: Path, words: list[str], code: int) -> None:
    assert run("diff", *words, "old.yaml", "new.yaml", cwd=folder).code == code


def test_the_same(folder: Path) -> None:
    done = run("diff", "--fail-on", "any,unknown", "old.yaml", "old.yaml", cwd=folder)
    assert (done.code, done.out) == (0, "old.yaml -> old.yaml: same\n")


def test_what_is_not_known_is_said(folder: Path) -> None:
    for name, most in (("old", 500_000), ("new", 900_000)):
        (folder / f"{name}.json").write_text(policy(tools={"t": {"rate_limit": f"{most}/minute"}}))
    done = run("diff", "--fail-on", "wider", "old.json", "new.json", cwd=folder)
    assert done.code == 1
    assert done.err == "`wider` is not excluded (--allow-unknown does not fail for it)\n"
    assert done.out == (
        "old.json -> new.json: unknown; wider is not excluded\n"
        "\n"
        "unknown: `t` may be wider\n"
        "  a sequence of 500,001 calls would show it; at most 50,000 are replayed\n"
        "  old.json:1:67\n"
    )
    for words, code in (("unknown", 1), ("any", 1), ("stricter", 0)):
        assert run("diff", "--fail-on", words, "old.json", "new.json", cwd=folder).code == code
    done = run("diff", "--fail-on", "wider,any", "--allow-unknown", "old.json", "new.json", cwd=folder)
    assert (done.code, done.err) == (0, "`wider` is not excluded (allowed by --allow-unknown)\n")


def test_what_is_known_fails_although_unknown_is_allowed(folder: Path) -> None:
    assert run("diff", "--fail-on", "wider", "--allow-unknown", "old.yaml", "new.yaml", cwd=folder).code == 1


def test_folders(folder: Path) -> None:
    for name, files in {"before": {"a": OLD, "b": OLD, "c": OLD}, "after": {"a": NEW, "b": OLD, "d": OLD}}.items():
        (folder / name).mkdir()
        for stem, text in files.items():
            (folder / name / f"{stem}.yaml").write_text(text)
    done = run("diff", "before", "after", cwd=folder)
    assert done.code == 0, done.err
    heads = [line for line in done.out.splitlines() if " -> " in line]
    assert heads == [
        "a: before/a.yaml -> after/a.yaml: wider",
        "b: before/b.yaml -> after/b.yaml: same",
        "c: before/c.yaml -> after: stricter",
        "d: before -> after/d.yaml: wider",
    ]
    assert "  note: after has no policy for the server `c`\n" in done.out
    assert "  new  deny (unknown server)  after\n" in done.out


def test_formats_mix(folder: Path) -> None:
    (folder / "old.json").write_text(policy(tools={"t": {"rate_limit": "5/minute"}}))
    (folder / "mixed.yaml").write_text("version: '1'\ndefault: deny\ntools: {t: {rate_limit: {max: 5, window: 60}}}\n")
    assert run("diff", "old.json", "mixed.yaml", cwd=folder).out == "old.json -> mixed.yaml: same\n"


def test_a_catalogue_says_the_category(folder: Path) -> None:
    tools = {"pay": {"category": "Financial"}, "see": {"category": "Read"}}
    (folder / "catalogue.json").write_text(json.dumps({"version": "1", "servers": {"shop": {"tools": tools}}}))
    (folder / "old.json").write_text(policy(tools={"see": {}, "pay": {}}))
    (folder / "new.json").write_text(
        policy(tools={"see": {}, "pay": {}}, categories={"Financial": {"hide": True}, "Write": {"action": "deny"}})
    )
    done = run("diff", "--catalogue", "catalogue.json", "old.json", "new.json", cwd=folder)
    assert "stricter: `pay`\n" in done.out
    assert "see" not in done.out
    assert "if the catalogue" not in done.out
    without = run("diff", "old.json", "new.json", cwd=folder)
    assert "  if the catalogue says of `see` that its category is Financial\n" in without.out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["nope.yaml", "new.yaml"], "cannot read `nope.yaml`: no such file or directory"),
        (["bad.yaml", "new.yaml"], "bad.yaml:2:10: "),
        ([".", "new.yaml"], "`.` is a folder and `new.yaml` is a file; give two of one kind"),
        (["empty", "empty"], "`empty` has no policies; expected files `*.json`, `*.yaml` or `*.yml`"),
        (["--fail-on", "widr", "old.yaml", "new.yaml"], "unknown word `widr`; did you mean `wider`?"),
        (["--allow-unknown", "old.yaml", "new.yaml"], "--allow-unknown needs --fail-on"),
        (
            ["--allow-unknown", "--fail-on", "wider,unknown", "old.yaml", "new.yaml"],
            "--allow-unknown does not go with `unknown` in --fail-on",
        ),
    ],
)
def test_bad_input(folder: Path, words: list[str], message: str) -> None:
    (folder / "bad.yaml").write_text("version: '1'\ndefault: maybe\n")
    (folder / "empty").mkdir()
    done = run("diff", *words, cwd=folder)
    assert done.code == 2
    assert message in done.err


def test_hostile_names_are_shown_harmless(folder: Path) -> None:
    name = "a\x1b[31m\u202eb"
    (folder / "old.json").write_text(policy())
    (folder / "new.json").write_text(policy(tools={name: {}}))
    done = run("diff", "old.json", "new.json", cwd=folder)
    assert "\x1b" not in done.out
    assert "\u202e" not in done.out
    assert "a\\u{1b}[31m\\u{202e}b" in done.out
