"""Analysis of policies: rules without effect, contradictions, leaks, and tools that no rule names.

A finding that something "never" happens is proven over all calls. A finding that something happens has calls as its
witness, which the engine has decided. About everything else the analysis says that it does not know.
"""

from callgate.workbench.analyse.analysis import Analysis, analyse
from callgate.workbench.analyse.codes import CODES, Code
from callgate.workbench.analyse.findings import Finding, Fix, Witness, WitnessCall
from callgate.workbench.analyse.fix import Repair, repair

__all__ = ["CODES", "Analysis", "Code", "Finding", "Fix", "Repair", "Witness", "WitnessCall", "analyse", "repair"]
