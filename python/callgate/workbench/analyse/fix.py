"""Edits that remove what has no effect, and keep every decision."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench.analyse.analysis import analyse
from callgate.workbench.analyse.samples import differing, sample_calls
from callgate.workbench.edit import remove_item, remove_member
from callgate.workbench.layout import UneditableError
from callgate.workbench.rules import parse_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from callgate.config.document import Document
    from callgate.workbench.analyse.findings import Finding, Fix
    from callgate.workbench.catalogue import Catalogue
    from callgate.workbench.rules import Policy

_MOST_ROUNDS: Final = 20


@dataclass(frozen=True)
class Repair:
    """The result of repairs."""

    policy: Policy
    """The policy after all of them."""
    mended: tuple[Finding, ...]
    left: tuple[tuple[Finding, str], ...]
    """Findings with a certain remedy that were not mended, each with the reason."""


def repair(
    policy: Policy,
    servers: tuple[str, ...] = ("srv",),
    catalogue: Catalogue | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> Repair:
    """Removes what never has an effect; every other byte stays as it is.

    Each edit is read again, and decisions about sampled calls are compared. An edit that changes one is not made.
    """
    mended: list[Finding] = []
    left: dict[Hashable, tuple[Finding, str]] = {}
    for _ in range(_MOST_ROUNDS):
        found = [
            one
            for one in analyse(policy, servers, catalogue, clock).findings
            if one.fix is not None and _identity(one) not in left
        ]
        if not found:
            break
        calls = sample_calls(policy, servers, catalogue)
        changed = False
        lists: set[Hashable] = set()
        for one in sorted(found, key=lambda one: _order(one.fix), reverse=True):
            if one.fix is None or one.fix.at[:-1] in lists:
                continue
            try:
                after = parse_policy(policy.document.file, _edited(policy.document, one.fix).content)
            except (UneditableError, ConfigError) as error:
                left[_identity(one)] = (one, str(error))
                continue
            if (tool := differing(policy, after, calls)) is not None:
                left[_identity(one)] = (one, f"a decision about {quoted(tool)} would change")
                continue
            policy = after
            mended.append(one)
            changed = True
            if "when" in one.fix.at:
                # What is left in this list is looked at again: the last check may not go.
                lists.add(one.fix.at[:-1])
        if not changed and not lists:
            break
    return Repair(policy, tuple(mended), tuple(left.values()))


def _identity(one: Finding) -> Hashable:
    return one.code.code, one.rule, one.message


def _order(fix: Fix | None) -> tuple[tuple[int, int, str], ...]:
    """Later items of a list first, so that the places of earlier ones stay."""
    return tuple((1, step, "") if isinstance(step, int) else (0, 0, step) for step in (fix.at if fix else ()))


def _edited(document: Document, fix: Fix) -> Document:
    if fix.fields:
        for name in fix.fields:
            document = remove_member(document, (*fix.at, name))
        return document
    if isinstance(fix.at[-1], int):
        return remove_item(document, fix.at)
    return remove_member(document, fix.at)
