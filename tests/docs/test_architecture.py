"""The crates, packages, files and threads of `docs/architecture.md` are those of the repository."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")


def section(title: str) -> str:
    """The text below a heading of the page."""
    return TEXT.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


CRATES = [
    (name, uses.strip())
    for name, uses in re.findall(r"^\| `callgate-(\w+)` \|(.*?)\|", section("Crates"), re.MULTILINE)
]
THREADS = re.findall(r"^\| `(callgate-[a-z]+)`", section("Threads"), re.MULTILINE)


def used_by(manifest: Path) -> set[str]:
    """The crates of the workspace that a crate uses outside its tests."""
    text = manifest.read_text(encoding="utf-8").partition("[dev-dependencies]")[0]
    return set(re.findall(r"^callgate-(\w+)\b", text, re.MULTILINE))


def test_crates_are_those_of_the_workspace() -> None:
    assert {name for name, _ in CRATES} == {manifest.parent.name for manifest in ROOT.glob("rust/*/Cargo.toml")}


@pytest.mark.parametrize(("name", "uses"), CRATES, ids=[name for name, _ in CRATES])
def test_crate_uses_what_the_table_says(name: str, uses: str) -> None:
    said = {word for word in uses.split(", ") if word}
    assert said == used_by(ROOT / f"rust/{name}/Cargo.toml")
    below = [other for other, _ in CRATES][[other for other, _ in CRATES].index(name) + 1 :]
    assert said <= set(below), f"`{name}` uses crates that stand above it in the table"


def test_python_layers_are_those_of_the_linter() -> None:
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    found = re.search(r"^layers = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL)
    assert found
    layers = [re.split(r" \| ", layer) for layer in re.findall(r'"(.+?)"', found[1])]
    drawing = re.search(r"```text\n(cli .*?)```", TEXT, re.DOTALL)
    assert drawing
    drawn = [re.split(r" \| ", re.split(r"\s{2,}", line, maxsplit=1)[0]) for line in drawing[1].splitlines()]
    # `python -m callgate` is above the command line and is no package.
    assert drawn == [layer for layer in layers if layer != ["__main__"]]


def test_named_paths_exist() -> None:
    named = re.findall(r"`((?:rust|python|docs|tests)/[\w./-]+)`", TEXT)
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_threads_have_these_names() -> None:
    sources = [*ROOT.glob("rust/*/src/**/*.rs"), *ROOT.glob("python/callgate/**/*.py")]
    code = "".join(path.read_text(encoding="utf-8") for path in sources)
    assert THREADS
    assert [name for name in THREADS if f'"{name}"' not in code] == []
