"""All faults of policies and configurations, not the first one alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

import callgate._callgate as native
from callgate._callgate import Engine
from callgate.config.bundle import read_with_faults
from callgate.config.check import faults_of, of_policy, placed_warnings
from callgate.config.document import read_bytes, read_document, refuse_special
from callgate.config.engine_form import engine_form, engine_path
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.files import Files
from callgate.config.folder import documents_and_misnamed
from callgate.config.policies import approvals, needs_store, policy_document, too_few_approvers
from callgate.config.server_files import server_of
from callgate.config.store_place import store_place
from callgate.control.sidecar import trial
from callgate.errors import CallgateError, ConfigError, PolicyError
from callgate.store.errors import StoreGoneError
from callgate.text import masked, visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from callgate.config.bundle import Bundle
    from callgate.config.document import KeyPath
    from callgate.config.engine_form import EngineForm
    from callgate.config.load import Loaded
    from callgate.config.policies import Catalogue


@dataclass(frozen=True)
class Finding:
    """One fault, warning or note."""

    text: str
    severity: Literal["error", "warning", "note"]
    """A note asks for nothing: it says where a rule has another effect."""
    file: str | None = None
    line: int | None = None
    column: int | None = None
    rule: str | None = None
    """JSON pointer of the value in its document."""

    def __str__(self) -> str:
        """``file:line:column: text``; a warning and a note say that they are one."""
        said = self.text if self.severity == "error" else f"{self.severity}: {self.text}"
        if self.line is None:
            return said
        return f"{self.file}:{self.line}:{self.column}: {said}"

    def fields(self) -> dict[str, Any]:
        """The form for programs."""
        return {
            "file": self.file,
            "line": self.line,
            "column": self.column,
            "rule": self.rule,
            "text": self.text,
            "severity": self.severity,
        }


def review_policies(path: Path, catalogue: Catalogue | None = None) -> Iterator[Finding]:
    """The findings about a policy file, or about every file of a folder, whose stems name servers.

    Args:
        path: The file or folder.
        catalogue: The tools that servers have; None for no check of the names of tools.
    """
    if not path.is_dir():
        yield from _of_policy(path)
        yield from _of_tools(path, catalogue, None)
        return
    try:
        files, misnamed = documents_and_misnamed(path)
    except ConfigError as error:
        yield _of_error(error, str(path))
        return
    found = [Finding(message, "error", visible(str(file))) for file, message in misnamed.items()]
    servers = {file: server_of(file.stem, () if catalogue is None else catalogue.servers) for file in files}
    for file, server in servers.items():
        found += (*_of_policy(file), *_of_tools(file, catalogue, {server}))
    if catalogue is not None:
        found += [_of_fault(warning, "warning") for warning in catalogue.unconfigured(list(servers.values()))]
    yield from found
    if all(finding.severity != "error" for finding in found):
        # Faults that only show in all files together, such as two files for one server.
        try:
            with engine_path(path) as readable:
                native.validate(readable)
        except CallgateError as error:
            yield _of_error(error, str(path))


def review_configuration(
    path: Path, people_of: Callable[[Loaded], Sequence[frozenset[str]] | None] | None = None
) -> list[Finding]:
    """The findings about a configuration and all files that it names; warnings only where nothing is at fault.

    Args:
        path: The configuration.
        people_of: Gives the groups of each approver in its store, None if that has no people. It is asked only where a
            policy asks for approvals; without it, nobody compares policies with people.
    """
    try:
        bundle, faults = read_with_faults(path, None, Files())
    except InvalidConfigError as error:
        return [_of_fault(fault, "error") for fault in error.faults]
    except ConfigError as error:
        return [_of_error(error, str(path))]
    found = [_of_fault(fault, "error") for fault in (*faults, *faults_of(bundle))]
    found += _of_documents(bundle)
    if not any(finding.severity == "error" for finding in found):
        try:
            trial(bundle)
        except CallgateError as error:
            found.append(_of_error(error, None))
    faulty = [finding for finding in found if finding.severity == "error"]
    if faulty:
        return faulty
    found += [_of_fault(warning, "warning") for warning in placed_warnings(bundle)]
    if people_of is not None:
        found += _of_approvers(bundle, people_of)
    # One finding may come from two checks; the one with a rule is first.
    return list({(one.file, one.line, one.column, one.text): one for one in reversed(found)}.values())[::-1]


def _of_documents(bundle: Bundle) -> Iterator[Finding]:
    """The findings about policies, the catalogue and rate limits, each on its own; unreadable files are known."""
    for name, _ in bundle.policies.values():
        yield from (finding for finding in _of_policy(Path(name)) if finding.line is not None)
    for limits in bundle.rate_limits:
        if limits[1]:
            yield from _of_rate_limits(limits)
    catalogue = bundle.config.catalogue
    if catalogue is not None and catalogue.is_file():
        yield from review_catalogue(catalogue)


def _of_approvers(bundle: Bundle, people_of: Callable[[Loaded], Sequence[frozenset[str]] | None]) -> Iterator[Finding]:
    """Warnings about policies that ask more people than the store has; none if people also log in at issuers."""
    if bundle.config.admin.login is not None:
        return
    read = (policy_document(file, content) for file, content in bundle.policies.values())
    asking = [document for document in read if document is not None and any(approvals(document))]
    if not asking:
        return
    try:
        people = people_of(bundle.loaded)
    except CallgateError as error:
        if isinstance(error, StoreGoneError) and store_place(bundle.loaded).path is not None:
            # The first start makes the file.
            return
        text = f"nobody compared the `approvers` of policies with the people of the store: {error}"
        yield Finding(masked(text), "warning")
        return
    for document in asking:
        yield from (_of_fault(warning, "warning") for warning in too_few_approvers(document, people))


def _of_rate_limits(limits: tuple[str, bytes]) -> Iterator[Finding]:
    try:
        Engine.from_config(policies={}, servers={}, counter_capacity=1, rate_limits=(limits,))
    except CallgateError as error:
        yield _of_error(error, None)


def review_catalogue(file: Path) -> Iterator[Finding]:
    """The findings about a catalogue."""
    try:
        refuse_special(file)
        faults = native.catalogue_faults(file)
    except CallgateError as error:
        yield _of_error(error, str(file))
        return
    yield from _placed(file, faults)


def _of_policy(file: Path) -> Iterator[Finding]:
    try:
        refuse_special(file)
        warnings = native.validate(file)
    except PolicyError:
        yield from _of_faulty(file)
        return
    except CallgateError as error:
        yield _of_error(error, str(file))
        return
    for name, line, column, message in warnings:
        yield Finding(message, "warning", name, line, column, _rule(name, line, column, message))


def _of_faulty(file: Path) -> Iterator[Finding]:
    """The findings about a policy that the engine does not take as it is: it may be one of Intercept's."""
    try:
        form = engine_form(str(file), read_bytes(file))
    except InvalidConfigError as error:
        yield from (_of_fault(fault, "error") for fault in error.faults)
    except CallgateError as error:
        yield _of_error(error, str(file))
    else:
        if form.document is None:
            yield from _placed(file, native.policy_faults(file))
        else:
            yield from _of_converted(file, form)


