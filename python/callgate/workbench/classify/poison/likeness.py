"""Texts that read like instructions to the model, by the weights of their words.

Patterns know what they were written for. Weights know which words poisoned definitions have and honest ones have not,
three sentences at a time, and so find what nobody has written a pattern for. They are fitted on the tests' own sets by
`make fit-poison`.
"""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from math import log
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate._callgate import SentenceScorer

if TYPE_CHECKING:
    from collections.abc import Iterable

WEIGHTS: Final = Path(__file__).with_name("weights.json")
BAR: Final = -0.35
"""The score above which a text of usual length is reported: one definition of a hundred of real servers has it."""
_USUAL: Final = 300
"""Characters of a text of usual length."""
_RISE: Final = 1.0
"""By how much the bar is higher for a text that is 2.7 times as long: the more sentences, the odder the oddest one."""


def instruction_like(reading: str) -> str:
    """The three sentences of a text that read most like an instruction to the model; empty if none does.

    Args:
        reading: A text of one line in lower case, without disguise.
    """
    found = _scorer().highest(reading)
    return found[1] if found is not None and likeness(found[0], reading) > BAR else ""


def likeness(score: float, reading: str) -> float:
    """The highest score of a text, less what its length makes likely."""
    return score - _RISE * log(max(1.0, len(reading) / _USUAL))


def digest_of(files: Iterable[Path]) -> str:
    """Identifies the sets that weights are fitted on."""
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


@lru_cache(maxsize=1)
def _scorer() -> SentenceScorer:
    document = json.loads(WEIGHTS.read_text(encoding="utf-8"))
    return SentenceScorer(document["bias"], list(document["weights"].items()))
