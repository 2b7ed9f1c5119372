"""Words that strings' operators and patterns of names tell apart."""

from callgate.workbench.witness.words.automaton import Automaton, Length, OneOf, Reader, of_pattern
from callgate.workbench.witness.words.strings import Words, reader_of, words_for
from callgate.workbench.witness.words.walk import Walk, walk

__all__ = ["Automaton", "Length", "OneOf", "Reader", "Walk", "Words", "of_pattern", "reader_of", "walk", "words_for"]
