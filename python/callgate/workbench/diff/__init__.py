"""Differences of policies, each with a call that one admits and the other does not.

`compare` searches single calls first, then the terms of approvals, then sequences of calls that use up limits. A call
is shown only after the engine has decided it under both policies. "Same" is proven; where the search was not complete
the comparison says so.
"""

from callgate.workbench.diff.compare import compare
from callgate.workbench.diff.files import compare_files
from callgate.workbench.diff.findings import (
    Answer,
    Comparison,
    Difference,
    Direction,
    Unknown,
    Verdict,
    Witness,
    verdict_of,
)
from callgate.workbench.diff.report import document, text_lines

__all__ = [
    "Answer",
    "Comparison",
    "Difference",
    "Direction",
    "Unknown",
    "Verdict",
    "Witness",
    "compare",
    "compare_files",
    "document",
    "text_lines",
    "verdict_of",
]
