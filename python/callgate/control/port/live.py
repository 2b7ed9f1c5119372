"""Streams of JSON lines about the present: the decisions of `callgate tail`, and the numbers of `callgate top`."""

from __future__ import annotations

import json
import time
from collections import Counter, defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence

    from callgate._callgate import GrantTally, Metrics, Server

_BEAT_MS: Final = 1_000
"""Longest silence of a stream: an empty line shows whether its reader is still there."""

_BEAT: Final = b"\n"
_MOST_ROWS: Final = 50
"""Grants, tools and rules of one document, those with the most decisions."""


def tail(
    server: Server, *, grants: Sequence[str] = (), tools: Sequence[str] = (), outcomes: Sequence[str] = ()
) -> Generator[bytes, None, None]:
    """Decisions as JSON lines from now on, with a line of ``dropped`` where some found no room.

    Raises:
        ConfigError: There are too many listeners.
        ValueError: Not an outcome.
    """
    # Before the first line, so that a refusal is an answer of its own.
    listener = server.listen(grants=list(grants), tools=list(tools), outcomes=list(outcomes))

    def lines() -> Generator[bytes, None, None]:
        with listener:
            yield _BEAT
            while (taken := listener.take(_BEAT_MS)) is not None:
                text, dropped = taken
                if dropped:
                    text += _line({"dropped": dropped})
                yield text or _BEAT

    return lines()


def top(server: Server, waiting: Callable[[], dict[str, Any]], *, interval_s: float) -> Generator[bytes, None, None]:
    """The numbers of each interval as one JSON line, with the members of `waiting` at its end.

    Raises:
        ConfigError: There are too many listeners.
    """
    tally = server.tally_grants()

    def lines() -> Generator[bytes, None, None]:
        with tally:
            before, since = server.metrics(), time.monotonic()
            yield _BEAT
            while True:
                until = since + interval_s
                while (left := until - time.monotonic()) > 0:
                    time.sleep(min(left, _BEAT_MS / 1_000))
                    yield _BEAT
                after, now = server.metrics(), time.monotonic()
                numbers = _numbers(before, after, tally)
                if numbers is None:
                    return
                yield _line({"seconds": now - since, **numbers, **waiting()})
                before, since = after, now

    return lines()


def _numbers(before: Metrics, after: Metrics, tally: GrantTally) -> dict[str, Any] | None:
    """The numbers between two readings; None once the server has stopped."""
    taken = tally.take()
    if taken is None:
        return None
    grants, uncounted = taken
    decisions = Counter({(one, tool, outcome): count for one, tool, outcome, count in after.decisions})
    decisions.subtract({(one, tool, outcome): count for one, tool, outcome, count in before.decisions})
    denials = Counter({(one, rule): count for one, rule, count in after.denials})
    denials.subtract({(one, rule): count for one, rule, count in before.denials})
    outcomes: Counter[str] = Counter()
    for (_, _, outcome), count in decisions.items():
        outcomes[outcome] += count
    rules = [{"server": one, "rule": rule, "count": count} for (one, rule), count in denials.most_common(_MOST_ROWS)]
    return {
        "outcomes": {outcome: count for outcome, count in outcomes.items() if count},
        "grants": _rows(("grant",), (((grant,), outcome, count) for grant, outcome, count in grants)),
        "grants_uncounted": uncounted,
        "tools": _rows(("server", "tool"), ((key[:2], key[2], count) for key, count in decisions.items())),
        "denials": [row for row in rules if row["count"]],
        "latency_ns": _latency(before, after),
        "counters": {"live": after.counters, "capacity": after.counter_capacity},
    }


def _rows(names: tuple[str, ...], counts: Iterable[tuple[tuple[str, ...], str, int]]) -> list[dict[str, Any]]:
    """Rows with their counts by outcome, the largest first."""
    rows: defaultdict[tuple[str, ...], Counter[str]] = defaultdict(Counter)
    for key, outcome, count in counts:
        if count:
            rows[key][outcome] += count
    largest = sorted(rows.items(), key=lambda row: (-row[1].total(), row[0]))[:_MOST_ROWS]
    return [{**dict(zip(names, key, strict=True)), "outcomes": dict(outcomes)} for key, outcomes in largest]


def _latency(before: Metrics, after: Metrics) -> dict[str, float | None] | None:
    """Mean and quantiles of the decisions' durations, a quantile as the bound that is not passed; None without any."""
    counts = [late - early for late, early in zip(after.duration_counts, before.duration_counts, strict=True)]
    total = sum(counts)
    if not total:
        return None
    bounds: list[int | None] = [*after.duration_bounds_ns, None]

    def at_most(share: float) -> int | None:
        within = accumulate(counts)
        return next(bound for bound, count in zip(bounds, within, strict=True) if count >= share * total)

    mean = (after.duration_sum_ns - before.duration_sum_ns) / total
    return {"mean": mean, "p50": at_most(0.5), "p99": at_most(0.99)}


def _line(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
