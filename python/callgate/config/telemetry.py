"""The collector of spans and logs."""

from __future__ import annotations

import re
from datetime import timedelta
from enum import Enum
from typing import Annotated, Final

from pydantic import AfterValidator

from callgate.config.fields import Duration, FilePath, Ratio, Section, within

_ENDPOINT: Final = re.compile(r"https?://[^/?#@\s]+(/[^?#\s]*)?")


class OtlpProtocol(str, Enum):
    """The protocol of a collector."""

    GRPC = "grpc"
    HTTP = "http/protobuf"


def _endpoint(value: str) -> str:
    # The value is not shown, because it may contain a password.
    if not _ENDPOINT.fullmatch(value):
        message = (
            "expected the URL of a collector, such as `https://collector.example.com:4317`, without user, password, "
            "query and fragment (credentials go into `headers_file`)"
        )
        raise ValueError(message)
    return value


class Telemetry(Section):
    """The collector of spans and logs, and the part of the decisions that it gets."""

    endpoint: Annotated[str, AfterValidator(_endpoint)]
    """URL of the collector: `http://127.0.0.1:4317`. For `http/protobuf`, `/v1/traces` and `/v1/logs` are added to
    it."""

    protocol: OtlpProtocol = OtlpProtocol.GRPC
    """Protocol of the collector: `grpc` or `http/protobuf`."""

    headers_file: FilePath | None = None
    """File with header fields of each request, such as credentials: a line `name: value` for each."""

    ca: FilePath | None = None
    """PEM file of the authorities that are trusted in place of the system's."""

    timeout: Annotated[Duration, within(timedelta(milliseconds=100), timedelta(minutes=1))] = timedelta(seconds=10)
    """Longest time of a request to the collector, with its repetitions."""

    sample_allows: Ratio = 0.01
    """Part of the allowed calls without a trace of their own that are sent, from 0 to 1. Calls in a sampled trace,
    calls with an approval and denials are sent whole."""
