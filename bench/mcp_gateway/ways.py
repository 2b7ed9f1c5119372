"""Ways to a server, and what must come back over each before it is timed."""

from __future__ import annotations

import json
import sys
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from common import h2load, programs
from proxy import messages

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from common.h2load import Sample, Shape
    from common.programs import Program, Sidecar

DIRECT, FLOOR, CALLGATE = "the server itself", "a bare proxy of the same parts", "callgate"


@dataclass
class Way:
    """One way to the server."""

    name: str
    url: str
    headers: Mapping[str, str]
    # The program between client and server; the server itself if there is none.
    program: Program
    # callgate, which counts its own decisions.
    sidecar: Sidecar | None = None
    alone: list[Sample] = field(default_factory=list)
    many: list[Sample] = field(default_factory=list)

    def call(self, amount: int = messages.AMOUNT) -> dict[str, Any]:
        """The result of one call."""
        body = messages.call(amount)
        request = urllib.request.Request(self.url, body, dict(self.headers), method="POST")
        try:
            with urllib.request.urlopen(request, timeout=programs.START_SECONDS) as response:
                reply = json.loads(response.read())
        except urllib.error.HTTPError as error:
            with error:
                sys.exit(f"{self.name} answered {error.code}: {error.read().decode(errors='replace')}")
        return dict(reply["result"])

    def expect(self) -> None:
        """Ends the bench where the server does not get the call as it is, or gets one that must be denied."""
        if self.call().get("structuredContent") != json.loads(messages.call()):
            sys.exit(f"over {self.name} another message came back than was sent")
        is_denied = self.call(messages.MOST + 1).get("isError", False)
        if is_denied != (self.sidecar is not None):
            sys.exit(f"{self.name}: an amount of {messages.MOST + 1} was{'' if is_denied else ' not'} denied")

    def load(self, body: Path, shape: Shape, requests: int, *, logged: bool = False) -> Sample:
        """Sends so many calls, all of which must be answered, and by callgate's own count be allowed."""
        before = self.sidecar.allowed() if self.sidecar is not None else 0
        sent = h2load.Load(self.url, body, self.headers, http1=True)
        sample = h2load.run(self.name, sent, shape, requests, self.program.cpu_seconds, logged=logged)
        if self.sidecar is not None and self.sidecar.allowed() - before != requests:
            sys.exit(f"callgate allowed {self.sidecar.allowed() - before} of {requests} calls")
        return sample

    def p50(self) -> list[float]:
        """Latency at one connection, of each round."""
        return [sample.latency_us["p50"] for sample in self.alone]

    def rates(self) -> list[float]:
        """Requests per second of many connections, of each round."""
        return [sample.decisions_per_second for sample in self.many]
