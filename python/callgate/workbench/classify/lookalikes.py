"""Names of tools that people take for others: by case, by letters that look alike, by invisible characters."""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from typing import TYPE_CHECKING, Final

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


def lookalikes(names: Sequence[tuple[str, str]]) -> Mapping[tuple[str, str], list[tuple[str, str]]]:
    """For each server and tool the others whose name is another one and looks alike."""
    groups: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for place in names:
        groups[skeleton(place[1])].append(place)
    return {
        place: others
        for group in groups.values()
        if len({name for _, name in group}) > 1
        for place in group
        if (others := [other for other in group if other[1] != place[1] and _deceives(place[1], other[1])])
    }


def _deceives(name: str, other: str) -> bool:
    """False for names that differ by their separators alone, as servers' styles do."""
    return name.replace("-", "_").replace(".", "_") != other.replace("-", "_").replace(".", "_")


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
