"""Files of tests: found, read, and joined with the policies that they name."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from callgate.config.document import SUFFIXES, parse_document
from callgate.config.faults import Fault, InvalidConfigError
from callgate.errors import ConfigError, PolicyError
from callgate.text import masked
from callgate.workbench.policy_tests.cases import ReloadStep, read_cases
from callgate.workbench.policy_tests.policies import (
    Place,
    policy_in,
    read_catalogue_of,
    read_configuration,
    read_policies,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from callgate.config.document import Document, KeyPath
    from callgate.config.files import Files
    from callgate.workbench.policy_tests.cases import PlannedCase
    from callgate.workbench.policy_tests.model import Suite
    from callgate.workbench.policy_tests.policies import CatalogueSource, PolicySet

_Read = TypeVar("_Read")
_ENDING: Final = "_test"
"""The end of the names of test files in a folder, before the suffix."""


@dataclass(frozen=True)
class Override:
    """The policies of a command line, which decide in place of those that the files of tests name."""

    policy: Path | None = None
    config: Path | None = None
    catalogue: Path | None = None


@dataclass(frozen=True)
class LoadedSuite:
    """One file of tests, with its policies."""

    document: Document
    cases: tuple[PlannedCase, ...]
    policies: PolicySet
    _reloaded: tuple[tuple[str | dict[str, Any], PolicySet], ...] = ()

    @property
    def file(self) -> str:
        """The name of the file as the user gave it."""
        return self.document.file

    def place(self, at: KeyPath) -> Place:
        """The place of a value of the file."""
        return Place(self.file, *self.document.place(at))

    def reloaded(self, policy: str | dict[str, Any]) -> PolicySet:
        """The policies that a step `reload` names."""
        return next(policies for given, policies in self._reloaded if given == policy)

    def all_policies(self) -> tuple[PolicySet, ...]:
        """The policies of the file, and those that steps reload."""
        return (self.policies, *(policies for _, policies in self._reloaded))


def find_files(paths: Iterable[Path], files: Files) -> list[Path]:
    """The files of tests among these paths: a file itself, and those of a folder and the folders in it.

    Raises:
        ConfigError: A path does not exist, or there is no file of tests.
    """
    found: dict[Path, None] = {}
    given = list(paths)
    for path in given:
        if path.is_dir():
            found.update(dict.fromkeys(_in_folder(path, files)))
        else:
            found[path] = None
    if not found:
        where = ", ".join(f"`{masked(str(path))}`" for path in given)
        message = f"no tests in {where}: files of tests have names such as `policy{_ENDING}.yaml`"
        raise ConfigError(message)
    return list(found)


def _in_folder(folder: Path, files: Files) -> Iterable[Path]:
    def refuse(error: OSError) -> None:
        message = f"cannot read `{masked(str(error.filename))}`: {(error.strerror or str(error)).lower()}"
        raise ConfigError(message)

    for at, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        files.add(Path(at))
        for name in sorted(names):
            path = Path(at) / name
            if path.suffix in SUFFIXES and path.stem.endswith(_ENDING) and not name.startswith("."):
                yield path


def load_suites(paths: Sequence[Path], override: Override, files: Files) -> list[LoadedSuite]:
    """Reads files of tests and their policies; records what was read in `files`, even on failure.

    Raises:
        InvalidConfigError: Something is wrong in one or more of them; all that was found.
        ConfigError: A file cannot be read.
    """
    suites, faults = list[LoadedSuite](), list[Fault]()
    # A policy is read once for all files of tests that name it.
    known: dict[tuple[Path | None, Path | None, Path | None], PolicySet] = {}
    for path in paths:
        try:
            suites.append(_load(path, override, files, known))
        except InvalidConfigError as error:  # noqa: PERF203  each has its faults
            # Two files of tests may name one policy with a fault.
            faults += [fault for fault in error.faults if fault not in faults]
    if faults:
        raise InvalidConfigError(faults)
    return suites


def _load(
    path: Path,
    override: Override,
    files: Files,
    known: dict[tuple[Path | None, Path | None, Path | None], PolicySet],
) -> LoadedSuite:
    document = parse_document(str(path), files.read(path))
    suite, cases = read_cases(document)
    loader = _Loader(path.parent, document, suite, override, files)
    source = loader.key()
    policies = known.get(source) if source is not None else None
    if policies is None:
        policies = loader.policies()
    if source is not None:
        known[source] = policies
    reloaded = tuple(loader.reloaded(cases)) if override.config is None else _no_reload(document, cases)
    return LoadedSuite(document, tuple(cases), policies, reloaded)


def _no_reload(document: Document, cases: Iterable[PlannedCase]) -> tuple[()]:
    found = next((step for case in cases for step in case.steps if isinstance(step, ReloadStep)), None)
    if found is not None:
        message = "`reload` goes with a policy, not with --config"
        raise InvalidConfigError([document.fault((*found.at, "reload"), message)])
    return ()


class _Loader:
    """Reads the policies of one file of tests; its paths start at the folder of the file."""

    def __init__(self, folder: Path, document: Document, suite: Suite, override: Override, files: Files) -> None:
        self._folder = folder
        self._document = document
        self._suite = suite
        self._override = override
        self._files = files

    def key(self) -> tuple[Path | None, Path | None, Path | None] | None:
        """Names what decides; None if a part of it stands in the file of tests."""
        override, suite = self._override, self._suite
        if override.config is not None:
            return None, override.config, None
        catalogue = override.catalogue
        if catalogue is None and isinstance(suite.catalogue, dict):
            return None
        if catalogue is None and isinstance(suite.catalogue, str):
            catalogue = self._folder / suite.catalogue
        if override.policy is not None:
            return override.policy, None, catalogue
        if suite.config is not None:
            return None, self._folder / suite.config, None
        return (self._folder / suite.policy, None, catalogue) if isinstance(suite.policy, str) else None

    def policies(self) -> PolicySet:
        """The policies of the command line, else those that the file names."""
        override, suite = self._override, self._suite
        if override.config is not None:
            return read_configuration(override.config, self._files)
        if override.policy is not None:
            return read_policies(override.policy, self._catalogue(), self._files)
        if suite.config is not None:
            if override.catalogue is not None:
                message = "`config` brings its own catalogue, and --catalogue is given as well; keep one"
                raise InvalidConfigError([self._document.fault(("config",), message)])
            return self._at(("config",), lambda: read_configuration(self._folder / str(suite.config), self._files))
        if suite.policy is None:
            message = "no policy: expected the key `policy` or `config`, or the option --policy or --config"
            raise InvalidConfigError([Fault(message, self._document.file, 1, 1)])
        return self._policy(suite.policy, ("policy",))

    def reloaded(self, cases: Iterable[PlannedCase]) -> Iterable[tuple[str | dict[str, Any], PolicySet]]:
        """The policies that steps reload."""
        for case in cases:
            for step in case.steps:
                if isinstance(step, ReloadStep):
                    yield step.policy, self._policy(step.policy, (*step.at, "reload"))

    def _policy(self, given: str | dict[str, Any], at: KeyPath) -> PolicySet:
        catalogue = self._catalogue()
        if isinstance(given, dict):
            return policy_in(self._document, at, given, catalogue)
        return self._at(at, lambda: read_policies(self._folder / given, catalogue, self._files))

    def _catalogue(self) -> CatalogueSource:
        if self._override.catalogue is not None:
            return read_catalogue_of(self._override.catalogue, None, self._files)
        given = self._suite.catalogue
        if isinstance(given, dict) or given is None:
            return read_catalogue_of(given, self._document, self._files)
        return self._at(("catalogue",), lambda: read_catalogue_of(self._folder / given, self._document, self._files))

    def _at(self, at: KeyPath, read: Callable[[], _Read]) -> _Read:
        """The result of a reader; a file that cannot be read is a fault of the key that names it."""
        try:
            return read()
        except InvalidConfigError:
            raise
        except (ConfigError, PolicyError) as error:
            raise InvalidConfigError([self._document.fault(at, str(error))]) from None
