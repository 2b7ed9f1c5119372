"""Signed logs of a data plane, as the reader finds them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import pytest

from callgate import Client, ConfigError, Engine, Server
from callgate.ledger.files import log_files
from callgate.ledger.note import PublicKey
from callgate.ledger.private import new_private_key, new_statement, pem_of, public_of
from callgate.ledger.proof import parse_proof, prove
from support.signed_logs import verified

POLICY = json.dumps({"version": "1", "name": "p", "default": "deny", "tools": {"t": {}}})


class Log:
    """A log, its key, and the servers that write it."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "log"
        self.key = new_private_key()
        self.former: list[PublicKey] = []
        self.statements: list[str] = []
        self.expires_unix_s: int | None = None
        self.more: dict[str, Any] = {}
        self.logged_of_million = 1_000_000

    def keys(self) -> list[PublicKey]:
        return [public_of(self.key)]

    @contextmanager
    def server(self) -> Iterator[Server]:
        signing = {
            "key": pem_of(self.key),
            "public_key": public_of(self.key).content,
            "former_keys": [one.content for one in self.former],
            "statements": self.statements,
            "expires_unix_s": self.expires_unix_s,
            "stream": "host",
            "checkpoint_interval_ms": 0,
            "logged_of_million": self.logged_of_million,
        }
        audit = {"path": self.path, "mode": "required", "signing": signing, **self.more}
        with Server(Engine.from_json(POLICY), audit=audit) as server:
            yield server

    def ask(self, count: int, *lines: str) -> None:
        """Lets a server decide so many calls."""
        with self.server() as server:
            assert server.address is not None
            with Client(server.address) as client:
                for number in range(count):
                    client.check(grant="g", tool="t" if number % 2 else 'quoted "tool"\u2028', session=f"s{number}")
            for line in lines:
                assert server.record_in_audit(line)


@pytest.fixture
def log(tmp_path: Path) -> Log:
    return Log(tmp_path)


