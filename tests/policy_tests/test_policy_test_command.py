"""`callgate test` as a user runs it."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path
from queue import Queue
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from support.program import ENVIRONMENT, PROGRAM, TIMEOUT_S, refused, run

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = "version: '1'\ndefault: deny\ntools:\n  a: {rate_limit: 2/minute}\n"
TESTS = """\
policy: policy.yaml
tests:
- {name: two calls, call: {tool: a}, times: 2, expect: allow}
- {name: other tools, call: {tool: b}, expect: deny}
"""
FAILING = TESTS.replace("times: 2", "times: 3")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "policy.yaml").write_text(POLICY)
    (tmp_path / "policy_test.yaml").write_text(TESTS)
    return tmp_path


def test_tests_that_pass(folder: Path) -> None:
    done = run("test", cwd=folder)
    assert (done.code, done.out, done.err) == (0, "policy_test.yaml ..\n\n2 passed\n", "")
    done = run("test", "-v", "policy_test.yaml", cwd=folder)
    assert done.out.splitlines() == [
        "policy_test.yaml::two calls PASSED",
        "policy_test.yaml::other tools PASSED",
        "",
        "2 passed",
    ]


def test_what_it_reads_is_never_its_output(folder: Path) -> None:
    (folder / "link").symlink_to("policy.yaml")
    for name in ("policy.yaml", "policy_test.yaml", "link"):
        expected = f"`{name}` is read by this command; name another file for its output"
        assert refused("test", "--junit", name, cwd=folder) == expected
    (folder / "policy_test.yaml").write_text("not: tests")
    assert "is read by this command" in refused("test", "--junit", "policy_test.yaml", cwd=folder)
    assert (folder / "policy_test.yaml").read_text() == "not: tests"
    assert (folder / "policy.yaml").read_text() == POLICY


def test_tests_that_fail(folder: Path) -> None:
    (folder / "policy_test.yaml").write_text(FAILING)
    done = run("test", cwd=folder)
    assert (done.code, done.err) == (1, "")
    lines = done.out.splitlines()
    assert lines[:5] == [
        "policy_test.yaml F.",
        "",
        "FAILED policy_test.yaml::two calls",
        "  policy_test.yaml:3:3: step 1, call `a` (grant `test`), call 3 of 3, at 2026-01-01T00:00:00Z",
        "    outcome: expected allow, got rate_limited",
    ]
    assert lines[-1] == "1 failed, 1 passed"
    assert run("test", "-x", cwd=folder).out.splitlines()[-1] == "1 failed, 1 not run"
    assert run("test", "-k", "OTHER", cwd=folder).out.splitlines()[-1] == "1 passed, 1 deselected"


def test_nothing_to_run_is_no_success(folder: Path) -> None:
    assert refused("test", "-k", "no such", cwd=folder) == "none of 2 tests contains `no` and `such`"
    (folder / "empty").mkdir()
    assert refused("test", "empty", cwd=folder).startswith("no tests in `empty`: files of tests have names such as")
    assert refused("test", "nix.yaml", cwd=folder) == "cannot read `nix.yaml`: no such file or directory"


def test_faults_are_no_failures(folder: Path) -> None:
    (folder / "policy.yaml").write_text(POLICY.replace("rate_limit", "rte_limit"))
    (folder / "b_test.yaml").write_text(TESTS + "- {name: c}\n")
    done = run("test", "--junit", "junit.xml", cwd=folder)
    assert (done.code, done.out) == (2, "")
    places = [line.partition(": ")[0] for line in done.err.splitlines()]
    assert places == ["b_test.yaml:5:3", "policy.yaml:4:7"]
    assert "<error " in (folder / "junit.xml").read_text()


def test_policies_of_the_command_line(folder: Path) -> None:
    (folder / "other.yaml").write_text(POLICY.replace("2/", "1/"))
    assert run("test", "--policy", "other.yaml", cwd=folder).code == 1
    (folder / "callgate.yaml").write_text("servers: {srv: {policy: main}}\npolicies: {main: policy.yaml}\n")
    assert run("test", "--config", "callgate.yaml", cwd=folder).code == 0
    catalogue = {"version": "1", "servers": {"srv": {"tools": {"b": {"category": "Read"}}}}}
    (folder / "catalogue.json").write_text(json.dumps(catalogue))
    (folder / "policy.yaml").write_text(POLICY + "categories: {Read: {}}\n")
    assert run("test", cwd=folder).code == 0
    assert run("test", "--catalogue", "catalogue.json", cwd=folder).code == 1


def test_options_that_do_not_go_together(folder: Path) -> None:
    for words in (
        ("--config", "c.yaml", "--policy", "p.yaml"),
        ("--watch", "--json"),
        ("--watch", "--junit", "j.xml"),
        ("--fail-under", "101"),
    ):
        done = run("test", *words, cwd=folder)
        assert (done.code, done.out) == (2, "")


def test_coverage(folder: Path) -> None:
    done = run("test", "--coverage", cwd=folder)
    assert done.code == 0
    assert done.out.splitlines()[2:] == [
        "policy.yaml: 3 of 4 sides reached, 75 %",
        "  4:7  /tools/a/limits/a_rate  limit a_rate, max 2  never: refuses",
        "coverage: 3 of 4 sides reached, 75 %",
        "",
        "2 passed",
    ]
    assert run("test", "--fail-under", "75", cwd=folder).code == 0
    done = run("test", "--fail-under", "75.1", cwd=folder)
    assert (done.code, done.err) == (1, "coverage is under 75.1 %\n")


def test_json_and_junit(folder: Path) -> None:
    (folder / "policy_test.yaml").write_text(FAILING)
    done = run("test", "--json", "--coverage", "--junit", "junit.xml", cwd=folder)
    assert (done.code, done.err) == (1, "")
    document = json.loads(done.out)
    assert (document["passed"], document["failed"], document["coverage"]["percent"]) == (1, 1, 100.0)
    assert 'failures="1"' in (folder / "junit.xml").read_text()
    done = run("test", "--junit", "no/junit.xml", cwd=folder)
    assert (done.code, done.err) == (2, "cannot write `no/junit.xml`: no such file or directory\n")
    assert done.out.splitlines()[-1] == "1 failed, 1 passed"


class Watching:
    """A running `callgate test --watch`."""

    def __init__(self, folder: Path) -> None:
        self._process = subprocess.Popen(
            [PROGRAM, "test", "--watch"],
            cwd=folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Queue[str] = Queue()
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))

    def until(self, end: str) -> list[str]:
        """The next lines, up to one with this end."""
        lines = [self._lines.get(timeout=TIMEOUT_S)]
        while not lines[-1].endswith(end):
            lines.append(self._lines.get(timeout=TIMEOUT_S))
        return lines

    def stop(self) -> int:
        """Presses Ctrl-C; the exit code."""
        self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=TIMEOUT_S)

    def close(self) -> None:
        """Ends it if it still runs."""
        self._process.kill()
        self._process.wait(timeout=TIMEOUT_S)
        self._reader.join(TIMEOUT_S)
        assert self._process.stdout is not None
        self._process.stdout.close()


@pytest.fixture
def watching(folder: Path) -> Iterator[Watching]:
    watching = Watching(folder)
    yield watching
    watching.close()


def replace(path: Path, text: str) -> None:
    """Writes a file in one step, so that no run reads half of it."""
    partial = path.with_name(f".{path.name}")
    partial.write_text(text)
    partial.replace(path)


def test_watch(folder: Path, watching: Watching) -> None:
    assert len(watching.until(" 2 passed")) == 1
    # The policy, then the tests, then a fault, then a new file.
    replace(folder / "policy.yaml", POLICY.replace("2/", "1/"))
    assert "FAILED policy_test.yaml::two calls" in watching.until(" 1 failed, 1 passed")
    replace(folder / "policy_test.yaml", TESTS.replace("times: 2", "times: 1"))
    watching.until(" 2 passed")
    replace(folder / "policy.yaml", "version: '1'\n")
    assert watching.until("`default`: `allow` or `deny`")[-1].startswith("policy.yaml:1:1: ")
    replace(folder / "policy.yaml", POLICY)
    watching.until(" 2 passed")
    replace(folder / "new_test.yaml", FAILING)
    watching.until(" 1 failed, 3 passed")
    assert watching.stop() == 0


def test_the_machine_is_left_as_it_was(folder: Path) -> None:
    (folder / "policy.yaml").write_text(POLICY + "  p: {action: require_approval}\n")
    temporary = folder / "tmp"
    temporary.mkdir()
    variables = {"TMPDIR": temporary, "HOME": folder / "home", "XDG_STATE_HOME": folder / "state"}
    assert run("test", cwd=folder, variables=variables).code == 0
    assert sorted(path.name for path in folder.iterdir()) == ["policy.yaml", "policy_test.yaml", "tmp"]
    assert list(temporary.iterdir()) == []
