"""The decision cases of `tests/cases`, read so that every number keeps its exact value."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

CASES = Path(__file__).parents[1] / "cases"


@dataclass(frozen=True)
class Call:
    """One call, at `now_ms` milliseconds since 1970."""

    tool: str
    grant: str = "g1"
    args: Any = None
    server: str | None = None
    session: str | None = None
    labels: dict[str, str] | None = None
    now_ms: float = 0
    reserve: bool = False


@dataclass(frozen=True)
class Case:
    """A policy, calls in order, and the required answer to each."""

    name: str
    policy: dict[str, Any]
    catalogue: dict[str, str] | None = None
    freezes: list[dict[str, Any]] = field(default_factory=list)
    """The keywords of `Engine.freeze` for each freeze."""
    calls: list[tuple[Call, dict[str, Any]]] = field(default_factory=list)

    def __str__(self) -> str:
        return self.name


def exactly(text: str | bytes) -> Any:
    """JSON with exact numbers."""
    return json.loads(text, parse_float=Decimal)


def decision_cases() -> list[Case]:
    """Every case of `tests/cases/decisions` in callgate's own format."""
    cases = []
    for path in sorted(CASES.glob("decisions/*.json")):
        for case in exactly(path.read_bytes()):
            if case["format"] == "callgate":
                calls = [(_call(call), call["expect"]) for call in case["calls"]]
                name, freezes = f"{path.stem}: {case['name']}", [_freeze(freeze) for freeze in case.get("freezes", ())]
                cases.append(Case(name, case["policy"], case.get("catalogue"), freezes, calls))
    return cases


def _freeze(freeze: dict[str, Any]) -> dict[str, Any]:
    until = freeze.pop("until", None)
    return freeze if until is None else {**freeze, "until_us": until * 1_000_000}


def _call(call: dict[str, Any]) -> Call:
    known = {"at", "grant", "labels", "session", "tool", "args", "expect"}
    assert set(call) <= known, f"a call has fields that no door is given: {set(call) - known}"
    return Call(
        tool=call["tool"],
        grant=call["grant"],
        args=call["args"],
        session=call.get("session"),
        labels=call.get("labels"),
        now_ms=call["at"] * 1000,
    )
