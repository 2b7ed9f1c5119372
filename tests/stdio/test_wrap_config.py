"""A wrapped server by a configuration: grants, tokens, methods, decision log."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from callgate import hash_token
from support.program import ENVIRONMENT, PROGRAM, refused
from support.proxies.envoy import ROOT
from support.stdio.wrapped import POLICY, PROGRAMS, Talk, call, request

KEY = bytes(range(32))


def configuration(folder: Path, *, grants: bool) -> Path:
    """A configuration with the server `srv`."""
    (folder / "policy.json").write_text(json.dumps(POLICY))
    (folder / "grant.key").write_text(KEY.hex())
    (folder / "grant.key").chmod(0o600)
    path = folder / "callgate.json"
    document = {
        "servers": {"srv": {"policy": "example"}, "other": {}},
        "policies": {"example": "policy.json"},
        "grant_key_file": "grant.key",
        "gateway": {"methods": {"allow": ["vendor/*"], "deny": ["resources/*"]}},
        "audit": {"path": "decisions.jsonl"},
    }
    if grants:
        document["grants"] = [
            {"id": "alice", "server": "srv", "policy": "example", "token_hash": hash_token(KEY, "cgt_alice")},
            {"id": "bob", "server": "other", "policy": "example", "token_hash": hash_token(KEY, "cgt_bob")},
        ]
    path.write_text(json.dumps(document))
    return path


def wrapping(config: Path, *further: str | Path, server: str = "srv") -> list[str]:
    """The command that wraps a server that answers everything."""
    words = ["wrap", "--server", server, "--config", config, *further, "--", sys.executable, PROGRAMS / "recorder.py"]
    return [str(word) for word in (PROGRAM, *words, os.devnull)]


def test_the_token_says_who_calls(tmp_path: Path) -> None:
    config = configuration(tmp_path, grants=True)
    token = tmp_path / "token"
    token.write_text("cgt_alice\n")
    with Talk(wrapping(config, "--grant-token-file", token)) as talk:
        talk.send(call(1, "open"), call(2, "small", n=11), request(3, "resources/list"), request(4, "vendor/x"))
        replies = [talk.reply() for _ in range(4)]
        talk.close()
        assert talk.code() == 0
    by_id = {reply["id"]: reply for reply in replies}
    assert by_id[1]["result"] == {}
    assert by_id[2]["result"]["content"][0]["text"] == "too many"
    assert by_id[3]["error"]["code"] == 403
    assert by_id[4]["result"] == {}
    # Beside the file that `serve` writes to.
    assert not (tmp_path / "decisions.jsonl").exists()
    [log] = tmp_path.glob("decisions.jsonl.srv.*")
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [(line["protocol"], line["grant"], line["server"]) for line in lines] == [("stdio", "alice", "srv")] * 3
    assert "cgt_" not in log.read_text()


def test_each_wrap_has_a_decision_log_of_its_own(tmp_path: Path) -> None:
    config = configuration(tmp_path, grants=False)
    own = tmp_path / "own.jsonl"
    with Talk(wrapping(config, "--grant", "a")) as first, Talk(wrapping(config, "--grant", "b")) as second:
        for talk in (first, second):
            talk.send(call(1, "open"))
            talk.reply()
        with Talk(wrapping(config, "--grant", "c", "--decision-log", own)) as told:
            told.send(call(1, "open"))
            told.reply()
            error = refused(*wrapping(config, "--grant", "d", "--decision-log", own)[1:])
            assert "another callgate writes to it" in error
            told.close()
            assert told.code() == 0
        for talk in (first, second):
            talk.close()
            assert talk.code() == 0
    logs = sorted(tmp_path.glob("decisions.jsonl.srv.*"))
    grants = {json.loads(line)["grant"] for log in logs for line in log.read_text().splitlines()}
    assert (len(logs), grants) == (2, {"a", "b"})
    assert [json.loads(line)["grant"] for line in own.read_text().splitlines()] == ["c"]


def test_the_decision_log_names_the_span_in_meta(tmp_path: Path) -> None:
    cases = json.loads((ROOT / "tests" / "cases" / "traceparents.json").read_text(encoding="utf-8"))
    config = configuration(tmp_path, grants=False)
    log = tmp_path / "own.jsonl"
    with Talk(wrapping(config, "--grant", "a", "--decision-log", log)) as talk:
        for number, case in enumerate(cases):
            message = call(number, case["name"])
            message["params"]["_meta"] = {"traceparent": case["traceparent"]}
            talk.send(message)
            talk.reply()
        talk.close()
        assert talk.code() == 0
    lines = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]
    spans = {case["name"]: case["traceparent"] if case["is_valid"] else None for case in cases}
    assert {line["tool"]: line.get("traceparent") for line in lines} == spans


def test_the_environment_may_hold_the_token(tmp_path: Path) -> None:
    config = configuration(tmp_path, grants=True)
    for token, rule in [("cgt_bob", "(unknown grant)"), ("cgt_nobody", "(unknown grant)")]:
        with Talk(wrapping(config), {"CALLGATE_GRANT_TOKEN": token}) as talk:
            talk.send(call(1, "open"), request(2, "tools/list"))
            first, second = talk.reply(), talk.reply()
        assert first["result"]["_meta"]["callgate/decision"]["rule"] == rule, first
        assert second["error"]["data"]["callgate/decision"]["rule"] == rule


def test_without_grants_one_is_named(tmp_path: Path) -> None:
    config = configuration(tmp_path, grants=False)
    for further, grant in [((), "anonymous"), (("--grant", "laptop"), "laptop")]:
        with Talk(wrapping(config, *further)) as talk:
            talk.send(call(1, "open"))
            talk.reply()
            talk.close()
            talk.code()
        [log] = tmp_path.glob("decisions.jsonl.srv.*")
        assert json.loads(log.read_text())["grant"] == grant
        log.unlink()


def test_a_folder_has_to_hold_a_policy_for_the_server(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "srv.json").write_text(json.dumps(POLICY))
    words: list[str | Path] = ["--policy", folder, "--", sys.executable, PROGRAMS / "recorder.py", os.devnull]
    assert refused("wrap", "--server", "sv", *words) == (
        "--server: no policy in the folder is for this server, unknown server `sv`; did you mean `srv`?"
    )
    with Talk([str(word) for word in (PROGRAM, "wrap", "--server", "srv", *words)]) as talk:
        talk.send(call(1, "open"))
        assert talk.reply()["result"] == {}


def test_wrong_use(tmp_path: Path) -> None:
    granted = configuration(tmp_path, grants=True)
    assert refused(*wrapping(granted, server="sv")[1:]) == "unknown server `sv`; did you mean `srv`?"
    for further, message in [
        ((), "missing --grant-token-file: the token of"),
        (("--grant", "alice"), "a token names the grant"),
    ]:
        done = subprocess.run(wrapping(granted, *further), env=ENVIRONMENT, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (2, "")
        assert message in " ".join(done.stderr.replace("│", " ").split())


def test_a_candidate_is_weighed_and_its_answer_logged(tmp_path: Path) -> None:
    config, log = configuration(tmp_path, grants=False), tmp_path / "log"
    document = json.loads(config.read_text())
    (tmp_path / "next.json").write_text(json.dumps({"version": "1", "default": "deny", "tools": {"small": {}}}))
    document["servers"]["srv"]["candidate"] = "next"
    document["policies"]["next"] = "next.json"
    config.write_text(json.dumps(document))
    with Talk(wrapping(config, "--grant", "a", "--decision-log", log)) as talk:
        talk.send(call(1, "open"), call(2, "small", n=11), call(3, "small", n=1))
        replies = {reply["id"]: reply["result"] for reply in (talk.reply() for _ in range(3))}
        talk.close()
        assert talk.code() == 0
    assert (replies[1], replies[3]) == ({}, {}), "the candidate decides nothing"
    assert replies[2]["content"][0]["text"] == "too many"
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    found = {(line["tool"], line["outcome"], line.get("candidate", {}).get("outcome")) for line in lines}
    assert found == {("open", "allow", "deny"), ("small", "deny", "allow"), ("small", "allow", None)}
