"""Lines that no honest client sends, and what becomes of them and of the server."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from support.proxies.hostile import Case, cases
from support.stdio.wrapped import ALLOW, PROGRAMS, Talk, call, request, script, wrapping

HOSTILE = [
    case
    for case in cases()
    # With a line break in it, it is two lines.
    if case.body is not None and b"\n" not in case.body.strip() and not case.headers and not case.is_framed
]

INEXACT_ID = "envelope: id beyond 2^53"
"""A request whose reply some clients would take for that to another one."""

ECHO = """
import sys
for line in sys.stdin.buffer:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
"""


def as_line(case: Case) -> bytes:
    """The case as one line."""
    assert case.body is not None
    return case.body.strip(b"\n") + b"\n"


def recorded(tmp_path: Path, policy: Any = None) -> tuple[list[str], Path]:
    """A wrapped server that keeps what it is sent, and where."""
    kept = tmp_path / "kept"
    command = [sys.executable, str(PROGRAMS / "recorder.py"), str(kept)]
    return wrapping(tmp_path, command, policy=policy or ALLOW), kept


def test_hostile_lines_reach_no_server(tmp_path: Path) -> None:
    command, kept = recorded(tmp_path)
    # Responses are refused over HTTP; over pipes the server may have asked.
    responses = [case for case in HOSTILE if case.expect.get("refused") == "response"]
    refused = [case for case in HOSTILE if "refused" in case.expect and case not in responses]
    blank = [case for case in refused if not as_line(case).strip()]
    answered = [case for case in refused if case not in blank]
    assert len(answered) > 100, "the corpus is not what it was"
    with Talk(command) as talk:
        for case in blank:
            talk.send(as_line(case))
        for case in answered:
            talk.send(as_line(case))
            reply = talk.reply()
            assert "error" in reply, case.name
            decision = reply["error"].get("data", {}).get("callgate/decision", {})
            assert decision.get("rule") == "(invalid request)", case.name
            expected = case.expect.get("id")
            assert reply["id"] == (None if expected is None else json.loads(expected)), case.name
        talk.send(request("last", "ping"))
        assert talk.reply() == {"jsonrpc": "2.0", "id": "last", "result": {}}
        talk.close()
        assert talk.rest() == []
    assert kept.read_bytes() == json.dumps(request("last", "ping")).encode() + b"\n"


def test_what_may_pass_reaches_the_server_byte_for_byte(tmp_path: Path) -> None:
    command, kept = recorded(tmp_path)
    passing = [
        as_line(case) for case in HOSTILE if case.passes and b"\r" not in as_line(case) and case.name != INEXACT_ID
    ]
    denied = [case for case in HOSTILE if "other" in case.expect and not case.passes]
    assert len(passing) > 20
    with Talk(command) as talk:
        for line in passing:
            talk.send(line)
            message = json.loads(line)
            if "id" in message:
                assert talk.reply()["id"] == message["id"]
        for case in denied:
            talk.send(as_line(case))
            if case.expect["other"]["id"] is not None:
                assert talk.reply()["error"]["code"] == 403, case.name
        talk.close()
        assert talk.code() == 0
    assert kept.read_bytes() == b"".join(passing)


def test_an_id_that_some_readers_round_reaches_no_server(tmp_path: Path) -> None:
    command, kept = recorded(tmp_path)
    [inexact] = [case for case in HOSTILE if case.name == INEXACT_ID]
    with Talk(command) as talk:
        for line in (as_line(inexact), b'{"jsonrpc":"2.0","id":-9007199254740992,"method":"tools/list"}\n'):
            talk.send(line)
            reply = talk.reply()
            assert reply["id"] is None
            assert "an integer between" in reply["error"]["message"]
        talk.close()
        assert talk.rest() == []
        assert talk.code() == 0
    assert kept.read_bytes() == b""


def test_a_line_in_a_line_is_no_call(tmp_path: Path) -> None:
    # To a server that takes a carriage return for the end of a line, the second line is a call.
    inner = json.dumps(call(2, "drop")).encode()
    smuggled = b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"x":\r' + inner + b"\r}}\n"
    command, kept = recorded(tmp_path)
    with Talk(command) as talk:
        talk.send(smuggled)
        reply = talk.reply()
        assert (reply["id"], reply["error"]["code"]) == (1, 403)
        assert "carriage return" in reply["error"]["message"]
        # Before the newline it is the end of the line, as some clients write it.
        talk.send(b'{"jsonrpc":"2.0","id":3,"method":"ping"}\r\n')
        assert talk.reply()["id"] == 3
        talk.close()
        assert talk.code() == 0
    assert kept.read_bytes() == b'{"jsonrpc":"2.0","id":3,"method":"ping"}\r\n'


def test_lines_that_are_too_long_or_cut_off(tmp_path: Path) -> None:
    command, kept = recorded(tmp_path)
    with Talk(command) as talk:
        talk.send(b'{"jsonrpc":"2.0","id":"a\\u0062","method":"ping","params":{"x":"' + b"x" * (5 << 20) + b'"}}\n')
        reply = talk.reply()
        assert reply["id"] == "ab"
        assert "more than 4194304 bytes" in reply["error"]["message"]
        talk.send(json.dumps(call(2, "open")).encode())
        talk.close()
        reply = talk.reply()
        assert reply["id"] == 2
        assert "newline" in reply["error"]["message"]
        assert talk.rest() == []
        assert talk.code() == 0
    assert kept.read_bytes() == b""


def test_an_id_is_used_once_at_a_time(tmp_path: Path) -> None:
    silent = script("import sys\nfor line in sys.stdin: pass")
    with Talk(wrapping(tmp_path, silent, policy=ALLOW)) as talk:
        talk.send(call(1, "open"), call("1", "open"), call(1, "open"))
        assert "not been answered yet" in talk.reply()["error"]["message"]
        talk.send(b'{"jsonrpc":"2.0","id":"\\u0031","method":"ping"}\n')
        assert "not been answered yet" in talk.reply()["error"]["message"]
        talk.close()
        ids = [json.loads(line)["id"] for line in talk.rest()]
    assert sorted(map(repr, ids)) == ["'1'", "1"], "the server has ended without an answer"


def test_the_server_may_ask_its_client(tmp_path: Path) -> None:
    with Talk(wrapping(tmp_path, script(ECHO), policy=ALLOW)) as talk:
        for line in (
            b'{"jsonrpc":"2.0","id":5,"result":{"action":"accept"}}\n',
            b'{"id":"x", "error":{"code":1,"message":"no"},"jsonrpc":"2.0"}\r\n',
        ):
            talk.send(line)
            assert talk.line() == line
        talk.send(b'{"jsonrpc":"2.0","id":5,"result":{},"method":"tools/call","params":{"name":"x"}}\n')
        assert talk.reply()["error"]["code"] == -32600


@pytest.mark.parametrize("id_first", [True, False])
def test_a_list_is_cut_whatever_its_id_is_written_like(tmp_path: Path, id_first: bool) -> None:
    server = script(
        """
