"""Poisoned texts of tools: instructions to the model, and text that people do not see."""

from callgate.workbench.classify.poison.hidden import Hidden, hidden_in
from callgate.workbench.classify.poison.instructions import LONGEST, Instruction, instruction_in

__all__ = ["LONGEST", "Hidden", "Instruction", "hidden_in", "instruction_in"]
