"""Fixtures for the pods of every shape."""

from __future__ import annotations

import pytest

from support.kubernetes.grant import Grant, new_grant


@pytest.fixture(scope="session")
def grant(tmp_path_factory: pytest.TempPathFactory) -> Grant:
    """A grant of the rendered policies."""
    return new_grant(tmp_path_factory.mktemp("grant"))
