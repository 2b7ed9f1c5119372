"""callgate's rate limits of one domain, in the form of their file."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from callgate.workbench.convert.align import Align

LARGEST_LIMIT: Final = 2**32 - 1
"""Most units of one limit, which Envoy's messages can hold."""

WILDCARD: Final = "*"


@dataclass(frozen=True)
class RateLimit:
    """The maximum of units in a window."""

    unit: str | None = None
    requests_per_unit: int = 0
    unlimited: bool = False
    name: str = ""
    replaces: tuple[str, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The value in the form of the file."""
        plain: dict[str, Any] = {}
        if self.name:
            plain["name"] = self.name
        if self.replaces:
            plain["replaces"] = [{"name": name} for name in self.replaces]
        if self.unlimited:
            return {**plain, "unlimited": True}
        return {**plain, "unit": self.unit, "requests_per_unit": self.requests_per_unit}


@dataclass(frozen=True)
class Descriptor:
    """An entry of descriptors, the limit of descriptors that end with it, and the entries that may follow."""

    key: str
    value: str = ""
    """The value; empty if every value has its own count. A ``*`` stands for any characters."""
    rate_limit: RateLimit | None = None
    shadow_mode: bool = False
    count_refused: bool = False
    """True if requests that this limit or another one refuses count too."""
    share_threshold: bool = False
    """True if all values that match the ``*`` share one count."""
    descriptors: tuple[Descriptor, ...] = ()

    def plain(self) -> dict[str, Any]:
        """The value in the form of the file."""
        plain: dict[str, Any] = {"key": self.key}
        if self.value:
            plain["value"] = self.value
        if self.shadow_mode:
            plain["shadow_mode"] = True
        if self.count_refused:
            plain["count_refused"] = True
        if self.share_threshold:
            plain["share_threshold"] = True
        if self.rate_limit is not None:
            plain["rate_limit"] = self.rate_limit.plain()
        if self.descriptors:
            plain["descriptors"] = [descriptor.plain() for descriptor in self.descriptors]
        return plain


@dataclass
class RateLimits:
    """A file: the limits of a domain."""

    domain: str
    align: Align
    descriptors: list[Descriptor] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    """Remarks for a reader of the file, one line each."""

    def plain(self) -> dict[str, Any]:
        """The value in the form of the file."""
        return {
            "domain": self.domain,
            "align": self.align.value,
            "descriptors": [descriptor.plain() for descriptor in self.descriptors],
        }
