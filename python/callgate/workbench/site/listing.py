"""Lists of tools and servers in pages of bounded length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from callgate.workbench.catalogue import CATEGORIES, RISKS
from callgate.workbench.site.paths import page_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.workbench.catalogue import Category, Risk
    from callgate.workbench.site.facts import ToolFacts

PAGE: Final = 200
"""Entries of one page."""

T = TypeVar("T")
K = TypeVar("K", "Category", "Risk")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list."""

    path: str
    items: Sequence[T]
    number: int
    paths: Sequence[str]
    """The files of all pages."""


@dataclass(frozen=True, slots=True)
class Share(Generic[K]):
    """The tools of one category or risk."""

    key: K | None
    name: str
    path: str
    """The first page of their list."""
    count: int


def pages_of(stem: str, items: Sequence[T]) -> Iterator[Page[T]]:
    """The pages of a list, at least one."""
    starts = range(0, max(len(items), 1), PAGE)
    paths = [page_of(stem, number) for number, _ in enumerate(starts, 1)]
    for number, start in enumerate(starts, 1):
        yield Page(paths[number - 1], items[start : start + PAGE], number, paths)


def by_harm(tools: Sequence[ToolFacts]) -> list[ToolFacts]:
    """The tools with the greatest risk first, and those without one last; else in the order of the catalogue."""
    order: dict[Risk | None, int] = {None: len(RISKS)}
    order.update((risk, number) for number, risk in enumerate(reversed(RISKS)))
    return sorted(tools, key=lambda facts: order[facts.tool.risk])


def categories_of(tools: Sequence[ToolFacts]) -> list[Share[Category]]:
    """The share of each category, those that are missing too."""
    known: list[Category | None] = [*CATEGORIES, None]
    return [
        Share(
            category,
            category or "Not classified",
            f"categories/{(category or 'not-classified').lower()}.html",
            sum(facts.tool.category == category for facts in tools),
        )
        for category in known
    ]


def risks_of(tools: Sequence[ToolFacts]) -> list[Share[Risk]]:
    """The share of each risk, the greatest first."""
    known: list[Risk | None] = [*reversed(RISKS), None]
    return [
        Share(
            risk,
            (risk or "not known").capitalize(),
            f"risks/{risk or 'not-known'}.html",
            sum(facts.tool.risk == risk for facts in tools),
        )
        for risk in known
    ]
