"""A site with every kind of tool."""

from __future__ import annotations

from pathlib import Path

import pytest

from callgate.workbench.site import build_site
from support.catalogue_site import rich_catalogue


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sites") / "rich"
    build_site(rich_catalogue(), folder, "Tools & <things>")
    return folder
