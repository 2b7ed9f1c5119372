"""Plain evaluators of the three formats, written only from the documentation of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, TypeAlias

Entries: TypeAlias = "list[tuple[str, str]]"
"""The entries of a request's descriptor."""


@dataclass(frozen=True)
class Found:
    """The limit of a descriptor."""

    max: int | None
    """The maximum; None if it is unlimited."""
    unit: str | None
    name: str
    replaces: tuple[str, ...]
    shadow: bool
    count: tuple[tuple[str, str], ...]
    """The count from which it takes."""


def ratelimit_limit(descriptors: list[dict[str, Any]], entries: Entries) -> Found | None:
    """envoyproxy/ratelimit: keys and values are one text, the exact one before the first wildcard before the key."""
    level, count = descriptors, []
    found: dict[str, Any] | None = None
    for key, value in entries:
        joined = f"{key}_{value}"
        by_text = {_joined(descriptor): descriptor for descriptor in level}
        found, shared = by_text.get(joined), None
        if found is None:
            found = next((item for text, item in by_text.items() if "*" in text and _fits(text, joined)), None)
            shared = found["value"] if found and found.get("share_threshold") else None
        if found is None:
            found = by_text.get(key)
        if found is None:
            return None
        count.append((key, shared or value))
        level = found.get("descriptors") or []
    return _found(found, count)


def callgate_limit(descriptors: list[dict[str, Any]], entries: Entries) -> Found | None:
    """callgate: the same with keys and values apart."""
    level, count = descriptors, []
    found: dict[str, Any] | None = None
    for key, value in entries:
        of_key = [descriptor for descriptor in level if descriptor["key"] == key]
        exact = [item for item in of_key if item.get("value") == value and value and "*" not in value]
        wild = [item for item in of_key if "*" in item.get("value", "") and _fits(item["value"], value)]
        every = [item for item in of_key if not item.get("value")]
        found = next(iter([*exact, *wild, *every]), None)
        if found is None:
            return None
        count.append((key, found["value"] if found.get("share_threshold") else value))
        level = found.get("descriptors", [])
    return _found(found, count)


def applied(limits: list[Found | None]) -> list[Found]:
    """The limits of a request's descriptors, without those that another of them replaces."""
    found = [limit for limit in limits if limit is not None]
    replaced = {name for limit in found for name in limit.replaces}
    return [limit for limit in found if not (limit.name and limit.name in replaced and limit.max is not None)]


@dataclass(frozen=True)
class LimitadorLimit:
    """A limit of limitador whose conditions are equalities."""

    name: str
    max_value: int
    seconds: int
    conditions: tuple[tuple[str, str], ...]
    variables: tuple[str, ...]

    def count(self, entries: dict[str, str]) -> tuple[Any, ...] | None:
        """The count from which a request with one descriptor takes; None if the limit does not apply."""
        if not all(entries.get(key) == value for key, value in self.conditions):
            return None
        if not all(key in entries for key in self.variables):
            return None
        return tuple((key, entries[key]) for key in sorted({*dict(self.conditions), *self.variables}))


def first_hit_windows(times: list[int], length: int, most: int) -> list[bool]:
    """limitador: a window begins with the first hit after the last window."""
    answers, ends, used = [], 0, 0
    for now in times:
        if now >= ends:
            used = 0
        admitted = used < most
        if admitted:
            if used == 0:
                ends = now + length
            used += 1
        answers.append(admitted)
    return answers


def sliding_windows(times: list[int], length: int, most: int) -> list[bool]:
    """callgate: at most `max` units in any interval of the length."""
    answers: list[bool] = []
    log: list[int] = []
    for now in times:
        log = [then for then in log if now - then < length]
        answers.append(len(log) < most)
        if answers[-1]:
            log.append(now)
    return answers


def _joined(descriptor: dict[str, Any]) -> str:
    return f"{descriptor['key']}_{descriptor['value']}" if descriptor.get("value") else str(descriptor["key"])


def _fits(pattern: str, text: str) -> bool:
    return re.fullmatch(".*".join(re.escape(part) for part in pattern.split("*")), text, re.DOTALL) is not None


def _found(descriptor: dict[str, Any] | None, count: Entries) -> Found | None:
    limit = descriptor.get("rate_limit") if descriptor else None
    if descriptor is None or not limit:
        return None
    unlimited = limit.get("unlimited", False)
    return Found(
        max=None if unlimited else limit.get("requests_per_unit", 0),
        unit=None if unlimited else limit["unit"].lower(),
        name=limit.get("name", ""),
        replaces=tuple(entry["name"] for entry in limit.get("replaces", [])),
        shadow=descriptor.get("shadow_mode", False) and not unlimited,
        count=() if unlimited else tuple(count),
    )
