"""Checkpoints on their way to a file and to a receiver."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from callgate.config.audit import Audit
from callgate.control import audit_sending
from callgate.control.audit_sending import CheckpointSending, append, post
from callgate.ledger.note import notes_in
from support.http_server import Handler, serving

if TYPE_CHECKING:
    from callgate import Server

PATIENCE_S = 30.0


class Plane:
    """A data plane with a checkpoint that a test chooses."""

    def __init__(self) -> None:
        self.size = 1

    def note(self) -> str:
        return f"host/1\n{self.size}\nroot\n\n\u2014 host/1 AAAA\n"

    def audit_head(self) -> tuple[str, str, int, int | None]:
        return self.note(), "host/1", self.size, None


class Receiver(Handler):
    """Keeps what is posted, and answers with a status that a test chooses."""

    status = 200
    bodies: list[str]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        assert self.headers["content-type"] == "text/plain; charset=utf-8"
        if self.status == 302:
            self.send_response(302)
            self.send_header("location", "/elsewhere")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        if self.status == 200:
            self.bodies.append(body)
        self.answer(self.status, "text/plain", "")


@pytest.fixture
def receiver() -> type[Receiver]:
    return type("Fresh", (Receiver,), {"bodies": []})


def wait_until(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_each_checkpoint_is_sent_once_and_the_last_one_at_the_stop(
    tmp_path: Path, receiver: type[Receiver], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit_sending, "_EVERY_S", 0.02)
    plane, file = Plane(), tmp_path / "checkpoints"
    with serving(receiver) as port:
        audit = Audit(
            path=Path("log"), key_file=Path("key"), checkpoints_file=file, checkpoints_url=f"http://127.0.0.1:{port}/c"
        )
        sending = CheckpointSending(cast("Server", plane), audit)
        sending.start()
        wait_until(lambda: len(receiver.bodies) == 1 and file.exists())
        # A receiver that is down gets the newest one when it is back.
        receiver.status = 503
        plane.size = 2
        wait_until(lambda: file.read_text().count("host/1\n2\n"))
        plane.size = 3
        receiver.status = 200
        wait_until(lambda: receiver.bodies[-1] == plane.note())
        plane.size = 4
        sending.stop()
    assert receiver.bodies[-1].startswith("host/1\n4\n")
    notes = list(notes_in(file.read_text()))
    assert [note.split("\n")[1] for note in notes] == sorted({note.split("\n")[1] for note in notes})
    assert notes[-1] == plane.note()


@pytest.mark.parametrize("status", [302, 404, 500])
def test_another_status_is_a_failure(status: int, receiver: type[Receiver]) -> None:
    receiver.status = status
    with serving(receiver) as port, pytest.raises(OSError, match=f"it answered with the status {status}"):
        post(f"http://127.0.0.1:{port}/", "note")
    with pytest.raises(OSError, match="refused"):
        post(f"http://127.0.0.1:{port}/", "note")


def test_a_file_grows(tmp_path: Path) -> None:
    plane = Plane()
    for plane.size in (1, 2):
        append(tmp_path / "file", plane.note())
    assert [note.split("\n")[1] for note in notes_in((tmp_path / "file").read_text())] == ["1", "2"]
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="symbolic link"):
        append(tmp_path / "link", plane.note())
    with pytest.raises(OSError, match="No space left"):
        append(Path("/dev/full"), plane.note())
