"""Policies of PolicyLayer Intercept as files of callgate."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from callgate.config.document import read_document
from callgate.config.faults import Fault, InvalidConfigError
from callgate.config.intercept.convert import convert
from callgate.errors import ConfigError
from callgate.text import masked
from callgate.workbench.convert.conversion import Said
from callgate.workbench.convert.output import check_targets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.config.document import Document


@dataclass(frozen=True)
class ConvertedPolicy:
    """A converted policy."""

    source: Path
    data: dict[str, Any]
    said: tuple[Said, ...]
    """Notes about parts of the source that are not in the result, without an effect on decisions."""


def convert_intercept(paths: Sequence[Path]) -> list[ConvertedPolicy]:
    """Converts files, also those that nothing but the caller says to be Intercept's.

    Raises:
        ConfigError: A file cannot be read.
        InvalidConfigError: Intercept would refuse it, or its meaning cannot be kept; all that was found in it.
    """
    policies = []
    for path in paths:
        document = read_document(path)
        _refuse_others(document)
        converted = convert(document)
        said = tuple(Said(note, is_left_out=False) for note in converted.notes)
        policies.append(ConvertedPolicy(path, converted.data, said))
    return policies


def _refuse_others(document: Document) -> None:
    """Refuses a file of another kind: what Intercept does not know it ignores, and it allows what no rule denies."""
    keys = set(document.data)
    if keys - {"version", "description", "approvals"} and not keys & {"default", "hide", "tools"}:
        message = "expected a policy of Intercept, which has `tools`, `default` or `hide`"
        raise InvalidConfigError([Fault(message, document.file, 1, 1)])


def policy_targets(sources: Sequence[Path], output: Path | None) -> list[Path | None]:
    """The file of each policy, None for stdout.

    Raises:
        ConfigError: There are several policies and no folder for them, or a file is one of the sources.
    """
    if output is not None and output.is_dir():
        files: list[Path | None] = [output / f"{source.stem}.yaml" for source in sources]
        if len({file and file.name for file in files}) < len(files):
            message = "two of the files have one name without the suffix; convert them one at a time"
            raise ConfigError(message)
    elif len(sources) > 1:
        message = f"there are {len(sources)} policies, and a file holds one; name a folder that exists as -o"
        raise ConfigError(message)
    else:
        files = [output] * len(sources)
    check_targets(files, sources)
    return files


def header_of(source: Path) -> list[str]:
    """The comment at the top of a converted policy."""
    return [f"Made by `callgate convert intercept` from {masked(str(source))}."]
