"""Decisions of logs, decided once more by another policy (docs/replay.md); no tool is called."""

from callgate.workbench.replay.findings import Findings, Group
from callgate.workbench.replay.report import document, text_lines
from callgate.workbench.replay.run import STDIN, Choice, replay

__all__ = ["STDIN", "Choice", "Findings", "Group", "document", "replay", "text_lines"]
