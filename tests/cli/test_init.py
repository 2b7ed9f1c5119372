"""`callgate init`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from callgate import Client, ConfigError
from callgate.cli import app
from support.program import sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from typer.testing import Result

FILES = {"callgate.yaml", "policy.yaml", "policy_test.yaml", "README.md", ".gitignore"}


def invoked(*words: str | Path) -> Result:
    """The result of a command in this process; its input is no terminal."""
    return CliRunner().invoke(app, [str(word) for word in words], prog_name="callgate")


@pytest.mark.parametrize(
    "options",
    [(), ("--server", "a b: c"), ("--server", "aws", "--upstream", "http://127.0.0.1:8000/mcp"), ("--server", "true")],
)
def test_what_it_writes_is_valid(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder = tmp_path / "new" / "folder"
    done = invoked("init", folder, *options)
    assert done.exit_code == 0, done.output
    assert {path.name for path in folder.iterdir()} == FILES
    checked = invoked("config", "check", folder / "callgate.yaml")
    assert checked.exit_code == 0, checked.output
    assert ("upstream: {url: " in (folder / "callgate.yaml").read_text()) or "--upstream" not in options
    assert invoked("validate", folder / "policy.yaml").output == f"{folder / 'policy.yaml'}: ok\n"
    assert "A name alone does not make a tool harmless" in (folder / "policy.yaml").read_text()
    assert len((folder / "README.md").read_text().splitlines()) <= 10


@pytest.mark.parametrize(
    ("options", "server"),
    [
        ((), "demo"),
        (("--server", "a b"), "'a b'"),
        (("--server", "srv"), None),
        (("--server", "aws", "--upstream", "http://127.0.0.1:8000/mcp"), None),
    ],
)
def test_it_says_how_callers_name_the_server(tmp_path: Path, options: tuple[str, ...], server: str | None) -> None:
    """A call without a name would be refused, and the decision log would be about a server that nobody has."""
    last = invoked("init", tmp_path, *options).output.splitlines()[-1]
    if server is None:
        assert last.startswith("start it: ")
    else:
        assert last.startswith(f"callers name the server, as `callgate check --server {server}` does: ")


def test_the_tests_that_it_writes_pass(tmp_path: Path) -> None:
    assert invoked("init", tmp_path).exit_code == 0
    done = invoked("test", "--json", "--fail-under", "100", tmp_path)
    assert done.exit_code == 0, done.output
    result = json.loads(done.output)
    assert (result["passed"], result["failed"]) == (6, 0)
    # They find a mistake: a limit that is not what it was.
    policy = tmp_path / "policy.yaml"
    policy.write_text(policy.read_text().replace("5/minute", "6/minute"))
    assert invoked("test", tmp_path).exit_code == 1


def test_what_it_writes_is_served(tmp_path: Path) -> None:
    assert invoked("init", tmp_path).exit_code == 0
    # The folder's own state, so that another sidecar of this user is not in its way.
    with sidecar("--config", tmp_path / "callgate.yaml", "--state", tmp_path / "state") as running:
        with Client(running.address) as client:
            assert client.check(grant="g", server="demo", tool="search").allowed
            assert client.check(grant="g", server="demo", tool="delete_all").rule == "(hidden)"
            assert client.check(grant="g", server="demo", tool="pay").rule == "(default deny)"
        assert running.stop()[0] == 0


def test_a_folder_under_version_control_keeps_what_it_ignores(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("mine\n")
    done = invoked("init", tmp_path)
    assert (done.exit_code, "add `/state/` to it" in done.stderr) == (0, True)
    assert (tmp_path / ".gitignore").read_text() == "mine\n"


def test_a_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("gone")
    done = invoked("init", tmp_path / "link")
    assert str(done.exception) == (
        f"`{tmp_path / 'link'}` is a link to a folder that does not exist; make it, or choose another folder"
    )


@pytest.mark.parametrize("name", sorted(FILES - {".gitignore"}))
def test_nothing_is_overwritten(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    done = invoked("init", tmp_path)
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith(f"`{tmp_path / name}` exists already")
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "mine"


@pytest.mark.parametrize(("content", "is_told"), [("/target/\n", True), ("/target/\n/state/\n", False)])
def test_a_list_of_ignored_files_is_kept_and_needs_the_state_once(tmp_path: Path, content: str, is_told: bool) -> None:
    (tmp_path / ".gitignore").write_text(content)
    done = invoked("init", tmp_path)
    assert done.exit_code == 0
    assert ("exists already: add `/state/` to it" in done.stderr) == is_told
    assert (tmp_path / ".gitignore").read_text() == content
    # Nothing more is written, so there is nothing to add.
    assert "add `/state/`" not in invoked("init", tmp_path).stderr


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--server", ""), "expected at least one character"),
        (("--server", "a/b"), "cannot stand in the address"),
        (("--upstream", "127.0.0.1:8000"), "expected a URL such as"),
    ],
)
def test_wrong_use(tmp_path: Path, options: tuple[str, ...], expected: str) -> None:
    done = invoked("init", tmp_path, *options)
    assert done.exit_code == 2
    assert expected in " ".join(done.output.split())
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = invoked("init", tmp_path / "file" / "folder")
    assert isinstance(done.exception, ConfigError)
    assert "cannot write" in str(done.exception)
