"""Names of tools that people take for others: by case, by letters that look alike, by invisible characters."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.text import is_unseen
from callgate.workbench.classify.poison.plain import look

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ALIKE: Final = str.maketrans({"0": "o", "1": "l", "i": "l", "|": "l", "5": "s", "-": "_", ".": "_"})
_PAIRS: Final = (("rn", "m"), ("vv", "w"), ("cl", "d"))


def skeleton(name: str) -> str:
    """A form that is equal for names that look alike."""
    folded = look(unicodedata.normalize("NFKC", name)).casefold().translate(_ALIKE)
    for pair, one in _PAIRS:
        folded = folded.replace(pair, one)
    return folded


class Alike(NamedTuple):
    """Other names that one name is taken for."""

    server: str
    """Of the first of them."""
    tool: str
    more: int
    """The number of the others."""


def lookalikes(names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], Alike]:
    """For each server and tool the others whose name is another one and looks alike.

    Names that differ by their separators alone are no others: servers have styles.
    """
    groups: dict[str, dict[str, list[tuple[str, str]]]] = defaultdict(lambda: defaultdict(list))
    for place in names:
        groups[skeleton(place[1])][_one_style(place[1])].append(place)
    found = {}
    for forms in groups.values():
        if len(forms) == 1:
            continue
        first, second = (places[0] for places in islice(forms.values(), 2))
        count = sum(map(len, forms.values()))
        for places in forms.values():
            other = second if places[0] is first else first
            more = count - len(places) - 1
            found.update(dict.fromkeys(places, Alike(*other, more)))
    return found


def _one_style(name: str) -> str:
    return name.replace("-", "_").replace(".", "_")


def disguised(name: str) -> str | None:
    """The reason why a name deceives by itself; None if it does not."""
    if name.isascii():
        return None if name.isprintable() else "has control characters"
    if any(is_unseen(character) for character in name):
        return "has invisible characters"
    scripts = {_script(character) for character in name if character.isalpha()}
    if "LATIN" in scripts and scripts & {"CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE"}:
        return "mixes letters of several alphabets that look alike"
    if scripts <= {"CYRILLIC", "GREEK"} and look_only(name):
        return "has letters of another alphabet that look like Latin ones"
    return None


def look_only(name: str) -> bool:
    """True if every letter of another alphabet has a Latin one that looks the same."""
    latin = look("a" + name)[1:]
    return latin.isascii()


def _script(character: str) -> str:
    return unicodedata.name(character, "").split(" ", 1)[0]
