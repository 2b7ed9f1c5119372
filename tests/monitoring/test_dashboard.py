"""The Grafana dashboard: Grafana's own types know all of it, and every panel says what it shows."""

from __future__ import annotations

import json
import re
import warnings
from itertools import combinations, pairwise
from typing import Any

import dashboard
import pytest

from support.monitoring import DASHBOARD, panels, queries, uses

with warnings.catch_warnings():
    # The form of dashboards in files is the older of two; folders of dashboards take no other.
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.cog.plugins import register_default_plugins
    from grafana_foundation_sdk.models.dashboard import Dashboard

PANELS = [panel for panel in panels() if panel["type"] != "row"]
UNITS = {"none", "short", "s", "bytes", "percentunit", "reqps", "ops"}


def test_the_file_is_what_the_script_writes() -> None:
    assert DASHBOARD.read_text(encoding="utf-8") == dashboard.text(), "make dashboard"


def test_grafana_knows_every_field() -> None:
    """What its types do not know, they drop."""
    register_default_plugins()
    written = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    read = json.loads(json.dumps(Dashboard.from_json(written), cls=JSONEncoder))
    assert lost(written, read) == []
    assert written["schemaVersion"] == Dashboard().schema_version


def lost(before: Any, after: Any, place: str = "") -> list[str]:
    """The places of `before` that are missing in `after` or differ there; what was added is none of them."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            found
            for key, value in before.items()
            for found in (lost(value, after[key], f"{place}.{key}") if key in after else [f"{place}.{key}"])
        ]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [found for index, (one, other) in pairs for found in lost(one, other, f"{place}[{index}]")]
    return [] if before == after else [place]


def test_no_two_ids_are_alike() -> None:
    ids = [panel["id"] for panel in panels()]
    assert len(set(ids)) == len(ids)
    titles = [panel["title"] for panel in panels()]
    assert len(set(titles)) == len(titles)


def test_no_two_panels_overlap() -> None:
    for panel in panels():
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= dashboard.WIDTH, panel["title"]
        assert place["h"] >= 1
    for one, other in combinations(panels(), 2):
        assert not overlap(one["gridPos"], other["gridPos"]), f"`{one['title']}` and `{other['title']}`"


def overlap(one: dict[str, int], other: dict[str, int]) -> bool:
    return all(
        one[start] < other[start] + other[size] and other[start] < one[start] + one[size]
        for start, size in (("x", "w"), ("y", "h"))
    )


def test_each_row_has_panels() -> None:
    kinds = [panel["type"] for panel in panels()]
    assert kinds[0] == "row"
    assert all("row" not in pair[1:] for pair in pairwise(kinds) if pair[0] == "row")
    assert kinds[-1] != "row"


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_a_panel_says_what_it_shows(panel: dict[str, Any]) -> None:
    assert re.fullmatch(r"[^a-z\W].*[^.]", panel["title"])
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"] in UNITS
    assert panel["datasource"] == dashboard.SOURCE
    assert panel["targets"]
    for target, query in zip(panel["targets"], queries(panel), strict=True):
        assert target["datasource"] == dashboard.SOURCE
        assert "$" not in query, "a variable that the dashboard does not have"
        assert selects_targets(query), query
        # A legend with a name that the expression groups away would be empty.
        named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
        grouped = re.findall(r"\bby \(([\w, ]+)\)", target["expr"])
        if grouped:
            assert named <= set(grouped[-1].split(", ")) | set(grouped[0].split(", ")), target["legendFormat"]


def selects_targets(expression: str) -> bool:
    """True if every metric in it is of the targets that are chosen above the panels."""
    labels = {"namespace", "job", "instance"}
    return all(labels <= {label for label, _, _ in selector.matchers} for selector in uses(expression).selectors)


def test_variables_are_those_that_panels_use() -> None:
    text = DASHBOARD.read_text(encoding="utf-8")
    known = [variable["name"] for variable in json.loads(text)["templating"]["list"]]
    assert len(set(known)) == len(known)
    used = set(re.findall(r"\$\{?(\w+)", text)) - {"__rate_interval", "__all"}
    assert used == set(known)
