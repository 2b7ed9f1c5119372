"""`callgate pin`."""

from __future__ import annotations

import json
import random
import re
import signal
import subprocess
import sys
import time
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate._callgate import pins_accept, pins_read, pins_record
from callgate.errors import ConfigError, StoreError
from callgate.text import visible
from support.pins import URL, Place, tool
from support.program import ENVIRONMENT, run


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_the_first_list_is_accepted_and_changes_are_reviewed(place: Place) -> None:
    assert place.record(tool("a"), tool("b")) == []
    assert place.record(tool("a"), tool("b")) == []
    assert place.record(tool("a", "evil"), tool("b"), tool("c")) == ["changed a", "new     c"]
    assert place.states() == {"a": "changed", "b": "pinned", "c": "new"}
    assert [line[:12] for line in place.lines("list")] == ["changed srv ", "pinned  srv ", "new     srv "]
    assert place.file.stat().st_mode & 0o777 == 0o600

    assert place.lines("accept", "srv", "a") == [
        f"accepted a  {json.loads(place.lines('list', '--json')[0])[0]['accepted'][0]['digest'][:12]}"
    ]
    assert place.states() == {"a": "pinned", "b": "pinned", "c": "new"}
    assert place.lines("accept", "srv", "--all")[0].startswith("accepted c  ")
    assert place.lines("accept", "srv", "--all") == ["nothing to accept: all of it is accepted already"]
    assert place.record(tool("a"), tool("d")) == ["changed a", "new     d"]
    assert place.lines("reset", "srv") == ["forgotten: the next list of srv is accepted as it is"]
    assert place.lines("list") == []
    assert place.record(tool("a", "evil")) == []


def test_lists_are_recorded_from_files(place: Place) -> None:
    saved = place.saved(tool("a"))
    recorded = "recorded; `callgate pin list` shows what"
    assert place.lines("record", "srv", "--url", URL, "--list", str(saved)) == [recorded]
    saved.write_text(json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"tools": [tool("a", "evil"), tool("b")]}}))
    assert place.lines("record", "srv", "--url", URL, "--list", str(saved)) == [
        "changed a",
        "new     b",
        "recorded; `callgate pin diff` shows what",
    ]
    saved.write_text(json.dumps({"tools": [tool("a")]}))
    words = ["record", "other", "--list", str(saved), "--", "npx", "-y", "server@1"]
    assert place.lines(*words) == [recorded]
    rows = json.loads(place.lines("list", "--json")[0])
    assert [(row["server"], row["tool"], row["state"]) for row in rows] == [
        ("other", "a", "pinned"),
        ("srv", "a", "changed"),
        ("srv", "b", "new"),
    ]
    assert [row["accepted"][0]["endpoint"] for row in rows[:2]] == ["npx -y server@1", URL]


def test_diff_shows_what_changed_and_nothing_else(place: Place) -> None:
    before = tool("a", "Makes an image.\nOf an instance.", annotations={"readOnlyHint": True})
    after = tool("a", "Makes an image.\nOf any instance.\u202e\u200b\x1b[2J", annotations={"readOnlyHint": True})
    after["inputSchema"] = {"type": "object", "maxProperties": 2}
    place.record(before, tool("b"))
    place.record(after, tool("b"), tool("c", "new"))
    lines = place.lines("diff", "srv")
    digests = {line[:11]: line[12:] for line in lines if line[:11] in {"- accepted:", "+ listed:  "}}
    assert lines[: lines.index("c: new")] == [
        "a: changed",
        f"- accepted: {lines[1][12:]}",
        f"+ listed:   {lines[2][12:]}",
        "  description:",
        "    Makes an image.",
        "-   Of an instance.",
        r"+   Of any instance.\u{202e}\u{200b}\u{1b}[2J",
        "  inputSchema:",
        "    {",
        '+     "maxProperties": 2,',
        '      "type": "object"',
        "    }",
    ]
    assert lines[1][12:] != lines[2][12:]
    assert all(len(digest) in {64, 7} for digest in digests.values())
    assert "+   new" in lines[lines.index("c: new") :]
    assert place.lines("diff", "srv", "b") == ["b: pinned", f"  as accepted: {_digest(place, 'b')}"]

    changed, new = json.loads(place.lines("diff", "srv", "--json")[0])
    assert (changed["server"], changed["tool"], changed["state"]) == ("srv", "a", "changed")
    assert changed["accepted"]["definition"] == before
    assert changed["listed"]["definition"] == after
    assert (new["accepted"], new["listed"]["definition"]) == (None, tool("c", "new"))
    assert changed["listed"]["digest"] == lines[2][12:]


