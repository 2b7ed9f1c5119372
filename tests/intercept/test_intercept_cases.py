"""Policies of Intercept decide as `tests/cases/intercept` says, converted in memory and written out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from callgate import Engine
from callgate.approvals.unanswered import Unanswered
from callgate.config.document import parse_document
from callgate.config.engine_form import engine_form
from callgate.config.intercept.convert import convert
from callgate.workbench.convert import render_policy_json, render_policy_yaml

if TYPE_CHECKING:
    from collections.abc import Callable

CASES = Path(__file__).resolve().parent.parent / "cases" / "intercept"
BEGIN_MS = 1_767_571_200_000
"""2026-01-05T00:00:00Z."""


def _cases() -> list[Any]:
    files = ("operators", "rules", "limits", "approvals")
    cases = [(name, case) for name in files for case in json.loads((CASES / f"{name}.json").read_text())]
    return [pytest.param(case, id=f"{name}: {case['name']}") for name, case in cases]


def _in_memory(policy: dict[str, Any], folder: Path) -> Path:
    form = engine_form("policy.yaml", json.dumps(policy).encode())
    assert form.document is not None
    return _written(folder, form.content.decode())


def _as_yaml(policy: dict[str, Any], folder: Path) -> Path:
    return _written(folder, render_policy_yaml(_converted(policy), ["Made by a test."]))


def _as_json(policy: dict[str, Any], folder: Path) -> Path:
    file = folder / "policy.json"
    file.write_text(render_policy_json(_converted(policy)))
    return file


def _converted(policy: dict[str, Any]) -> dict[str, Any]:
    return convert(parse_document("policy.json", json.dumps(policy).encode())).data


def _written(folder: Path, text: str) -> Path:
    file = folder / "policy.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize("way", [_in_memory, _as_yaml, _as_json])
@pytest.mark.parametrize("case", _cases())
def test_case(case: dict[str, Any], way: Callable[[dict[str, Any], Path], Path], tmp_path: Path) -> None:
    policy = case["policy"]
    # Otherwise the document could be callgate's own as well.
    tools = policy["tools"]
    tools.setdefault("unused", {"rules": []})
    engine = Engine.from_file(way(policy, tmp_path), approvals=Unanswered().queue)
    for number, call in enumerate(case["calls"]):
        decision = engine.check(
            tool=call["tool"],
            grant=call.get("grant", "g"),
            args=call["args"],
            now_ms=BEGIN_MS + 1000 * call.get("at", 0),
        )
        got = {"outcome": decision.outcome.value, "rule": decision.rule}
        wanted = {"outcome": call["outcome"], "rule": call.get("rule", "")}
        for field in ("message", "retry_after_ms"):
            if field in call:
                got[field], wanted[field] = getattr(decision, field), call[field]
        assert got == wanted, f"call {number} of {case['name']}"
