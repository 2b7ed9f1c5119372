"""The contents of envoyproxy/ratelimit's files, with the faults for which that program would refuse them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from callgate.config.document import read_document
from callgate.text import quoted
from callgate.workbench.convert.align import UNIT_SECONDS
from callgate.workbench.convert.conversion import Report
from callgate.workbench.convert.ratelimit_fields import Fields
from callgate.workbench.convert.rules import WILDCARD
from callgate.workbench.convert.scalars import Written

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.document import KeyPath

_UNITS: Final = ", ".join(f"`{unit}`" for unit in UNIT_SECONDS)


@dataclass(frozen=True)
class SourceLimit:
    """A `rate_limit`."""

    path: KeyPath
    unit: str
    requests_per_unit: int
    unlimited: bool
    name: str
    replaces: tuple[tuple[KeyPath, str], ...]


@dataclass(frozen=True)
class SourceDescriptor:
    """A descriptor and its file, because the descriptors of one domain may come from several files."""

    report: Report
    path: KeyPath
    above: tuple[str, ...]
    """The entries of its ancestors."""
    key: str
    value: str
    flags: frozenset[str]
    """The flags that are true."""
    has_metadata: bool
    limit: SourceLimit | None
    descriptors: tuple[SourceDescriptor, ...]

    @property
    def joined(self) -> str:
        """The lookup name in that program: the key, and a `_` with the value if there is one."""
        return f"{self.key}_{self.value}" if self.value else self.key

    @property
    def entries(self) -> str:
        """The entries for messages."""
        return ", ".join((*self.above, _entry(self.key, self.value)))


@dataclass(frozen=True)
class SourceFile:
    """A file."""

    report: Report
    domain: str
    descriptors: tuple[SourceDescriptor, ...]


_FLAGS: Final = ("shadow_mode", "quota_mode", "detailed_metric", "value_to_metric", "share_threshold")


def read_source(path: Path) -> SourceFile:
    """Reads a file; its faults are in its report.

    Raises:
        ConfigError: It cannot be read.
        InvalidConfigError: It is not well formed.
    """
    document = read_document(path)
    report = Report(document)
    top = Fields(report, Written(document), (), document.data)
    top.check_keys("the top")
    domain = top.text("domain")
    if not domain:
        report.fault(("domain",), "expected the key `domain` with a name")
    descriptors = tuple(_descriptor(fields, ()) for fields in top.sections("descriptors"))
    return SourceFile(report, domain, descriptors)


def find_duplicates(siblings: tuple[SourceDescriptor, ...]) -> None:
    """Finds descriptors of one list with the same lookup name, at all depths."""
    seen: dict[str, SourceDescriptor] = {}
    for descriptor in siblings:
        first = seen.setdefault(descriptor.joined, descriptor)
        if first is not descriptor and descriptor.key:
            place = first.report.source.fault(first.path, "")
            message = f"{quoted(descriptor.entries)} stands here twice, first at {place.file}:{place.line}; keep one"
            descriptor.report.fault(descriptor.path, message)
        find_duplicates(descriptor.descriptors)


def _entry(key: str, value: str) -> str:
    return f"{key}={value}" if value else key


def _descriptor(fields: Fields, above: tuple[str, ...]) -> SourceDescriptor:
    fields.check_keys("a descriptor")
    report, path = fields.report, fields.path
    key, value = fields.text("key"), fields.text("value")
    if not key and fields.values.get("key") in (None, ""):
        report.fault(path, "expected the key `key` with a name")
    flags = frozenset(name for name in _FLAGS if fields.flag(name))
    if "share_threshold" in flags and WILDCARD not in key + value:
        report.fault((*path, "share_threshold"), "expected a `*` in the `value` whose counts are to be one")
    limit_fields, metadata = fields.section("rate_limit"), fields.section("metadata")
    below = (*above, _entry(key, value))
    return SourceDescriptor(
        report=report,
        path=path,
        above=above,
        key=key,
        value=value,
        flags=flags,
        has_metadata=metadata is not None and bool(metadata.values),
        limit=_limit(limit_fields) if limit_fields else None,
        descriptors=tuple(_descriptor(inner, below) for inner in fields.sections("descriptors")),
    )


def _limit(fields: Fields) -> SourceLimit:
    fields.check_keys("a rate limit")
    report, path = fields.report, fields.path
    unit, unlimited, name = fields.text("unit").lower(), fields.flag("unlimited"), fields.text("name")
    requests_per_unit = fields.count("requests_per_unit")
    if unlimited:
        if unit in UNIT_SECONDS:
            report.fault((*path, "unit"), "expected no unit where `unlimited` is true; remove one of them")
        elif unit:
            report.note((*path, "unit"), "`unit` has no effect where `unlimited` is true, and is not kept", of_key=True)
        if "requests_per_unit" in fields.values:
            message = "`requests_per_unit` has no effect where `unlimited` is true, and is not kept"
            report.note((*path, "requests_per_unit"), message, of_key=True)
    elif unit not in UNIT_SECONDS:
        report.fault((*path, "unit"), f"expected one of {_UNITS} as `unit`" + (f", got {quoted(unit)}" if unit else ""))
    elif fields.values.get("requests_per_unit") is None:
        report.note(path, "without `requests_per_unit` the limit is 0, and all is refused")
    return SourceLimit(path, unit, requests_per_unit, unlimited, name, _replaces(fields, name))


def _replaces(fields: Fields, own_name: str) -> tuple[tuple[KeyPath, str], ...]:
    replaces = []
    for entry in fields.sections("replaces"):
        entry.check_keys("an entry of `replaces`")
        name = entry.text("name")
        if not name:
            fields.report.fault(entry.path, "expected the key `name` with the name of a limit")
        elif name == own_name:
            fields.report.fault(entry.path, f"{quoted(name)} is the name of this very limit; it cannot replace itself")
        replaces.append((entry.path, name))
    return tuple(replaces)