def test_a_log_over_several_files_and_starts(log: Log) -> None:
    log.more = {"max_bytes": 3_000, "keep": 50}
    for _ in range(3):
        log.ask(12, '{"kind":"admin","number":3,"action":"create"}')
    [(origin, files)] = log_files([log.path]).items()
    assert origin.startswith("host/")
    assert len(files) > 3
    assert all(file.path.stat().st_size < 3_600 for file in files), "and a checkpoint at the end"
    [found] = verified(log.path, log.keys())
    assert (found.faults, found.unsigned, found.first, found.resumed) == ([], 0, 0, 0)
    assert (found.decisions, found.admin_changes) == (36, 3)
    # The newest checkpoint stands beside the log, and no entry is missing before it.
    head = log.path.with_name("log.checkpoint").read_text()
    [found] = verified(log.path, log.keys(), [head])
    assert (found.is_complete, found.known_until) == (True, found.entries - 1)
    for index in (0, found.entries // 2, found.entries - 3):
        proof = prove(files, index, log.keys())
        assert parse_proof(str(proof)).check(log.keys()) == log.keys()[0]
        assert json.loads(proof.entry)["index"] == index


def test_the_head_is_what_the_log_has(log: Log) -> None:
    with log.server() as server:
        with Client(server.address or "") as client:
            client.check(grant="g", tool="t")
        assert server.record_in_audit('{"kind":"admin","number":9}')
        assert not server.record_in_audit("two\nlines")
    head = server.audit_head()
    assert head is not None
    note, origin, size, number = head
    assert (note.split("\n")[:2], number) == ([origin, str(size)], 9)
    assert note == log.path.with_name("log.checkpoint").read_text()


def test_a_plain_log_takes_no_records(tmp_path: Path) -> None:
    with Server(Engine.from_json(POLICY), audit={"path": tmp_path / "log"}) as server:
        assert (server.audit_head(), server.record_in_audit("{}")) == (None, False)


def ask(server: Server) -> str:
    with Client(server.address or "") as client:
        decision = client.check(grant="g", tool="t")
    return decision.rule or decision.outcome.value


@pytest.mark.parametrize(("mode", "answer"), [("required", "(audit unavailable)"), ("best_effort", "allow")])
def test_a_contested_log_allows_nothing_where_it_is_required(log: Log, mode: str, answer: str) -> None:
    log.more = {"mode": mode}
    with log.server() as server:
        server.set_audit_contested(True)
        assert ask(server) == answer
        assert metric(server, "callgate_audit_contested") == [1]
        server.set_audit_contested(False)
        assert ask(server) == "allow"
        assert metric(server, "callgate_audit_contested") == [0]


@pytest.mark.parametrize("mode", ["required", "best_effort"])
def test_a_key_that_expires_signs_nothing_more(log: Log, mode: str) -> None:
    log.more = {"mode": mode}
    log.expires_unix_s = int(time.time()) + 3
    with log.server() as server:
        assert ask(server) == "allow"
        assert metric(server, "callgate_audit_key_expires_timestamp_seconds") == [log.expires_unix_s]
        until_told(server, "audit_failed" if mode == "required" else "audit_key_expired")
        assert ask(server) == ("(audit unavailable)" if mode == "required" else "allow")
        signed = metric(server, "callgate_audit_signed_entries")
    [found] = verified(log.path, log.keys())
    assert (found.is_intact, found.signed) == (True, signed[0] + 1), "the line of the checkpoint is known by it"
    assert found.unsigned == (0 if mode == "required" else 1)
    log.expires_unix_s = None
    log.ask(1)
    [found] = verified(log.path, log.keys())
    assert (found.is_intact, found.unsigned) == (True, 0), "the lines have waited"


def until_told(server: Server, event: str) -> None:
    end = time.monotonic() + 10
    while event not in [kind for _level, kind, _fields in server.drain_events()]:
        assert time.monotonic() < end
        time.sleep(0.05)


def metric(server: Server, name: str) -> list[int]:
    """The values of a metric without labels."""
    [family] = [one for one in server.metric_families() if one.name == name]
    return [value for _labels, value in family.samples]


def test_left_out_allows_are_counted(log: Log) -> None:
    log.logged_of_million = 0
    log.ask(40)
    [found] = verified(log.path, log.keys())
    # Every other call is a denial.
    assert (found.is_intact, found.decisions, found.sampled, found.dropped) == (True, 20, 20, 0)


def test_a_rotated_key_goes_on(log: Log) -> None:
    log.ask(2)
    first = new_statement(log.key, datetime(2026, 1, 1, tzinfo=timezone.utc), None)
    before, log.key = log.key, new_private_key()
    second = new_statement(log.key, datetime(2026, 1, 2, tzinfo=timezone.utc), None, before)
    with pytest.raises(ConfigError, match="not signed by this audit key or one before it"), log.server():
        pass
    log.former, log.statements = [public_of(before)], [first.note, second.note]
    log.ask(2)
    for key in (public_of(before), public_of(log.key)):
        [found] = verified(log.path, [key])
        assert (found.is_intact, found.unsigned) == (True, 0)


def test_a_log_that_was_changed_is_not_continued(log: Log) -> None:
    log.ask(3)
    content = log.path.read_text()
    log.path.write_text(content.replace('"session":"s1"', '"session":"sX"'))
    with pytest.raises(ConfigError, match="the lines disagree with the newest checkpoint"), log.server():
        pass
    log.more = {"mode": "best_effort"}
    log.ask(1)
    old, new = sorted(verified(log.path, log.keys()), key=lambda one: len(one.breaks))
    assert (old.is_intact, new.is_intact) == (False, True)
    assert "disagree" in new.breaks[0]


def test_what_cannot_sign(log: Log, tmp_path: Path) -> None:
    log.path = Path("-")
    with pytest.raises(ConfigError, match="a signed log needs a file that stays"), log.server():
        pass
    log.path = tmp_path / "log"
    stranger = new_private_key()
    audit = {"path": log.path, "signing": signing(pem_of(log.key), public_of(stranger))}
    with pytest.raises(ConfigError, match=r"the audit key is not the one of the file `\.pub` beside it"):
        Server(Engine.from_json(POLICY), audit=audit).check()
    with pytest.raises(ConfigError, match="expected a private key in PEM"):
        Server(Engine.from_json(POLICY), audit={"path": log.path, "signing": signing(b"no key", None)}).check()
    with pytest.raises(ConfigError, match="`signing`: expected a mapping with `key`"):
        Server(Engine.from_json(POLICY), audit={"path": log.path, "signing": {"key": b""}})


def signing(pem: bytes, public: PublicKey | None) -> dict[str, Any]:
    return {
        "key": pem,
        "public_key": None if public is None else public.content,
        "former_keys": [],
        "statements": [],
        "expires_unix_s": None,
        "stream": "host",
        "checkpoint_interval_ms": 0,
        "logged_of_million": 1_000_000,
    }
