"""The values that Intercept takes as equal, because its `eq` compares texts where one side is no number."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEXT: Final = re.compile(r"-?(0|[1-9][0-9]{0,299})(\.[0-9]{0,299}[1-9])?")
"""A number in decimal notation, without an exponent and without zeros that change nothing."""

_SMALLEST, _LARGEST = Decimal("1e-300"), Decimal("1e300")


def equals(values: Iterable[Any]) -> list[Any]:
    """These values, each number with its text, and each text of a number with the number; none twice.

    Booleans, null, lists and objects have no text: that `true` equals the text `true` in Intercept, and `[a b]` the
    list of `a` and `b`, is not kept.
    """
    found = {(type(one).__name__, write_json(one)): one for value in values for one in (value, *_other_form(value))}
    return list(found.values())


def text_of(number: float) -> str | None:
    """The text of a number in decimal notation; None if it would be very long."""
    exact = Decimal(repr(number))
    if exact == 0:
        return "0"
    if not _SMALLEST < abs(exact) < _LARGEST:
        return None
    text = format(exact, "f")
    return text.rstrip("0").rstrip(".") if "." in text else text


def _other_form(value: Any) -> list[Any]:  # noqa: ANN401  of a document
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        text = text_of(value)
        return [] if text is None else [text]
    if isinstance(value, str) and value != "-0" and _TEXT.fullmatch(value):
        return [Decimal(value) if "." in value else int(value)]
    return []
