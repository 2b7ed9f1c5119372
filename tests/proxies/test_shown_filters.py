"""The filters that `docs/proxies.md` shows are those of `deploy/envoy`, but for their comments."""

from __future__ import annotations

import re
from typing import Any

import yaml

from support.proxies.envoy import ROOT

PAGE = ROOT / "docs" / "proxies.md"


def filters(value: Any) -> list[dict[str, Any]]:
    """Every HTTP filter in a configuration of Envoy."""
    if isinstance(value, list):
        return [found for element in value for found in filters(element)]
    if not isinstance(value, dict):
        return []
    return list(value.get("http_filters", [])) + [found for element in value.values() for found in filters(element)]


def test_shown_filters_are_deployed() -> None:
    shown = re.findall(r"^```text\n(name: envoy\..*?)^```$", PAGE.read_text(encoding="utf-8"), re.M | re.S)
    assert len(shown) == 2
    deployed = [
        found
        for path in sorted((ROOT / "deploy" / "envoy").glob("*.yaml"))
        for found in filters(yaml.safe_load(path.read_text(encoding="utf-8")))
    ]
    for text in shown:
        assert yaml.safe_load(text) in deployed, text
