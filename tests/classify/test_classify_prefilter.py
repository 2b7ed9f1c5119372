"""The quick look before patterns: whatever a pattern finds has one word or sign of each of its groups."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.workbench.catalogue import Tool
from callgate.workbench.classify.findings import texts_of_tool
from callgate.workbench.classify.poison.foreign import FOREIGN
from callgate.workbench.classify.poison.instructions import RULES
from callgate.workbench.classify.poison.plain import readings
from callgate.workbench.classify.poison.prefilter import Prefilter, needed

CASES: Final = Path(__file__).resolve().parents[1] / "cases" / "classify"
# One for each kind of part that is read.
PATTERNS: Final = [
    re.compile(pattern)
    for pattern in (
        r"\bsend\b",
        r"send(?:ing|s)?\b",
        r"\b(?:read|open) (?:the |a )?files?\b",
        r"(?:a|b|c)(?:d|e)f",
        r"\bkeys?\b.{0,20}\b(?:mail|post)ed\b",
        r"https?://\S+",
        r"[ab]c+d",
        r"(?:x y ){2,3}",
        r"\w+@\w+",
        r"<!--(?:(?!-->).){2,}",
        r"(?=ab)a\w",
        r"(?<=a)b",
        r"忽略.{0,3}指令",
        r"(?:\bone\b|(?:two)?)",
        r"^(?:no|not) \d{2}",
        r"don't (?:ever )?tell",
    )
]
PREFILTER: Final = Prefilter(PATTERNS)


@pytest.mark.parametrize("number", range(len(PATTERNS)), ids=lambda number: PATTERNS[number].pattern)
@given(data=st.data())
def test_nothing_that_a_pattern_finds_is_left_out(number: int, data: st.DataObject) -> None:
    text = data.draw(st.from_regex(PATTERNS[number]).filter(PATTERNS[number].search))
    mask = PREFILTER.masks[number]
    assert PREFILTER.found(text) & mask == mask


def test_most_patterns_need_something() -> None:
    assert frozenset({"^read", "^open"}) in needed(re.compile(r"\b(?:read|open) files?\b"))
    assert needed(re.compile(r".*")) == frozenset()
    assert needed(re.compile(r"send", re.IGNORECASE)) == frozenset()


def test_the_patterns_of_poison_lose_nothing() -> None:
    rules = [rule.pattern for rule in RULES] + [pattern for _, pattern in FOREIGN]
    prefilter = Prefilter(rules)
    assert sum(mask == 0 for mask in prefilter.masks) < len(rules) / 10, "most are tried rarely"
    matches = 0
    for name in ("poisoned.json", "apart_poisoned.json"):
        for row in json.loads((CASES / name).read_text()):
            fields = {key: row[key] for key in ("title", "description", "input_schema") if key in row}
            for _, text in texts_of_tool(Tool(row["tool"], **fields))[0]:
                for _, reading in readings(text):
                    found = prefilter.found(reading)
                    for pattern, mask in zip(rules, prefilter.masks, strict=True):
                        if pattern.search(reading):
                            matches += 1
                            assert found & mask == mask, (pattern.pattern, reading)
    assert matches > 100
