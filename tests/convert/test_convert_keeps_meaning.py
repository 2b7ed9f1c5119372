"""A converted file decides as its source, on files and requests of any kind."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from callgate.config.document import parse_document
from callgate.workbench.convert import Align, Conversion, convert_limitador, convert_ratelimit, text_of
from support.convert.models import (
    Entries,
    LimitadorLimit,
    applied,
    callgate_limit,
    first_hit_windows,
    ratelimit_limit,
    sliding_windows,
)

KEYS = ["a", "b", "user"]
VALUES = ["x", "y", "xy", "xxy", "5"]
PATTERNS = ["", *VALUES, "*", "x*", "xx*", "*y", "x*y"]
UNITS = ["second", "minute", "HOUR", "day", "week", "Month", "year"]


def converted(text: str, convert: Any, align: Align | None = None) -> Conversion:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "source.yaml"
        path.write_text(text, encoding="utf-8")
        conversion = convert([path], align)
        assert isinstance(conversion, Conversion)
        return conversion


def documents_of(conversion: Conversion) -> list[dict[str, Any]]:
    """The documents as they are read from the written files."""
    documents = [
        parse_document("a.yaml", text_of(limits, None, ["a", "header"]).encode()).data for limits in conversion.domains
    ]
    assert [limits.plain() for limits in conversion.domains] == documents
    return documents


@st.composite
def rate_limits(draw: st.DrawFn) -> dict[str, Any]:
    limit: dict[str, Any] = {}
    if name := draw(st.sampled_from(["", "", "n1", "n2"])):
        limit["name"] = name
    if draw(st.integers(0, 3)) == 0:
        limit["replaces"] = [{"name": other} for other in ("n1", "n2", "n3") if other != name][
            : draw(st.integers(1, 2))
        ]
    if draw(st.integers(0, 4)) == 0:
        return {**limit, "unlimited": True}
    return {**limit, "unit": draw(st.sampled_from(UNITS)), "requests_per_unit": draw(st.integers(0, 2**32 - 1))}


@st.composite
def descriptor_lists(draw: st.DrawFn, depth: int = 3) -> list[dict[str, Any]]:
    entries = draw(
        st.lists(st.tuples(st.sampled_from(KEYS), st.sampled_from(PATTERNS)), max_size=5, unique=True)
        if depth
        else st.just([])
    )
    descriptors = []
    for key, value in entries:
        descriptor: dict[str, Any] = {"key": key}
        if value or draw(st.booleans()):
            descriptor["value"] = value
        if draw(st.integers(0, 2)):
            descriptor["rate_limit"] = draw(rate_limits())
        if "*" in value and draw(st.booleans()):
            descriptor["share_threshold"] = True
        for flag in ("shadow_mode", "detailed_metric", "value_to_metric"):
            if draw(st.integers(0, 3)) == 0:
                descriptor[flag] = draw(st.booleans())
        if inner := draw(descriptor_lists(depth - 1)):
            descriptor["descriptors"] = inner
        descriptors.append(descriptor)
    return descriptors


def requests() -> st.SearchStrategy[list[Entries]]:
    # No value that is written like a wildcard: docs/convert.md says what differs for these.
    entry = st.tuples(st.sampled_from(KEYS), st.sampled_from([*VALUES, ""]))
    return st.lists(st.lists(entry, min_size=1, max_size=4), min_size=1, max_size=3)


@given(descriptor_lists(), st.lists(requests(), min_size=1, max_size=8), st.sampled_from([None, *Align]))
def test_ratelimit(descriptors: list[dict[str, Any]], asked: list[list[Entries]], align: Align | None) -> None:
    source = {"domain": "d", "descriptors": descriptors}
    conversion = converted(json.dumps(source), convert_ratelimit, align)
    assert conversion.left_out == []
    (document,) = documents_of(conversion)
    assert document["align"] == (align or Align.CALENDAR).value
    for request in asked:
        there = applied([ratelimit_limit(descriptors, entries) for entries in request])
        here = applied([callgate_limit(document["descriptors"], entries) for entries in request])
        assert here == there


@st.composite
def limitador_limits(draw: st.DrawFn) -> list[LimitadorLimit]:
    limits = []
    for index in range(draw(st.integers(1, 6))):
        keys = draw(st.lists(st.sampled_from(["a", "b.c", "user id"]), min_size=1, max_size=3, unique=True))
        conditions = {key: draw(st.sampled_from(["x", "it's", 'a "b" \\'])) for key in keys if draw(st.booleans())}
        extra = draw(st.lists(st.sampled_from(keys), max_size=1))
        variables = [key for key in keys if key not in conditions] + extra
        limits.append(
            LimitadorLimit(
                name=f"limit {index}",
                max_value=draw(st.integers(0, 100)),
                seconds=draw(st.sampled_from([1, 60, 3600, 86_400, 604_800])),
                conditions=tuple(conditions.items()),
                variables=tuple(dict.fromkeys(variables)),
            )
        )
    return limits


def written(limits: list[LimitadorLimit], spelling: int) -> str:
    """A limits file; an entry and a value may be written in several ways."""

    def entry(key: str) -> str:
        return f"descriptors[0].{key}" if key.isidentifier() and spelling % 2 else f"descriptors[0][{json.dumps(key)}]"

    def equality(key: str, value: str) -> str:
        text = json.dumps(value) if spelling % 3 else "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
        return f"{entry(key)}=={text}" if spelling % 5 else f"( {text}  == {entry(key)} )"

    items = []
    for limit in limits:
        conditions = [equality(key, value) for key, value in limit.conditions]
        items.append(
            {
                "namespace": "d",
                "name": limit.name,
                "max_value": limit.max_value,
                "seconds": limit.seconds,
                "conditions": [" && ".join(conditions)] if conditions and spelling % 7 > 3 else conditions,
                "variables": [entry(key) for key in limit.variables],
            }
        )
    return json.dumps(items)


@given(
    limitador_limits(),
    st.integers(0, 209),
    st.lists(
        st.dictionaries(
            st.sampled_from(["a", "b.c", "user id", "other"]), st.sampled_from(["x", "it's", 'a "b" \\', "z", ""])
        ),
        min_size=1,
        max_size=12,
    ),
    st.sampled_from(Align),
)
def test_limitador(limits: list[LimitadorLimit], spelling: int, asked: list[dict[str, str]], align: Align) -> None:
    conversion = converted(written(limits, spelling), convert_limitador, align)
    (document,) = documents_of(conversion)
    by_name = {limit.name: limit for limit in limits}
    lists: dict[tuple[str, ...], None] = {}
    kept = set(names_of(document["descriptors"], (), lists))
    # Exactly those are missing that would count a descriptor which one before them counts already.
    before: list[LimitadorLimit] = []
    for limit in limits:
        if not any(overlap(limit, other) for other in before):
            before.append(limit)
    assert kept == {limit.name for limit in before}
    for entries in asked:
        there = {(name, by_name[name].count(entries)) for name in kept} - {(name, None) for name in kept}
        sent = [[(key, entries[key]) for key in keys] for keys in lists if all(key in entries for key in keys)]
        found = [callgate_limit(document["descriptors"], descriptor) for descriptor in sent]
        here = {(limit.name, tuple(sorted(limit.count))) for limit in found if limit}
        assert here == there
        for match in filter(None, found):
            assert match.max == by_name[match.name].max_value


def names_of(descriptors: list[dict[str, Any]], keys: tuple[str, ...], lists: dict[tuple[str, ...], None]) -> list[str]:
    """The names of all limits; `lists` gets the keys that lead to each."""
    names = []
    for descriptor in descriptors:
        here = (*keys, descriptor["key"])
        if "rate_limit" in descriptor:
            lists[here] = None
            names.append(descriptor["rate_limit"]["name"])
        names += names_of(descriptor.get("descriptors", []), here, lists)
    return names


def overlap(one: LimitadorLimit, other: LimitadorLimit) -> bool:
    """True if both count a descriptor that has only the entries that they name."""
    mine, theirs = dict(one.conditions), dict(other.conditions)
    same_keys = {*mine, *one.variables} == {*theirs, *other.variables}
    return same_keys and all(mine[key] == theirs[key] for key in mine.keys() & theirs.keys())


TIMES = st.lists(st.integers(0, 60), max_size=30).map(sorted)


@given(TIMES, st.integers(1, 20), st.integers(0, 4))
def test_limitador_would_admit_what_sliding_windows_admit(times: list[int], length: int, most: int) -> None:
    admitted = [time for time, is_in in zip(times, sliding_windows(times, length, most), strict=True) if is_in]
    assert all(first_hit_windows(admitted, length, most))


@given(TIMES, st.integers(1, 20), st.integers(0, 1))
def test_windows_of_at_most_one_are_the_same(times: list[int], length: int, most: int) -> None:
    assert sliding_windows(times, length, most) == first_hit_windows(times, length, most)
