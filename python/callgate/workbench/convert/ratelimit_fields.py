"""Fields of envoyproxy/ratelimit's files, as its YAML reader interprets them.

That reader is gopkg.in/yaml.v2, and the program checks the values again before it uses them. A value for which both are
too lenient for a file that two programs read, such as `010`, is a fault here, and the message names the right form.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.config.messages import unknown_key
from callgate.workbench.convert.rules import LARGEST_LIMIT

if TYPE_CHECKING:
    from collections.abc import Collection

    from callgate.config.document import KeyPath
    from callgate.workbench.convert.conversion import Report
    from callgate.workbench.convert.scalars import Written

_YES: Final = frozenset({"y", "Y", "yes", "Yes", "YES", "on", "On", "ON"})
_NO: Final = frozenset({"n", "N", "no", "No", "NO", "off", "Off", "OFF"})
_PLAIN_COUNT: Final = re.compile(r"0|[1-9][0-9]*")

_DESCRIPTOR_KEYS: Final = frozenset(
    {
        "key",
        "value",
        "rate_limit",
        "descriptors",
        "shadow_mode",
        "quota_mode",
        "detailed_metric",
        "value_to_metric",
        "share_threshold",
        "metadata",
    }
)
KEYS: Final = {
    "the top": frozenset({"domain", "descriptors"}),
    "a descriptor": _DESCRIPTOR_KEYS,
    "a rate limit": frozenset({"unit", "requests_per_unit", "unlimited", "name", "replaces"}),
    "an entry of `replaces`": frozenset({"name"}),
}
"""The keys of each kind of section. All of them are allowed in any section, and ignored if it does not use them."""

_ALL_KEYS: Final = sorted(frozenset[str]().union(*KEYS.values()))


@dataclass(frozen=True)
class Fields:
    """Keys and values of a section, with their positions."""

    report: Report
    written: Written
    path: KeyPath
    values: dict[str, Any]

    def check_keys(self, kind: str) -> None:
        """Finds unknown keys, and keys that are ignored in a section of this kind."""
        used: Collection[str] = KEYS[kind]
        for key in self.values:
            if key in used:
                continue
            path = (*self.path, key)
            if key in _ALL_KEYS:
                self.report.note(path, f"`{key}` has no effect in {kind}, and is not kept", of_key=True)
            else:
                self.report.fault(path, unknown_key(key, sorted(used)), of_key=True)

    def text(self, key: str) -> str:
        """Text; empty if absent."""
        value = self.values.get(key)
        if value is None:
            return ""
        if isinstance(value, str):
            return value
        if isinstance(value, float):
            self._fault(key, "expected text; put a number with a fraction or an exponent in quotes")
        elif isinstance(value, int):
            # As written: `007` is not changed.
            return self.written.number_or_word((*self.path, key))
        else:
            self._fault(key, "expected text")
        return ""

    def flag(self, key: str) -> bool:
        """True or false; false if absent."""
        value = self.values.get(key)
        if isinstance(value, bool) or value is None:
            return bool(value)
        # In quotes, these words are text.
        word = self.written.number_or_word((*self.path, key)) if isinstance(value, str) else ""
        if word == value and word in _YES | _NO:
            return word in _YES
        self._fault(key, "expected `true` or `false`")
        return False

    def count(self, key: str) -> int:
        """A whole number; 0 if absent."""
        value = self.values.get(key)
        if value is None:
            return 0
        is_number = isinstance(value, int) and not isinstance(value, bool)
        if not is_number or not _PLAIN_COUNT.fullmatch(self.written.number_or_word((*self.path, key))):
            self._fault(key, "expected a whole number, in decimal digits without quotes and leading zeros")
            return 0
        if value > LARGEST_LIMIT:
            self._fault(key, f"expected at most {LARGEST_LIMIT}")
            return 0
        return int(value)

    def section(self, key: str) -> Fields | None:
        """Keys and values; None if absent."""
        value = self.values.get(key)
        if value is None or isinstance(value, dict):
            return None if value is None else Fields(self.report, self.written, (*self.path, key), value)
        self._fault(key, "expected keys and values")
        return None

    def sections(self, key: str) -> list[Fields]:
        """A list of sections; empty if absent."""
        value = self.values.get(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self._fault(key, "expected a list")
            return []
        found = []
        for index, item in enumerate(value):
            path = (*self.path, key, index)
            if isinstance(item, dict):
                found.append(Fields(self.report, self.written, path, item))
            else:
                self.report.fault(path, "expected keys and values")
        return found

    def _fault(self, key: str, message: str) -> None:
        self.report.fault((*self.path, key), message)
