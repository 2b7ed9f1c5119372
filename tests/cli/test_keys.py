"""Keys of a terminal, read from its bytes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.cli.inbox import View
from callgate.cli.keys import Key, KeyReader
from support.inbox import inbox, press


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b"jk", ["j", "k"]),
        (b"\x1b[A\x1b[B\x1bOA\x1b[5~\x1b[6~\x1b[H\x1b[F", ["up", "down", "up", "page_up", "page_down", "home", "end"]),
        (b"\r\n\x7f\x15", ["enter", "enter", "backspace", "clear"]),
        (b"\x1b[1;5A\x1b[24~\x1ba\x00\x1d", []),
        ("é東".encode(), ["é", "東"]),
        (b"\xff", ["\N{REPLACEMENT CHARACTER}"]),
        (b"a\x1b[200~yy\ny\x1b[201~b", ["a", "paste", "b"]),
    ],
)
def test_keys_of_bytes(content: bytes, names: list[str]) -> None:
    assert [key.name for key in KeyReader().feed(content)] == names
    # In one part or in many.
    reader = KeyReader()
    assert [key.name for one in content for key in reader.feed(bytes([one]))] == names
    assert not reader.is_within_sequence


def test_escape_alone() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b") == []
    assert reader.is_within_sequence
    assert reader.flush() == [Key("escape")]
    assert reader.feed(b"\x1b[") == reader.flush() == reader.flush() == []
    assert reader.feed(b"a") == [Key("a", "a")]


def test_what_is_pasted_is_no_key() -> None:
    reader = KeyReader()
    assert reader.feed(b"\x1b[200~ay") == []
    assert reader.flush() == []
    assert reader.feed(b"\x1b[201~") == [Key("paste", "ay")]
    one = inbox()
    assert press(one, "a") is None
    assert one.press(Key("paste", "y")) is None
    assert one.view is View.CONFIRM
    assert [key.name for key in reader.feed(b"\x1b[200~" + b"y" * 70_000)] == ["paste"]


@given(st.binary())
def test_any_bytes(content: bytes) -> None:
    reader = KeyReader()
    for key in [*reader.feed(content), *reader.flush()]:
        assert key.name
