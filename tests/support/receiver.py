"""A receiver of notices: a real HTTP server on loopback that answers as it is told, and keeps what it gets."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock
from typing import Any, ClassVar

from support.http_server import Handler, serving

Answer = Callable[["ReceiverHandler"], None]


@dataclass(frozen=True)
class Taken:
    """A message as it came."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """The state of a receiver."""

    answer: Answer
    port: int = 0
    taken: list[Taken] = field(default_factory=list)
    ended: Event = field(default_factory=Event)
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}/hook"

    def wait(self, count: int, patience_s: float = 30.0) -> list[Taken]:
        """The messages, as soon as there are so many."""
        end = time.monotonic() + patience_s
        while len(self.taken) < count:
            assert time.monotonic() < end, f"{len(self.taken)} of {count} messages have come"
            time.sleep(0.01)
        return list(self.taken)


class ReceiverHandler(Handler):
    """Keeps each message, and lets the receiver's function answer."""

    receiver: ClassVar[Receiver]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        with self.receiver.lock:
            self.receiver.taken.append(Taken({key.lower(): value for key, value in self.headers.items()}, body))
        self.receiver.answer(self)


def status(code: int, text: str = "", **headers: str) -> Answer:
    """Answers with a status."""

    def answer(handler: ReceiverHandler) -> None:
        handler.send_response(code)
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text.encode())

    return answer


def hang(handler: ReceiverHandler) -> None:
    """Answers nothing until the test ends."""
    handler.receiver.ended.wait(60)
    handler.close_connection = True


def cut(handler: ReceiverHandler) -> None:
    """Closes the connection in the middle of the head."""
    handler.wfile.write(b"HTTP/1.1 20")
    handler.wfile.flush()
    handler.close_connection = True


def lie(handler: ReceiverHandler) -> None:
    """Promises a body of a gigabyte and sends none of it."""
    handler.wfile.write(b"HTTP/1.1 500 Oh\r\ncontent-length: 1000000000\r\n\r\n")
    handler.wfile.flush()
    handler.receiver.ended.wait(60)
    handler.close_connection = True


@contextmanager
def receiving(answer: Answer | None = None, **more: Any) -> Iterator[Receiver]:
    """A receiver that runs until the end, and takes every message by default."""
    receiver = Receiver(answer or status(204))
    handler = type("Own", (ReceiverHandler,), {"receiver": receiver})
    with serving(handler, **more) as port:
        receiver.port = port
        try:
            yield receiver
        finally:
            receiver.ended.set()
