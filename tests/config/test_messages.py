"""Messages about the configuration have its words alone, none of the libraries that check it."""

from __future__ import annotations

import json
import re
from typing import Any, Final

import pytest

from callgate.config.faults import InvalidConfigError
from callgate.config.load import Option, load
from callgate.config.shape import leaves
from callgate.text import did_you_mean

WRONG: Final[list[Any]] = [
    5, "x y", None, [], {}, [5], ["zzz"], [{"foo": 1}], {"foo": 1}, True, -1, 1.5, "", [None], {"a": 5}, {"a": None},
    {"a": {"b": 1}}, [[1]], [{"header": "a", "metadata": 5}], [{"metadata": {"nam": 1}}], {"": {}}, [{"header": 5}],
]  # fmt: skip
INTERNAL: Final = re.compile(
    r"[Vv]alue error|\w\[[a-zA-Z]|[a-z][A-Z]|[Ii]nput should|instance|dictionary|pydantic|validation|function-|str-enum"
)
OURS: Final = re.compile(r"`[^`]*`|`cgt_|KiB|MiB|GiB|OAuth")


def faults(path: tuple[str, ...], value: object) -> list[str]:
    """The messages about a value at a path; `[]` and `<name>` are steps into lists and mappings."""
    for step in reversed(path[1:]):
        value = [value] if step == "[]" else {"n" if step == "<name>" else step: value}
    try:
        load(None, {(path[0],): Option("--o", json.loads(json.dumps(value)))})
    except InvalidConfigError as error:
        return [fault.message for fault in error.faults]
    return []


@pytest.mark.parametrize("path", [path for path, _ in leaves()], ids=".".join)
def test_no_message_shows_internals(path: tuple[str, ...]) -> None:
    for value in WRONG:
        for message in faults(path, value):
            where = re.search(r"^--o: `([^`]*)`", message)
            assert where is None or where[1] == where[1].lower(), message
            assert not INTERNAL.search(OURS.sub("", message)), message


@pytest.mark.parametrize(
    ("key", "value", "expected"),
    [
        ("identity", ["zzz"], "[0]`: expected `token`, `spiffe`, or one of the keys `header`, `metadata`, got `zzz`"),
        ("identity", [5], "[0]`: expected `token`, `spiffe`, or one of the keys `header`, `metadata`"),
        ("identity", [{"headr": "a"}], "[0]`: unknown key `headr`; did you mean `header`?"),
        ("identity", [{}], "[0]`: expected one of the keys `header`, `metadata`, got 0 of them"),
        ("identity", [{"header": 5}], "[0].header`: expected text, got a number; put it in quotes"),
        ("identity", [], "`: expected at least 1 entry, got 0"),
        ("server", [{"allways": "a"}], "[0]`: unknown key `allways`; did you mean `always`?"),
    ],
)
def test_one_fault_for_one_wrong_source(key: str, value: object, expected: str) -> None:
    assert faults(("proxies", key), value) == [f"--o: `proxies.{key}{expected}"]


def test_keys_below_a_source_have_neighbours() -> None:
    found = faults(("proxies", "identity"), [{"metadata": {"namespac": "a", "path": ["p"]}}])
    assert any("unknown key `namespac`; did you mean `namespace`?" in message for message in found)


def test_a_list_of_known_names_says_how_many_it_leaves_out() -> None:
    known = [f"name-{number:03}" for number in range(100)]
    text = did_you_mean("zzz", known)
    assert text.endswith("`name-039` and 60 more")
    assert did_you_mean("zzz", known[:40]).endswith("`name-039`")
