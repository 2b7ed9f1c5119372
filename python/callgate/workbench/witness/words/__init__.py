"""Words that strings' operators and patterns of names tell apart."""

from callgate.workbench.witness.words.automaton import Automaton, Length, Reader, of_pattern
from callgate.workbench.witness.words.strings import Words, words_for
from callgate.workbench.witness.words.walk import Walk, walk

__all__ = ["Automaton", "Length", "Reader", "Walk", "Words", "of_pattern", "walk", "words_for"]
