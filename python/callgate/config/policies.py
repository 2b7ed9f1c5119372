"""The files of policies, and findings about them: approvals that cannot be given, shadow mode, unknown tools."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import catalogue_faults, policy_faults
from callgate.config.document import Document, parse_document, read_bytes, read_document, refuse_special
from callgate.config.engine_form import ConvertedDocument, engine_form
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.folder import documents_in
from callgate.errors import ConfigError
from callgate.text import nearest, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from callgate.config.document import KeyPath
    from callgate.errors import CallgateError, PolicyError


MOST_SHARED: Final = (1 << 53) / 1_000_000
"""The greatest `max` of a shared count: Redis counts millionths of units in numbers that are exact up to 2^53."""


def policy_files(path: Path) -> list[Path]:
    """The file at a path, or the policies of the folder there.

    Raises:
        ConfigError: The folder cannot be read, or one of them is no regular file.
    """
    files = documents_in(path) if path.is_dir() else [path]
    for file in files:
        refuse_special(file)
    return files


def file_name(name: str, document: str) -> str:
    """The name of a file with this document, whose suffix gives the format: JSON if it begins with `{`, else YAML."""
    return f"{name}.{'json' if document.lstrip().startswith('{') else 'yaml'}"


def faults_in(file: str, content: bytes) -> list[Fault]:
    """Every fault of a policy, in its order; `file` names it, and its suffix gives the format."""
    try:
        form = engine_form(file, content)
    except InvalidConfigError as error:
        return list(error.faults)
    with TemporaryDirectory(prefix="callgate-policy-") as folder:
        # The engine's reader takes paths alone.
        path = Path(folder) / f"policy{Path(file).suffix}"
        path.write_bytes(form.content)
        return [form.fault(*found) for found in policy_faults(path)]


def with_every_fault(
    error: PolicyError, files: Iterable[Path], catalogue: Path | None, stored: Iterable[tuple[str, bytes]] = ()
) -> CallgateError:
    """All faults of these policies and the catalogue, if `error` is one of them; otherwise `error` itself.

    Args:
        error: The first fault.
        files: Files of policies.
        catalogue: The file of the catalogue.
        stored: The names and documents of policies that are in no file.

    Raises:
        ConfigError: A file cannot be read any more.
    """
    faults = [fault for file in files for fault in _faults_of(file)]
    if catalogue is not None:
        found = catalogue_faults(catalogue)
        faults += [Fault(message, str(catalogue), line, column) for line, column, message in found]
    faults += [fault for file, content in stored for fault in faults_in(file, content)]
    is_one_of_them = any((fault.file, fault.message) == (error.file, error.message) for fault in faults)
    return InvalidConfigError(faults) if is_one_of_them else error


def _faults_of(file: Path) -> list[Fault]:
    try:
        form = engine_form(str(file), read_bytes(file))
    except InvalidConfigError as error:
        return list(error.faults)
    if form.document is not None:
        return faults_in(str(file), form.document.source.content)
    return [Fault(message, str(file), line, column) for line, column, message in policy_faults(file)]


@dataclass(frozen=True)
class Catalogue:
    """The tools of a catalogue, by server."""

    document: Document
    servers: Mapping[str, Collection[str]]

    def tools(self, servers: Collection[str] | None) -> set[str] | None:
        """The tools of these servers, or of all; None if one of them is not in it, so that nothing can be said."""
        names = self.servers if servers is None else servers
        if not names or any(name not in self.servers for name in names):
            return None
        return {tool for name in names for tool in self.servers[name]}

    def unconfigured(self, servers: Collection[str]) -> Iterator[Fault]:
        """A warning for each of its servers that is not one of these."""
        for name in self.servers:
            if name not in servers:
                message = f"no server {quoted(name)} is configured, so what the catalogue says of it has no effect"
                yield self.document.fault(("servers", name), f"{message}{_meant(name, servers)}", of_key=True)


def read_catalogue(path: Path) -> Catalogue | None:
    """The tools of a catalogue; None if it cannot be read, which the engine reports."""
    try:
        document = read_document(path)
    except ConfigError:
        return None
    servers = document.data.get("servers")
    if not isinstance(servers, dict):
        return None
    return Catalogue(document, {name: _mapping(server, "tools") for name, server in servers.items()})


def policy_document(file: str, content: bytes) -> Document | None:
    """The document of a policy, converted if it is Intercept's; None if it has a fault that is reported elsewhere."""
    try:
        return engine_form(file, content).document or parse_document(file, content)
    except ConfigError:
        return None


def not_kept(policy: Document) -> Iterator[Fault]:
    """The notes about parts of a policy of Intercept's that are not in the converted one."""
    if isinstance(policy, ConvertedDocument):
        yield from policy.converted.notes


def approvals(policy: Document) -> Iterator[Fault]:
    """A warning at the first approval that a policy asks for, where there is no store that could hold one."""
    yield from _first_approval(
        policy, "calls that need an approval are denied, because there is no store; give --state"
    )


def needs_store(policy: Document) -> Iterator[Fault]:
    """A note at the first approval that a policy asks for: not everybody who decides by the policy has a store."""
    yield from _first_approval(
        policy,
        "calls that need an approval wait for people with `callgate serve`; without a store they are denied: "
        "`callgate wrap` needs --state, and an `Engine` in a program needs `approvals=`",
    )


def _first_approval(policy: Document, message: str) -> Iterator[Fault]:
    asked = [path for name, rules in _entries(policy.data) for path in _asks(name, rules)]
    if asked:
        others = f" (and {len(asked) - 1} more in this file)" if len(asked) > 1 else ""
        yield policy.fault(asked[0], f"{message}{others}")