import sys
tools = '"result":{"tools":[{"name":"open"},{"name":"secret"}]}'
for line in sys.stdin:
    if "list" in line:
        pieces = ['"id":"\\\\u0061"', tools] if sys.argv[1] == "first" else [tools, '"id":"\\\\u0061"']
        print('{"jsonrpc":"2.0",' + ",".join(pieces) + "}", flush=True)
    else:
        print('{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"secret"}]}}', flush=True)
""",
        "first" if id_first else "last",
    )
    with Talk(wrapping(tmp_path, server)) as talk:
        talk.send(call(1, "open"))
        # A result of a call is the server's own to give.
        assert talk.reply()["result"]["tools"] == [{"name": "secret"}]
        talk.send(request("a", "tools/list"))
        assert talk.reply() == {"jsonrpc": "2.0", "id": "a", "result": {"tools": [{"name": "open"}]}}


def test_a_hundred_megabytes_pass_through_little_memory(tmp_path: Path) -> None:
    server = script("""
import sys
for line in sys.stdin:
    out = sys.stdout
    out.write('{"result":{"content":"')
    for _ in range(1600):
        out.write("x" * 65536)
    out.write('"},"jsonrpc":"2.0","id":1}\\n')
    out.flush()
""")
    with Talk(wrapping(tmp_path, server, policy=ALLOW)) as talk:
        talk.send(call(1, "open"))
        reply = talk.reply()
        assert len(reply["result"]["content"]) == 1600 * 65536
        status = Path(f"/proc/{talk.process.pid}/status").read_text()
        peak_kib = int(status.partition("VmHWM:")[2].split()[0])
    # The program itself, with Python and what it imports, takes some 80 MiB.
    assert peak_kib < 160 << 10, "the line was held"
