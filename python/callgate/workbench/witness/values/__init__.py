"""Values that the conditions on one place of a call tell apart."""

from callgate.workbench.witness.values.leaves import Values, leaf_values
from callgate.workbench.witness.values.lists import lists_of, ordered_lists_of

__all__ = ["Values", "leaf_values", "lists_of", "ordered_lists_of"]
