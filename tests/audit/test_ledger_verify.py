"""What verification finds: every change of a small log, by bits and by lines."""

from __future__ import annotations

import gzip
import json
from datetime import datetime, timezone
from functools import cache
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from callgate.errors import ConfigError
from callgate.ledger import note
from callgate.ledger.files import find_logs, log_files
from callgate.ledger.private import new_private_key, new_statement, public_of
from callgate.ledger.verify import TrustedKey, verify
from support.signed_logs import LogMaker, is_found, verified

if TYPE_CHECKING:
    from collections.abc import Iterator


def small_log() -> LogMaker:
    """Three files with checkpoints, with and without hashes."""
    log = LogMaker()
    log.file()
    log.decision(1)
    log.decision(2, outcome="deny")
    log.checkpoint()
    log.file()
    log.add(kind="admin", number=7, time="2026-11-21T11:04:26.000000Z", actor="ann", action="create")
    log.decision(3)
    log.checkpoint(hashes=True)
    log.file()
    log.add(kind="gap", reason="sampled", count=3)
    log.decision(4)
    log.checkpoint()
    return log


@pytest.fixture(autouse=True)
def _each_signature_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A signature that was verified once is not verified again: these tests read one log thousands of times."""
    monkeypatch.setattr(note.PublicKey, "has_signed", cache(note.PublicKey.has_signed))


def test_a_log_as_it_was_written(tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    [found] = verified(tmp_path / "log", [log.public()])
    assert (found.is_intact, found.is_complete, found.unsigned, found.faults) == (True, None, 0, [])
    assert (found.first, found.entries, found.signed) == (0, len(log.entries), len(log.entries))
    assert (found.decisions, found.admin_changes, found.sampled) == (4, 1, 3)
    assert not is_found(tmp_path / "log", [log.public()])
    log.decision(5)
    [found] = verified(tmp_path / "log", [log.public()], [log.note()])
    assert (found.is_intact, found.is_complete) == (True, False), "the last entry was never written"


def test_every_bit_counts(tmp_path: Path) -> None:
    log = small_log()
    keys = [log.public()]
    for file in log.write(tmp_path / "log"):
        content = bytearray(file.read_bytes())
        for place in range(len(content)):
            for bit in range(8):
                content[place] ^= 1 << bit
                file.write_bytes(content)
                assert is_found(tmp_path / "log", keys), (
                    file.name,
                    place,
                    bit,
                    bytes(content[max(0, place - 9) :][:20]),
                )
                content[place] ^= 1 << bit
        file.write_bytes(content)
    assert not is_found(tmp_path / "log", keys)


def changed_lines(lines: list[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    for number in range(len(lines)):
        yield f"line {number} removed", lines[:number] + lines[number + 1 :]
        yield f"line {number} twice", lines[: number + 1] + lines[number:]
        yield f"line {number} empty", [*lines[:number], b"", *lines[number + 1 :]]
        for what in (b"", b"{}", b'{"time":"x","index":%d}' % number, lines[0], lines[-1]):
            yield f"{what!r} before line {number}", [*lines[:number], what, *lines[number:]]
    yield "an empty line at the end", [*lines, b""]
    for one, other in combinations(range(len(lines)), 2):
        swapped = list(lines)
        swapped[one], swapped[other] = swapped[other], swapped[one]
        yield f"lines {one} and {other} swapped", swapped


def test_every_line_has_its_place(tmp_path: Path) -> None:
    log = small_log()
    files = log.write(tmp_path / "log")
    later = log.files[-1][-1]
    last_note = note_of(later)
    keys = [log.public()]
    for file in files:
        content = file.read_bytes()
        lines = content.removesuffix(b"\n").split(b"\n")
        for what, changed in changed_lines(lines):
            if changed == lines:
                continue
            file.write_bytes(b"".join(line + b"\n" for line in changed))
            assert is_found(tmp_path / "log", keys, [last_note]), (file.name, what)
        file.write_bytes(content)
    assert not is_found(tmp_path / "log", keys, [last_note])


def note_of(line: bytes) -> str:
    return str(json.loads(line)["note"])


def test_lines_of_other_files_are_no_lines_of_this_one(tmp_path: Path) -> None:
    log = small_log()
    keys = [log.public()]
    first, second, third = log.files
    for files in (
        [first, third],
        [first, second],
        [second, first, third],
        [first + second, third],
        [first, second[1:], third],
        [first, second + third[1:]],
        [first[:-1], second, third],
    ):
        changed = LogMaker(key=log.key, entries=list(log.entries), files=files)
        for left in tmp_path.glob("log*"):
            left.unlink()
        changed.write(tmp_path / "log")
        # In another order they are the same files under other names; without the break between them, the same lines.
        is_same = files in ([second, first, third], [first + second, third])
        assert is_found(tmp_path / "log", keys, [note_of(third[-1])]) != is_same, files


def test_a_cut_end_is_found_by_a_later_checkpoint_alone(tmp_path: Path) -> None:
    log = small_log()
    file = log.write(tmp_path / "log")[-1]
    content, keys = file.read_bytes(), [log.public()]
    later = note_of(log.files[-1][-1])
    for length in range(len(content) - 1):
        file.write_bytes(content[:length])
        assert is_found(tmp_path / "log", keys, [later]), length
    # The whole last file: what is left is a log as it was signed, and nothing in it says that there was more.
    file.unlink()
    [found] = verified(tmp_path / "log", keys)
    assert (found.is_intact, found.is_complete) == (True, None)
    [found] = verified(tmp_path / "log", keys, [later])
    assert (found.is_intact, found.is_complete) == (True, False)
    assert "cut off" in found.missing[0]
    [found] = verified(tmp_path / "log", keys, [later], is_local=True)
    assert found.is_complete is False
    # The last line break alone is of no line.
    file.write_bytes(content[:-1])
    assert not is_found(tmp_path / "log", keys, [later])


def test_a_checkpoint_from_elsewhere_shows_that_nothing_is_missing(tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    later = note_of(log.files[-1][-1])
    [found] = verified(tmp_path / "log", [log.public()], [later])
    assert (found.is_complete, found.known_until) == (True, len(log.entries) - 1)
    [found] = verified(tmp_path / "log", [log.public()], [later], is_local=True)
    assert found.is_complete is None, "whoever changes the log can change the file beside it"
    # One that nobody believes shows nothing.
    other = LogMaker(origin=log.origin, entries=[b"x"] * 99, files=[[]])
    [found] = verified(tmp_path / "log", [log.public()], [other.note()])
    assert found.is_complete is None


def test_a_log_that_was_continued_twice(tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    twin = LogMaker(key=log.key, entries=[*log.entries[:5], b"another", *log.entries[6:9]], files=[[]])
    [found] = verified(tmp_path / "log", [log.public()], [twin.note()])
    assert not found.is_intact
    assert "was replaced or continued twice" in found.faults[0].message


def test_the_place_of_a_fault(tmp_path: Path) -> None:
    log = LogMaker()
    log.file()
    for number in range(20):
        log.decision(number)
        if number % 5 == 4:
            log.checkpoint(hashes=True)
    [file] = log.write(tmp_path / "log")
    lines = file.read_bytes().splitlines(keepends=True)
    changed = list(lines)
    changed[9] = changed[9].replace(b"allow", b"ALLOW")
    file.write_bytes(b"".join(changed))
    [found] = verified(file, [log.public()])
    [fault] = found.faults
    assert str(fault.place) == f"{file}:8"
    assert fault.until is not None
    assert fault.until.line == 13
    assert "not as they were signed" in fault.message
    # What comes after it is known again.
    assert found.signed == len(log.entries)
    del changed[9]
    file.write_bytes(b"".join(changed))
    [found] = verified(file, [log.public()])
    assert [(str(one.place), one.message) for one in found.faults] == [
        (f"{file}:10", "expected entry 9, found entry 10")
    ]


def test_files_that_rotation_removed_are_no_fault(tmp_path: Path) -> None:
    log = small_log()
    log.kept_from = len(log.files[0])
    log.file()
    log.checkpoint()
    oldest, second, *_ = log.write(tmp_path / "log")
    oldest.unlink()
    [found] = verified(tmp_path / "log", [log.public()], [note_of(log.files[-1][-1])])
    assert (found.is_intact, found.is_complete, found.first) == (True, True, len(log.files[0]))
    second.unlink()
    [found] = verified(tmp_path / "log", [log.public()])
    assert (found.is_intact, found.is_complete) == (True, False)
    assert "which rotation had kept" in found.missing[0]


def test_keys(tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    stranger = public_of(new_private_key())
    [found] = verified(tmp_path / "log", [stranger])
    assert (found.is_intact, found.signed, found.other_keys) == (False, 0, 3)
    # A key names the next one, whose checkpoints are believed from there on.
    former, log.key = log.key, new_private_key()
    statement = new_statement(log.key, datetime(2026, 1, 1, tzinfo=timezone.utc), None, former)
    log.add(kind="key", statement=statement.note)
    log.decision(5)
    log.checkpoint()
    log.write(tmp_path / "log")
    for key in (public_of(former), public_of(log.key)):
        [found] = verified(tmp_path / "log", [key])
        assert (found.is_intact, found.unsigned) == (True, 0)
    # One that nobody has named is not.
    log.key = new_private_key()
    log.decision(6)
    log.checkpoint()
    log.write(tmp_path / "log")
    [found] = verified(tmp_path / "log", [public_of(former)])
    assert (found.is_intact, found.unsigned) == (True, 2)


def test_a_key_signs_nothing_after_its_end(tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    [(origin, files)] = log_files([tmp_path / "log"]).items()
    for year, is_intact in ((2026, False), (2027, True)):
        trusted = TrustedKey(log.public(), datetime(year, 1, 1, tzinfo=timezone.utc))
        found = verify(origin, files, [trusted])
        assert found.is_intact is is_intact
        assert is_intact or "after the end of its key" in found.faults[0].message


def test_a_line_that_a_crash_has_cut_is_an_entry(tmp_path: Path) -> None:
    log = LogMaker()
    log.file()
    log.raw(b'{"time":"2026-11-2')
    log.raw(b'{"kind":"checkpoint","no')
    log.add(kind="resume", unsigned=2, time="2026-11-21T11:04:25.123456Z")
    log.checkpoint()
    log.write(tmp_path / "log")
    [found] = verified(tmp_path / "log", [log.public()])
    assert (found.is_intact, found.unsigned, found.resumed) == (True, 0, 2)


def test_what_is_no_signed_log(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no decision log"):
        log_files([tmp_path / "log"])
    (tmp_path / "log").write_text('{"time":"x"}\n')
    with pytest.raises(ConfigError, match=r"log:1`: the file does not begin with a line of the kind `file`"):
        log_files([tmp_path / "log"])
    (tmp_path / "log").write_bytes(b"")
    assert log_files([tmp_path / "log"]) == {}


def test_files_from_before_a_log_was_signed_are_left_out(tmp_path: Path) -> None:
    log = small_log()
    log.write(tmp_path / "log")
    plain = tmp_path / "log.3"
    plain.write_text('{"time":"x"}\n')
    assert find_logs([tmp_path / "log"]).plain == [plain]
    assert not is_found(tmp_path / "log", [log.public()])
    # A newer one is no such file: its first line was changed.
    for name in ("log.1", "log"):
        content = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(content.replace(b'{"kind":"file"', b'{"kind":"file_"', 1))
        with pytest.raises(ConfigError, match="it is no signed log"):
            find_logs([tmp_path / "log"])
        (tmp_path / name).write_bytes(content)


def test_packed_files_are_read(tmp_path: Path) -> None:
    log = small_log()
    oldest, *_ = log.write(tmp_path / "log")
    (tmp_path / f"{oldest.name}.gz").write_bytes(gzip.compress(oldest.read_bytes()))
    oldest.unlink()
    assert not is_found(tmp_path / "log", [log.public()])
