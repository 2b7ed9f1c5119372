"""The server as a process: its exit, its signals, its stderr, and what it leaves behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from support.program import ENVIRONMENT, PROGRAM, refused
from support.stdio.wrapped import ALLOW, PATIENCE_S, PROGRAMS, Talk, call, gone, gone_soon, request, script, wrapping

READY = "import os, sys, time; print(os.getpid(), flush=True);"
SILENT = READY + "[None for line in sys.stdin]"


@pytest.mark.parametrize(
    ("program", "code"),
    [
        ("sys.exit(0)", 0),
        ("sys.exit(7)", 7),
        ("os.kill(os.getpid(), 9)", 137),
        ("os.kill(os.getpid(), 15)", 143),
    ],
)
def test_the_server_s_end_is_ours(tmp_path: Path, program: str, code: int) -> None:
    server = script(f"import os, sys; sys.stderr.write('last words\\n'); sys.stderr.flush(); {program}")
    with Talk(wrapping(tmp_path, server)) as talk:
        assert talk.rest() == []
        assert talk.code() == code
        assert "last words\n" in talk.errors()


def test_what_cannot_be_started_says_so(tmp_path: Path) -> None:
    with Talk(wrapping(tmp_path, ["/nowhere/server"])) as talk:
        assert talk.rest() == []
        assert talk.code() == 127
        assert "callgate: cannot start `/nowhere/server`: no such program" in talk.errors()
    with Talk(wrapping(tmp_path, ["/"])) as talk:
        assert talk.code() == 126


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1])
def test_signals_are_the_server_s(tmp_path: Path, number: signal.Signals) -> None:
    server = script(
        "import signal, sys, time\n"
        f"signal.signal({int(number)}, lambda *_: sys.exit(40 + {int(number)}))\n"
        "print('ready', flush=True)\n"
        "while True: time.sleep(60)"
    )
    with Talk(wrapping(tmp_path, server)) as talk:
        assert talk.line() == b"ready\n"
        talk.process.send_signal(number)
        assert talk.code() == 40 + number


def test_a_signal_that_the_server_dies_of(tmp_path: Path) -> None:
    with Talk(wrapping(tmp_path, script(READY + "time.sleep(600)"))) as talk:
        child = int(talk.line())
        talk.process.send_signal(signal.SIGTERM)
        assert talk.code() == 143
    assert gone([child])


def test_the_end_of_the_input_is_the_server_s(tmp_path: Path) -> None:
    server = script("import sys; print(len(sys.stdin.readlines()), flush=True); sys.exit(4)")
    with Talk(wrapping(tmp_path, server, policy=ALLOW)) as talk:
        talk.send({"jsonrpc": "2.0", "method": "notifications/x"})
        talk.close()
        assert talk.line() == b"1\n"
        assert talk.code() == 4


def test_a_server_that_does_not_end_is_made_to(tmp_path: Path) -> None:
    server = script(
        "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);" + READY + "\nwhile True: time.sleep(60)"
    )
    with Talk(wrapping(tmp_path, server, "--grace", "0.3")) as talk:
        child = int(talk.line())
        talk.close()
        assert talk.code() == 137
    assert gone([child])


def test_answers_are_waited_for_at_the_end(tmp_path: Path) -> None:
    # The answer takes longer than the grace, and the server ends at once after it: the end of an interpreter alone
    # can take a tenth of a second on a busy machine.
    server = script(
        "import json, os, sys, time\n"
        "line = sys.stdin.readline()\n"
        "time.sleep(2.5)\n"
        "print(json.dumps({'jsonrpc': '2.0', 'id': json.loads(line)['id'], 'result': {}}), flush=True)\n"
        "os._exit(0)\n"
    )
    with Talk(wrapping(tmp_path, server, "--grace", "1", policy=ALLOW)) as talk:
        talk.send(call(1, "open"))
        talk.close()
        assert talk.reply() == {"jsonrpc": "2.0", "id": 1, "result": {}}
        assert talk.code() == 0


def test_open_calls_are_answered_when_the_server_is_killed(tmp_path: Path) -> None:
    with Talk(wrapping(tmp_path, script(SILENT), policy=ALLOW)) as talk:
        child = int(talk.line())
        talk.send(*(call(number, "open") for number in range(50)), request("a", "ping"))
        # The last of them has been judged once this one is answered.
        talk.send(call(0, "open"))
        assert "not been answered" in talk.reply()["error"]["message"]
        os.kill(child, signal.SIGKILL)
        replies = [json.loads(line) for line in talk.rest()]
        assert talk.code() == 137
    assert {reply["id"] for reply in replies} == {*range(50), "a"}
    assert {reply["error"]["code"] for reply in replies} == {502}
    assert all("by signal 9" in reply["error"]["message"] for reply in replies)


def test_when_callgate_is_killed_the_server_meets_the_end_of_its_input(tmp_path: Path) -> None:
    with Talk(wrapping(tmp_path, script(SILENT))) as talk:
        child = int(talk.line())
        talk.process.kill()
        assert gone_soon([child])


def test_a_client_that_is_killed_leaves_nobody(tmp_path: Path) -> None:
    # The server reads nothing, so the pipes are full and the end of the input is never met.
    server = script(READY + "time.sleep(600)")
    command = wrapping(tmp_path, server, "--grace", "0.2", policy=ALLOW)
    with subprocess.Popen(
        command, env=ENVIRONMENT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        child = int(process.stdout.readline())
        pipe = process.stdin.fileno()
        os.set_blocking(pipe, False)
        line = json.dumps({"jsonrpc": "2.0", "method": "notifications/x", "params": {"x": "x" * 1000}}).encode() + b"\n"
        while select.select([], [pipe], [], 0.5)[1]:
            with suppress(BlockingIOError):
                os.write(pipe, line * 10)
        # What the kernel does for a client that was killed; the rest of its input is in the pipe.
        process.stdout.close()
        assert process.wait(PATIENCE_S) == 143
    assert gone([child])


def test_what_the_server_has_started_does_not_stay(tmp_path: Path) -> None:
    server = script(
        "import subprocess, sys\n"
        "left = subprocess.Popen(['sleep', '600'])\n"
        "print(left.pid, flush=True)\n"
        "sys.stdin.read()"
    )
    with Talk(wrapping(tmp_path, server)) as talk:
        left = int(talk.line())
        talk.close()
        assert talk.code() == 0
    assert gone_soon([left])


def test_stdout_is_the_client_s_alone(tmp_path: Path) -> None:
    server = script("import sys; sys.stdin.read()")
    with Talk(wrapping(tmp_path, server, "--decision-log", "-", policy=ALLOW)) as talk:
        talk.send(call(1, "open"))
        talk.close()
        replies = talk.rest()
        errors = talk.errors()
    assert [json.loads(line)["id"] for line in replies] == [1]
    assert "callgate: warning: counts are kept in memory" in errors
    logged = [json.loads(line) for line in errors.splitlines() if line.startswith("{")]
    assert [(line["protocol"], line["tool"], line["outcome"]) for line in logged] == [("stdio", "open", "allow")]


def test_a_policy_that_does_not_protect_is_told(tmp_path: Path) -> None:
    server = script("import sys; sys.stdin.read()")
    with Talk(wrapping(tmp_path, server, policy={**ALLOW, "mode": "shadow"})) as talk:
        talk.close()
        errors = talk.errors()
    assert "callgate: warning: " in errors
    assert "the policy is in shadow mode" in errors


def test_secrets_stay_here(tmp_path: Path) -> None:
    server = script("import json, os; print(json.dumps(dict(os.environ)), flush=True)")
    environment = {"CALLGATE_TOKEN": "cgt_x", "CALLGATE_GRANT_TOKEN": "cgt_y", "OTHER": "z"}
    with Talk(wrapping(tmp_path, server), environment) as talk:
        seen = talk.reply()
    assert seen["OTHER"] == "z"
    assert "cgt_" not in json.dumps(seen)


def test_counts_outlive_the_process_where_there_is_a_place_for_them(tmp_path: Path) -> None:
    server = [sys.executable, str(PROGRAMS / "recorder.py"), os.devnull]

    def outcomes(*further: str | Path) -> list[bool]:
        with Talk(wrapping(tmp_path, server, *further)) as talk:
            seen = []
            for number in range(2):
                talk.send(call(number, "capped"))
                seen.append(talk.reply()["result"].get("isError", False))
            talk.close()
            assert talk.code() == 0
            assert ("in memory" in talk.errors()) is not bool(further)
            return seen

    assert outcomes() == outcomes() == [False, False]
    state = ("--state", tmp_path / "state")
    assert outcomes(*state) == [False, False]
    assert outcomes(*state) == [True, True]
    # Whoever says where they are kept needs no warning that they are lost.
    assert outcomes(*state, "--counters", "memory") == [False, False]
    assert outcomes("--counters", "memory") == [False, False]
    store = ("--counters", f"file:{tmp_path / 'counts'}")
    assert outcomes(*store) == [False, False]
    assert outcomes(*store) == [True, True]


def test_the_state_folder_is_for_this_user_alone(tmp_path: Path) -> None:
    server = [sys.executable, str(PROGRAMS / "recorder.py"), os.devnull]
    state = tmp_path / "state"
    before = os.umask(0o002)
    try:
        with Talk(wrapping(tmp_path, server, "--state", state)) as talk:
            talk.send(call(1, "capped"))
            assert "isError" not in talk.reply()["result"]
            talk.close()
            assert talk.code() == 0
    finally:
        os.umask(before)
    folders = [state, *(path for path in state.rglob("*") if path.is_dir())]
    assert [oct(folder.stat().st_mode & 0o777) for folder in folders] == ["0o700"] * len(folders), folders
    assert len(folders) > 2, "the folder, and those of counts and pins"


def test_units_of_calls_that_nobody_read_are_given_back(tmp_path: Path) -> None:
    # It closes its input and lives on.
    server = script("import os, time; os.close(0); print('closed', flush=True); time.sleep(600)")
    state = ("--state", tmp_path / "state")
    with Talk(wrapping(tmp_path, server, *state, "--grace", "0.1")) as talk:
        assert talk.line() == b"closed\n"
        for number in range(3):
            talk.send(call(number, "capped"))
            reply = talk.reply()
            assert (reply["id"], reply["error"]["code"]) == (number, 502)
        talk.close()
        assert talk.code() == 143
    recorder = [sys.executable, str(PROGRAMS / "recorder.py"), os.devnull]
    with Talk(wrapping(tmp_path, recorder, *state)) as talk:
        talk.send(call(1, "capped"))
        assert "isError" not in talk.reply()["result"]


def test_wrong_use(tmp_path: Path) -> None:
    policy = tmp_path / "policy.json"
    policy.write_text(json.dumps(ALLOW))
    assert "COMMAND" in _usage("wrap", "--server", "x", "--policy", str(policy))
    assert "give either --policy or --config" in _usage("wrap", "--server", "x", "--", "true")
    token = _usage("wrap", "--server", "x", "--policy", str(policy), "--grant-token-file", "t", "--", "true")
    assert "no grants are configured" in token
    assert "`--audit` needs a decision log" in refused(
        "wrap", "--server", "x", "--policy", policy, "--audit", "required", "--", "true"
    )


def _usage(*words: str) -> str:
    done = subprocess.run([PROGRAM, *words], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done
    return " ".join(done.stderr.replace("│", " ").split())
