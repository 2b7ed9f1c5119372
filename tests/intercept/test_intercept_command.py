"""`callgate convert intercept` as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from callgate.config.document import parse_document
from support.program import refused, run

ROOT = Path(__file__).resolve().parent.parent.parent
EXAMPLE = "examples/convert/intercept.yaml"
GOOD = 'version: "1"\ntools: {a: {rules: [{name: r, action: deny, note: x}]}}\n'
NOTE = "good.yaml:2:45: note: rule `r` of `a`: `note` has no effect in a rule, and is not kept\n"
WRITTEN = """\
version: "1"
default: allow
tools:
  a:
    deny_if:
      - name: r
        conditions: []
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "good.yaml").write_text(GOOD)
    (tmp_path / "bad.yaml").write_text(GOOD.replace("deny", "block"))
    return tmp_path


def test_to_stdout_and_to_files(folder: Path) -> None:
    header = "# Made by `callgate convert intercept` from good.yaml.\n"
    done = run("convert", "intercept", "good.yaml", cwd=folder)
    assert (done.code, done.out, done.err) == (0, header + WRITTEN, NOTE)
    for name in ("out.yaml", "out.json"):
        done = run("convert", "intercept", "good.yaml", "-o", name, cwd=folder)
        assert (done.code, done.out, done.err) == (0, "", NOTE)
    assert (folder / "out.yaml").read_text() == header + WRITTEN
    assert json.loads((folder / "out.json").read_text()) == parse_document("a.yaml", WRITTEN.encode()).data
    assert run("validate", "out.yaml", "out.json", cwd=folder).code == 0


def test_a_document_without_rules_is_intercepts_if_the_caller_says_so(folder: Path) -> None:
    (folder / "plain.yaml").write_text("version: 1\nhide: [b]\ntools: {a: null}\n")
    done = run("convert", "intercept", "plain.yaml", cwd=folder)
    assert done.out.splitlines()[1:] == ['version: "1"', "default: allow", "hide: [b]", "tools:", "  a: {}"]


def test_a_folder_gets_a_file_for_each_policy(folder: Path) -> None:
    (folder / "out").mkdir()
    (folder / "more.json").write_text(json.dumps({"version": "1", "tools": {}}))
    assert run("convert", "intercept", "good.yaml", "more.json", "-o", "out", cwd=folder).code == 0
    assert sorted(path.name for path in (folder / "out").iterdir()) == ["good.yaml", "more.yaml"]
    assert run("validate", "out", cwd=folder).out == "out: ok\n"


def test_refused(folder: Path) -> None:
    expected = "expected `evaluate`, `deny` or `require_approval`, got `block`"
    assert refused("convert", "intercept", "bad.yaml", cwd=folder) == f"bad.yaml:2:39: rule `r` of `a`: {expected}"
    assert refused("convert", "intercept", "good.yaml", "-o", "good.yaml", cwd=folder) == (
        "`good.yaml` is read by this command; name another file for its output"
    )
    assert refused("convert", "intercept", "good.yaml", "bad.yaml", "-o", "new.yaml", cwd=folder).startswith(
        "bad.yaml:"
    )
    (folder / "more.yaml").write_text(GOOD)
    assert refused("convert", "intercept", "good.yaml", "more.yaml", cwd=folder) == (
        "there are 2 policies, and a file holds one; name a folder that exists as -o"
    )
    (folder / "sub").mkdir()
    (folder / "sub" / "good.json").write_text(json.dumps({"version": "1"}))
    assert refused("convert", "intercept", "good.yaml", "sub/good.json", "-o", "sub", cwd=folder) == (
        "two of the files have one name without the suffix; convert them one at a time"
    )
    assert "new.yaml" not in {path.name for path in folder.iterdir()}


def test_the_same_source_gives_the_same_bytes_and_decisions() -> None:
    first, second = (run("convert", "intercept", EXAMPLE, cwd=ROOT) for _ in range(2))
    assert (first.code, first.out) == (0, second.out)


def test_a_file_of_another_kind_is_no_policy_that_allows_everything(folder: Path) -> None:
    (folder / "catalogue.json").write_text('{"version": "1", "servers": {}}')
    expected = "catalogue.json:1:1: expected a policy of Intercept, which has `tools`, `default` or `hide`"
    assert refused("convert", "intercept", "catalogue.json", cwd=folder) == expected
