"""callgate as Envoy's services, asked directly, beside peers and a bare tonic handler.

Rate limits beside limitador and envoyproxy/ratelimit: one descriptor of two entries, whose limit is never reached, then
one whose limit is used up. External authorization beside OPA: a 1 KiB `tools/call` that a rule on two arguments allows.
All that serves is pinned to one core and the load to the other; everybody gets the same bytes, and rounds take turns.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

from proxy import contestants, direct, messages, starting
from proxy.direct import Question
from wire.contestants import bare_handler

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from common import report
    from proxy.contestants import Contestant


def limited(outcome: str, server: Contestant) -> int:
    """Rate limits of this outcome by callgate's own count."""
    sidecar = server.sidecar
    return round(sidecar.metric("callgate_rate_limits_total", outcome=outcome)) if sidecar is not None else 0


def rate_limits(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """`ShouldRateLimit`, admitted and refused."""
    with ExitStack() as stack:
        started = starting.rate_limiters(stack, folder, bare_handler(options.quick))
        for server in started.contestants:
            contestants.expect_rate_limit(server, over=False)
        admitted = Question(
            "ShouldRateLimit, admitted",
            messages.RATE_LIMIT,
            messages.rate_limit(messages.FREE),
            lambda server: contestants.expect_rate_limit(server, over=False),
            lambda server: limited("ok", server),
        )
        direct.compare(started.contestants, admitted, options, folder, results)
        for server in started.contestants:
            contestants.use_up(server)
        refused = Question(
            "ShouldRateLimit, over the limit",
            messages.RATE_LIMIT,
            messages.rate_limit(messages.USED_UP),
            lambda server: contestants.expect_rate_limit(server, over=True),
            lambda server: limited("over_limit", server),
        )
        direct.compare(started.contestants, refused, options, folder, results)
        absent(started.absent, results)


def authorization(options: argparse.Namespace, folder: Path, results: report.Report) -> None:
    """`Check`, allowed."""
    with ExitStack() as stack:
        started = starting.authorizers(stack, folder, bare_handler(options.quick))
        for server in started.contestants:
            contestants.expect_rule(server)
        allowed = Question(
            "ext_authz Check, 1 KiB call",
            messages.AUTHORIZATION,
            messages.check(messages.call()),
            contestants.expect_allowed,
            lambda server: server.sidecar.allowed() if server.sidecar is not None else 0,
        )
        direct.compare(started.contestants, allowed, options, folder, results)
        absent(started.absent, results)


def absent(peers: list[str], results: report.Report) -> None:
    """Says who did not take part."""
    for peer in peers:
        print(f"not measured, {peer}")
    results.raw["not measured"] = [*results.raw.get("not measured", []), *peers]
