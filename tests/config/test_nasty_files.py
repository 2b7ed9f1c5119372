"""Files that nobody writes on purpose: each is a fault with a message, and a running sidecar goes on."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from callgate.config.document import LARGEST_BYTES
from callgate.config.files import Files
from callgate.config.load import Option
from callgate.control.refusals import Refusals
from callgate.control.reload import Reading, Reloader
from callgate.control.reload_numbers import ReloadNumbers
from callgate.control.sidecar import Plan, Source
from support.setup import Setup, policy


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.configure(counters="memory")
    return setup


HALF = "expected both halves of a surrogate pair, found one alone"

NASTY: list[tuple[str, str]] = [
    (f'"workers": {"9" * 5_000}', "expected a number of at most 1000 characters"),
    (f'"limits": {{"body_limit_bytes": {"9" * 200}}}', "`limits.body_limit_bytes`: expected a size "),
    (f'"limits": {{"unfinished_limit_bytes": {"9" * 200}}}', "`limits.unfinished_limit_bytes`: expected a size "),
    ('"catalogue": "\\ud800"', HALF),
    ('"policies_folder": "\\udfff/x"', HALF),
    ('"grants": [{"id": "\\ud800", "server": "s"}]', HALF),
    ('"grants": [{"id": "a", "server": "s", "labels": {"x": "\\udc00\\ud800"}}]', HALF),
    ('"\\ud800": 1', HALF),
    ('"catalogue": "a\\u0000b"', "`catalogue`: expected text without NUL characters"),
    ('"workers": NaN', "not JSON: expected a value"),
    (f'"labels": {"[" * 100_000}', "nested deeper than the 64 levels allowed"),
    (f'"labels": {"[" * 5_000}{"]" * 5_000}', "nested deeper than the 64 levels allowed"),
    ('"catalogue": "' + "a" * 5_000 + '"', "file name too long"),
    ('"policies": {"p": "."}', "is a directory"),
    ('"policies": {"p": "loop"}', "too many levels of symbolic links"),
    ('"policies_folder": "p.json"', "not a directory"),
    (f'"workers": {"9" * 1_000}', "`workers`: expected "),
    ('"workers": 1e400', "`workers`: expected a whole number"),
]


@pytest.mark.parametrize(("member", "expected"), NASTY, ids=[member[:40] for member, _ in NASTY])
def test_what_nobody_writes_on_purpose(setup: Setup, member: str, expected: str) -> None:
    (setup.folder / "loop").symlink_to("loop")
    document = json.dumps({key: value for key, value in setup.config.items() if f'"{key}"' not in member})
    path = setup.write("callgate.json", f"{document[:-1]}, {member}}}")
    error = Reading(Source(path, None)).error
    assert error is not None
    assert expected in str(error)
    assert "internal error" not in str(error)


def test_characters_beyond_16_bits(setup: Setup) -> None:
    document = json.dumps({**setup.config, "grants": [{"id": "\N{GRINNING FACE}\\ud800", "server": "s"}]})
    path = setup.write("callgate.json", document)
    grants = Reading(Source(path, None)).must_have_plan().config.grants
    assert grants is not None
    assert grants[0].id == "\N{GRINNING FACE}\\ud800"


def test_text_that_is_not_utf8(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLGATE_CATALOGUE", os.fsdecode(b"\xff"))
    assert "`catalogue`: expected UTF-8 text" in str(Reading(Source(setup.file, None)).error)
    monkeypatch.delenv("CALLGATE_CATALOGUE")
    folder = setup.folder / "policies"
    folder.mkdir()
    (folder / os.fsdecode(b"\xff.json")).write_text("{}")
    setup.configure(policies_folder="policies")
    assert "is not UTF-8; rename it" in str(Reading(Source(setup.file, None)).error)


def test_what_is_no_regular_file(setup: Setup) -> None:
    os.mkfifo(setup.folder / "fifo.json")
    policies = setup.folder / "policies"
    policies.mkdir()
    os.mkfifo(policies / "q.json")
    for changes, name in (
        ({"policies": {"p": "p.json", "q": "fifo.json"}}, "fifo.json"),
        ({"policies": {"p": "p.json", "q": "/dev/zero"}}, "/dev/zero"),
        ({"policies_folder": "policies"}, "q.json"),
        ({"catalogue": "fifo.json"}, "fifo.json"),
        ({"grants_file": "/dev/zero"}, "/dev/zero"),
        ({"grant_key_file": "fifo.json"}, "fifo.json"),
        ({"tls": {"certificate": "fifo.json", "key": "key"}}, "fifo.json"),
    ):
        setup.write("other.yaml", {**setup.config, **changes})
        error = str(Reading(Source(setup.folder / "other.yaml", None)).error)
        assert error.endswith(f"{name}`: it is no regular file"), error
    for source in (
        Source(setup.folder / "fifo.json", None),
        Source(None, setup.folder / "fifo.json"),
        Source(None, policies),
    ):
        assert str(Reading(source).error).endswith(".json`: it is no regular file")


def test_a_file_that_is_too_large(setup: Setup) -> None:
    path = setup.folder / "p.json"
    with path.open("a") as file:
        file.truncate(LARGEST_BYTES + 1)
    assert str(Reading(Source(setup.file, None)).error).endswith("p.json`: it is larger than 64MiB")


def test_a_file_that_vanishes_before_it_is_read(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    add = Files.add

    def add_and_lose(files: Files, path: Path) -> None:
        add(files, path)
        if path.name == "p.json":
            path.unlink(missing_ok=True)

    monkeypatch.setattr(Files, "add", add_and_lose)
    error = Reading(Source(setup.file, None)).error
    assert "cannot read " in str(error)


def test_whatever_a_reading_raises(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    def read(_source: Source, _files: Files) -> Plan:
        message = "cgt_secret"
        raise RuntimeError(message)

    monkeypatch.setattr(Source, "read", read)
    error = str(Reading(Source(setup.file, None)).error)
    assert error.startswith("internal error: RuntimeError at test_nasty_files.py:")
    assert "cgt_" not in error


def test_whatever_a_reload_raises(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Source(setup.file, None)
    reading = Reading(source)
    plan = reading.must_have_plan()
    engine = plan.engine()
    server = plan.server(engine)
    numbers = ReloadNumbers()
    reloader = Reloader(source, reading, engine, server, numbers, Refusals(numbers))

    def replace(*_: object) -> None:
        message = "cgt_secret"
        raise ValueError(message)

    monkeypatch.setattr(Plan, "replace", replace)
    reloader.reload()
    assert str(reloader.serving.refused).startswith("internal error: ValueError at test_nasty_files.py:")
    engine.close()


def test_a_policy_that_changes_while_the_engine_reads_it(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    options: dict[tuple[str | int, ...], Option] = {
        ("counters", "store"): Option("--counters", "memory"),
        ("listen",): Option("--listen", "127.0.0.1:0"),
    }
    source = Source(None, setup.folder / "p.json", options)
    reading = Reading(source)
    plan = reading.must_have_plan()
    engine = plan.engine()
    server = plan.server(engine)
    numbers = ReloadNumbers()
    reloader = Reloader(source, reading, engine, server, numbers, Refusals(numbers))
    put_in_force = Plan.replace

    def replace(plan: Plan, *others: Any) -> None:
        put_in_force(plan, *others)
        if "last" not in (setup.folder / "p.json").read_text():
            setup.write("p.json", policy("last"))

    monkeypatch.setattr(Plan, "replace", replace)
    server.start()
    setup.write("p.json", policy("first"))
    reloader.reload()
    assert engine.check(grant="g", tool="never").message == "last"
    server.stop()
    engine.close()


def test_a_sidecar_goes_on(setup: Setup) -> None:
    setup.file = setup.write("callgate.json", setup.config)
    whole = setup.file.read_text()
    with setup.serving("--no-watch") as running:
        for member in [NASTY[0][0], NASTY[3][0], NASTY[10][0]]:
            setup.write("callgate.json", f"{whole[:-1]}, {member}}}")
            with running.reload("failure"):
                running.hang_up()
            assert "the newer one is refused: " in running.get("/readyz")
            assert running.ask(grant="g", server="s", tool="t")[0] == 200
        setup.write("callgate.json", whole)
        with running.reload():
            running.hang_up()
        assert running.get("/readyz") == "ready\n"
        assert [event["event"] for event in running.stop()].count("reload_failed") == 3
