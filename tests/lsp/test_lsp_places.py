"""Positions of the protocol, in the units of each encoding."""

from __future__ import annotations

import string
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lsprotocol.types import Position, PositionEncodingKind

from callgate.workbench.lsp.places import Places

BYTES = {
    PositionEncodingKind.Utf8: ("utf-8", 1),
    PositionEncodingKind.Utf16: ("utf-16-le", 2),
    PositionEncodingKind.Utf32: ("utf-32-le", 4),
}
"""The codec of an encoding, and the bytes of a unit."""
TEXTS = st.text(st.sampled_from([*string.ascii_letters, *"\r\n\t:ä€\ufeff😀🦀"]), max_size=30)
ENCODINGS = st.sampled_from(list(PositionEncodingKind))


def units(text: str, encoding: PositionEncodingKind) -> int:
    codec, size = BYTES[encoding]
    return len(text.encode(codec)) // size


@given(TEXTS, ENCODINGS)
def test_a_position_counts_the_units_before_it_on_its_line(text: str, encoding: PositionEncodingKind) -> None:
    places = Places(text, encoding)
    for offset in range(len(text) + 1):
        found = places.position(offset)
        before = text[:offset].replace("\r\n", "\n").replace("\r", "\n")
        if text[offset - 1 : offset + 1] != "\r\n":
            assert found.line == before.count("\n")
            assert found.character == units(before.rpartition("\n")[2], encoding)
            if text[offset - 1 : offset] not in {"\r", "\n"}:
                assert places.offset(found) == offset


@given(TEXTS.filter(lambda text: "\r" not in text), ENCODINGS)
def test_a_position_within_a_character_is_after_it(text: str, encoding: PositionEncodingKind) -> None:
    places = Places(text, encoding)
    for start, end in pairwise(range(len(text) + 1)):
        first, last = places.position(start), places.position(end)
        if first.line == last.line:
            for character in range(first.character + 1, last.character + 1):
                assert places.offset(Position(first.line, character)) == end


def test_a_position_that_the_text_has_not_is_the_nearest() -> None:
    places = Places("ab\r\n😀\n")
    assert places.offset(Position(0, 99)) == 2
    assert places.offset(Position(1, 99)) == 5
    assert places.offset(Position(2, 99)) == places.offset(Position(99, 0)) == 6


@pytest.mark.parametrize("encoding", PositionEncodingKind)
def test_a_long_line_is_not_read_for_each_of_its_places(encoding: PositionEncodingKind) -> None:
    read: list[int] = []

    class Text(str):
        __slots__ = ()

        def __getitem__(self, part: object) -> str:
            found = super().__getitem__(part)  # type: ignore[index]  # as str takes it
            read.append(len(found))
            return found

    text = Text("a😀" * 1_000)
    places = Places(text, encoding)
    assert places.position(2_000) == Position(0, units(text, encoding))
    for offset in range(len(text)):
        places.position(offset)
    assert sum(read) <= len(text)
