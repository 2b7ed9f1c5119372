"""`callgate audit` on logs, without a sidecar."""

from __future__ import annotations

import base64
import json
import stat
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from callgate.cli import app
from callgate.ledger.lines import fields_of
from callgate.ledger.private import parse_private_key, public_pem_of
from callgate.ledger.trust import parse_trusted
from support.signed_logs import LogMaker

KEY = "audit.key"
APPROVAL = "abcdefghijklmnopqrstuvwxyz"


def run(*words: str) -> Result:
    return CliRunner().invoke(app, ["audit", *words])


def refused(*words: str) -> str:
    """The message with which the command ends; it prints nothing else."""
    done = run(*words)
    assert done.exit_code != 0
    assert done.stdout == ""
    return str(done.exception)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CALLGATE_CONFIG", raising=False)
    assert run("key", "new", KEY).exit_code == 0
    return tmp_path


@pytest.fixture
def log(folder: Path) -> LogMaker:
    """A log of two files, signed by the key of the folder."""
    log = LogMaker(key=parse_private_key((folder / KEY).read_bytes(), KEY))
    log.file()
    log.decision(1, server="srv")
    log.decision(2, server="srv", outcome="deny", time="2026-11-22T00:00:00.000000Z")
    log.checkpoint()
    log.file()
    log.add(kind="admin", number=7, time="2026-11-22T01:00:00.000000Z", actor="ann", action="create")
    log.decision(3, server="other", approval=APPROVAL, traceparent="00-aaaa-bbbb-01")
    log.checkpoint()
    log.write(folder / "log")
    return log


def verified(*words: str, code: int) -> dict[str, Any]:
    done = run("verify", "log", "--public-key", f"{KEY}.pub", "--json", *words)
    assert done.exit_code == code, done.output
    [found] = json.loads(done.stdout)["logs"]
    return dict(found)


def test_verify(log: LogMaker, folder: Path) -> None:
    found = verified(code=0)
    assert (found["integrity"], found["complete"], found["unsigned"]) == ("ok", "unknown", 0)
    assert (found["entries"], found["decisions"], found["admin_changes"], found["files"]) == (8, 3, 1, 2)
    (folder / "later").write_text(json.loads(log.entries[-1])["note"])
    assert verified("--checkpoints", "later", code=0)["complete"] == "yes"
    text = run("verify", "log", "--public-key", f"{KEY}.pub", "--checkpoints", "later").stdout.splitlines()
    assert text == [
        "log:         host/0011223344556677",
        "entries:     0 to 7 in 2 files, of which 3 decisions and 1 admin change",
        "integrity:   ok",
        "complete:    yes, up to entry 6",
        "signed:      up to entry 7, 2026-11-21T11:04:25.123456Z",
    ]
    content = (folder / "log").read_text()
    (folder / "log").write_text(content.replace('"ann"', '"bob"'))
    found = verified(code=1)
    assert (found["integrity"], found["complete"]) == ("broken", "unknown")
    assert [(fault["file"], fault["line"], fault["until_line"]) for fault in found["faults"]] == [("log", 1, 4)]
    text = run("verify", "log", "--public-key", f"{KEY}.pub").stdout.splitlines()
    assert text[2:4] == [
        "integrity:   broken at log:1",
        "             log:1 to line 4: these lines are not as they were signed",
    ]
    (folder / "log").unlink()
    found = verified("--checkpoints", "later", code=1)
    assert (found["integrity"], found["complete"]) == ("ok", "no")
    assert found["missing"] == ["entries 4 to 6, cut off: a checkpoint is over them"]


def test_lines_that_are_not_signed_yet(log: LogMaker, folder: Path) -> None:
    log.decision(4)
    log.write(folder / "log")
    found = verified(code=3)
    assert (found["integrity"], found["unsigned"]) == ("ok", 1)