def _digest(place: Place, name: str) -> str:
    rows = json.loads(place.lines("list", "srv", "--json")[0])
    return next(str(row["accepted"][-1]["digest"]) for row in rows if row["tool"] == name)


def test_another_endpoint_is_another_tool(place: Place) -> None:
    place.record(tool("a"))
    place.record(tool("a"), url="https://user:secret@elsewhere.example/mcp")
    lines = place.lines("diff", "srv")
    assert lines[3:] == ["  endpoint:", f"-   {URL}", "+   https://elsewhere.example/mcp"]
    place.record(tool("a"), url=f"{URL}?key=secret")
    assert place.lines("diff", "srv")[3:] == ["  endpoint: another query of the same URL"]
    assert "secret" not in place.file.read_text()
    place.record(tool("a"), url=None, command=["npx", "-y", "server@1"])
    assert place.lines("diff", "srv")[3:] == ["  endpoint:", f"-   {URL}", "+   npx -y server@1"]


def test_only_what_was_reviewed_is_accepted(place: Place) -> None:
    place.record(tool("a"))
    place.record(tool("a", "two"))
    reviewed = place.lines("diff", "srv")[2].removeprefix("+ listed:   ")
    place.record(tool("a", "evil"))
    now = place.lines("diff", "srv")[2].removeprefix("+ listed:   ")
    assert place.refused("accept", "srv", "a", "--digest", reviewed[:12]) == (
        f"the digest of `a` is now `{now[:12]}`, not what was given; review it again with `callgate pin diff`"
    )
    place.record(tool("a", "two"))
    assert place.lines("accept", "srv", "a", "--digest", reviewed, "--json") == [
        json.dumps([{"server": "srv", "tool": "a", "digest": reviewed}])
    ]


def test_forms_side_by_side(place: Place) -> None:
    place.record(tool("a"))
    place.record(tool("a", outputSchema={"type": "object"}))
    place.lines("accept", "srv", "a", "--also")
    assert place.record(tool("a")) == []
    assert place.record(tool("a", outputSchema={"type": "object"})) == []
    assert place.record(tool("a", outputSchema={})) == ["changed a"]


def test_a_tool_that_is_listed_twice(place: Place) -> None:
    place.record(tool("a"))
    assert place.record(tool("a"), tool("a", "other")) == ["changed a"]
    assert place.lines("list")[0].endswith("(listed twice, with different definitions)")
    assert place.lines("diff", "srv")[1] == (
        "  the server lists it twice, with different definitions; this is the first of them"
    )
    assert "lists `a` twice with different definitions" in place.refused("accept", "srv", "a")


def test_what_is_refused(place: Place) -> None:
    folder = place.state / "pins"
    for command in (["diff", "srv"], ["accept", "srv", "--all"], ["reset", "srv"]):
        assert place.refused(*command) == f"nothing is pinned of the server `srv` in `{folder}`"
    for command in (["list"], ["list", "srv"]):
        assert place.refused(*command).startswith(f"`{place.state}` is no folder; name the sidecar's state folder")
    assert not place.state.exists(), "to look makes nothing"
    place.state.mkdir()
    assert place.refused("list", "srv") == f"nothing is pinned of the server `srv` in `{folder}`"
    done = run("pin", "list", "--state", place.state)
    assert (done.code, done.out) == (0, "")
    assert done.err.startswith(f"no tools are pinned in `{place.state}`: ")
    assert not folder.exists(), "to look makes nothing"
    place.record(tool("a"))
    assert place.refused("accept", "srv", "b").startswith("the server `srv` has listed no tool `b`")
    saved = place.saved(tool("a"))
    wrong: list[tuple[list[str], str]] = [
        (["accept", "srv"], "expected the tools to accept, --all, or --variant"),
        (["accept", "srv", "a", "--all"], "expected the tools to accept, --all, or --variant"),
        (["accept", "srv", "--all", "--digest", "00"], "expected one tool beside it"),
        (["diff", "srv", "b"], "has listed no tool `b`"),
        (["record", "srv", "--list", str(saved)], "expected --url URL or `-- COMMAND`"),
        (["record", "srv", "--list", str(saved), "--url", "foo"], "expected a URL such as"),
        (["record", "srv", "--list", str(saved), "--url", "https://u:p@a.example/mcp"], "without user, password"),
        (["record", "srv", "--list", str(saved), "--url", URL, "--", "npx"], "expected --url URL or `-- COMMAND`"),
    ]
    for words, expected in wrong:
        done = run("pin", words[0], "--state", place.state, *words[1:])
        assert done.code == 2
        assert expected in " ".join(done.err.replace("│", " ").split()), done.err
    for text, expected in [
        ('{"tools": [], "nextCursor": "2"}', "the list goes on at its `nextCursor`"),
        ("[]", "expected an answer to `tools/list`"),
        ("{", "the answer is not one well-formed JSON-RPC message"),
        (json.dumps({"tools": [tool(f"t{n}") for n in range(5000)]}), "the server `srv` lists more than 4096 tools"),
    ]:
        saved.write_text(text)
        assert place.refused("record", "srv", "--url", URL, "--list", saved).startswith(expected)
    assert "no such file" in place.refused("record", "srv", "--url", URL, "--list", place.folder / "none")
    assert place.states() == {"a": "pinned"}


