"""Sources that tests write, and the findings about them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from callgate.config.faults import InvalidConfigError
from callgate.workbench.convert import Align, Conversion

Convert: TypeAlias = "Callable[[Sequence[Path], Align | None], Conversion]"


def convert(converter: Convert, folder: Path, text: str, align: Align | None = None) -> tuple[Any, list[str]]:
    """The documents, by domain, and the findings: `line:column: left out: message`, or `note`."""
    conversion = converter([source(folder, text)], align)
    return {limits.domain: limits.plain() for limits in conversion.domains}, [
        str(said).removeprefix(f"{folder}/source.yaml:") for said in conversion.said
    ]


def faults(converter: Convert, folder: Path, text: str) -> list[str]:
    """The faults of a source: `line:column: message`."""
    path = source(folder, text)
    try:
        converter([path], None)
    except InvalidConfigError as error:
        return [str(fault).removeprefix(f"{path}:") for fault in error.faults]
    return []


def source(folder: Path, text: str) -> Path:
    """Writes the source."""
    path = folder / "source.yaml"
    path.write_text(text, encoding="utf-8")
    return path
