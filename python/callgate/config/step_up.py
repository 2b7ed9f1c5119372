"""Approvals that take more than a session: a passkey, with the person present at the moment of the answer."""

from __future__ import annotations

import ipaddress
from enum import Enum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import Field

from callgate.config.fields import Section

if TYPE_CHECKING:
    from collections.abc import Collection


class Category(str, Enum):
    """The categories of catalogues."""

    READ = "Read"
    WRITE = "Write"
    EXECUTE = "Execute"
    DESTRUCTIVE = "Destructive"
    FINANCIAL = "Financial"


class Risk(str, Enum):
    """The risks of catalogues."""

    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


class StepUp(Section):
    """Approvals that take a passkey."""

    categories: list[Category] = Field(default=[])
    """Categories of tools whose calls take a passkey to approve. A tool without a category takes one too, if there is
    any here."""

    risks: list[Risk] = Field(default=[])
    """Risks of tools, likewise."""

    @property
    def is_on(self) -> bool:
        """True if any approval takes a passkey."""
        return bool(self.categories or self.risks)

    def takes_passkey(self, category: str | None, risk: str | None) -> bool:
        """True if an approval of a call takes a passkey.

        Of a tool that is not in the catalogue nobody knows whether it is as dangerous as those that are meant.
        """
        return _is_meant(category, self.categories) or _is_meant(risk, self.risks)


def is_passkey_host(url: str) -> bool:
    """True if passkeys can be of the host of a URL: browsers make them for names, not for IP addresses."""
    host = urlsplit(url).hostname or ""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return bool(host)
    return False


def _is_meant(value: str | None, words: Collection[Enum]) -> bool:
    return bool(words) and (value is None or any(word.value == value for word in words))
