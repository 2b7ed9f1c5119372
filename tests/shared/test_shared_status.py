"""The place of shared counters in the state of a sidecar: without the user, and nowhere a secret."""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from callgate.cli import status as printing
from callgate.config.files import Files
from callgate.control.sidecar import Source
from callgate.control.status import status
from support.program import run, sidecar
from support.setup import Setup

FAULT = "the store does not answer"
NOW = datetime(2027, 1, 31, tzinfo=timezone.utc)


def document_of(setup: Setup) -> dict[str, Any]:
    """The state of a sidecar with this configuration, whose parts are stand-ins: Redis is not there."""
    plan = Source(setup.file, None).read(Files())
    engine = plan.engine(on_trial=True)
    stand_in: Any = SimpleNamespace
    found = status(
        engine,
        stand_in(
            address="127.0.0.1:1",
            socket=None,
            freezes=lambda: ([], None),
            shared_store={"fault": FAULT},
            candidates=list,
        ),
        stand_in(
            plan=plan,
            serving=stand_in(since=NOW, refused=None, retried=False),
            refusals=stand_in(text=None),
        ),
        stand_in(upstream_faults={}, is_ready=True, failure=None),
        stand_in(
            approvals=lambda: {"pending": 0, "permits": 0},
            freezes=list,
            plane=stand_in(
                status=stand_in(
                    fields=lambda: {"place": "p", "state": "open", "since": "s", "temporary": False, "error": None}
                )
            ),
        ),
        admin="127.0.0.1:2",
        grpc=stand_in(address=None, failure=None),
        started=NOW,
    )
    engine.close()
    return found


def printed(document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of `callgate status` about counters."""
    monkeypatch.setattr(printing, "running", lambda *_: SimpleNamespace(ask=lambda *_: document))
    monkeypatch.setattr(printing, "answering_place", lambda *_: "")
    monkeypatch.setattr(printing, "approvals_line", lambda *_: "none")
    monkeypatch.setattr(printing, "permits_line", lambda *_: "none")
    printing.status()
    lines = capsys.readouterr().out.splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith("counters:"))
    return [line for index, line in enumerate(lines) if index == first or (index == first + 1 and line[0] == " ")]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://some-user@redis.example.com", "redis://redis.example.com:6379/0"),
        ("rediss+sentinel://some-user@a,b:1/m", "rediss+sentinel://a:26379,b:1/m"),
        ("unix://some-user@/run/redis.sock", "unix:///run/redis.sock"),
    ],
)
def test_shared_counters(
    tmp_path: Path, url: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = Setup(tmp_path)
    setup.write("secret", "pass-word")
    setup.configure(counters={"shared": {"url": url, "password_file": "secret"}})
    document = document_of(setup)
    file = f"file:{tmp_path / 'state' / 'counters'}"
    counters = {"live": 0, "capacity": 1 << 20, "store": file, "shared": shown, "shared_fault": FAULT}
    assert document["counters"] == counters
    text = json.dumps(document)
    assert "pass-word" not in text
    assert "some-user" not in text
    assert printed(document, monkeypatch, capsys) == [
        f"counters:      0 of 1048576, in {file}",
        f"               shared through {shown}: {FAULT}",
    ]


def test_counters_of_this_callgate_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    setup = Setup(tmp_path)
    setup.configure(counters="memory")
    document = document_of(setup)
    assert document["counters"]["shared"] is None
    assert printed(document, monkeypatch, capsys) == ["counters:      0 of 1048576, in memory"]
    # A sidecar of an earlier version does not have the member.
    del document["counters"]["shared"]
    assert printed(document, monkeypatch, capsys) == ["counters:      0 of 1048576, in memory"]


def test_a_running_sidecar(tmp_path: Path) -> None:
    setup = Setup(tmp_path)
    setup.configure()
    with sidecar("--config", setup.file, "--grace", "1"):
        document = json.loads(run("status", "--state", tmp_path / "state", "--json").out)
    assert (document["counters"]["shared"], document["counters"]["shared_fault"]) == (None, None)
