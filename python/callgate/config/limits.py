"""What one caller may ask of the data plane."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from callgate.config.fields import Count, Section, Size


class Limits(Section):
    """Bounds of the decision port."""

    body_limit_bytes: Annotated[Size, Field(ge=1024)] = 4 << 20
    """Largest gRPC message and HTTP body."""

    max_connections: Annotated[Count, Field(ge=1)] = 10_000
    """Connections open at once; more wait to be accepted."""