def test_damage_is_told_and_can_be_reset(place: Place) -> None:
    place.record(tool("a"))
    whole = place.file.read_text()
    place.file.write_text(whole.replace("one", "two"))
    line = place.refused("list")
    assert line.startswith(f"the pins in `{place.file}` are damaged (line 2, column ")
    assert place.refused("accept", "srv", "--all") == line
    with pytest.raises(StoreError, match="are damaged"):
        pins_read(place.file.parent)
    assert place.file.read_text() == whole.replace("one", "two")
    place.lines("reset", "srv")
    assert place.record(tool("a", "three")) == []


def test_what_was_reset_is_as_unknown_as_what_never_was(place: Place) -> None:
    place.record(tool("a"))
    place.lines("reset", "srv")
    assert place.file.exists(), "a sidecar that runs tells it from a file that was lost"
    assert place.file.stat().st_mode & 0o777 == 0o600
    for command in (["diff", "srv"], ["accept", "srv", "--all"], ["reset", "srv"], ["list", "srv"]):
        assert place.refused(*command) == f"nothing is pinned of the server `srv` in `{place.file.parent}`"
    assert place.lines("list") == []
    assert place.record(tool("a", "evil"), tool("b")) == []
    assert place.states() == {"a": "pinned", "b": "pinned"}


def test_a_first_list_without_end_is_told(place: Place) -> None:
    """A server that always sends a `nextCursor` leaves such a list."""
    place.record(tool("a"))
    (row,) = json.loads(place.lines("list", "--json")[0])
    assert (row["whole_list_seen"], row["first_list_unfinished_since"]) == (True, None)

    text = place.file.read_text().replace('"complete": true', '"complete": false')
    place.file.write_text(text)
    assert place.lines("list")[-1] == "srv: no whole list was seen yet, so that no tool is new"
    (row,) = json.loads(place.lines("list", "--json")[0])
    assert (row["whole_list_seen"], row["first_list_unfinished_since"]) == (False, None)

    place.file.write_text(re.sub(r'"listed_at_unix_s": \d+', '"listed_at_unix_s": 1700000000', text))
    assert place.lines("list")[-1] == (
        "srv: its first list has not come to its end since 2023-11-14T22:13:20Z; until then whatever it adds is "
        "pinned; pin a whole list with `callgate pin record`"
    )
    (row,) = json.loads(place.lines("list", "--json")[0])
    assert (row["whole_list_seen"], row["first_list_unfinished_since"]) == (False, "2023-11-14T22:13:20Z")

    assert place.record(tool("a")) == []
    assert len(place.lines("list")) == 1
    assert place.record(tool("a"), tool("b")) == ["new     b"]


def test_the_folder_of_a_configuration(place: Place) -> None:
    config = place.folder / "callgate.yaml"
    config.write_text("state: state\npolicies: {p: p.json}\nservers: {srv: {policy: p}}\n")
    place.record(tool("a"))
    done = run("pin", "list", "--config", config)
    assert done.out.startswith("pinned  srv  a"), done


