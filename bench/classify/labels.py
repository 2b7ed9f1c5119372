"""Labelled tools as files of JSON lines have them, told apart by their fields."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from callgate.workbench.catalogue import CATEGORIES, Tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Row:
    """One tool with what is known of it."""

    server: str
    tool: Tool
    categories: tuple[str, ...] = ()
    """Right answers; of annotators who differ, either one."""
    is_agreed: bool = True
    is_poisoned: bool = False


@dataclass(frozen=True)
class LabelFile:
    """One file."""

    name: str
    rows: list[Row] = field(repr=False)


def read_labels(folder: Path) -> list[LabelFile]:
    """Every `*.jsonl` file of a folder.

    A row has `server`, `tool`, `description`, `annotations`, perhaps `title` and `input_schema`, and one of: `labels`
    with `agreed` (two annotators), `category` (`Other` means unlabelled), or nothing. `poisoned: true` marks a poisoned
    tool, as the word `poisoned` in the file's name does for all of its rows without that field.
    """
    files = sorted(folder.glob("*.jsonl"))
    if not files:
        message = f"no *.jsonl files in {folder}"
        raise SystemExit(message)
    return [LabelFile(file.name, list(_rows(file))) for file in files]


def read_cases(file: Path, *, is_poisoned: bool) -> LabelFile:
    """The tests' own set in a JSON file."""
    rows = [_row(data, is_poisoned=is_poisoned) for data in json.loads(file.read_text())]
    return LabelFile(f"tests/cases/classify/{file.name}", rows)


def _rows(file: Path) -> Iterator[Row]:
    with file.open() as lines:
        for line in lines:
            if line.strip():
                yield _row(json.loads(line), is_poisoned="poisoned" in file.name)


def _row(data: dict[str, Any], *, is_poisoned: bool) -> Row:
    tool = Tool(
        name=data["tool"],
        title=data.get("title") or "",
        description=data.get("description") or "",
        input_schema=data.get("input_schema"),
        output_schema=data.get("output_schema"),
        annotations=data.get("annotations") or {},
    )
    categories = data.get("labels") or [data.get("category")]
    known = tuple(one for one in dict.fromkeys(categories) if one in CATEGORIES)
    return Row(
        data.get("server") or "", tool, known, bool(data.get("agreed", True)), bool(data.get("poisoned", is_poisoned))
    )
