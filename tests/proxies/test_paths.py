"""`/mcp/<server>` is what is judged, and `/mcp` is what the server behind gets: in every file for Envoy."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
NO_PATHS = {"quota.yaml"}
"""Where nothing is judged by its path: a quota is for one server."""
ENVOY = sorted(
    path.name
    for path in (DEPLOY / "envoy").glob("*.yaml")
    if not path.name.startswith("callgate") and path.name not in NO_PATHS
)


def routes(found: object) -> list[dict[str, Any]]:
    """Each route to a server."""
    if isinstance(found, dict):
        inner = [route for value in found.values() for route in routes(value)]
        is_route = "match" in found and found.get("route", {}).get("cluster", "").startswith("mcp_")
        return [found, *inner] if is_route else inner
    return [route for value in found for route in routes(value)] if isinstance(found, list) else []


@pytest.mark.parametrize("name", ENVOY)
def test_envoy(name: str) -> None:
    document = yaml.safe_load((DEPLOY / "envoy" / name).read_text(encoding="utf-8"))
    found = routes(document)
    assert found
    for one in found:
        rewrite = one["route"]["regex_rewrite"]
        for path, expected in (("/mcp/aws", "/mcp"), ("/mcp", "/mcp"), ("/mcp/a/b", "/mcp/a/b"), ("/other", "/other")):
            assert re.sub(rewrite["pattern"]["regex"], rewrite["substitution"], path) == expected


def test_kubernetes() -> None:
    manifest = yaml.safe_load((DEPLOY / "kubernetes" / "envoy-config.yaml").read_text(encoding="utf-8"))
    found = routes(yaml.safe_load(manifest["data"]["envoy.yaml"]))
    assert [(one["match"]["path_separated_prefix"], one["route"]["prefix_rewrite"]) for one in found] == [
        ("/mcp/srv", "/mcp")
    ]
