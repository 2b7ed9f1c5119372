"""Texts that no condition holds: they stand for all values that a policy does not name."""

from __future__ import annotations

from itertools import count, product
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator

_EXAMPLE: Final = "callgate-example"
_LETTERS: Final = "xyz0123456789abcdefghijklmnopqrstuvw"


def fresh_text(values: Iterable[Any]) -> str:
    """A text that stands in none of these JSON values, not even as a part of a longer one.

    A policy may hold any fixed text, by chance or so that a comparison overlooks something.
    """
    known = [text.lower() for value in values for text in _texts(value)]
    candidates = (_EXAMPLE if number == 1 else f"{_EXAMPLE}-{number}" for number in count(1))
    return next(one for one in candidates if not any(one in text for text in known))


def other_text(length: int, taken: Collection[str]) -> str:
    """A text of so many characters that is none of those taken; the empty one has no other beside it."""
    varied = min(length, 5)
    for beginning in product(_LETTERS, repeat=varied):
        made = "".join(beginning).ljust(length, "x")
        if made not in taken:
            return made
    return "\N{GREEK SMALL LETTER OMEGA}" * length


def _texts(value: Any) -> Iterator[str]:  # noqa: ANN401  JSON
    match value:
        case str():
            yield value
        case list():
            for one in value:
                yield from _texts(one)
        case dict():
            for key, one in value.items():
                yield key
                yield from _texts(one)
