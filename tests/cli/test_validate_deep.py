"""`callgate validate --deep`: output, exit codes, repairs and meanings of codes."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from callgate.cli import app
from support.analyse_cases import CASES, text_of

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

WARNED = text_of(CASES["CG114"].has)
MENDED = WARNED.replace("['delete_*', 'delete_user_?']", "['delete_*']")
NOTED = text_of(CASES["CG136"].has)
CLEAN = text_of("tools: {pay: {rate_limit: 5/minute}}")


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path / "p.yaml"


def ran(*words: str, code: int) -> Result:
    done = CliRunner().invoke(app, ["validate", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


@pytest.mark.parametrize(
    ("text", "words", "code"),
    [
        (WARNED, [], 0),
        (WARNED, ["--strict"], 1),
        (WARNED, ["--fail-on", "warning"], 1),
        (NOTED, ["--strict"], 0),
        (NOTED, ["--fail-on", "info"], 1),
        (CLEAN, ["--fail-on", "info"], 0),
        ("version: 2\n", ["--strict"], 2),
    ],
)
def test_exit_codes(file: Path, text: str, words: list[str], code: int) -> None:
    file.write_text(text)
    ran("--deep", "p.yaml", *words, code=code)


def test_notes_are_counted_and_shown_on_demand(file: Path) -> None:
    file.write_text(NOTED)
    assert ran("--deep", "p.yaml", code=0).stdout == "p.yaml: ok (1 note; `--verbose` shows them)\n"
    assert "p.yaml:3:24: info: CG136: " in ran("--deep", "--verbose", "p.yaml", code=0).stdout


def test_json_has_codes_and_witnesses(file: Path) -> None:
    file.write_text(text_of(CASES["CG121"].has))
    (one,) = json.loads(ran("--deep", "--json", "p.yaml", code=0).stdout)
    assert list(one) == ["file", "line", "column", "rule", "text", "severity", "code", "page", "witness"]
    assert (one["code"], one["severity"], one["page"]) == ("CG121", "warning", "docs/analysis.md#cg121")
    assert [call["outcome"] for call in one["witness"]["calls"]] == ["deny", "allow"]


def test_a_warning_is_told_once(file: Path) -> None:
    file.write_text(text_of(CASES["CG131"].has))
    out = ran("--deep", "p.yaml", code=0).stdout
    assert out.count("a new session begins at zero") == 1


def test_repairs_are_shown_and_made(file: Path) -> None:
    file.write_text(WARNED)
    shown = ran("--deep", "--fix", "--dry-run", "p.yaml", code=0).stdout
    assert "-hide: ['delete_*', 'delete_user_?']\n+hide: ['delete_*']\n" in shown
    assert file.read_text() == WARNED
    assert ran("--deep", "--fix", "p.yaml", "--strict", code=0).stdout == "p.yaml: mended 1 finding\np.yaml: ok\n"
    assert file.read_text() == MENDED


def test_a_policy_with_faults_is_not_changed(file: Path) -> None:
    file.write_text(WARNED + "x: 1\n")
    ran("--deep", "--fix", "p.yaml", code=2)
    assert file.read_text() == WARNED + "x: 1\n"


def test_a_folder_compares_each_file_with_its_server(file: Path) -> None:
    (file.parent / "policies").mkdir()
    (file.parent / "policies" / "one.yaml").write_text(text_of("tools: {'db_*': {}}"))
    (file.parent / "policies" / "two.yaml").write_text(text_of("tools: {'db_*': {}}"))
    tools: dict[str, Any] = {"one": {"tools": {"db_list": {}}}, "two": {"tools": {"pay": {}}}}
    (file.parent / "c.json").write_text(json.dumps({"version": "1", "servers": tools}))
    rows = json.loads(ran("--deep", "--catalogue", "c.json", "--json", "policies", code=0).stdout)
    assert [(row["file"], row["code"]) for row in rows] == [
        ("policies/two.yaml", "CG141"),
        ("policies/two.yaml", "CG142"),
    ]


def test_hostile_names_are_harmless_on_a_terminal(file: Path) -> None:
    rules = r'tools: {"pay\u001b[31m\u202e": {deny_if: [{conditions: [{path: args.a, op: eq, value: "x\u001b[2J"}]}]}}'
    file.write_text(text_of(rules))
    out = ran("--deep", "--verbose", "p.yaml", code=0).stdout
    assert "CG121" in out
    assert all(character.isprintable() or character == "\n" for character in out)


def test_meanings_of_codes() -> None:
    assert ran("--explain", "cg131", code=0).stdout.startswith(
        "CG131: limit per session without one per grant (warning)"
    )
    assert "expected one of `CG101`" in ran("--explain", "CG999", code=2).output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--fix", "p.yaml"], "--fix needs --deep"),
        (["--deep", "--dry-run", "p.yaml"], "--dry-run needs --fix"),
        ([], "missing FILE"),
    ],
)
def test_options_that_need_others(words: list[str], said: str) -> None:
    assert said in ran(*words, code=2).output
