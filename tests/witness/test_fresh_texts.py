"""Texts that stand for all values that a policy does not name."""

from __future__ import annotations

from callgate.workbench.witness.fresh import fresh_text, other_text


def test_a_fresh_text_is_no_part_of_a_value() -> None:
    values = ["a", ["CALLGATE-EXAMPLE-1"], {"k": {"callgate-example-2x": 1}}, 3, None]
    fresh = fresh_text(values)
    assert not any(fresh in text for text in ("a", "callgate-example-1", "callgate-example-2x"))


def test_another_text_has_the_length_and_is_not_taken() -> None:
    taken = {"", *"xyz0123456789abcdefghijklmnopqrstuvw", "x" * 100}
    assert other_text(100, taken) not in taken
    assert len(other_text(100, taken)) == 100
    assert len(other_text(1, taken)) == 1
    assert other_text(1, taken) not in taken