def test_the_checkpoint_beside_a_log_shows_what_is_missing(log: LogMaker, folder: Path) -> None:
    (folder / "log.checkpoint").write_text(json.loads(log.entries[-1])["note"])
    assert verified(code=0)["complete"] == "unknown"
    (folder / "log").unlink()
    assert verified(code=1)["complete"] == "no"


def test_what_cannot_be_verified(log: LogMaker, folder: Path) -> None:
    assert "missing --public-key" in refused("verify", "log")
    assert "there is no decision log `nothing`" in refused("verify", "nothing", "--public-key", f"{KEY}.pub")
    assert "`log`: expected an Ed25519 key" in refused("verify", "log", "--public-key", "log")
    (folder / "no-key").write_text("host+00112233+schlüssel\n", encoding="utf-8")
    assert "`no-key`: expected an Ed25519 key" in refused("verify", "log", "--public-key", "no-key")
    assert "has no checkpoint" in refused("verify", "log", "--public-key", f"{KEY}.pub", "--checkpoints", "log")
    (folder / "empty").touch()
    assert "the files are empty" in refused("verify", "empty", "--public-key", f"{KEY}.pub")
    assert log.entries


def test_a_proof_needs_nothing_but_the_key(log: LogMaker, folder: Path) -> None:
    for word, index in (("2", 2), ("0", 0), (APPROVAL, 6)):
        done = run("prove", word, "log", "--public-key", f"{KEY}.pub")
        assert done.exit_code == 0, done.output
        assert done.stdout.startswith("c2sp.org/tlog-proof@v1\nextra ")
        (folder / "proof").write_text(done.stdout)
        done = run("check", "proof", "--public-key", f"{KEY}.pub", "--json")
        assert done.exit_code == 0
        found = json.loads(done.stdout)
        assert (found["proven"], found["index"], found["entry"]) == (True, index, fields_of(log.entries[index]))
    text = run("check", "proof", "--public-key", f"{KEY}.pub").stdout
    assert text.startswith("proven: entry 6 of the log `host/0011223344556677`, signed by ")
    # A key in another form, and one that has signed nothing.
    (folder / "pem").write_text(public_pem_of(log.public()))
    (folder / "vkey").write_text(log.public().verifier_key(log.origin) + "\n")
    assert run("check", "proof", "--public-key", "pem").exit_code == 0
    assert run("check", "proof", "--public-key", "vkey").exit_code == 0
    assert run("key", "new", "other").exit_code == 0
    done = run("check", "proof", "--public-key", "other.pub")
    assert (done.exit_code, done.stdout.split(":")[0]) == (1, "not proven")


def test_a_changed_proof_proves_nothing(log: LogMaker, folder: Path) -> None:
    proof = run("prove", "2", "log", "--public-key", f"{KEY}.pub").stdout
    entry = base64.b64encode(log.entries[1]).decode()
    lines = proof.split("\n")
    changed = [
        proof.replace(lines[1], f"extra {entry}"),
        proof.replace("index 2", "index 1"),
        proof.replace(lines[3], lines[4]),
        proof.replace("\n3\n", "\n4\n"),
        proof.replace(log.origin, "host/1"),
        proof[:-2],
        "",
        "\n".join(lines[1:]),
    ]
    for text in changed:
        assert text != proof
        (folder / "proof").write_text(text)
        done = run("check", "proof", "--public-key", f"{KEY}.pub", "--json")
        assert (done.exit_code, json.loads(done.stdout)["proven"]) == (1, False), text


def test_what_cannot_be_proven(log: LogMaker, folder: Path) -> None:
    key = ("--public-key", f"{KEY}.pub")
    assert "there is no entry 99 in `host/0011223344556677`: it has 8 entries" in refused("prove", "99", "log", *key)
    assert "no checkpoint of a key that was given covers entry 7" in refused("prove", "7", "log", *key)
    assert "no entry has the approval `x`" in refused("prove", "x", "log", *key)
    assert "there is no log `x`" in refused("prove", "1", "log", *key, "--origin", "x")
    (folder / "log.1").unlink()
    assert "is not here: the log begins at entry 4" in refused("prove", "1", "log", *key)
    log.decision(4, approval=APPROVAL)
    log.checkpoint()
    log.write(folder / "log")
    assert "2 entries have the approval" in refused("prove", APPROVAL, "log", *key)
    (folder / "log.1").write_bytes((folder / "log.1").read_bytes().replace(b'"t1"', b'"tX"'))
    assert "is not as it was signed" in refused("prove", "1", "log", *key)


