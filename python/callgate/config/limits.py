"""Bounds on callers' use of the data plane."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

from pydantic import Field

from callgate.config.fields import Count, Duration, Section, Size, within

_Wait = Annotated[Duration, within(timedelta(milliseconds=100), timedelta(days=1))]


class Limits(Section):
    """Bounds of the decision port."""

    body_limit_bytes: Annotated[Size, Field(ge=1 << 10, le=1 << 30)] = 4 << 20
    """Largest gRPC message and HTTP body."""

    header_limit_bytes: Annotated[Size, Field(ge=1 << 10, le=1 << 30)] = 16 << 10
    """Largest header of one HTTP/2 request."""

    unfinished_limit_bytes: Annotated[Size, Field(ge=1 << 20)] = 256 << 20
    """Unfinished messages and bodies held at once, and answers that wait for their clients: lists of tools, batches. A
    quarter of it is for the first 16 KiB of each message. One connection gets an eighth of it, or one body if that is
    more, and half of that quarter."""

    max_connections: Annotated[Count, Field(ge=1)] = 10_000
    """Connections open at once; more wait to be accepted."""

    max_streams: Annotated[Count, Field(ge=1, lt=1 << 31)] = 1_024
    """Streams open at once on one HTTP/2 connection; more are refused."""

    max_batch_calls: Annotated[Count, Field(ge=1)] = 1_000
    """Calls of one `CheckBatch`."""

    message_timeout: _Wait = timedelta(seconds=30)
    """Longest time of one message or body from its beginning to its end."""

    opening_timeout: _Wait = timedelta(seconds=10)
    """Longest time until a new connection shows its HTTP version."""

    header_timeout: _Wait = timedelta(seconds=20)
    """Longest wait for a whole header over HTTP/1.1, from its first byte on."""

    idle_timeout: _Wait = timedelta(seconds=100)
    """Time that an idle HTTP/1.1 connection is kept; clients are told 5 s less."""

    keepalive_interval: _Wait = timedelta(seconds=30)
    """Interval at which an HTTP/2 client is probed."""

    keepalive_timeout: _Wait = timedelta(seconds=20)
    """Time that the client has to answer a probe."""

    quota_ttl: Annotated[Duration, within(timedelta(seconds=10), timedelta(minutes=1))] = timedelta(seconds=15)
    """Time for which an Envoy may use a quota before it has to be renewed; whole seconds of it count."""

    quota_margin: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(seconds=4))] = timedelta(seconds=2)
    """Longest time that a message about quotas may take, in the network and in Envoy. A quota is counted for so much
    longer."""