def _of_converted(file: Path, form: EngineForm) -> Iterator[Finding]:
    """The findings about a policy of Intercept's; notes of its conversion are among those of `of_policy`."""
    with TemporaryDirectory(prefix="callgate-policy-") as folder:
        path = Path(folder, file.name)
        path.write_bytes(form.content)
        faults = native.policy_faults(path)
        warnings = [] if faults else [found[1:] for found in native.validate(path)]
    yield from (_of_fault(form.fault(*found), "error") for found in faults)
    yield from (_of_fault(form.fault(*found), "warning") for found in warnings)


def _placed(file: Path, faults: Iterable[tuple[int, int, str]]) -> Iterator[Finding]:
    for line, column, message in faults:
        yield Finding(masked(message), "error", str(file), line, column, _rule(str(file), line, column, message))


def _of_tools(file: Path, catalogue: Catalogue | None, servers: set[str] | None) -> Iterator[Finding]:
    """Warnings about approvals and tools; a file that cannot be read is reported elsewhere."""
    try:
        content = read_bytes(file)
    except ConfigError:
        return
    for warning in of_policy(str(file), content, catalogue, servers):
        yield _of_fault(warning, "warning")
    policy = policy_document(str(file), content)
    if policy is not None:
        yield from (_of_fault(note, "note") for note in needs_store(policy))


def _of_error(error: CallgateError, file: str | None) -> Finding:
    if isinstance(error, PolicyError):
        rule = _rule(error.file, error.line, error.column, error.message)
        return Finding(masked(error.message), "error", error.file, error.line, error.column, rule)
    if isinstance(error, InvalidConfigError):
        return _of_fault(error.faults[0], "error")
    return Finding(masked(str(error)), "error", file)


def _of_fault(fault: Fault, severity: Literal["error", "warning", "note"]) -> Finding:
    rule = None if fault.path is None else _pointer(fault.path)
    text = masked(fault.message)
    if fault.file is None:
        return Finding(text, severity, rule=rule)
    return Finding(text, severity, fault.file, fault.line, fault.column, rule)


def _rule(file: str, line: int, column: int, message: str) -> str | None:
    """The pointer of a place; None in a document that cannot be read at all."""
    try:
        document = read_document(Path(file))
    except ConfigError:
        return None
    return _pointer(
        document.path_at(line, column, of_section=" needs the field " in message or " is missing" in message)
    )


def _pointer(path: KeyPath) -> str:
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)
