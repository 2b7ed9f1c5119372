"""`callgate pin` where lists differ by client."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from callgate._callgate import pins_accept, pins_read, pins_record
from callgate.errors import ConfigError
from support.pins import URL, Place, tool

if TYPE_CHECKING:
    from pathlib import Path

RICH = "2026-07-28+elicitation+sampling"
OLD = "2025-11-25"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A server whose reviewed list is pinned, and what a newer client was shown since."""
    place = Place(tmp_path)
    place.record(tool("a"), tool("b"))
    saved = place.saved(tool("a", "for those that can be asked"), tool("c"), tool("d"))
    lines = place.lines("record", "srv", "--url", URL, "--list", str(saved), "--variant", RICH)
    assert lines[:3] == ["changed a", "new     c", "new     d"]
    return place


def test_it_is_shown_who_was_shown_what(place: Place) -> None:
    rows = place.lines("list", "srv")
    assert [row[:15] for row in rows[:4]] == [
        "changed srv  a ",
        "pinned  srv  b ",
        "new     srv  c ",
        "new     srv  d ",
    ]
    assert [row.endswith(f"  (shown to {RICH})") for row in rows[:4]] == [True, False, True, True]
    assert rows[4:] == [
        f"srv: 3 tools to review for {RICH}: `callgate pin diff srv`, then `callgate pin accept srv --variant {RICH}`"
    ]
    assert place.lines("variants", "srv") == [
        f"srv  {'unknown':<{len(RICH)}}  first list accepted  0 to review",
        f"srv  {RICH}  no first list        3 to review",
    ]
    (row, *_) = json.loads(place.lines("list", "srv", "--json")[0])
    assert row["listed"] == row["listed_forms"][0]
    assert (row["listed"]["variants"], row["accepted"][0]["variants"]) == ([RICH], ["unknown"])
    assert row["first_lists_until"] is None, "a reviewed list ends the time"
    assert json.loads(place.lines("variants", "srv", "--json")[0])[1] == {
        "server": "srv",
        "variant": RICH,
        "first_list_accepted": False,
        "to_review": ["a", "c", "d"],
    }
    lines = place.lines("diff", "srv", "a")
    assert lines[0] == f"a: changed  (shown to {RICH})"
    assert "+   for those that can be asked" in lines
    (form,) = json.loads(place.lines("diff", "srv", "a", "--json")[0])[0]["forms"]
    assert form["variants"] == [RICH]


def test_all_that_one_kind_of_clients_is_shown_is_accepted_at_once(place: Place) -> None:
    assert [line[:11] for line in place.lines("accept", "srv", "--variant", RICH)] == [
        "accepted a ",
        "accepted c ",
        "accepted d ",
    ]
    assert place.states() == dict.fromkeys("abcd", "pinned")
    # The form that others have is as good as before.
    assert place.record(tool("a"), tool("b")) == []
    assert len(place.lines("diff", "srv", "a")) == 3
    assert place.lines("accept", "srv", "--variant", RICH) == ["nothing to accept: all of it is accepted already"]


def test_some_of_it_is_accepted(place: Place) -> None:
    assert place.lines("accept", "srv", "c", "--variant", RICH)[0].startswith("accepted c")
    assert place.states() == {"a": "changed", "b": "pinned", "c": "pinned", "d": "new"}
    folder = place.file.parent
    assert [name for name, _ in pins_accept(folder, "srv", variant=RICH)] == ["a", "d"]


def test_forms_of_two_kinds_wait_side_by_side(place: Place) -> None:
    answer = json.dumps({"tools": [tool("a", "older")]}).encode()
    assert pins_record(place.file.parent, "srv", URL, None, answer, OLD) == [("a", "changed")]
    assert [line.split("shown to ")[-1].rstrip(")") for line in place.lines("list")[:2]] == [RICH, OLD]
    (server,) = pins_read(place.file.parent)
    assert [form["variants"] for form in server["tools"][0]["listed"]] == [[RICH], [OLD]]
    assert server["variants"] == [("unknown", True), (RICH, False), (OLD, False)]
    place.lines("accept", "srv", "--variant", OLD)
    assert place.states()["a"] == "changed"
    place.lines("accept", "srv", "--variant", RICH)
    assert place.states()["a"] == "pinned"


def test_variants_that_are_none_are_refused(place: Place) -> None:
    assert place.refused("accept", "srv", "--variant", OLD) == (
        f"the server `srv` has shown no list to the variant `{OLD}`; it has to `unknown`, `{RICH}`"
    )
    for wrong in ("+", "+roots", "2025-11-25+b+a", "x y"):
        with pytest.raises(ConfigError, match="variant: expected a protocol version and the sorted names"):
            pins_accept(place.file.parent, "srv", variant=wrong)
    assert place.states()["a"] == "changed"


def test_files_of_later_versions_are_refused(place: Place) -> None:
    text = place.file.read_text()
    assert text.startswith('{"version": 2, ')
    place.file.write_text(text.replace('"version": 2', '"version": 3', 1))
    assert place.refused("list").endswith("were written by a later version of callgate; use that one")
