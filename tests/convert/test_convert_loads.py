"""The rate limit service reads the output of a conversion."""

from __future__ import annotations

from pathlib import Path

import pytest

from callgate import Engine

FILES = sorted((Path(__file__).parent / "files").glob("*.converted.yaml"))


def test_there_are_converted_files() -> None:
    assert FILES


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_converted_files_load(path: Path) -> None:
    Engine.from_config(policies={}, servers={}, rate_limits=[(path.name, path.read_bytes())])
