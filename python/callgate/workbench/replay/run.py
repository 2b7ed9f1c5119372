"""A replay of logs from the first line to the last."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from callgate._callgate import Replay
from callgate.config.document import read_bytes
from callgate.config.engine_form import engine_form
from callgate.config.faults import InvalidConfigError
from callgate.config.policies import faults_in
from callgate.errors import ConfigError
from callgate.text import masked
from callgate.workbench.log_files import lines_of, lines_of_stream, logs_of
from callgate.workbench.replay.findings import Findings
from callgate.workbench.replay.streams import in_order

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from callgate.workbench.log_files import Line

STDIN: Final = Path("-")
"""Stands for standard input among the logs."""

_HASH_KEY_BYTES: Final = 16


@dataclass(frozen=True)
class Choice:
    """The lines that are decided once more, and what is known beside them."""

    server: str | None = None
    """The server whose calls are decided; None for all."""
    decided_by: str | None = None
    """The name of the policy whose decisions are decided once more; None for all."""
    catalogue: Path | None = None
    has_catalogue: bool = True
    """False if the sidecar had no catalogue, so that tools have no category."""
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """The labels of grants, by the id of the grant."""


def replay(logs: Sequence[Path], policy: Path, choice: Choice | None = None) -> Findings:
    """Decides the calls of logs by another policy.

    Args:
        logs: Each the file of one sidecar's log, whose older files are read as well, or `STDIN`.
        policy: The file of the new policy.
        choice: The choice of the lines.

    Raises:
        ConfigError: A log, the policy or the catalogue cannot be read; or the policy needs a catalogue.
        InvalidConfigError: The policy has faults; all of them are named.
        PolicyError: The policy cannot be compiled, or the catalogue has a fault.
    """
    choice = choice or Choice()
    prepared = _prepared(policy, choice)
    findings = Findings(str(policy), [str(log) for log in logs])
    for line in in_order(list(_lines(logs))):
        if line.fault:
            findings.damage(line, line.fault)
        elif line.content.strip():
            findings.add(line, prepared.decide(line.content))
    return findings


def _lines(logs: Sequence[Path]) -> Iterable[Iterable[Line]]:
    if logs.count(STDIN) > 1:
        message = "`-` stands for standard input and is given twice; give it once"
        raise ConfigError(message)
    if STDIN in logs:
        yield lines_of_stream("<stdin>", sys.stdin.buffer)
    for files in logs_of([log for log in logs if log != STDIN]):
        yield lines_of(files)


def _prepared(policy: Path, choice: Choice) -> Replay:
    content = read_bytes(policy)
    if faults := faults_in(str(policy), content):
        raise InvalidConfigError(faults)
    form = engine_form(str(policy), content)
    prepared = Replay(
        form.file,
        form.content,
        hash_key=os.urandom(_HASH_KEY_BYTES),
        catalogue=choice.catalogue,
        labels=[(grant, list(labels.items())) for grant, labels in choice.labels.items()],
        server=choice.server,
        decided_by=choice.decided_by,
    )
    if prepared.reads_catalogue and choice.catalogue is None and choice.has_catalogue:
        message = (
            f"`{masked(str(policy))}` has rules about categories, risks or input schemas, and the log does not have "
            "these facts of tools; give --catalogue FILE, or --no-catalogue if the sidecar has none"
        )
        raise ConfigError(message)
    return prepared
