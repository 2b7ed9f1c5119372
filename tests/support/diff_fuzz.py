"""Verdicts of comparisons beside the engine's decisions about random calls; `python -m support.diff_fuzz` goes on."""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from typing import Any

from callgate import Engine
from callgate.config.faults import InvalidConfigError
from callgate.exact_json import write_json
from callgate.workbench.analyse import Analysis, analyse
from callgate.workbench.diff import Comparison, compare
from callgate.workbench.diff.judges import Rank, rank_of
from callgate.workbench.rules import Policy, parse_policy
from support.random_policies import SERVERS, TOOLS, PolicyMaker

_CALLS = 60
_LONGEST = 25
_NEVER_DECIDES = ("CG101", "CG103")
_NEVER_APPLIES = ("CG111", "CG113")


class RefutedError(AssertionError):
    """The engine's decision about a call contradicts a verdict or a finding."""


@dataclass
class Tried:
    """The number of pairs that were tried."""

    pairs: int = 0
    invalid: int = 0
    same: int = 0
    unknown: int = 0
    findings: int = 0


def parsed(document: dict[str, Any]) -> Policy | None:
    """The policy; None if it is not valid."""
    try:
        return parse_policy("p.json", write_json(document).encode())
    except InvalidConfigError:
        return None


def engine(document: dict[str, Any], category: str | None, risk: str | None) -> Engine:
    """An engine in which all tools have these facts."""
    facts = {name: value for name, value in (("category", category), ("risk", risk)) if value is not None}
    tools = {name: {"input_schema": {}, **facts} for name in TOOLS}
    return Engine.from_config(
        policies={"p": ("p.json", write_json(document).encode())},
        servers=dict.fromkeys(SERVERS, "p"),
        catalogue={"version": "1", "servers": {name: {"tools": tools} for name in SERVERS}},
        approvals=None,
    )


def try_pair(seed: int, tried: Tried) -> None:
    """Tries the pair of a seed.

    Raises:
        RefutedError: A call contradicts what is said of the pair.
    """
    maker = PolicyMaker(seed)
    documents = maker.pair()
    old, new = map(parsed, documents)
    tried.pairs += 1
    if old is None or new is None:
        tried.invalid += 1
        return
    found = compare(old, new)
    tried.same += found.verdict.value == "same"
    tried.unknown += found.verdict.value == "unknown"
    analysis = analyse(old)
    tried.findings += len(analysis.findings)
    for number in range(3):
        facts = maker.facts()
        engines = (engine(documents[0], *facts), engine(documents[1], *facts))
        where = f"seed {seed}, facts {facts}\n{write_json(documents[0])}\n{write_json(documents[1])}"
        for _ in range(_CALLS // 3):
            call = maker.call()
            decisions = [one.explain(**call).decision for one in engines]
            _hold(found, [rank_of(one) for one in decisions], where, call, decisions)
            _hold_findings(old, analysis, decisions[0].rule, where, call)
        _try_sequence(maker, engines, found, f"{where}, sequence {number}")


def _try_sequence(maker: PolicyMaker, engines: tuple[Engine, Engine], found: Comparison, where: str) -> None:
    kinds = [maker.call() for _ in range(2)]
    kinds = [one for one in kinds if all(rank_of(side.explain(**one).decision) == Rank.ALLOWED for side in engines)]
    if not kinds:
        return
    now_ms = max(one["now_ms"] for one in kinds)
    made = []
    for _ in range(_LONGEST):
        now_ms += maker.later_ms()
        call = {**kinds[maker.below(len(kinds))], "now_ms": now_ms}
        if maker.below(4) == 0:
            call["session"] = ("x", "y", None)[maker.below(3)]
        made.append(call)
        decisions = [one.check(**call) for one in engines]
        ranks = [rank_of(one) for one in decisions]
        _hold(found, ranks, where, made, decisions)
        if ranks != [Rank.ALLOWED, Rank.ALLOWED]:
            # The calls after this one depend on what one side alone has admitted.
            return


def _hold(found: Comparison, ranks: list[Rank], where: str, *shown: object) -> None:
    if ranks[0] == ranks[1]:
        return
    direction = "wider" if ranks[1] > ranks[0] else "stricter"
    if direction not in {one.direction for one in found.differences} | set(found.maybe):
        message = f"the verdict is {found.verdict.value}, and this call is {direction}\n{where}\n{shown}"
        raise RefutedError(message)


def _hold_findings(policy: Policy, analysis: Analysis, rule: str, where: str, call: dict[str, Any]) -> None:
    entry = policy.entry_of(call["tool"])
    applied = "" if entry is None else entry.pointer
    pointers = [check.pointer for each in policy.entries() for check in each.checks()]
    for one in analysis.findings:
        code = one.code.code
        # Several checks may have one pointer; then a decision does not say which one it was.
        decides = code in _NEVER_DECIDES and rule == one.rule and pointers.count(rule) == 1
        applies = code in _NEVER_APPLIES and applied == one.rule and rule.startswith(f"{one.rule}/")
        if decides or applies:
            message = f"{code} of `{one.rule}` is refuted\n{where}\n{call}"
            raise RefutedError(message)


def main() -> None:
    """Tries pairs until the time is over, and says how many."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0, help="the first seed; pass that of a failure to see it again")
    given = parser.parse_args()
    end = time.monotonic() + given.seconds
    tried, seed = Tried(), given.seed
    while time.monotonic() < end:
        try_pair(seed, tried)
        seed += 1
    sys.stdout.write(f"{tried}\n")


if __name__ == "__main__":
    main()