def too_few_approvers(policy: Document, people: Sequence[frozenset[str]] | None) -> Iterator[Fault]:
    """A warning for each entry that asks more people than there are.

    Args:
        policy: The policy.
        people: The groups of each person who may answer approvals; None if the store has no people. Then users of the
            operating system answer, of whom nobody knows the number, and who are in no group.
    """
    for path, rules in _entries(policy.data):
        if not any(_asks(path, rules)):
            continue
        given = rules.get("approval")
        terms: Mapping[str, Any] = given if isinstance(given, dict) else {}
        count, named = terms.get("count", 1), terms.get("approvers", [])
        groups = [name for name in named if isinstance(name, str)] if isinstance(named, list) else []
        if people is None and not groups:
            continue
        able = sum(not groups or not known.isdisjoint(groups) for known in people or ())
        if not isinstance(count, int) or able >= count:
            continue
        among = (
            f" in the {'group' if len(groups) == 1 else 'groups'} {', '.join(map(quoted, groups))}" if groups else ""
        )
        there = "1 person is an approver" if able == 1 else f"{able or 'no'} people are approvers"
        message = f"count {count}, but {there}{among}, so that no such call can be approved"
        if people is None:
            message += "; the store has no people: `callgate admin people add` adds one with --group"
        at = next((key for key in ("count", "approvers") if key in terms), None)
        place = path if not terms else (*path, "approval") if at is None else (*path, "approval", at)
        yield policy.fault(place, message)


def _asks(path: KeyPath, rules: Mapping[str, Any]) -> Iterator[KeyPath]:
    """The places in rules that ask for an approval."""
    if rules.get("action") == "require_approval":
        yield (*path, "action")
    limits = rules.get("limits")
    for index, limit in enumerate(limits if isinstance(limits, list) else []):
        if isinstance(limit, dict) and limit.get("at_max") == "require_approval":
            yield (*path, "limits", index, "at_max")


def counted_alone(policy: Document) -> Iterator[Fault]:
    """A warning for each limit that each callgate counts alone though it does not say so, where counters are shared."""
    for path, rules in _entries(policy.data):
        limits = rules.get("limits")
        for index, limit in enumerate(limits if isinstance(limits, list) else []):
            if not isinstance(limit, dict) or limit.get("shared") == "local":
                continue
            most = limit.get("max")
            is_large = isinstance(most, (int, float)) and most > MOST_SHARED
            key = "at_max" if "at_max" in limit else "max" if is_large else None
            if key is not None:
                message = (
                    f"each callgate counts {quoted(str(limit.get('counter')))} alone, because of its `{key}`; write "
                    "`shared: local` beside it if that is meant"
                )
                yield policy.fault((*path, "limits", index, key), message)


def shadows(policy: Document) -> Iterator[Fault]:
    """A warning at the first `mode: shadow` of a policy."""
    if policy.data.get("mode") == "shadow":
        message = "the policy is in shadow mode: rules without a `mode` of their own refuse nothing, and only report"
        yield policy.fault(("mode",), message)
        return
    shadowed = [path for path, rules in _entries(policy.data) if rules.get("mode") == "shadow"]
    if shadowed:
        others = f" (and {len(shadowed) - 1} more in this file)" if len(shadowed) > 1 else ""
        yield policy.fault(
            (*shadowed[0], "mode"), f"these rules are in shadow mode: they refuse nothing, and only report{others}"
        )


def unknown_tools(policy: Document, tools: Collection[str], where: str) -> Iterator[Fault]:
    """A warning for each tool that a policy names and `where` does not have; patterns may be meant for later tools."""
    for path, name, of_key in _named(policy):
        if name not in tools:
            yield policy.fault(path, f"{where} has no tool {quoted(name)}{_meant(name, tools)}", of_key=of_key)


def named_tools(policy: Document) -> set[str]:
    """The tools that a policy names, without patterns."""
    return {name for _, name, _ in _named(policy)}


def _named(policy: Document) -> Iterator[tuple[KeyPath, str, bool]]:
    """The tools that a policy names, each with its path, and true where it is the key of that path."""
    named: list[tuple[KeyPath, str, bool]] = [(("tools", key), key, True) for key in _mapping(policy.data, "tools")]
    hidden = policy.data.get("hide")
    if isinstance(hidden, list):
        named += [(("hide", index), key, False) for index, key in enumerate(hidden) if isinstance(key, str)]
    for path, key, of_key in named:
        if (name := exact_name(key)) is not None:
            yield path, name, of_key


def _entries(policy: Mapping[str, Any]) -> Iterator[tuple[KeyPath, Mapping[str, Any]]]:
    """The rules of a policy, with their paths."""
    yield ("all_tools",), _mapping(policy, "all_tools")
    for field in ("categories", "tools"):
        for key in _mapping(policy, field):
            yield (field, key), _mapping(policy[field], key)


def _mapping(values: object, key: str) -> Mapping[str, Any]:
    value = values.get(key) if isinstance(values, dict) else None
    return value if isinstance(value, dict) else {}


def exact_name(key: str) -> str | None:
    """The name for which a key stands; None for a pattern (docs/policy.md, section 1)."""
    name, characters = "", iter(key)
    for character in characters:
        if character in "*?":
            return None
        name += next(characters, "") if character == "\\" else character
    return name


def _meant(name: str, known: Collection[str]) -> str:
    near = nearest(name, known)
    return "" if near is None else f"; did you mean {quoted(near)}?"
