"""Every example of the documents runs, and prints what the page says. CONTRIBUTING.md describes the conventions."""

from __future__ import annotations

import doctest
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest

import callgate
from callgate.config.document import parse_document
from callgate.config.load import load
from callgate.workbench.policy_tests.cases import read_cases
from support import prepared

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")])
LANGUAGES = {"console", "pycon", "python", "json", "yaml", "sh", "text"}
# The ports that the documents write, and that a sidecar on this machine may hold: those of a sidecar by default, and
# those of the README, which leaves the former to `make serve`.
PORTS = ["9191", "9193", "9291", "9293"]
DATA_PORT, ADMIN_PORT = PORTS[:2]
START_SECONDS = 30.0
COMMAND_SECONDS = 60.0
MAX_OUTPUT_BYTES = 1 << 20

FENCE = re.compile(
    r"^(?:<!-- example: (?P<kind>\w+)(?:, file: (?P<file>[\w./-]+))? -->\n)?"
    r"```(?P<language>\w*)\n(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)
FOLDER = re.compile(r"^<!-- folder: ([\w./-]+) -->$", re.MULTILINE)
PREPARED = re.compile(r"^<!-- prepared: (\w+) -->$", re.MULTILINE)
ADMIN_OPTION = re.compile(r"--admin (\S+)")
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")
MAKE_TARGET = re.compile(r"\bmake ([a-z-]+)")


@dataclass(frozen=True)
class Block:
    """One fenced block of a page."""

    page: Path
    line: int
    kind: str | None
    file: str | None
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def blocks_of(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order."""
    text = page.read_text(encoding="utf-8")
    return [
        Block(page, text.count("\n", 0, found.start()) + 1, *found.group("kind", "file", "language", "text"))
        for found in FENCE.finditer(text)
    ]


BLOCKS = [block for page in PAGES for block in blocks_of(page)]


def pages_with(language: str) -> list[Path]:
    """The pages that have blocks of a language."""
    return sorted({block.page for block in BLOCKS if block.language == language})


def folder_of(page: Path) -> Path | None:
    """The folder of which a page's commands get a copy; without one, they run in the repository's."""
    found = FOLDER.search(page.read_text(encoding="utf-8"))
    return ROOT / found[1] if found else None


def name_of(page: Path) -> str:
    """A page's name in test ids."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_says_how_it_is_tested(block: Block) -> None:
    assert block.language in LANGUAGES, f"{block}: a block is one of {sorted(LANGUAGES)}"
    assert block.kind in {None, "policy", "catalogue", "config", "limits", "tests"}, (
        f"{block}: unknown kind of example `{block.kind}`"
    )


def test_no_fence_is_overlooked() -> None:
    for page in PAGES:
        fences = re.findall(r"^```", page.read_text(encoding="utf-8"), re.MULTILINE)
        assert len(fences) == 2 * len(blocks_of(page)), f"{name_of(page)} has a fence that is no block"


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.language in {"json", "yaml"}], ids=str)
def test_data(block: Block, tmp_path: Path) -> None:
    if block.kind == "policy":
        path = tmp_path / f"page.{block.language}"
        path.write_text(block.text, encoding="utf-8")
        callgate.Engine.from_file(path)
        return
    if block.kind == "config":
        path = tmp_path / f"callgate.{block.language}"
        path.write_text(block.text, encoding="utf-8")
        load(path)
        return
    if block.kind == "tests":
        # The commands of the page run them.
        read_cases(parse_document(f"page_test.{block.language}", block.text.encode()))
        return
    if block.kind == "limits":
        limits = (f"page.{block.language}", block.text.encode())
        callgate.Engine.from_config(policies={}, servers={}, rate_limits=[limits])
        return
    assert block.language == "json", f"{block}: the YAML that pages show is policies and configurations"
    document = json.loads(block.text)
    if block.kind == "catalogue":
        callgate.Engine.from_dict({"version": "1", "default": "deny"}, catalogue=document)


