"""The gateway before a server that breaks what can break: nothing hidden is told, nothing hangs, counts are right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from support.gateway import faults
from support.gateway.encodings import ENCODERS
from support.gateway.faulty import EVENTS, JSON, faulty_server
from support.gateway.running import gateway

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.gateway.faulty import Fault, Faulty

POLICY = {
    "version": "1",
    "name": "example",
    "default": "allow",
    "hide": ["secret"],
    "tools": {"small": {"limits": [{"counter": "calls", "window": "hour", "max": 1}]}},
}
PATIENCE_S = 60.0
SHORT = {"answer_timeout": "700ms", "connect_timeout": "700ms"}
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


@pytest.fixture(scope="module")
def both(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Faulty, str]]:
    """A faulty server, and where the gateway stands for it."""
    with faulty_server() as faulty:
        upstream = {"url": faulty.url, "list_limit_bytes": "1MiB", **SHORT}
        with gateway(tmp_path_factory.mktemp("gateway"), {"s": upstream}, POLICY) as running:
            yield faulty, running.url("s")


def post(url: str, message: dict[str, Any]) -> httpx.Response:
    """The whole answer to a message, at most so late."""
    accept = {"accept": f"{JSON}, {EVENTS}"}
    return httpx.post(url, json=message, headers=accept, timeout=PATIENCE_S)


def call(tool: str) -> dict[str, Any]:
    """A call of a tool."""
    return {"jsonrpc": "2.0", "id": 7, "method": "tools/call", "params": {"name": tool, "arguments": {}}}


def messages(answer: httpx.Response) -> list[dict[str, Any]]:
    """The messages of an answer, whatever its form."""
    if answer.headers["content-type"].startswith(EVENTS):
        lines = answer.content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        return [json.loads(line[5:]) for line in lines if line.startswith(b"data:")]
    return [answer.json()]


SHOWN: dict[str, Fault] = {
    **{f"{name} of JSON": faults.compressed(name) for name in ENCODERS if name != "raw deflate"},
    **{f"{name} of events": faults.compressed(name, EVENTS) for name in ENCODERS if name != "raw deflate"},
    **{f"events cut, ended by {name}": faults.cut(end) for name, end in faults.NEWLINES.items()},
    "a head that comes slowly": faults.slow_head(0.001),
    "another id": faults.other_id,
}
"""Checks that lists are shown, without hidden tools."""


@pytest.mark.parametrize("fault", SHOWN.values(), ids=SHOWN)
def test_lists_are_cut_however_they_come(both: tuple[Faulty, str], fault: Fault) -> None:
    faulty, url = both
    faulty.on("tools/list", fault)
    answer = post(url, LIST)
    assert answer.status_code == 200
    assert b"secret" not in answer.content
    assert "content-encoding" not in answer.headers
    [list_] = [message["result"] for message in messages(answer) if "result" in message]
    assert [tool["name"] for tool in list_["tools"]] == ["open", "small"]


WITHHELD: dict[str, Fault] = {
    "raw deflate": faults.compressed("raw deflate"),
    "misnamed": faults.compressed("gzip", named="br"),
    "an unknown encoding": faults.compressed("gzip", named="lzma"),
    "compressed twice": faults.compressed_twice("gzip", "br"),
    "a bomb of gzip": faults.decompression_bomb("gzip", 64),
    "a bomb of brotli": faults.decompression_bomb("br", 64),
    "a page": faults.html(),
    "half of it": faults.ends_early,
    "a body that comes slowly": faults.slow_body(0.05),
    "nothing": faults.silent,
    "an end": faults.hang_up,
    "a reset": faults.reset,
    "a redirect elsewhere": faults.redirect("http://127.0.0.1:9/mcp"),
    "a challenge": faults.says(401, b"", www_authenticate="Bearer"),
    "bytes that are no HTTP": faults.raw(b"SSH-2.0-x\r\n\r\n"),
}
"""Lists that are not."""


@pytest.mark.parametrize("fault", WITHHELD.values(), ids=WITHHELD)
def test_what_cannot_be_cut_is_an_error_under_its_id(both: tuple[Faulty, str], fault: Fault) -> None:
    faulty, url = both
    faulty.on("tools/list", fault)
    answer = post(url, LIST)
    assert b"secret" not in answer.content
    assert "www-authenticate" not in answer.headers
    assert "location" not in answer.headers
    [message] = messages(answer)
    assert message["id"] == 1
    assert message["error"]["message"]


@pytest.mark.parametrize("fault", [faults.silent, faults.hang_up, faults.reset, faults.slow_head(1.0)])
def test_a_call_without_an_answer_is_told_to_the_model_and_counted(tmp_path: Path, fault: Fault) -> None:
    with (
        faulty_server({"tools/call": fault}) as faulty,
        gateway(tmp_path, {"s": {"url": faulty.url, **SHORT}}, POLICY) as running,
    ):
        answer = post(running.url("s"), call("small"))
        assert answer.status_code == 200
        result = answer.json()["result"]
        assert result["isError"]
        assert "nobody knows whether this was done" in result["content"][0]["text"]
        limited = post(running.url("s"), call("small")).json()["result"]
        assert "try again in" in limited["content"][0]["text"]
        assert len(faulty.asked("tools/call")) == 1


def test_a_stream_that_breaks_off_breaks_off(both: tuple[Faulty, str]) -> None:
    faulty, url = both
    faulty.on("tools/call", faults.reset_mid_stream(2))
    seen: list[bytes] = []
    accept = {"accept": f"{JSON}, {EVENTS}"}
    with httpx.stream("POST", url, json=call("open"), headers=accept, timeout=PATIENCE_S) as answer:
        pieces = answer.iter_raw()
        with pytest.raises(httpx.RemoteProtocolError):
            seen.extend(pieces)
    # A reset may drop notifications that were not read before it came, but nothing stands in for the answer.
    assert b'"result"' not in b"".join(seen)
    assert b'"error"' not in b"".join(seen)


def test_a_result_of_a_hundred_megabytes_passes(both: tuple[Faulty, str]) -> None:
    faulty, url = both
    faulty.on("tools/call", faults.large_result(100_000_000))
    got = 0
    accept = {"accept": f"{JSON}, {EVENTS}"}
    with httpx.stream("POST", url, json=call("open"), headers=accept, timeout=PATIENCE_S) as answer:
        for piece in answer.iter_raw():
            got += len(piece)
    assert got == int(answer.headers["content-length"]) > 100_000_000


def test_a_second_answer_on_a_connection_is_nobody_s(both: tuple[Faulty, str]) -> None:
    faulty, url = both
    faulty.on("tools/call", faults.in_turn([faults.two_responses, faults.large_event(1)]))
    for _ in range(5):
        answer = post(url, call("open"))
        assert b"second" not in answer.content


def test_a_kept_connection_that_breaks_costs_no_answer_twice(both: tuple[Faulty, str]) -> None:
    faulty, url = both
    faulty.on("tools/call", faults.resets_when_used_again)
    before = len(faulty.asked("tools/call"))
    done = [post(url, call("open")).json()["result"].get("isError", False) for _ in range(6)]
    assert len(faulty.asked("tools/call")) - before <= len(done), "no call is sent twice"
    assert False in done
