"""Fixtures of tests of clients' configurations."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from support.clients_config.home import Home

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "home").mkdir()
    return Home(tmp_path / "home")
