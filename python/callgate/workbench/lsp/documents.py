"""Documents that an editor has open, as the features of the language server see them."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from callgate._callgate import DocumentTree
from callgate.errors import PolicyError
from callgate.workbench.lsp.kinds import OTHERS, Sort, schema_of, sort_of
from callgate.workbench.lsp.schema import Schema
from callgate.workbench.lsp.tokens import read_tokens

if TYPE_CHECKING:
    from callgate.config.document import KeyPath
    from callgate.workbench.lsp.kinds import Kind
    from callgate.workbench.lsp.words import Token

LARGEST_CHARACTERS: Final = 2 << 20
"""A longer text gets no help while somebody types in it."""


@dataclass(frozen=True)
class OpenDocument:
    """One version of a text."""

    name: str
    """The name of its file, without folders; the suffix ``.json`` makes it JSON."""
    text: str
    folder: str = ""
    """The name of the folder of its file; empty if it has none."""
    kind_before: Kind | None = None
    """The kind of an earlier version in which it was certain."""

    @property
    def is_json(self) -> bool:
        """True for JSON, false for YAML."""
        return self.name.endswith(".json")

    @property
    def is_too_large(self) -> bool:
        """True if nothing is read of it."""
        return len(self.text) > LARGEST_CHARACTERS

    @cached_property
    def tokens(self) -> list[Token]:
        """Its keys and values; none of a text that is too large."""
        return [] if self.is_too_large else read_tokens(self.text)

    @property
    def kind(self) -> Kind | None:
        """Its kind; None if it is no document of callgate's, or too large."""
        return self._sort.kind

    @property
    def is_checked(self) -> bool:
        """True if it is certainly a document of callgate's, so that its faults are faults."""
        return self.kind is not None and self._sort.is_certain

    @cached_property
    def _sort(self) -> Sort:
        if self.is_too_large:
            return OTHERS
        found = sort_of(self.name, self.folder, self.text, self.tokens)
        is_found = found.kind is not None and found.is_certain
        if is_found or self.kind_before is None or self._is_well_formed:
            return found
        # While somebody types, one bracket too many hides the keys that show the kind.
        return Sort(self.kind_before, is_certain=True)

    @property
    def _is_well_formed(self) -> bool:
        try:
            DocumentTree(self.name, self.text.encode("utf-8", "surrogatepass"), is_json=self.is_json)
        except PolicyError:
            return False
        return True

    @cached_property
    def schema(self) -> Schema | None:
        """The schema of its kind."""
        return None if self.kind is None else Schema(schema_of(self.kind))

    @cached_property
    def values(self) -> dict[KeyPath, str]:
        """The text of each value that is neither a mapping nor a list."""
        return {one.path: one.text for one in self.tokens if not one.is_key}

    def keys_in(self, path: KeyPath) -> list[Token]:
        """The keys of the mapping at a path."""
        return [one for one in self.tokens if one.is_key and one.path[:-1] == path]
