"""Faulty documents give the exact error, through every way of loading them that can name a file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from callgate import CallgateError, ConfigError, Engine, PolicyError, validate
from support.cases import CASES

if TYPE_CHECKING:
    from pathlib import Path

FAULTS: list[dict[str, Any]] = json.loads((CASES / "policy_errors.json").read_bytes())
GOOD = {"version": "1", "default": "deny", "tools": {"t": {}}}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault["name"])
def test_exact_error(fault: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    name = f"policy.{fault['format']}"
    (tmp_path / name).write_text(fault["document"], encoding="utf-8")
    with pytest.raises(PolicyError) as caught:
        Engine.from_file(name)
    assert str(caught.value) == fault["error"]
    error = caught.value
    assert f"{error.file}:{error.line}:{error.column}: {error.message}" == str(error)
    with pytest.raises(PolicyError) as caught:
        validate(name)
    assert str(caught.value) == fault["error"]


def test_errors_of_memory_say_where() -> None:
    with pytest.raises(PolicyError, match=r"^<policy>:1:16: "):
        Engine.from_json('{"version": "1"x')
    with pytest.raises(PolicyError, match=r"^<policy>:1:.*`defualt`.*`default`"):
        Engine.from_dict({"version": "1", "defualt": "deny"})
    with pytest.raises(PolicyError, match=r"^<catalogue>:1:"):
        Engine.from_dict(GOOD, {"t": "Writing"})


def test_exceptions_are_one_family() -> None:
    for kind in (PolicyError, ConfigError):
        assert issubclass(kind, CallgateError)


def test_values_without_json_form_are_the_programs_mistake() -> None:
    with pytest.raises(TypeError, match="`set`"):
        Engine.from_dict({"version": "1", "default": "deny", "hide": {"a"}})


def test_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.json`: no such file"):
        Engine.from_file(tmp_path / "nope.json")
    with pytest.raises(ConfigError, match="no policy in this folder"):
        Engine.from_file(tmp_path)
    (tmp_path / "a.json").write_text(json.dumps(GOOD))
    with pytest.raises(ConfigError, match=r"nope\.json`: no such file"):
        Engine.from_file(tmp_path, tmp_path / "nope.json")


def test_folder_is_by_server(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps({**GOOD, "name": "first"}))
    (tmp_path / "two.yaml").write_text("version: '1'\ndefault: allow\n")
    (tmp_path / "readme.txt").write_text("no policy")
    engine = Engine.from_file(tmp_path)
    assert [(policy.server, policy.name) for policy in engine.policies] == [("one", "first"), ("two", "two")]
    assert engine.check(grant="g", tool="t", server="one").policy == "first"
    assert engine.check(grant="g", tool="t", server="two").policy == "two"
    assert engine.check(grant="g", tool="t").rule == "(unknown server)"


def test_folder_with_two_files_for_one_server(tmp_path: Path) -> None:
    (tmp_path / "one.json").write_text(json.dumps(GOOD))
    (tmp_path / "one.yml").write_text("version: '1'\ndefault: allow\n")
    with pytest.raises(ConfigError, match=r"one\.yml`: another file of this folder has the same server"):
        Engine.from_file(tmp_path)


@pytest.mark.parametrize("name", ["two.JSON", "two.Yaml"])
def test_folder_with_a_suffix_that_nobody_reads(tmp_path: Path, name: str) -> None:
    (tmp_path / "one.json").write_text(json.dumps(GOOD))
    (tmp_path / name).write_text(json.dumps(GOOD))
    with pytest.raises(ConfigError, match=r"two\.\w+`: would not be read, because its suffix is not in lower case"):
        Engine.from_file(tmp_path)


def test_warnings_name_their_file(tmp_path: Path) -> None:
    limits = [{"counter": "c", "window": "minute", "max": 5, "scope": "session"}]
    path = tmp_path / "one.json"
    path.write_text(json.dumps({**GOOD, "tools": {"t": {"limits": limits}}}))
    [from_file] = validate(path)
    [from_folder] = validate(tmp_path)
    assert from_file == from_folder
    file, line, column, message = from_file
    assert (file, line) == (str(path), 1)
    assert column > 1
    assert "session" in message
