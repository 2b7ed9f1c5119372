"""The configuration from its file, the environment and the command line, with the origin of each value."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from callgate.config import shape
from callgate.config.document import Document, KeyPath, read_document
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.judge import dotted, faults_of
from callgate.config.model import ENV_DELIMITER, ENV_PREFIX, Config
from callgate.config.shared_place import is_shared
from callgate.text import nearest

_NEARLY: Final = 0.8
"""The similarity, from 0 to 1, from which a name counts as misspelt."""

# Variables that other parts of callgate read.
_OTHER_VARIABLES: Final = {"CALLGATE_CONFIG", "CALLGATE_GRANT_TOKEN", "CALLGATE_TOKEN"}


@dataclass(frozen=True)
class Option:
    """A value from the command line."""

    name: str
    """The option's name on the command line, such as ``--listen``."""
    value: object


@dataclass(frozen=True)
class Loaded:
    """A validated configuration, with the origin of each value."""

    config: Config
    document: Document | None
    options: Mapping[KeyPath, Option] = field(default_factory=dict)
    environment: Mapping[str, Any] = field(default_factory=dict)
    dropped: frozenset[str] = frozenset()
    """Keys at the top with faults, misspelt ones included. They have their defaults here, so that everything which is
    independent of them can be checked; such a configuration is never served."""

    def fault(self, path: KeyPath, message: str, *, of_key: bool = False) -> Fault:
        """A fault of the value at a path, placed at the value's origin."""
        for option_path, option in self.options.items():
            if option_path == path[: len(option_path)]:
                return Fault(f"{option.name}: {message}", path=path)
        if _has(self.environment, path):
            return Fault(f"{_variable(path)}: {message}", path=path)
        if self.document is not None:
            return self.document.fault(path, message, of_key=of_key)
        return Fault(f"`{dotted(path)}`: {message}", path=path)

    def document_of(self, path: KeyPath) -> Document | None:
        """The file, if it contains the value at a path that is in force."""
        is_overridden = _has(self.environment, path) or any(path[: len(option)] == option for option in self.options)
        return None if is_overridden or self.document is None or not _has(self.document.data, path) else self.document

    def origin(self, path: KeyPath) -> str:
        """The origin of the value at a path."""
        for option_path, option in self.options.items():
            if option_path == path[: len(option_path)]:
                return f"option {option.name}"
        if _has(self.environment, path):
            return _variable(path)
        if self.document is not None and _has(_normal(self.document.data), path):
            line, column = self.document.place(path)
            return f"{self.document.file}:{line}:{column}"
        return "default"


def load(path: Path | None, options: Mapping[KeyPath, Option] | None = None) -> Loaded:
    """Reads the file (if any), the environment and `options`; later ones override earlier ones.

    Raises:
        ConfigError: The file cannot be read.
        InvalidConfigError: Something is wrong; all that was found.
    """
    loaded, faults = load_with_faults(path, options)
    if faults:
        raise InvalidConfigError(faults)
    return loaded


def load_with_faults(path: Path | None, options: Mapping[KeyPath, Option] | None = None) -> tuple[Loaded, list[Fault]]:
    """Works like `load`, but returns the faults of keys beside the configuration without the keys that have them.

    Raises:
        ConfigError: The file cannot be read.
        InvalidConfigError: It is not well formed, or a fault is not of one key.
    """
    options = options or {}
    document = read_document(path) if path is not None else None
    environment = _environment()
    values: dict[str, Any] = {}
    if document is not None:
        if "grant_key" in document.data:
            message = "`grant_key` is a secret: name a file of it as `grant_key_file`, or set CALLGATE_GRANT_KEY"
            raise InvalidConfigError([document.fault(("grant_key",), message, of_key=True)])
        values = shape.anchored(_normal(document.data), Path(document.file).parent)
    values = _over(values, environment)
    for option_path, option in options.items():
        tree: Any = option.value
        for step in reversed(option_path):
            tree = {step: tree}
        values = _over(values, tree)
    try:
        return Loaded(Config(**values), document, options, environment), []
    except ValidationError as error:
        known = Loaded(Config.model_construct(), document, options, environment)
        faults = faults_of(error, known.fault)
        wrong = {str(detail["loc"][0]) for detail in error.errors(include_url=False) if detail["loc"]}
        # An unknown key is probably a misspelt one, which is then not absent either.
        misspelt = (nearest(key, Config.model_fields) for key in wrong - Config.model_fields.keys())
        dropped = frozenset(wrong.union(key for key in misspelt if key is not None))
    try:
        config = Config(**{key: value for key, value in values.items() if key not in wrong})
    except ValidationError:
        raise InvalidConfigError(faults) from None
    return replace(known, config=config, dropped=dropped), faults


def unknown_variables() -> list[str]:
    """A warning for each variable of the environment that is almost, but not exactly, one of callgate's.

    Not an error: Kubernetes sets `CALLGATE_PORT` and others for a service of that name.
    """
    warnings = []
    for name in sorted(os.environ):
        if not name.startswith(ENV_PREFIX) or name in _OTHER_VARIABLES:
            continue
        key = name.removeprefix(ENV_PREFIX).partition(ENV_DELIMITER)[0].lower()
        near = nearest(key, Config.model_fields, likeness=_NEARLY)
        if near is not None and near != key:
            meant = ENV_PREFIX + near.upper()
            warnings.append(f"environment variable `{name}` is not known; did you mean `{meant}`?")
    return warnings


def _environment() -> dict[str, Any]:
    """The values of variables; the library that reads them is imported only if there are any."""
    if all(name in _OTHER_VARIABLES or not name.upper().startswith(ENV_PREFIX) for name in os.environ):
        return {}
    from callgate.config.environment import read_environment  # noqa: PLC0415

    values = read_environment()
    if isinstance(values.get("watch"), str):
        # A variable is text, and `0` or `off` are common values. The model refuses any other.
        with suppress(ValidationError):
            values["watch"] = TypeAdapter(bool).validate_python(values["watch"])
    return values


def _normal(data: dict[str, Any]) -> dict[str, Any]:
    """The document with its short form expanded: `counters: memory`, or `counters: redis://...`."""
    counters = data.get("counters")
    if not isinstance(counters, str):
        return data
    return {**data, "counters": {"shared": {"url": counters}} if is_shared(counters) else {"store": counters}}


def _over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Merges mappings key by key, and replaces everything else."""
    merged = dict(below)
    for key, value in above.items():
        lower = merged.get(key)
        both = isinstance(lower, dict) and isinstance(value, dict)
        merged[key] = _over(lower, value) if both and lower is not None else value
    return merged


def _has(values: object, path: KeyPath) -> bool:
    for step in path:
        if isinstance(values, Mapping):
            if step not in values:
                return False
            values = values[step]
        elif isinstance(values, list) and isinstance(step, int):
            if step >= len(values):
                return False
            values = values[step]
        else:
            # A plain value instead of a section: the fault is that value's.
            return True
    return True


def _variable(path: KeyPath) -> str:
    """The variable with the value at a path."""
    names = {name.upper(): name for name in os.environ}
    for length in range(len(path), 0, -1):
        name = ENV_PREFIX + ENV_DELIMITER.join(str(step) for step in path[:length]).upper()
        if name in names:
            return f"environment variable `{names[name]}`"
    # A section that exists only through the variables of its keys.
    below = ENV_PREFIX + ENV_DELIMITER.join(str(step) for step in path).upper() + ENV_DELIMITER
    return next(
        (f"environment variable `{names[name]}`" for name in sorted(names) if name.startswith(below)), "environment"
    )
