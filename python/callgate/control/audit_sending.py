"""Checkpoints of the signed decision log on their way to another disk or machine, without the store."""

from __future__ import annotations

import os
import urllib.error
import urllib.request
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from callgate.control import logs
from callgate.priority import step_back
from callgate.text import masked, reason_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from callgate._callgate import Server
    from callgate.config.audit import Audit

_EVERY_S: Final = 2.0
_LONGEST_PAUSE_S: Final = 60.0
_TIMEOUT_S: Final = 10.0
_STOP_S: Final = 3.0
_MOST_ANSWER_BYTES: Final = 4_096


class CheckpointSending:
    """Sends each new checkpoint to the places of the configuration, and the last one at the stop."""

    def __init__(self, server: Server, audit: Audit) -> None:
        """Takes the data plane and the configuration of its log."""
        self._server = server
        self._places: list[_Sending] = []
        if audit.checkpoints_file is not None:
            file = audit.checkpoints_file
            self._places.append(_Sending(f"file `{file}`", lambda note: append(file, note)))
        if audit.checkpoints_url is not None:
            url = audit.checkpoints_url
            self._places.append(_Sending("`audit.checkpoints_url`", lambda note: post(url, note)))
        self._stopped = Event()
        self._threads = [
            Thread(target=self._run, args=(place,), name="callgate-audit-sending", daemon=True)
            for place in self._places
        ]

    def start(self) -> None:
        """Begins, on a thread for each place."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Sends what is signed, and ends within a few seconds."""
        self._stopped.set()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(_STOP_S)

    def _run(self, place: _Sending) -> None:
        step_back()
        pause_s = 0.0
        while not self._stopped.wait(pause_s):
            pause_s = self._send(place)
        self._send(place)

    def _send(self, place: _Sending) -> float:
        """Sends the newest checkpoint if it was not sent; returns the pause until the next look."""
        head = self._server.audit_head()
        if head is None:
            return _EVERY_S
        return place.send(head[0])


class _Sending:
    """One place, and the last checkpoint that it has."""

    def __init__(self, name: str, deliver: Callable[[str], None]) -> None:
        self._name, self._deliver = name, deliver
        self._sent: str | None = None
        self._failures = 0

    def send(self, note: str) -> float:
        """Delivers a checkpoint; the pause before the next one, longer after each failure."""
        if note == self._sent:
            return _EVERY_S
        try:
            self._deliver(note)
        except Exception as error:  # noqa: BLE001  it may pass, and the thread must not end
            self._failures += 1
            if self._failures == 1:
                fields = {"place": self._name, "error": masked(reason_of(error))}
                logs.log("error", "audit_checkpoint_not_sent", fields)
            return min(_EVERY_S * (1 << min(self._failures, 8)), _LONGEST_PAUSE_S)
        if self._failures:
            logs.log("info", "audit_checkpoint_sent_again", {"place": self._name})
        self._sent, self._failures = note, 0
        return _EVERY_S


def append(path: Path, note: str) -> None:
    """Adds a note to a file, on the disk when this returns.

    Raises:
        OSError: It cannot be written.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        content, length = f"{note}\n".encode(), os.fstat(handle).st_size
        if os.write(handle, content) != len(content):
            # Half a note would spoil the next one too.
            os.ftruncate(handle, length)
            message = "the disk is full"
            raise OSError(message)
        os.fsync(handle)
    finally:
        os.close(handle)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """Refuses redirects: a checkpoint goes to the place that was named."""

    def redirect_request(self, *_args: object, **_keywords: object) -> None:
        """Follows none."""


def post(url: str, note: str) -> None:
    """Sends a note. It is signed itself, so that the receiver needs no other proof of its sender.

    Raises:
        OSError: It does not answer, or with another status than 2xx.
    """
    headers = {"content-type": "text/plain; charset=utf-8", "user-agent": "callgate"}
    request = urllib.request.Request(url, note.encode(), headers, method="POST")  # noqa: S310  the scheme is checked
    opener = urllib.request.build_opener(_NoRedirects)
    try:
        with opener.open(request, timeout=_TIMEOUT_S) as answer:
            answer.read(_MOST_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        error.close()
        message = f"it answered with the status {error.code}"
        raise OSError(message) from None
    except urllib.error.URLError as error:
        message = reason_of(error.reason) if isinstance(error.reason, Exception) else str(error.reason)
        raise OSError(message) from None
