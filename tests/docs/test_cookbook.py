"""Every recipe of `docs/cookbook.md`: its policy loads without a warning, its calls get the answers of its table."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from callgate import Decision, Engine
from callgate._callgate import DocumentTree, validate

PAGE = Path(__file__).resolve().parents[2] / "docs/cookbook.md"
# Dates in the tables have no year; in this one 2 March is a Monday.
YEAR = 2026
# The beginning of the sentence on a recipe's gap.
GAP = "It does not protect from: "
COLUMNS = {"time", "grant", "session", "tool", "arguments", "calls", "outcome", "rule", "shadow", "left"}

EXAMPLE = re.compile(
    r"^<!-- example: (?P<kind>\w+) -->\n```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
CELL_END = re.compile(r"(?<!\\)\|")


@dataclass(frozen=True)
class Recipe:
    """One section of the page that has a policy."""

    title: str
    text: str

    def __str__(self) -> str:
        return self.title

    def examples(self, kind: str) -> list[str]:
        """The blocks of one kind, in order."""
        return [found["text"] for found in EXAMPLE.finditer(self.text) if found["kind"] == kind]

    @property
    def rows(self) -> list[dict[str, str]]:
        """The rows of the table of calls, each by the names of its columns."""
        lines = [line for line in self.text.splitlines() if line.startswith("|")]
        header, _rule, *rows = [[cell.strip() for cell in CELL_END.split(line)[1:-1]] for line in lines]
        assert set(header) <= COLUMNS, f"`{self.title}` has unknown columns {set(header) - COLUMNS}"
        return [dict(zip(header, (cell.strip("`") for cell in row), strict=True)) for row in rows]


def recipes() -> list[Recipe]:
    """The recipes of the page, in order."""
    sections = re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    return [Recipe(section.split("\n", 1)[0], section.split("\n", 1)[1]) for section in sections]


RECIPES = recipes()


def test_there_are_fifteen_recipes() -> None:
    assert len(RECIPES) >= 15


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_recipe_has_all_parts(recipe: Recipe) -> None:
    need = recipe.text.strip().split("\n\n", 1)[0]
    assert need.endswith(".")
    assert need.count(". ") == 0, f"`{recipe}` says its need in one sentence"
    assert recipe.examples("policy")
    assert recipe.text.count(GAP) == 1
    outcomes = {row["outcome"] if not row.get("shadow") else "shadow" for row in recipe.rows}
    assert len(recipe.rows) >= 3
    assert "allow" in outcomes
    assert outcomes - {"allow"}, f"`{recipe}` shows no call that it stops"


def test_table_of_contents_names_every_recipe() -> None:
    beginning = PAGE.read_text(encoding="utf-8").split("\n## ", 1)[0]
    assert re.findall(r"^\| \[(.+?)\]\(#", beginning, re.MULTILINE) == [recipe.title for recipe in RECIPES]


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_policy_has_no_warning(recipe: Recipe, tmp_path: Path) -> None:
    for number, policy in enumerate(recipe.examples("policy")):
        path = tmp_path / f"policy-{number}.yaml"
        path.write_text(policy, encoding="utf-8")
        assert validate(path) == []


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_calls_get_their_answers(recipe: Recipe) -> None:
    engine = engine_of(recipe)
    for row in recipe.rows:
        decisions = [ask(engine, row) for _ in range(int(row["calls"]))]
        for number, decision in enumerate(decisions, start=1):
            shadow = f"{decision.shadow.outcome} {decision.shadow.rule}" if decision.shadow else ""
            answer = (str(decision.outcome), decision.rule, shadow)
            assert answer == (row["outcome"], row["rule"], row.get("shadow", "")), f"call {number} of {row}"
        left = {limit.counter: limit.remaining for limit in decisions[-1].limits}
        assert left == amounts(row["left"]), f"after {row}"


def test_messages_show_no_secret() -> None:
    recipe = next(recipe for recipe in RECIPES if recipe.title == "Secrets never in arguments")
    engine = engine_of(recipe)
    refused = [row for row in recipe.rows if "AKIA" in row["arguments"]]
    assert refused
    for row in refused:
        decision = engine.check(tool=row["tool"], grant="alice", args=row["arguments"], now_ms=0)
        assert "body" in decision.message
        assert "IOSFODNN7" not in json.dumps(decision.to_dict())


def ask(engine: Engine, row: dict[str, str]) -> Decision:
    """The answer to one call of a row."""
    return engine.check(
        tool=row["tool"],
        grant=row["grant"],
        session=row.get("session") or None,
        args=row["arguments"],
        server="srv",
        now_ms=milliseconds(row["time"]),
    )


def engine_of(recipe: Recipe) -> Engine:
    """The recipe's policy for every server; where it has a configuration, its policies and grants."""
    policies = recipe.examples("policy")
    configurations = recipe.examples("config")
    catalogue = next(iter(recipe.examples("catalogue")), None)
    known = json.loads(catalogue) if catalogue else None
    if not configurations:
        (policy,) = policies
        return Engine.from_dict(document(policy), catalogue=known)
    (configuration,) = configurations
    keys = document(configuration)
    named = {document(policy)["name"]: policy.encode() for policy in policies}
    assert list(keys["policies"]) == list(named)
    return Engine.from_config(
        policies={name: (f"{name}.yaml", content) for name, content in named.items()},
        servers=dict.fromkeys(keys["servers"]),
        grants=keys["grants"],
        grant_key=bytes(32),
        catalogue=known,
    )


def document(text: str) -> dict[str, Any]:
    """A YAML document, as callgate reads it."""
    value: dict[str, Any] = DocumentTree("page.yaml", text.encode(), is_json=False).value()
    return value


def milliseconds(time: str) -> float:
    """Milliseconds since 1970 of a time such as `Mon 2 Mar 10:00:00`, UTC."""
    moment = datetime.strptime(f"{YEAR} {time}", "%Y %a %d %b %H:%M:%S").replace(tzinfo=timezone.utc)
    assert time.startswith(f"{moment:%a} "), f"`{time}` is another weekday in {YEAR}"
    return moment.timestamp() * 1000


def amounts(cell: str) -> dict[str, float]:
    """The amounts of a cell such as `calls: 99, spend: 2`."""
    return {name: float(amount) for name, amount in (part.split(": ") for part in cell.split(", ") if part)}


def test_counters_of_recipes_are_shown() -> None:
    """A recipe that limits something shows what is left of it."""
    shown = Counter(recipe.title for recipe in RECIPES for row in recipe.rows if row["left"])
    limited = [r.title for r in RECIPES if any("limits:" in p or "rate_limit" in p for p in r.examples("policy"))]
    assert limited
    assert [title for title in limited if not shown[title]] == []
