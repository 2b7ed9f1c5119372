"""`callgate validate` and `callgate config check` tell everything that is wrong, to people and to programs."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from callgate.cli import app
from callgate.config.document import parse_document
from callgate.config.files import Files
from callgate.control.sidecar import Source
from callgate.errors import ConfigError
from support.program import refused, run
from support.setup import policy

if TYPE_CHECKING:
    from pathlib import Path

GOOD = json.dumps(policy())
MISSPELT = 'version: "1"\ndefault: deny\ntools: {"a/b": {rate_limt: 5/minute}}\n'
INCOMPLETE = 'version: "1"\ntools: {}\n'
BROKEN = "{"
WARNED = 'version: "1"\ndefault: deny\ntools:\n  t: {action: deny, rate_limit: 5/minute}\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    return tmp_path


def told(*words: str, code: int) -> tuple[list[str], list[str]]:
    """The lines on stdout and on stderr."""
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == code, (done.output, done.exception)
    return done.stdout.splitlines(), done.stderr.splitlines()


def findings(*words: str, code: int) -> list[dict[str, Any]]:
    out, err = told(*words, "--json", code=code)
    assert err == []
    found: list[dict[str, Any]] = json.loads("\n".join(out))
    assert all(list(one) == ["file", "line", "column", "rule", "text", "severity"] for one in found)
    return found


def test_every_file_of_a_folder_is_validated(folder: Path) -> None:
    for name, text in {"a.yaml": MISSPELT, "b.yaml": INCOMPLETE, "c.json": BROKEN, "d.yaml": WARNED}.items():
        (folder / "policies" / name).write_text(text)
    out, err = told("validate", "policies", code=2)
    assert [line.split(": ")[0] for line in err] == [
        "policies/a.yaml:3:17",
        "policies/b.yaml:1:1",
        "policies/c.json:1:2",
    ]
    assert [line.split(": ")[:2] for line in out] == [["policies/d.yaml:4:21", "warning"]]
    found = findings("validate", "policies", code=2)
    assert [(one["file"], one["line"], one["rule"], one["severity"]) for one in found] == [
        ("policies/a.yaml", 3, "/tools/a~1b/rate_limt", "error"),
        ("policies/b.yaml", 1, "", "error"),
        ("policies/c.json", 1, None, "error"),
        ("policies/d.yaml", 4, "/tools/t/rate_limit", "warning"),
    ]
    assert "did you mean `rate_limit`?" in found[0]["text"]


def test_every_fault_of_a_file(folder: Path) -> None:
    (folder / "p.yaml").write_text(MISSPELT + "defualt: deny\nhide: [1]\nall_tools: {action: maybe}\n")
    found = findings("validate", "p.yaml", code=2)
    assert [(one["line"], one["rule"]) for one in found] == [
        (3, "/tools/a~1b/rate_limt"),
        (4, "/defualt"),
        (5, "/hide/0"),
        (6, "/all_tools/action"),
    ]
    out, err = told("validate", "p.yaml", code=2)
    assert (out, len(err)) == ([], 4)


def test_what_only_all_files_of_a_folder_show(folder: Path) -> None:
    for name in ("a.yaml", "a.json"):
        (folder / "policies" / name).write_text(GOOD)
    (found,) = findings("validate", "policies", code=2)
    assert "another file of this folder has the same server" in found["text"]


def test_nothing_to_tell(folder: Path) -> None:
    (folder / "p.json").write_text(GOOD)
    assert told("validate", "p.json", "p.json", code=0) == (["p.json: ok"] * 2, [])
    assert findings("validate", "p.json", "p.json", code=0) == []


def test_a_file_that_is_not_there(folder: Path) -> None:
    assert told("validate", "nope.yaml", code=2) == ([], ["cannot read `nope.yaml`: no such file or folder"])
    (found,) = findings("validate", str(folder / "nope.yaml"), code=2)
    assert (found["file"], found["line"], found["rule"]) == (str(folder / "nope.yaml"), None, None)


def test_a_special_file_is_refused_and_not_read(folder: Path) -> None:
    os.mkfifo(folder / "policies" / "pipe.yaml")
    (folder / "p.json").write_text(GOOD)
    pipe = "cannot read `policies/pipe.yaml`: it is no regular file"
    # A subprocess, so that the test ends also if the program waits for the other end of the pipe.
    assert refused("validate", "policies/pipe.yaml", cwd=folder) == pipe
    assert refused("validate", "policies", cwd=folder) == pipe
    assert refused("validate", "--catalogue", "policies/pipe.yaml", "p.json", cwd=folder) == pipe
    assert refused("validate", "/dev/zero", cwd=folder) == "cannot read `/dev/zero`: it is no regular file"
    ask = ("check", "--grant", "a", "--tool", "b", "--policy")
    assert refused(*ask, "policies/pipe.yaml", cwd=folder) == pipe
    assert refused(*ask, "p.json", "--catalogue", "policies/pipe.yaml", cwd=folder) == pipe


def test_every_fault_of_a_configuration_and_its_files(folder: Path) -> None:
    (folder / "policies" / "a.yaml").write_text(MISSPELT)
    (folder / "policies" / "b.json").write_text(BROKEN)
    (folder / "catalogue.json").write_text('{"version": "2"}')
    (folder / "limits.yaml").write_text("domian: a\n")
    (folder / "callgate.yaml").write_text(
        "servers:\n  s: {policy: z}\n  a/b: {upstream: {url: 'http://a/'}}\npolicies_folder: policies\n"
        "policies: {gone: gone.yaml}\ncatalogue: catalogue.json\nrate_limits: [limits.yaml]\n"
    )
    _, err = told("config", "check", "callgate.yaml", code=2)
    assert [line.split(": ")[0] for line in err] == [
        "callgate.yaml:5:18",
        "callgate.yaml:2:15",
        "callgate.yaml:3:3",
        "policies/a.yaml:3:17",
        "policies/b.json:1:2",
        "limits.yaml:1:1",
        "catalogue.json:1:13",
    ]
    found = [one for one in findings("config", "check", "callgate.yaml", code=2) if one["severity"] == "error"]
    assert [one["rule"] for one in found][:4] == [
        "/policies/gone",
        "/servers/s/policy",
        "/servers/a~1b",
        "/tools/a~1b/rate_limt",
    ]


def test_a_wrong_key_hides_no_other_fault(folder: Path) -> None:
    (folder / "policies" / "a.yaml").write_text(MISSPELT)
    text = (
        "listne: 1\nservers: {s: {policy: z}}\npolicies_folder: policies\n"
        "grants: [{id: a, server: t}]\nproxies: {identiy: 1}\n"
    )
    (folder / "callgate.yaml").write_text(text)
    _, err = told("config", "check", "callgate.yaml", code=2)
    assert [line.split(": ")[0] for line in err] == [
        "callgate.yaml:1:1",
        "callgate.yaml:5:11",
        "callgate.yaml:2:23",
        "callgate.yaml:4:26",
        "policies/a.yaml:3:17",
    ]
    # A server whose keys have a fault is not told as one that is missing.
    (folder / "callgate.yaml").write_text(text.replace("policy: z", "polic: z"))
    _, err = told("config", "check", "callgate.yaml", code=2)
    assert [line.split(": ")[0] for line in err] == [
        "callgate.yaml:1:1",
        "callgate.yaml:2:15",
        "callgate.yaml:5:11",
        "policies/a.yaml:3:17",
    ]


def test_a_configuration_for_programs(folder: Path) -> None:
    (folder / "p.yaml").write_text(WARNED)
    (folder / "callgate.yaml").write_text("servers: {s: {policy: p}}\npolicies: {p: p.yaml}\npeps: []\ngrants: []\n")
    found = findings("config", "check", "callgate.yaml", code=0)
    assert {one["severity"] for one in found} == {"warning"}
    assert ("p.yaml", 4, "/tools/t/rate_limit") in {(one["file"], one["line"], one["rule"]) for one in found}
    (folder / "callgate.yaml").write_text("severs: {}\nworkers: many\n")
    found = findings("config", "check", "callgate.yaml", code=2)
    assert [(one["line"], one["column"], one["rule"]) for one in found] == [(1, 1, "/severs"), (2, 10, "/workers")]


@pytest.mark.parametrize("name", ["aws.JSON", "aws.Yaml", "aws.YML"])
def test_a_suffix_that_nobody_reads_is_refused(folder: Path, name: str) -> None:
    (folder / "policies" / "other.json").write_text(GOOD)
    (folder / "policies" / name).write_text(GOOD)
    expected = (
        f"`policies/{name}` would not be read, because its suffix is not in lower case; rename it to `{name.lower()}`"
    )
    assert told("validate", "policies", code=2)[1] == [expected]
    (folder / "policies" / "faulty.yaml").write_text(MISSPELT)
    found = findings("validate", "policies", code=2)
    assert [(one["file"], one["line"]) for one in found] == [(f"policies/{name}", None), ("policies/faulty.yaml", 3)]
    assert found[0]["text"] == expected
    (folder / "callgate.yaml").write_text("servers: {s: {policy: other}}\npolicies_folder: policies\n")
    _, err = told("config", "check", "callgate.yaml", code=2)
    assert expected in err[0]
    assert err[1].startswith("policies/faulty.yaml:3:17: ")
    for source in (Source(folder / "callgate.yaml", None), Source(None, folder / "policies")):
        with pytest.raises(ConfigError, match="would not be read"):
            source.read(Files())


def test_the_path_at_a_place() -> None:
    document = parse_document("a.yaml", b"a:\n  b: 1\n  c: [x, {d: 2}]\n")
    assert document.path_at(2, 3) == ("a", "b")
    assert document.path_at(2, 3, of_section=True) == ("a",)
    assert document.path_at(3, 7) == ("a", "c", 0)
    assert document.path_at(3, 11) == ("a", "c", 1, "d")
    assert document.path_at(9, 1) == ("a", "c", 1, "d")


def test_every_command_tells_every_fault_of_policies(folder: Path) -> None:
    (folder / "policies" / "a.yaml").write_text('version: "1"\ndefault: deni\nhide: [1]\n')
    (folder / "policies" / "b.yaml").write_text(MISSPELT)
    (folder / "callgate.yaml").write_text("servers: {s: {policy: a}}\npolicies_folder: policies\nstate: state\n")
    _, expected = told("validate", "policies", code=2)
    assert [line.split(": ")[0] for line in expected] == [
        "policies/a.yaml:2:10",
        "policies/a.yaml:3:8",
        "policies/b.yaml:3:17",
    ]
    memory = ("--counters", "memory")
    for words in (
        ("check", "--policy", "policies", "--grant", "g", "--tool", "t"),
        ("serve", "--policy", "policies", *memory),
        ("serve", "--config", "callgate.yaml", *memory),
        ("wrap", "--policy", "policies", "--server", "a", "--", "true"),
        ("wrap", "--config", "callgate.yaml", "--server", "s", "--", "true"),
    ):
        done = run(*words, cwd=folder)
        assert (done.code, done.err.splitlines()) == (2, expected), words


def test_every_fault_of_a_catalogue(folder: Path) -> None:
    (folder / "p.json").write_text(GOOD)
    tool = '{"category": "Reed", "risk": "x"}'
    (folder / "tools.json").write_text(f'{{"version": "1", "servers": {{"s": {{"tools": {{"t": {tool}}}}}}}}}')
    (folder / "callgate.yaml").write_text("servers: {s: {policy: p}}\npolicies: {p: p.json}\ncatalogue: tools.json\n")
    places = ["tools.json:1:64", "tools.json:1:80"]
    done = run("validate", "--catalogue", "tools.json", "p.json", cwd=folder)
    assert [line.split(": ")[0] for line in done.err.splitlines()] == places
    assert [line.split(": ")[0] for line in told("config", "check", "callgate.yaml", code=2)[1]] == places
    done = run("check", "--policy", "p.json", "--catalogue", "tools.json", "--grant", "g", "--tool", "t", cwd=folder)
    assert [line.split(": ")[0] for line in done.err.splitlines()] == places


def test_files_of_an_editor_are_no_policies(folder: Path) -> None:
    (folder / "policies" / "a.json").write_text(GOOD)
    (folder / "policies" / ".a.json").write_text(BROKEN)
    assert told("validate", "policies", code=0) == (["policies: ok"], [])
