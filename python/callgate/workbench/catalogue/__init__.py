"""Catalogues of tools: their file, the facts about each tool, and the corrections of people."""

from callgate.workbench.catalogue.document import parse_catalogue, read_catalogue, write_catalogue
from callgate.workbench.catalogue.tools import (
    AMBIGUOUS,
    CATEGORIES,
    RISK_OF,
    RISKS,
    Attributes,
    Catalogue,
    CatalogueServer,
    Category,
    Correction,
    Risk,
    Tool,
)

__all__ = [
    "AMBIGUOUS",
    "CATEGORIES",
    "RISKS",
    "RISK_OF",
    "Attributes",
    "Catalogue",
    "CatalogueServer",
    "Category",
    "Correction",
    "Risk",
    "Tool",
    "parse_catalogue",
    "read_catalogue",
    "write_catalogue",
]
