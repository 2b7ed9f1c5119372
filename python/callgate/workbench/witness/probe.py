"""Truth values of atoms on given values, as the engine finds them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from callgate._callgate import Engine
from callgate.workbench.rules.paths import parse_path
from callgate.workbench.witness import truth

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.witness.formulas import Atom

VALUE = parse_path("args.v")
"""The path of a value that is probed alone."""


class Probe:
    """An engine that is asked what atoms are on some arguments."""

    def __init__(self, atoms: Sequence[Atom], groups: Sequence[Sequence[int]]) -> None:
        """Takes atoms in groups; those of one group are asked together."""
        tools: dict[str, Any] = {}
        self._groups: list[list[tuple[str, list[int]]]] = []
        for number, group in enumerate(groups):
            asked = []
            for quantifier, part in (("every", "require"), ("some", "deny_if")):
                chosen = [one for one in group if _is_condition(atoms[one]) and atoms[one].quantifier == quantifier]
                if chosen:
                    name = f"{part}-{number}"
                    tools[name] = {part: [{"conditions": [_condition(atoms[one]) for one in chosen]}]}
                    asked.append((name, chosen))
            for one in group:
                if not _is_condition(atoms[one]):
                    tools[f"limit-{one}"] = {"limits": [_limit(f"probe-{one}", atoms[one])]}
                    asked.append((f"limit-{one}", [one]))
            self._groups.append(asked)
        self._engine = Engine.from_dict({"version": "1", "default": "deny", "name": "probe", "tools": tools})

    def results(self, group: int, arguments: Any) -> dict[int, int] | None:  # noqa: ANN401  JSON
        """The truth value of each atom of a group; None if no call can have these arguments."""
        found: dict[int, int] = {}
        for tool, atoms in self._groups[group]:
            explanation = self._engine.explain(tool=tool, grant="probe", args=arguments)
            if explanation.decision.rule == "(invalid request)":
                return None
            if tool.startswith("limit-"):
                found[atoms[0]] = truth.TRUE if explanation.decision.allowed else truth.FALSE
                continue
            step = next(step for step in explanation.steps if step.conditions)
            for atom, condition in zip(atoms, step.conditions, strict=True):
                found[atom] = truth.BY_WORD[condition.result]
        return found


def moved(atom: Atom) -> Atom:
    """The atom on a value that is probed alone, in place of one that no arguments hold."""
    return replace(atom, path=VALUE)


def _is_condition(atom: Atom) -> bool:
    return atom.op not in ("scope", "cost")


def _condition(atom: Atom) -> dict[str, Any]:
    return {"path": atom.path.text, "op": atom.op, "value": atom.value}


def _limit(counter: str, atom: Atom) -> dict[str, Any]:
    limit: dict[str, Any] = {"counter": counter, "window": "minute"}
    if atom.op == "scope":
        return {**limit, "max": 1, "scope": ["grant", atom.path.text]}
    return {**limit, "max": atom.value, "cost": atom.path.text}
