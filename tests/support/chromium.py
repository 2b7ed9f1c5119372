"""Chromium without a window, driven over a pipe by its own protocol."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import pytest

from support.gateway.environments import bare_environment

TIMEOUT_S = 60.0
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-extensions",
    "--remote-debugging-pipe",
)


class LostPageError(Exception):
    """The page was left for another one before its answer came."""


class Chromium:
    """A browser with one tab."""

    def __init__(self, to: int, back: int) -> None:
        self._to = os.fdopen(to, "wb", buffering=0)
        self._back = os.fdopen(back, "rb")
        self._number = 0
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def ask(self, method: str, **parameters: Any) -> Any:
        """The result of a command."""
        self._number += 1
        session = {} if self._session is None else {"sessionId": self._session}
        message = {"id": self._number, "method": method, "params": parameters, **session}
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            answer = self._read()
            if answer.get("id") == self._number:
                if "navigated or closed" in answer.get("error", {}).get("message", ""):
                    raise LostPageError
                assert "error" not in answer, answer
                return answer["result"]

    def go(self, url: str) -> None:
        """Opens a page and waits until it is there."""
        self.ask("Page.navigate", url=url)
        self.until("document.readyState === 'complete'")

    def run(self, script: str) -> Any:
        """The value of a script in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True)
        return found["result"].get("value")

    def leave(self, script: str) -> None:
        """Runs a script that opens another page, which may come before the answer."""
        with suppress(LostPageError):
            self.run(script)

    def resolve(self, script: str) -> Any:
        """The value of the promise of a script in the page."""
        found = self.ask("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str) -> None:
        """Waits until a script is true."""
        deadline = monotonic() + TIMEOUT_S
        while not self._is_true(script):
            assert monotonic() < deadline, f"{script}: {self.run('location.href + document.body.innerText')}"
            sleep(0.05)

    def _is_true(self, script: str) -> bool:
        try:
            return bool(self.run(script))
        except LostPageError:
            # Another page comes, which is asked next.
            return False

    @property
    def text(self) -> str:
        """The text of the page, as people see it."""
        return str(self.run("document.body.innerText"))

    def close(self) -> None:
        """Closes the pipe."""
        for one in (self._to, self._back):
            with suppress(OSError):
                one.close()

    def _read(self) -> dict[str, Any]:
        content = bytearray()
        while (byte := self._back.read(1)) != b"\0":
            assert byte, "the browser has ended"
            content += byte
        document: dict[str, Any] = json.loads(content)
        return document


@contextmanager
def chromium(profile: Path) -> Iterator[Chromium]:
    """Runs the browser to the end of the block."""
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("chromium is not installed (scripts/need chromium)")
    profile.mkdir()
    read, to = os.pipe()
    back, write = os.pipe()

    def arrange() -> None:
        # The browser reads commands from 3 and answers on 4. Copies above both, so that none overwrites another.
        high_read, high_write = os.dup(read), os.dup(write)
        os.dup2(high_read, 3)
        os.dup2(high_write, 4)

    process = subprocess.Popen(
        [program, *FLAGS, f"--user-data-dir={profile}"],
        env={**bare_environment(), "HOME": str(profile)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        close_fds=False,
        preexec_fn=arrange,  # noqa: PLW1509  it takes no lock
        start_new_session=True,
    )
    os.close(read)
    os.close(write)
    browser = None
    try:
        browser = Chromium(to, back)
        yield browser
    finally:
        if browser is not None:
            browser.close()
        # Its own processes too, which all are of its group.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
