"""The hostile requests of `tests/cases/hostile`; its README describes them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from proxies.envoy import ROOT

FILES = ["bodies", "envelope", "params", "headers", "without_body"]


@dataclass(frozen=True)
class Case:
    """One request, and what must become of it."""

    name: str
    headers: list[tuple[str, bytes]]
    """None where the proxy forwards none."""
    body: bytes | None
    expect: dict[str, Any]

    @property
    def passes(self) -> bool:
        """Whether it may go on by a policy that allows every call."""
        return "call" in self.expect or self.expect.get("other", {}).get("passes") is True

    @property
    def can_be_sent(self) -> bool:
        """Whether HTTP/1.1 can carry its header fields."""
        return not any(set(b"\r\n\0") & set(value) for _, value in self.headers)


def cases() -> list[Case]:
    """Every case of every file."""
    read = []
    for file in FILES:
        for case in json.loads((ROOT / "tests" / "cases" / "hostile" / f"{file}.json").read_text()):
            headers = [(name, as_bytes(value)) for name, value in case.get("headers", [])]
            body = as_bytes(case["body"]) if "body" in case else None
            read.append(Case(f"{file}: {case['name']}", headers, body, case["expect"]))
    return read


def as_bytes(value: Any) -> bytes:
    """A text, or the pieces of one."""
    if isinstance(value, list):
        return b"".join(map(as_bytes, value))
    if isinstance(value, str):
        return value.encode()
    if "hex" in value:
        return bytes.fromhex(value["hex"])
    repeated: str = value["repeat"] * value["times"]
    return repeated.encode()
