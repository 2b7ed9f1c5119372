"""Two runs that differ are told apart, and two that differ by chance alone are not."""

from __future__ import annotations

import pytest

from support.gateway.transcript import Transcript, differences


def run(*lines: str, lane: str = "a", status: int = 200, **headers: str) -> Transcript:
    written = Transcript()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    written.answered(lane, status, {"content-type": "application/json", **named})
    for line in lines:
        written.note(lane, line)
    return written


def test_what_differs_by_chance_is_no_difference() -> None:
    def once(uuid: str, token: str, event: str, time: str) -> Transcript:
        said = f'{{"text":"session {uuid} at {time}","again":"{uuid}","requestState":"{token}"}}'
        return run(f"id: {event}\r\ndata: {said}\r\n", f"id: {event}", mcp_session_id=uuid)

    first = once("6a0b2f6c-3f5e-4a77-9d5b-0f6f1f0a0c11", "v1.AAAA", "7", "2026-01-02T03:04:05.678Z")
    second = once("0f0f2f6c-3f5e-4a77-9d5b-0f6f1f0a0c22", "v1.BBBB", "12", "2027-01-02T03:04:05Z")
    assert not differences(first, second)


def test_ids_that_were_one_must_stay_one() -> None:
    one = "6a0b2f6c-3f5e-4a77-9d5b-0f6f1f0a0c11"
    other = "0f0f2f6c-3f5e-4a77-9d5b-0f6f1f0a0c22"
    assert differences(run(one, one), run(one, other))


@pytest.mark.parametrize(
    "changed",
    [
        run('{"a": 1}', lane="b"),
        run('{"a":1}'),
        run('{"a": 1}', status=202),
        run('{"a": 1}', allow="GET"),
        run('{"a": 1}', '{"a": 1}'),
        run(),
        run('{"a": 1}\n'),
        run('{"a": 1}\r'),
    ],
)
def test_anything_else_is_one(changed: Transcript) -> None:
    assert differences(run('{"a": 1}'), changed)


def test_order_counts_within_a_lane_and_not_between_lanes() -> None:
    assert differences(run("a", "b"), run("b", "a"))
    first, second = Transcript(), Transcript()
    for written, lanes in ((first, "xy"), (second, "yx")):
        for lane in lanes:
            written.note(lane, f"in {lane}")
    assert not differences(first, second)
