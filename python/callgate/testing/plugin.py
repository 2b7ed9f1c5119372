"""The pytest plugin, which pytest finds by its entry point."""

from __future__ import annotations

import pytest

from callgate.testing.policy import PolicyUnderTest


@pytest.fixture
def callgate_policy() -> type[PolicyUnderTest]:
    """Makes a `PolicyUnderTest` of a policy: ``callgate_policy("policy.yaml")``."""
    return PolicyUnderTest