@pytest.mark.parametrize("page", pages_with("pycon"), ids=name_of)
def test_python(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Some write files.
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    monkeypatch.chdir(tmp_path)
    text = "\n".join(block.text for block in blocks_of(page) if block.language == "pycon")
    test = doctest.DocTestParser().get_doctest(text, {}, name_of(page), str(page), 0)
    report: list[str] = []
    result = doctest.DocTestRunner(verbose=False).run(test, out=report.append)
    assert result.attempted > 0
    assert result.failed == 0, "".join(report)


@pytest.mark.parametrize("page", pages_with("python"), ids=name_of)
def test_python_tests(page: Path, tmp_path: Path) -> None:
    """A block of Python is a test file of a user, beside the page's last policy before it."""
    for block in blocks_of(page):
        if block.kind == "policy":
            (tmp_path / f"policy.{block.language}").write_text(block.text, encoding="utf-8")
        if block.language == "python":
            (tmp_path / f"test_{block.line}.py").write_text(block.text, encoding="utf-8")
    folder = str(tmp_path)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--rootdir", folder, folder]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("page", pages_with("console"), ids=name_of)
def test_console(page: Path, tmp_path: Path) -> None:
    original = folder_of(page)
    folder = ROOT if original is None else Path(shutil.copytree(original, tmp_path / "copy"))
    if preparation := PREPARED.search(page.read_text(encoding="utf-8")):
        folder = tmp_path
        getattr(prepared, preparation[1])(folder)
    with Shell.open(folder) as shell:
        for block in blocks_of(page):
            if (original or preparation) and block.file:
                (folder / block.file).write_text(block.text, encoding="utf-8")
            if block.language == "console":
                shell.run_block(block)


def has_folder(page: Path) -> bool:
    """True if the page's commands run in a folder of its own."""
    return folder_of(page) is not None or PREPARED.search(page.read_text(encoding="utf-8")) is not None


@pytest.mark.parametrize("block", [b for b in BLOCKS if b.file and not has_folder(b.page)], ids=str)
def test_shows_the_file(block: Block) -> None:
    assert block.file
    assert (ROOT / block.file).read_text(encoding="utf-8") == block.text


def test_the_readme_runs_twice_beside_make_serve() -> None:
    recipe = "$(bin)/callgate serve --policy $(POLICY) --catalogue $(CATALOGUE) $(ARGS)"
    assert recipe in (ROOT / "Makefile").read_text(encoding="utf-8")
    readme = ROOT / "README.md"
    text = "$ callgate serve --policy examples/policy.json --catalogue examples/catalogue.json &\n...\n"
    with Shell.open(ROOT) as shell:
        shell.run_block(Block(readme, 1, None, None, "console", text))
        for _ in range(2):
            for block in blocks_of(readme):
                if block.language == "console":
                    shell.run_block(block)


def test_make_targets() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        code = [block.text for block in blocks_of(page) if block.language == "sh"] + re.findall(r"`([^`\n]+)`", text)
        for target in MAKE_TARGET.findall("\n".join(code)):
            assert target in targets, f"{name_of(page)} names `make {target}`, which is no target"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links(page: Path) -> None:
    for target in LINK.findall(page.read_text(encoding="utf-8")):
        assert (page.parent / target).exists(), f"{name_of(page)} links to `{target}`, which is not there"


@pytest.mark.parametrize("path", ["examples/policy.json", "examples/servers"])
def test_example_policies_load(path: str) -> None:
    callgate.Engine.from_file(ROOT / path, catalogue=ROOT / "examples/catalogue.json")


def test_example_rate_limits_load() -> None:
    limits = ROOT / "examples/rate-limits.yaml"
    callgate.Engine.from_config(policies={}, servers={}, rate_limits=[(limits.name, limits.read_bytes())])


def commands_of(block: Block) -> list[tuple[str, list[str]]]:
    """The commands of a console block, each with the lines that the page says it prints."""
    commands: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            commands.append((line[2:], []))
        elif commands and commands[-1][0].endswith("\\"):
            command, _ = commands.pop()
            commands.append((command[:-1] + line.lstrip(), []))
        else:
            assert commands, f"{block}: a console block begins with a `$` line"
            commands[-1][1].append(line)
    return commands


def fits(expected: list[str], printed: list[str]) -> bool:
    """True if the output is that of the page: `...` is any lines, `[...]` any characters of one."""
    pattern = ""
    for line in expected:
        if line == "...":
            pattern += r"(?:.*\n)*"
        else:
            pattern += re.escape(line).replace(re.escape("[...]"), ".*") + r"\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in printed)) is not None


@pytest.mark.parametrize(
    ("expected", "printed", "answer"),
    [
        (["a"], ["a"], True),
        (["a"], ["a", "b"], False),
        (["a"], [], False),
        (["a", "..."], ["a", "b", "c"], True),
        (["...", "c"], ["a", "b", "c"], True),
        (["took [...] us"], ["took 12 us"], True),
        (["took [...] us"], ["took 12 ms"], False),
        (["a.c"], ["abc"], False),
    ],
)
def test_fits(expected: list[str], printed: list[str], answer: bool) -> None:
    assert fits(expected, printed) is answer


class Shell:
    """Runs the commands of one page; what it starts in the background stops with it."""

    def __init__(self, stack: ExitStack, folder: Path, ports: dict[str, str]) -> None:
        self._stack = stack
        self._folder = folder
        self._ports = ports
        self._jobs: list[subprocess.Popen[Any]] = []
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
        # Not this user's own counters.
        state = stack.enter_context(TemporaryDirectory())
        self._environment = {
            **os.environ,
            "PATH": path,
            "COLUMNS": "120",
            "NO_COLOR": "1",
            "XDG_STATE_HOME": state,
            "CALLGATE_ADMIN__GRPC_LISTEN": "127.0.0.1:0",
            # A busy machine is slow to answer.
            "CALLGATE_APPROVALS__DEADLINE": "2s",
        }

    @classmethod
    @contextmanager
    def open(cls, folder: Path) -> Iterator[Shell]:
        """A shell in a folder, with free ports in place of those that the documents name."""
        with ExitStack() as stack:
            held = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in PORTS]
            ports = dict(zip(PORTS, [str(s.getsockname()[1]) for s in held], strict=True))
            for listener in held:
                listener.close()
            yield cls(stack, folder, ports)

    def run_block(self, block: Block) -> None:
        """Runs the commands of a block and compares what they print."""
        for command, expected in commands_of(block):
            self.run(block, command, expected)

    def run(self, block: Block, command: str, expected: list[str]) -> None:
        """Runs one command and compares what it prints."""
        real = command
        for written, port in self._ports.items():
            real = real.replace(f"127.0.0.1:{written}", f"127.0.0.1:{port}")
        if real == "kill $!":
            stop(self._jobs.pop())
            printed = []
        elif real.endswith("&"):
            printed = self._start(real.removesuffix("&").strip(), expected)
        else:
            done = subprocess.run(
                ["/bin/bash", "-c", real],
                cwd=self._folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                timeout=COMMAND_SECONDS,
                check=False,
            )
            printed = self._lines(done.stdout)
        assert fits(expected, printed), f"{block}: `{command}` printed\n" + "\n".join(printed)

    def _start(self, command: str, expected: list[str]) -> list[str]:
        """Starts a program, and waits until it is ready and has printed what the page shows."""
        assert command.startswith("callgate serve "), f"only the sidecar can be started, not `{command}`"
        found = ADMIN_OPTION.search(command)
        admin = found[1] if found else f"127.0.0.1:{self._ports[ADMIN_PORT]}"
        if found is None:
            command += f" --listen 127.0.0.1:{self._ports[DATA_PORT]} --admin {admin}"
        # A file, since nobody reads on: what a sidecar logs later would fill a pipe, and hold it up.
        printed = self._stack.enter_context(tempfile.TemporaryFile())  # noqa: SIM115  the stack closes it
        process = subprocess.Popen(
            ["/bin/bash", "-c", f"exec {command}"],
            cwd=self._folder,
            env=self._environment,
            stdout=printed,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
        )
        self._jobs.append(process)
        self._stack.callback(stop, process)
        output = b""
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            # Without a seek, which would move the program's own place in the file.
            output = os.pread(printed.fileno(), MAX_OUTPUT_BYTES, 0)
            if answers(f"http://{admin}/readyz") and fits(expected, self._lines(output)):
                break
            time.sleep(0.05)
        return self._lines(output)

    def _lines(self, output: bytes) -> list[str]:
        """The lines of the output, with the ports that the documents name."""
        text = output.decode().replace("\r\n", "\n")
        for written, port in self._ports.items():
            text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{written}")
        return text.splitlines()


def stop(process: subprocess.Popen[Any]) -> None:
    """Stops a sidecar as its operator would, and holds it to its word."""
    process.terminate()
    try:
        assert process.wait(timeout=START_SECONDS) == 0
    finally:
        process.kill()


def answers(url: str) -> bool:
    """True if an endpoint answers 200."""
    try:
        with urllib.request.urlopen(url, timeout=1.0) as response:
            return bool(response.status == 200)
    except (OSError, urllib.error.URLError):
        return False
