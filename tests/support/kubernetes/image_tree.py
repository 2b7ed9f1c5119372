"""The file tree of the image, built by the commands of the Dockerfile without an engine, of a small project."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from support.kubernetes.image import stages

if TYPE_CHECKING:
    from collections.abc import Iterator

TIMEOUT_S = 300.0
INSTALLED = "/opt/callgate"
"""The folder of the image that holds everything that is not of its base."""

# A program and a module, as callgate has them, without anything that has to be fetched.
_FILES = {
    "Cargo.toml": '[package]\nname = "callgate"\nversion = "0.1.0"\nedition = "2021"\nlicense = "Apache-2.0"\n',
    "Cargo.lock": 'version = 4\n\n[[package]]\nname = "callgate"\nversion = "0.1.0"\n',
    "src/main.rs": "fn main() {}\n",
    "python/callgate/__init__.py": '"""A package."""\n',
    "pyproject.toml": (
        '[build-system]\nrequires = ["maturin>=1.15,<2"]\nbuild-backend = "maturin"\n'
        '[project]\nname = "callgate"\nversion = "0.1.0"\nlicense = "Apache-2.0"\n'
        '[tool.maturin]\nbindings = "bin"\npython-source = "python"\n'
    ),
}


def commands() -> Iterator[str]:
    """The commands of the Dockerfile in their order, but those that fetch."""
    for stage in stages():
        for one in stage:
            if one.name == "RUN" and "--require-hashes" not in one.text:
                yield one.text


def build(folder: Path, installed: Path, epoch: int) -> None:
    """Runs the commands in this folder; `installed` stands for the folder of the image, and must not be there."""
    for name, text in _FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    programs = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "SOURCE_DATE_EPOCH": str(epoch),
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
        "CARGO_TARGET_DIR": str(folder / "target"),
    }
    for command in commands():
        # Its own look at the result takes most of the time of a build.
        words = command.replace("cyclonedx-py environment", "cyclonedx-py environment --no-validate")
        words = words.replace(INSTALLED, str(installed))
        done = subprocess.run(
            ["sh", "-c", words],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
        )
        assert done.returncode == 0, f"{words}\n{done.stdout}\n{done.stderr}"


def digests(folder: Path) -> dict[str, str]:
    """Each file, link and folder below with its mode and the digest of its content. Times are not looked at: with
    `rewrite-timestamp` BuildKit sets them all."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        content = b""
        if path.is_symlink():
            content = str(path.readlink()).encode()
        elif path.is_file():
            content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        found[str(path.relative_to(folder))] = f"{stat.filemode(status.st_mode)} {digest}"
    return found


def built_twice(folder: Path) -> tuple[Path, dict[str, str], dict[str, str]]:
    """Builds the tree twice, at the same place from different folders; gives the place and the digests of both."""
    installed = folder / "opt"
    trees = []
    for _ in range(2):
        shutil.rmtree(installed, ignore_errors=True)
        source = folder / "source"
        shutil.rmtree(source, ignore_errors=True)
        source.mkdir()
        build(source, installed, 1_700_000_000)
        trees.append(digests(installed))
    return installed, trees[0], trees[1]