def test_the_folder_of_the_environment(place: Place) -> None:
    """The option takes precedence over the variable, and that over the configuration, as for `serve` and `wrap`."""
    config = place.folder / "callgate.yaml"
    config.write_text("state: state\npolicies: {p: p.json}\nservers: {srv: {policy: p}}\n")
    none = place.folder / "none.yaml"
    none.write_text("state: none\npolicies: {p: p.json}\nservers: {srv: {policy: p}}\n")
    place.record(tool("a"))
    given: list[tuple[dict[str, str | Path], tuple[str | Path, ...]]] = [
        ({"CALLGATE_STATE": place.state}, ()),
        ({"CALLGATE_STATE": place.state}, ("--config", none)),
        ({"CALLGATE_CONFIG": config}, ()),
        ({"CALLGATE_CONFIG": none, "CALLGATE_STATE": place.state}, ()),
        ({"CALLGATE_CONFIG": none, "CALLGATE_STATE": place.folder}, ("--state", place.state)),
        ({}, ("--config", none, "--state", place.state)),
    ]
    for variables, words in given:
        done = run("pin", "list", *words, variables=variables)
        assert done.out.startswith("pinned  srv  a"), (variables, words, done)


def test_names_reach_the_terminal_as_text(place: Place) -> None:
    name = "a\x1b[31m\n\u202eb"
    place.record(tool("a"))
    saved = place.saved(tool(name))
    lines = place.lines("record", "srv", "--url", URL, "--list", str(saved))
    assert lines[0] == r"new     a\u{1b}[31m\u{a}\u{202e}b"
    assert r"a\u{1b}[31m\u{a}\u{202e}b" in "\n".join(place.lines("list"))
    assert place.lines("accept", "srv", name)[0].startswith(r"accepted a\u{1b}[31m\u{a}\u{202e}b  ")


@given(st.text())
def test_nothing_stays_unseen(text: str) -> None:
    shown = visible(text)
    assert all(unicodedata.category(one) not in {"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"} for one in shown)
    assert visible("\u034f\u17b4\u180b\ufe0f") == r"\u{34f}\u{17b4}\u{180b}\u{fe0f}"
    assert visible("Größe: 5 µm, 東京, 🙂") == "Größe: 5 µm, 東京, 🙂"


def test_two_processes_write_in_turn(place: Place) -> None:
    """One records what a server shows, over and over; the other one accepts meanwhile."""
    folder = place.state / "pins"
    recorder = """
import json, sys
from callgate._callgate import pins_record
for n in range(150):
    tools = [{"name": "a", "description": str(n % 2)}, {"name": f"t{n % 7}"}]
    pins_record(sys.argv[1], "srv", "https://tools.example/mcp", None, json.dumps({"tools": tools}).encode())
"""
    pins_record(folder, "srv", URL, None, b'{"tools": [{"name": "a", "description": "0"}]}')
    with subprocess.Popen([sys.executable, "-c", recorder, folder], env=ENVIRONMENT) as process:
        accepted = 0
        while process.poll() is None:
            accepted += len(pins_accept(folder, "srv"))
        assert process.returncode == 0
    accepted += len(pins_accept(folder, "srv"))
    assert accepted >= 7, "every tool was new once"
    (server,) = pins_read(folder)
    assert {one["tool"] for one in server["tools"]} == {"a", *(f"t{n}" for n in range(7))}
    assert all(one["state"] == "pinned" for one in server["tools"])


def test_a_kill_at_any_moment_leaves_a_whole_file(place: Place) -> None:
    folder = place.state / "pins"
    writer = """
import json, sys
from callgate._callgate import pins_accept, pins_record
n = 0
while True:
    n += 1
    tools = [{"name": f"t{m}", "description": f"{n} " + "x" * 2000} for m in range(40)]
    pins_record(sys.argv[1], "srv", "https://tools.example/mcp", None, json.dumps({"tools": tools}).encode())
    pins_accept(sys.argv[1], "srv")
    print(n, flush=True)
"""
    chance = random.Random(17)
    for _ in range(12):
        with subprocess.Popen(
            [sys.executable, "-c", writer, folder], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline(), "it has begun to write"
            time.sleep(chance.random() * 0.03)
            process.send_signal(signal.SIGKILL)
        assert process.returncode == -signal.SIGKILL
        (server,) = pins_read(folder)
        descriptions = [dict(one["pinned"][-1]["members"])["description"] for one in server["tools"]]
        assert len(descriptions) == 40
        assert len(set(descriptions)) == 1, "all of one moment"
        # The lock of the dead process holds nobody up.
        with pytest.raises(ConfigError, match="has listed no tool"):
            pins_accept(folder, "srv", ["none"])
