"""The rules and the dashboard of `deploy/monitoring`, and the expressions in them, by parsers of others."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import promql_parser
import yaml
from prometheus_client.parser import text_string_to_metric_families

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[2]
FOLDER: Final = ROOT / "deploy" / "monitoring"
RULES: Final = FOLDER / "callgate-rules.yaml"
DASHBOARD: Final = FOLDER / "callgate-dashboard.json"
RUNBOOK: Final = "https://github.com/callgate/callgate/blob/main/docs/alerts.md"
TIMEOUT_S: Final = 120.0

TARGET_LABELS: Final = frozenset({"job", "instance", "namespace", "pod"})
"""Labels that Prometheus adds to what it scrapes."""

_VARIABLES: Final = {"$__rate_interval": "5m", "$__range": "1h", "$__interval": "1m"}
"""What Grafana puts into an expression before Prometheus sees it."""


@cache
def rules() -> list[dict[str, Any]]:
    """Every rule, recording ones and alerts."""
    document = yaml.safe_load(RULES.read_text(encoding="utf-8"))
    return [rule for group in document["groups"] for rule in group["rules"]]


@cache
def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by their names, which are different."""
    found = [rule for rule in rules() if "alert" in rule]
    by_name = {rule["alert"]: rule for rule in found}
    assert len(by_name) == len(found), "two alerts have one name"
    return by_name


def recorded() -> set[str]:
    """The names of the series that recording rules make."""
    return {rule["record"] for rule in rules() if "record" in rule}


def promtool(*words: str | Path) -> str:
    """Runs promtool, which must find nothing wrong; gives what it printed."""
    done = subprocess.run(
        ["promtool", *words], capture_output=True, text=True, check=False, timeout=TIMEOUT_S, stdin=subprocess.DEVNULL
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


@cache
def panels() -> list[dict[str, Any]]:
    """Every panel of the dashboard in their order, rows too; no row is folded."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert not any(panel.get("panels") for panel in found)
    return found


def queries(panel: dict[str, Any]) -> list[str]:
    """The expressions of a panel, as Grafana sends them with every choice made."""
    return [with_variables(target["expr"]) for target in panel.get("targets", ())]


def with_variables(expression: str) -> str:
    """The expression with values in place of Grafana's variables."""
    for name, value in _VARIABLES.items():
        expression = expression.replace(name, value)
    # The dashboard's own variables stand in matchers alone.
    return re.sub(r"\$(?:job|namespace|instance|server)\b", ".*", expression)


@dataclass(frozen=True)
class Selector:
    """One metric in an expression, with the matchers that say which of its samples are meant."""

    name: str
    matchers: tuple[tuple[str, str, str], ...] = ()
    """Label, operator, value."""

    def picks(self, name: str, labels: dict[str, str]) -> bool:
        """True if a sample is one of those that are meant, whatever target it comes from."""
        return name == self.name and all(
            _matches(operator, value, labels.get(label, ""))
            for label, operator, value in self.matchers
            if label not in TARGET_LABELS
        )


def _matches(operator: str, value: str, found: str) -> bool:
    is_alike = found == value if operator in {"=", "!="} else re.fullmatch(value, found) is not None
    return is_alike == (operator in {"=", "=~"})


@dataclass
class Uses:
    """The metrics of an expression, and the labels by which it groups and joins."""

    selectors: list[Selector] = field(default_factory=list)
    labels: set[str] = field(default_factory=set)


# `MatchOp` has no hash.
_OPERATORS: Final = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}


def uses(expression: str) -> Uses:
    """The metrics and labels of an expression, which has to parse."""
    found = Uses()
    _walk(promql_parser.parse(expression), found)
    return found


def _walk(node: Any, found: Uses) -> None:
    match node:
        case promql_parser.VectorSelector() | promql_parser.MatrixSelector():
            selector = node.vector_selector if isinstance(node, promql_parser.MatrixSelector) else node
            matchers = [
                (one.name, _OPERATORS[str(one.op).removeprefix("MatchOp.")], one.value)
                for one in selector.matchers.matchers
            ]
            found.selectors.append(Selector(str(selector.name), tuple(matchers)))
        case promql_parser.AggregateExpr():
            found.labels |= set(node.modifier.labels if node.modifier is not None else ())
            _walk(node.expr, found)
            if node.param is not None:
                _walk(node.param, found)
        case promql_parser.BinaryExpr():
            matching = node.modifier.matching if node.modifier is not None else None
            found.labels |= set(matching.labels if matching is not None else ())
            _walk(node.lhs, found)
            _walk(node.rhs, found)
        case promql_parser.Call():
            for argument in node.args:
                _walk(argument, found)
        case promql_parser.ParenExpr() | promql_parser.SubqueryExpr() | promql_parser.UnaryExpr():
            _walk(node.expr, found)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:
            message = f"an expression of the kind {type(node).__name__}"
            raise AssertionError(message)


def samples(page: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name and labels of each sample on a page of metrics."""
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            yield sample.name, sample.labels
