"""Conversion of envoyproxy/ratelimit's files.

Both services match entry by entry without backtracking: the exact value first, then the first wildcard, then the key
alone. Both count the same windows. So most of a file is kept unchanged, and the differences are reported.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from callgate.text import quoted
from callgate.workbench.convert.align import Align
from callgate.workbench.convert.conversion import Conversion, finish
from callgate.workbench.convert.ratelimit_source import SourceDescriptor, SourceLimit, find_duplicates, read_source
from callgate.workbench.convert.rules import WILDCARD, Descriptor, RateLimit, RateLimits

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

_METRICS: Final = ("detailed_metric", "value_to_metric")


def convert_ratelimit(paths: Sequence[Path], align: Align | None = None) -> Conversion:
    """Reads files of envoyproxy/ratelimit; files of one domain are merged.

    Args:
        paths: The files.
        align: The kind of windows in the result. By default they stay multiples of the unit since 1970. In sliding
            windows, refused requests do not count, as everywhere in callgate.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: envoyproxy/ratelimit would refuse a file too.
    """
    files = [read_source(path) for path in paths]
    align = align or Align.CALENDAR
    by_domain: dict[str, tuple[SourceDescriptor, ...]] = {}
    for file in files:
        by_domain[file.domain] = (*by_domain.get(file.domain, ()), *file.descriptors)
    domains = []
    for domain, descriptors in by_domain.items():
        find_duplicates(descriptors)
        _note_unknown_names(descriptors)
        keys = {source.key for source in _walk(descriptors)}
        domains.append(RateLimits(domain, align, list(_siblings(descriptors, align, keys))))
    return finish([file.report for file in files], domains)


def _siblings(sources: Sequence[SourceDescriptor], align: Align, domain_keys: set[str]) -> Iterator[Descriptor]:
    keys = {source.key for source in sources}
    # By key: the prefixes that earlier wildcards match.
    taken: dict[str, dict[str, SourceDescriptor]] = {}
    for source in sources:
        if first := _reached_before(source, taken.setdefault(source.key, {})):
            message = (
                f"{quoted(source.entries)} is never reached, since {quoted(first.entries)} comes first; it is not kept"
            )
            source.report.note(source.path, message)
            continue
        if _is_prefix(source):
            taken[source.key][source.value[:-1]] = source
        for shorter in _looked_up_alike(source, keys):
            message = (
                f"there, key and value are compared as `key_value`, so that an entry of the key {quoted(shorter)} can "
                f"match {quoted(source.entries)} or the other way round; here, keys and values are compared apart"
            )
            source.report.note(source.path, message)
        _name_longer_keys(source, domain_keys - {source.key})
        descriptor = _descriptor(source, align, domain_keys)
        if descriptor is not None:
            yield descriptor


def _is_prefix(source: SourceDescriptor) -> bool:
    return source.value.endswith(WILDCARD) and source.value.count(WILDCARD) == 1


def _reached_before(source: SourceDescriptor, taken: dict[str, SourceDescriptor]) -> SourceDescriptor | None:
    """The earlier wildcard that matches every value of this one."""
    if not taken or WILDCARD not in source.value:
        return None
    literal = source.value.split(WILDCARD, 1)[0]
    return next((taken[literal[:end]] for end in range(len(literal) + 1) if literal[:end] in taken), None)


def _looked_up_alike(source: SourceDescriptor, keys: set[str]) -> Iterable[str]:
    """Other keys of the list that, with a `_` and a value, give the same lookup name as this descriptor."""
    joined = source.joined
    ends = (end for end, character in enumerate(joined) if character == "_")
    return [joined[:end] for end in ends if joined[:end] in keys and joined[:end] != source.key]


def _name_longer_keys(source: SourceDescriptor, keys: set[str]) -> None:
    """Reports entries of other keys that a wildcard in that program matches too."""
    if not source.value.endswith(WILDCARD):
        return
    prefix = source.joined.split(WILDCARD, 1)[0]
    message = (
        f"there, {quoted(source.entries)} matches every entry that begins with {quoted(prefix)} once key and value are "
        "joined by `_`, whatever its key"
    )
    longer = sorted(key for key in keys if key.startswith(prefix))
    if longer or source.value == WILDCARD:
        named = " such as " + ", ".join(quoted(key) for key in longer) if longer else ""
        source.report.note(source.path, f"{message}{named}; here, those of its own key alone")


def _descriptor(source: SourceDescriptor, align: Align, domain_keys: set[str]) -> Descriptor | None:
    report, path = source.report, source.path
    if WILDCARD in source.key:
        message = f"{quoted(source.entries)}: a `*` in a key; here a key is compared as it stands"
        report.left_out((*path, "key"), message)
        return None
    _note_flags(source)
    limit = _limit(source, source.limit) if source.limit else None
    counts = limit is not None and not limit.unlimited
    return Descriptor(
        key=source.key,
        value=source.value,
        rate_limit=limit,
        share_threshold="share_threshold" in source.flags,
        shadow_mode="shadow_mode" in source.flags and counts,
        # That program adds each request to all its counts before it examines any of them.
        count_refused=counts and align is Align.CALENDAR,
        descriptors=tuple(_siblings(source.descriptors, align, domain_keys)),
    )


def _note_flags(source: SourceDescriptor) -> None:
    report, path = source.report, source.path
    for flag in _METRICS:
        if flag in source.flags:
            report.note((*path, flag), f"`{flag}` is about names of metrics alone, and is not kept", of_key=True)
    counts = source.limit is not None and not source.limit.unlimited
    for flag in ("shadow_mode", "quota_mode"):
        if flag in source.flags and not counts:
            report.note(
                (*path, flag), f"`{flag}` has no effect without a limit that counts, and is not kept", of_key=True
            )
    if source.has_metadata:
        if counts:
            message = f"`metadata` of {quoted(source.entries)}: there it can be sent to Envoy; here it cannot"
            report.left_out((*path, "metadata"), message, of_key=True)
        else:
            report.note(
                (*path, "metadata"),
                "`metadata` has no effect without a limit that counts, and is not kept",
                of_key=True,
            )


def _limit(source: SourceDescriptor, limit: SourceLimit) -> RateLimit | None:
    replaces = tuple(name for _, name in limit.replaces)
    if limit.unlimited:
        return RateLimit(unlimited=True, name=limit.name, replaces=replaces)
    if "quota_mode" not in source.flags:
        return RateLimit(limit.unit, limit.requests_per_unit, name=limit.name, replaces=replaces)
    reason = "with `quota_mode` a request passes until all such limits are over; here each limit refuses by itself"
    if replaces:
        names = ", ".join(quoted(name) for name in replaces)
        reason += f"; without it {names}, which it replaces, counts where both match"
    path = (*source.path, "quota_mode")
    source.report.left_out(path, f"the limit of {quoted(source.entries)}: {reason}", of_key=True)
    return None


def _note_unknown_names(descriptors: Sequence[SourceDescriptor]) -> None:
    every = list(_walk(descriptors))
    known = {source.limit.name for source in every if source.limit}
    for source in every:
        for path, name in source.limit.replaces if source.limit else ():
            if name and name not in known:
                source.report.note(path, f"no limit of this domain is called {quoted(name)}")


def _walk(descriptors: Sequence[SourceDescriptor]) -> Iterator[SourceDescriptor]:
    for descriptor in descriptors:
        yield descriptor
        yield from _walk(descriptor.descriptors)
