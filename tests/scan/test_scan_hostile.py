"""Servers over pipes that hang, die, never end, or send what nobody should: a scan ends within its bounds."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from callgate.workbench.catalogue import Catalogue
from callgate.workbench.scan.listing import list_servers
from callgate.workbench.scan.merge import merge
from callgate.workbench.scan.stdio import Tail
from callgate.workbench.scan.target import MAX_TOOLS, Bounds, HttpTarget, StdioTarget, Target
from support.scan.hostile import hostile
from support.stdio.wrapped import gone_soon

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Tool
    from callgate.workbench.scan.listing import Listing

BOUNDS = Bounds(seconds=30.0)


def listed(mode: str, *further: str | Path, bounds: Bounds = BOUNDS, **environment: str) -> Listing:
    (listing,) = list_servers([hostile(mode, *further, **environment)], bounds)
    return listing


def tools_and_warnings(mode: str) -> tuple[dict[str, Tool], list[str]]:
    listing = listed(mode)
    assert listing.failure is None
    merged = merge(Catalogue(), [listing], "2026-11-24T10:00:00Z")
    return dict(merged.catalogue.servers["hostile"].tools), list(merged.warnings["hostile"])


@pytest.mark.parametrize(
    ("mode", "reason", "bounds"),
    [
        ("hangs", "no whole list after 2 s", replace(BOUNDS, seconds=2.0)),
        ("endless", "more than 50 pages", replace(BOUNDS, pages=50)),
        ("circle", "the same `nextCursor` came twice", BOUNDS),
        ("many", f"more than {MAX_TOOLS} tools", replace(BOUNDS, message_bytes=32 << 20)),
        ("many", "a message larger than 1 MiB", replace(BOUNDS, message_bytes=1 << 20)),
        ("grows", f"more than {MAX_TOOLS} tools", BOUNDS),
        ("no-end", "a message larger than 1 MiB", replace(BOUNDS, message_bytes=1 << 20)),
        ("floods", "more than 2 MiB", replace(BOUNDS, total_bytes=2 << 20)),
        ("twice", "a key stands twice in one object", BOUNDS),
        ("deep", "no whole list after 4 s", replace(BOUNDS, seconds=4.0)),
        ("no-list", "has no list `tools`", BOUNDS),
        ("cursor", "`nextCursor` of its list is no text", BOUNDS),
        ("error", "error -32000: `no", BOUNDS),
        ("dies", "it ended with exit code 3 before its tools were listed", BOUNDS),
    ],
)
def test_a_bad_server_is_a_failure_with_its_reason(mode: str, reason: str, bounds: Bounds) -> None:
    listing = listed(mode, bounds=bounds)
    assert listing.tools == []
    assert listing.failure is not None
    assert reason in listing.failure
    assert "\x1b" not in listing.failure


def ran(code: str, bounds: Bounds = BOUNDS, **environment: str) -> str:
    """The failure of a server that is this program."""
    (listing,) = list_servers([StdioTarget("srv", (sys.executable, "-c", code), environment)], bounds)
    assert listing.failure is not None
    return listing.failure


@pytest.mark.parametrize(
    ("code", "end"),
    [
        ("raise SystemExit(3)", "ended with exit code 3"),
        ("", "ended with exit code 0"),
        ("import os; os.kill(os.getpid(), 11)", "was ended by SIGSEGV"),
        ("import os; os.kill(os.getpid(), 40)", "was ended by signal 40"),
        ("import os, sys; os.close(1); sys.stdin.read()", "closed its output"),
    ],
)
def test_the_end_of_a_server_is_told(code: str, end: str) -> None:
    assert ran(code) == f"it {end} before its tools were listed"


def test_output_that_is_no_message_is_told() -> None:
    code = "import os; print('\\x1b[31mkey', os.environ['SECRET'], 'x' * 90, '\\n\\n{}\\nbye', end='', flush=True)"
    said = ran(code, SECRET="topsecretvalue")
    assert said.startswith(
        "it ended with exit code 0 before its tools were listed; 3 lines of its output are no JSON-RPC "
    )
    assert said.endswith(f"messages, the first: `[31mkey *** {'x' * 48}...`")
    said = ran("import sys; print('Password: ', end='', flush=True); sys.stdin.read()", replace(BOUNDS, seconds=2.0))
    assert said == "no whole list after 2 s; a line of its output is no JSON-RPC message: `Password:`"


def test_a_secret_in_a_line_too_long_to_keep_is_not_shown() -> None:
    secret = "topsecret-value." * 600
    said = ran("import os; print(os.environ['SECRET'])", SECRET=secret)
    assert said.endswith("; a line of its output is no JSON-RPC message: ``")
    said = ran("import os; print('key', os.environ['SECRET'][:6000], os.environ['SECRET'])", SECRET=secret[:6000])
    assert said.endswith("; a line of its output is no JSON-RPC message: ``")
    said = ran("import os; print('key', os.environ['SECRET'], 'x' * 9000)", SECRET=secret[:6000])
    assert "topsecret" not in said


def test_what_a_dying_server_said_is_shown_without_secrets() -> None:
    os.environ["HIDDEN"] = "of the user"
    try:
        listing = listed("dies", SECRET="topsecretvalue")
    finally:
        del os.environ["HIDDEN"]
    (line,) = listing.stderr
    assert line.startswith("cannot go on: ")
    assert "topsecretvalue" not in line
    assert "\x1b" not in line
    # The program has no variable of this process but the usual ones.
    assert line.endswith("*** unset")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (StdioTarget("s", ("/none/such",)), "`/none/such` cannot be started: no such file"),
        (StdioTarget("s", ("cat",), {}, Path("/none/such")), "in `/none/such`: there is no such folder"),
        (StdioTarget("s", ("cat\ud800",)), "cannot be started"),
        (HttpTarget("s", "http://127.0.0.1:99999/mcp"), "no request can be sent to it"),
        (HttpTarget("s", "http://127.0.0.1:9/mcp", {"x": "\ud800"}), "no request can be sent to it"),
        (HttpTarget("s", "http://127.0.0.1:9/\ud800"), "no request can be sent to it"),
    ],
)
def test_a_server_that_cannot_be_asked(target: Target, reason: str) -> None:
    (listing,) = list_servers([target], BOUNDS)
    assert reason in str(listing.failure)


def test_an_error_message_of_a_server_does_not_repeat_a_secret() -> None:
    listing = listed("error", SECRET="topsecretvalue")
    assert "topsecretvalue" not in str(listing.failure)
    # Also where a long message is cut.
    listing = listed("error", SECRET="topsecretvalue", PADDING="." * 48)
    assert "topsec" not in str(listing.failure)


def test_a_line_of_stderr_that_has_lost_its_beginning_is_not_shown() -> None:
    tail = Tail()
    for chunk in (b"topsecret", b"value" + b"." * 9000 + b"\nlast"):
        tail.add(chunk)
    assert tail.text() == "last"


def test_a_server_that_does_not_end_is_ended_with_what_it_started(tmp_path: Path) -> None:
    listing = listed("stubborn", tmp_path / "pids")
    assert [tool["name"] for tool in listing.tools] == ["fine"]
    pids = [int(word) for word in (tmp_path / "pids").read_text().split()]
    assert len(pids) == 2
    assert gone_soon(pids)


@pytest.mark.parametrize("mode", ["greets", "text-ids", "usual"])
def test_servers_that_other_clients_take_are_listed(mode: str) -> None:
    assert [tool["name"] for tool in listed(mode).tools] == ["fine"]


def test_a_server_that_ignores_what_it_does_not_know_is_listed() -> None:
    listing = listed("silent")
    assert (listing.failure, len(listing.tools)) == (None, 1)


def test_all_pages_are_joined_in_order() -> None:
    seen = list[tuple[int, int]]()
    (listing,) = list_servers([hostile("pages")], BOUNDS, lambda _target, pages, tools: seen.append((pages, tools)))
    assert [tool["name"] for tool in listing.tools] == [f"tool-{number}" for number in range(9)]
    assert (listing.pages, seen) == (3, [(1, 3), (2, 6), (3, 9)])


def test_numbers_are_exact() -> None:
    (tool,) = listed("exact").tools
    assert str(tool["inputSchema"]["maximum"]) == "3.14159265358979323846"
    assert tool["inputSchema"]["minimum"] == 18446744073709551617


def test_a_tool_that_is_listed_twice_is_ambiguous_unless_it_is_the_same() -> None:
    tools, warnings = tools_and_warnings("duplicates")
    assert list(tools) == ["fine", "twin"]
    assert tools["fine"].description == "A fine tool."
    assert (tools["fine"].digest, tools["fine"].extra) == (None, {"x-ambiguous": True})
    assert tools["twin"].digest is not None
    assert tools["twin"].extra == {}
    assert len(warnings) == 2
    assert "different definitions" in warnings[0]


def test_a_long_description_is_cut_and_said() -> None:
    tools, warnings = tools_and_warnings("long")
    assert len(tools["fine"].description) == 16_384
    assert tools["other"].digest is not None
    assert any("10000000 characters; the first 16384 are kept" in warning for warning in warnings)
    # Pinning refuses it as well, so that nothing claims to be its digest.
    assert tools["fine"].digest is None


def test_text_is_kept_as_it_is_and_shown_harmless() -> None:
    tools, _ = tools_and_warnings("escapes")
    (name,) = tools
    assert name == "\x1b[2Jclear\u202e"
    assert tools[name].description.endswith("\x1b]0;owned\x07\u200b")


def test_what_a_catalogue_cannot_hold_is_kept_beside() -> None:
    tools, warnings = tools_and_warnings("broken")
    assert list(tools) == ["no-schema", "bad-type", "elsewhere", "no-annotations", "halves", "fine"]
    kept: dict[str, Any] = {name: dict(tool.extra) for name, tool in tools.items()}
    assert kept["no-schema"] == {"x-input_schema": "object"}
    assert kept["bad-type"] == {"x-input_schema": {"type": 5}}
    assert kept["elsewhere"] == {"x-input_schema": {"$ref": "https://schemas.example/a.json"}}
    assert kept["no-annotations"] == {"x-annotations": [1]}
    assert all(tools[name].input_schema is None for name in ("no-schema", "bad-type", "elsewhere"))
    assert tools["halves"].description == "\N{REPLACEMENT CHARACTER} half"
    assert tools["fine"].input_schema == {"type": "object"}
    text = "\n".join(warnings)
    assert "entry 5 of the list is left out: it has no name" in text
    assert "entry 6 of the list is left out: it is no object" in text
    assert "no reference may leave the document" in text
