"""The quick look before patterns: whatever a pattern finds is one of the candidates."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate._callgate import TextPatterns
from callgate.workbench.catalogue import Tool
from callgate.workbench.classify.findings import texts_of_tool
from callgate.workbench.classify.poison.foreign import FOREIGN
from callgate.workbench.classify.poison.instructions import RULES
from callgate.workbench.classify.poison.plain import readings

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
# Older than the tables of both languages.
CHARACTERS: Final = st.characters(max_codepoint=0x9FFF, exclude_categories=("Cs", "Cn"))
QUICK: Final = TextPatterns([pattern.pattern for pattern in PATTERNS])


@pytest.mark.parametrize("number", range(len(PATTERNS)), ids=lambda number: PATTERNS[number].pattern)
@given(data=st.data())
def test_nothing_that_a_pattern_finds_is_left_out(number: int, data: st.DataObject) -> None:
    drawn = data.draw(st.from_regex(PATTERNS[number], alphabet=CHARACTERS))
    # A text of one line, as patterns get it.
    text = re.sub(r"\s+", " ", drawn)
    if PATTERNS[number].search(text):
        assert number in QUICK.candidates(text)


def test_a_pattern_of_another_syntax_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^pattern 1: [\s\S]*backreferences are not supported"):
        TextPatterns(["a", r"(a)\1"])


def test_the_patterns_of_poison_lose_nothing() -> None:
    patterns = [rule.pattern for rule in RULES] + [pattern for _, pattern in FOREIGN]
    quick = TextPatterns([pattern.pattern for pattern in patterns])
    matches = candidates = 0
    for name in ("poisoned.json", "apart_poisoned.json", "apart_harmless.json"):
        for row in json.loads((CASES / name).read_text()):
            fields = {key: row[key] for key in ("title", "description", "input_schema") if key in row}
            for _, text in texts_of_tool(Tool(row["tool"], **fields))[0]:
                for _, reading in readings(text):
                    numbers = {number for number, one in enumerate(patterns) if one.search(reading)}
                    found = set(quick.candidates(reading))
                    assert numbers <= found
                    matches += len(numbers)
                    candidates += len(found)
    assert matches > 100
    assert candidates < 4 * matches, "few are tried in vain"
