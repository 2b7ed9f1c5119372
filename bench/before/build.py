"""Builds of two trees that are compared: this one, and an earlier revision in a folder of `target`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from common import machine

MATURIN = machine.ROOT / ".venv/bin/maturin"


@dataclass(frozen=True)
class Tree:
    """The built programs of a tree."""

    name: str
    # Of an environment that has the wheel and nothing else of callgate.
    python: Path
    # The program of `rust/core/benches/decide.rs`.
    decide: Path

    @property
    def callgate(self) -> Path:
        """The command line of its wheel."""
        return self.python.parent / "callgate"


def commit(revision: str) -> str:
    """The commit of a revision of this checkout; ends the bench where there is none."""
    command = ["git", "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"]
    done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"`{revision}` is no revision of this checkout")
    return done.stdout.strip()


def this_tree(quick: bool) -> Tree:
    """This tree, whose wheel is in the environment that runs the bench."""
    target = machine.ROOT / "target"
    environment = {**machine.cargo_environment(quick=quick), "CARGO_TARGET_DIR": str(target)}
    return Tree("now", Path(sys.executable), _decide(machine.ROOT, environment, quick))


def earlier(revision: str, quick: bool) -> Tree:
    """The tree of a revision, built on first use into `target/bench-before`."""
    found = commit(revision)
    folder = machine.ROOT / "target/bench-before" / f"{found[:12]}{'-quick' if quick else ''}"
    source, target, built = folder / "source", folder / "target", folder / "built"
    python = folder / "venv/bin/python"
    if not built.exists():
        print(f"building {found[:12]} in {os.path.relpath(folder)} (minutes)", flush=True)
        source.mkdir(parents=True, exist_ok=True)
        archive = subprocess.run(["git", "archive", found], cwd=machine.ROOT, stdout=subprocess.PIPE, check=True)
        subprocess.run(["tar", "--extract", "--directory", str(source)], input=archive.stdout, check=True)
        _wheel(source, target, folder / "wheel", python, quick)
    decide = _decide(source, _environment(target), quick)
    built.touch()
    return Tree("before", python, decide)


def _profile(quick: bool) -> list[str]:
    return ["--profile", "dev" if quick else "release"]


def _environment(target: Path) -> dict[str, str]:
    return {**os.environ, "CARGO_TARGET_DIR": str(target)}


def _wheel(source: Path, target: Path, out: Path, python: Path, quick: bool) -> None:
    """Builds the wheel as `make` did until wheels were optimised by a profile, and installs it with what it needs."""
    command = [str(MATURIN), "build", *_profile(quick), "--strip", "false", "--locked", "--out", str(out)]
    subprocess.run(command, cwd=source, env=_environment(target), check=True)
    [wheel] = out.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", str(python.parents[1])], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "--quiet", str(wheel)], check=True)


def _decide(source: Path, environment: dict[str, str], quick: bool) -> Path:
    """Builds the bench of `decide()`, and returns its program."""
    # The profile of the wheel, whose names its recorded profile is by.
    command = ["cargo", "bench", "--quiet", "--no-run", "--locked", *_profile(quick), "--package", "callgate-core"]
    command += ["--bench", "decide", "--message-format", "json"]
    done = subprocess.run(command, cwd=source, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == "decide":
            return Path(message["executable"])
    sys.exit(f"cargo built no bench of decide() in {source}")
