"""Files of any contents are converted, or refused with the places of their faults."""

from __future__ import annotations

import json
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callgate.config.document import parse_document
from callgate.config.faults import InvalidConfigError
from callgate.workbench.convert import Align, convert_limitador, convert_ratelimit, text_of
from callgate.workbench.convert.limitador_source import _KEYS as LIMITADOR_KEYS
from callgate.workbench.convert.ratelimit_fields import KEYS as RATELIMIT_KEYS
from support.convert.sources import Convert

RATELIMIT = sorted({key for keys in RATELIMIT_KEYS.values() for key in keys} | {"x", ""})
LIMITADOR = [*LIMITADOR_KEYS, "x", ""]
WORDS = [
    "",
    "*",
    "a*b",
    "minute",
    "yes",
    "007",
    "n",
    "descriptors[0].k",
    "descriptors[0].k == 'v'",
    "\u2028",
    "`",
    "k && l",
]


def values(keys: list[str]) -> st.SearchStrategy[Any]:
    scalars = st.none() | st.booleans() | st.integers(-1, 2**65) | st.floats(0, 9) | st.sampled_from(WORDS)
    return st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=6),
        max_leaves=20,
    )


def sections(keys: list[str]) -> st.SearchStrategy[Any]:
    """Mappings that are more often what they should be."""
    any_value = dict.fromkeys(keys, values(keys))
    limit = st.fixed_dictionaries({}, optional={**any_value, "unit": st.just("day")})
    descriptor = st.fixed_dictionaries(
        {},
        optional={
            **any_value,
            "key": st.sampled_from(["k", "k_v"]),
            "value": st.sampled_from(WORDS),
            "rate_limit": limit,
        },
    )
    return st.fixed_dictionaries({"domain": st.just("d")}, optional={"descriptors": st.lists(descriptor, max_size=4)})


def limits() -> st.SearchStrategy[Any]:
    limit = st.fixed_dictionaries(
        {},
        optional={
            **dict.fromkeys(LIMITADOR, values(LIMITADOR)),
            "namespace": st.sampled_from(["d", "e", ""]),
            "seconds": st.sampled_from([1, 60, 7]),
            "conditions": st.lists(st.sampled_from(WORDS), max_size=2),
            "variables": st.lists(st.sampled_from(WORDS), max_size=2),
        },
    )
    return st.lists(limit, max_size=4)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@given(sections(RATELIMIT) | values(RATELIMIT), st.sampled_from([None, *Align]))
@example({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {"unit": "day"}}]}, None)
def test_ratelimit(suffix: str, content: Any, align: Align | None) -> None:
    check(convert_ratelimit, suffix, json.dumps(content), align)


@pytest.mark.parametrize("suffix", [".yaml", ".json"])
@given(limits() | values(LIMITADOR), st.sampled_from([None, *Align]))
def test_limitador(suffix: str, content: Any, align: Align | None) -> None:
    check(convert_limitador, suffix, json.dumps(content), align)


@given(st.binary(max_size=200))
def test_any_bytes(content: bytes) -> None:
    for converter in (convert_ratelimit, convert_limitador):
        check(converter, ".yaml", content.decode("latin-1"), None)


def check(converter: Convert, suffix: str, text: str, align: Align | None) -> None:
    """Converts a file; everything that is said of it has its place in it."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / f"source{suffix}"
        path.write_text(text, encoding="utf-8")
        places = []
        try:
            conversion = converter([path], align)
        except InvalidConfigError as error:
            places = [(fault.file, fault.line, fault.column) for fault in error.faults]
        else:
            places = [(said.fault.file, said.fault.line, said.fault.column) for said in conversion.said]
            for domain in conversion.domains:
                assert domain.domain
                header = [str(said) for said in conversion.left_out]
                assert parse_document("a.yaml", text_of(domain, None, header).encode()).data == domain.plain()
        longest = max(len(line) for line in text.split("\n"))
        for file, line, column in places:
            assert file == str(path)
            assert 1 <= line <= text.count("\n") + len(text.splitlines()) + 1
            assert 1 <= column <= longest + 1
