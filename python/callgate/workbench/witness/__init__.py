"""Calls that meet demands on conditions: proposals that the engine then judges.

`CallMaker.find` is the way in. What it says is "complete" is proven: the conditions on each place of a call are turned
into the finitely many values that they tell apart, and all combinations of these are searched.
"""

from callgate.workbench.witness import truth
from callgate.workbench.witness.absent import ABSENT
from callgate.workbench.witness.budget import Budget, ExhaustedError
from callgate.workbench.witness.calls import Call
from callgate.workbench.witness.canonical import Canonical, canonical
from callgate.workbench.witness.formulas import ALWAYS, Atom, Demand, Formula, Junction, Vocabulary
from callgate.workbench.witness.search import CallMaker, Conclusion

__all__ = [
    "ABSENT",
    "ALWAYS",
    "Atom",
    "Budget",
    "Call",
    "CallMaker",
    "Canonical",
    "Conclusion",
    "Demand",
    "ExhaustedError",
    "Formula",
    "Junction",
    "Vocabulary",
    "canonical",
    "truth",
]