def found(*words: str) -> list[int]:
    done = run("search", "log", *words)
    assert done.exit_code == 0, done.output
    return [json.loads(line)["index"] for line in done.stdout.splitlines()]


def test_search(log: LogMaker) -> None:
    assert found() == [1, 2, 5, 6]
    assert found("--server", "srv") == [1, 2]
    assert found("--server", "srv", "--server", "other", "--outcome", "allow") == [1, 6]
    assert found("--tool", "t3") == found("--approval", APPROVAL) == found("--trace", "aaaa") == [6]
    assert found("--trace", "bbbb") == []
    assert found("--actor", "ann") == found("--kind", "admin") == [5]
    assert found("--kind", "file", "--kind", "decision") == [0, 1, 2, 4, 6]
    assert found("--since", "2026-11-22T00:00:00Z") == [2, 5]
    assert found("--until", "2026-11-22T00:00:00Z") == [1, 6]
    assert found("--count", "1") == [1]
    assert "unknown kind `x`" in run("search", "log", "--kind", "x").output
    assert log.entries


def test_export(log: LogMaker) -> None:
    done = run("export", "log", "--format", "cef", "--outcome", "deny")
    assert done.exit_code == 0
    [line] = done.stdout.splitlines()
    assert line.startswith("CEF:0|callgate|callgate|")
    done = run("export", "log", "--format", "rfc5424", "--enterprise-number", "99")
    assert len(done.stdout.splitlines()) == 4
    assert all("[callgate@99 " in line for line in done.stdout.splitlines())
    assert log.entries


def test_keys(folder: Path) -> None:
    assert stat.S_IMODE((folder / KEY).stat().st_mode) == 0o600
    assert "exists already" in refused("key", "new", KEY)
    done = run("key", "rotate", KEY, "next.key", "--expires", "30d")
    assert done.exit_code == 0, done.output
    first, second = parse_trusted((folder / "next.key.pub").read_text())
    assert [first] == parse_trusted((folder / f"{KEY}.pub").read_text())
    assert first.expires is None
    assert second.expires is not None
    assert str(second.key) in (folder / "next.key.pub").read_text()
    [pem] = parse_trusted(run("key", "public", "next.key").stdout)
    [named] = parse_trusted(run("key", "public", "next.key", "--origin", "host/1").stdout)
    assert pem.key == named.key == second.key
    # The statement about another key is none about this one.
    (folder / "next.key.pub").write_text((folder / f"{KEY}.pub").read_text())
    assert "is not about the key of" in refused("key", "rotate", "next.key", "third.key")
    (folder / "text").write_text("no key")
    assert "expected an Ed25519 key in PEM" in refused("key", "public", "text")
    done = run("key", "new", "late.key", "--expires", "2020-01-01T00:00:00Z")
    assert done.exit_code == 2
    assert not (folder / "late.key").exists()


def test_a_forged_statement_is_not_believed(folder: Path) -> None:
    assert run("key", "rotate", KEY, "next.key").exit_code == 0
    text = (folder / "next.key.pub").read_text()
    for before, after in (("expires never", "expires 2999-01-01T00:00:00Z"), ("created 2", "created 3")):
        (folder / "forged").write_text(text.replace(before, after))
        with pytest.raises(ValueError, match="not signed by its key"):
            parse_trusted((folder / "forged").read_text())
    *_, last = text.partition("after ")
    (folder / "forged").write_text(text.replace(f"after {last.splitlines()[0]}\n", ""))
    with pytest.raises(ValueError, match="do not follow one another"):
        parse_trusted((folder / "forged").read_text())
