"""The Prometheus rules: promtool takes them, and each alert fires when it has to, and only then."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.monitoring import ROOT, RULES, RUNBOOK, alerts, promtool, recorded, rules, uses

# Every scalar as text: `0x20` is twenty-one zeros to promtool, and 32 to YAML.
CASES: dict[str, Any] = yaml.load(
    Path(__file__).with_name("alert_cases.yaml").read_text(encoding="utf-8"), Loader=yaml.BaseLoader
)
PAGE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_promtool_takes_the_rules() -> None:
    assert f"{len(rules())} rules found" in promtool("check", "rules", RULES)


def test_every_alert_has_cases() -> None:
    assert set(CASES) == set(alerts())
    for name, cases in CASES.items():
        assert cases["fires"], name
        assert cases["quiet"], name


def test_alerts_fire_when_they_have_to(tmp_path: Path) -> None:
    promtool("test", "rules", *(promtool_file(name, tmp_path) for name in alerts()))


def promtool_file(name: str, folder: Path) -> Path:
    """The cases of an alert as a file of promtool, with what is recorded and this alert alone, which is faster."""
    made = [rule for rule in rules() if rule.get("alert") == name or "record" in rule]
    groups = folder / f"{name}.rules.json"
    groups.write_text(json.dumps({"groups": [{"name": name, "rules": made}]}))
    cases = CASES[name]
    looks = [look_of(name, case, fires=True) for case in cases["fires"]]
    looks += [look_of(name, case, fires=False) for case in cases["quiet"]]
    tests = folder / f"{name}.json"
    tests.write_text(json.dumps({"rule_files": [str(groups)], "evaluation_interval": "1m", "tests": looks}))
    return tests


def look_of(name: str, case: dict[str, Any], *, fires: bool) -> dict[str, Any]:
    """A case as a test of promtool."""
    rule = alerts()[name]
    expected = []
    if fires:
        labels = {**case["labels"], **rule["labels"]}
        expected = [{"exp_labels": labels, "exp_annotations": {**rule["annotations"], "summary": case["summary"]}}]
    return {
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in case["input"].items()],
        "alert_rule_test": [{"eval_time": case["at"], "alertname": name, "exp_alerts": expected}],
    }


@pytest.mark.parametrize("name", alerts())
def test_an_alert_says_what_it_means(name: str) -> None:
    rule = alerts()[name]
    assert re.fullmatch(r"Callgate([A-Z][a-z]+)+", name)
    assert rule["labels"] == {"severity": rule["labels"]["severity"]}
    assert rule["labels"]["severity"] in {"critical", "warning"}
    texts = rule["annotations"]
    assert set(texts) == {"summary", "description", "runbook_url"}
    # A title has no final period; the rest is sentences without names, so that nothing there has to be filled in.
    assert not texts["summary"].endswith(".")
    assert texts["description"].endswith(".")
    assert "{{" not in texts["description"]
    assert texts["runbook_url"] == f"{RUNBOOK}#{name.lower()}"


def test_every_recorded_series_is_used() -> None:
    used = {selector.name for rule in rules() for selector in uses(rule["expr"]).selectors}
    assert recorded() <= used
    assert len(recorded()) == sum("record" in rule for rule in rules())


def sections() -> dict[str, str]:
    """The sections of the page about one alert each."""
    parts = re.split(r"^### (\w+)$", PAGE, flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    assert len(found) == len(parts) // 2, "two sections have one name"
    return found


def test_each_alert_has_a_section_and_each_section_an_alert() -> None:
    assert list(sections()) == list(alerts()), "in the order of the rules"


@pytest.mark.parametrize("name", alerts())
def test_a_section_says_what_to_do(name: str) -> None:
    section = sections()[name]
    heads = re.findall(r"^(\w+): ", section, re.MULTILINE)
    assert heads == ["Means", "Meanwhile", "Look", "Do"], section
    assert re.search(
        r"^Look: .*?`(callgate|kubectl|journalctl|systemctl)[ `_].*?^Do: ", section, re.MULTILINE | re.DOTALL
    )


def test_the_table_of_severities_is_that_of_the_rules() -> None:
    rows = dict(re.findall(r"^\| \[(\w+)\]\(#\w+\) \| (\w+) \|", PAGE, re.MULTILINE))
    assert rows == {name: rule["labels"]["severity"] for name, rule in alerts().items()}
