"""The inputs of `callgate audit`: keys, checkpoints, the store, and the files of logs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from callgate.cli.stores import opened
from callgate.config.audit_key import public_path
from callgate.config.document import read_bytes
from callgate.config.load import load
from callgate.errors import ConfigError
from callgate.text import did_you_mean, masked, quoted

if TYPE_CHECKING:
    from callgate.ledger.export import Format
    from callgate.ledger.search import Found, Query
    from callgate.ledger.verify import KnownCheckpoint, TrustedKey

PublicKeys = Annotated[
    list[Path] | None,
    typer.Option(
        "--public-key",
        metavar="FILE",
        help="A public key that is believed: FILE.pub of `audit key new`, PEM, or NAME+ID+KEY; repeatable. "
        "By default that of --config.",
    ),
]
Checkpoints = Annotated[
    list[Path] | None,
    typer.Option("--checkpoints", metavar="FILE", help="Checkpoints that were kept elsewhere; repeatable."),
]

_KINDS: Final = ("decision", "admin", "gap", "resume", "key", "file", "checkpoint")
_COMPARED: Final = ("actor", "source", "action", "object_id", "digest_before", "digest_after", "reason")
_MOST_TOLD: Final = 20


def trusted_keys(files: Sequence[Path] | None, config: Path | None) -> list[TrustedKey]:
    """The keys that are believed.

    Raises:
        ConfigError: There is none, or a file has none.
    """
    from callgate.ledger.trust import parse_trusted  # noqa: PLC0415  few commands need it

    if not files and config is not None:
        audit = load(config).config.audit
        files = [public_path(audit.key_file)] if audit is not None and audit.key_file is not None else []
    if not files:
        message = "missing --public-key: the public key of the log, which `callgate audit key new` wrote to FILE.pub"
        raise ConfigError(message)
    keys: list[TrustedKey] = []
    for file in files:
        try:
            keys += parse_trusted(read_bytes(file).decode("utf-8", "replace"))
        except ValueError as error:  # noqa: PERF203  each file may fail by itself
            message = f"`{masked(str(file))}`: {error}"
            raise ConfigError(message) from None
    return keys


def known_checkpoints(files: Sequence[Path], logs: Sequence[Path], records: Records | None) -> list[KnownCheckpoint]:
    """The checkpoints that were kept outside of the logs: in files, in the store, and beside the logs.

    Raises:
        ConfigError: A file has something else.
    """
    from callgate.ledger.checkpoint import parse_checkpoint  # noqa: PLC0415  as above
    from callgate.ledger.note import notes_in  # noqa: PLC0415  as above
    from callgate.ledger.verify import KnownCheckpoint  # noqa: PLC0415  as above

    beside = [log.with_name(f"{log.name}.checkpoint") for log in logs]
    known = [] if records is None else [KnownCheckpoint(parse_checkpoint(note)) for note in records.notes]
    places = [(file, False) for file in files] + [(file, True) for file in beside if file.exists()]
    for file, is_local in places:
        notes = list(notes_in(read_bytes(file).decode("utf-8", "replace")))
        if not notes and not is_local:
            message = f"`{masked(str(file))}` has no checkpoint"
            raise ConfigError(message)
        for note in notes:
            try:
                known.append(KnownCheckpoint(parse_checkpoint(note), is_local=is_local))
            except ValueError as error:  # noqa: PERF203  as above
                message = f"`{masked(str(file))}`: {error}"
                raise ConfigError(message) from None
    return known


class Records:
    """The admin changes and the checkpoints of a store."""

    def __init__(
        self, notes: list[str], spans: Mapping[str, tuple[int, int]], changes: Mapping[int, Mapping[str, Any]]
    ) -> None:
        """Takes the checkpoints, by origin the numbers of the changes that a log has to have, and all changes."""
        self.notes = notes
        self._spans = spans
        self._changes = changes

    def compare(self, origin: str, found: Mapping[int, Mapping[str, Any]]) -> list[str]:
        """The differences between the changes in a log and those of the store."""
        if origin not in self._spans:
            return []
        begin, end = self._spans[origin]
        faults = []
        for number in sorted(set(self._changes) | set(found)):
            row, line = self._changes.get(number), found.get(number)
            if row is None:
                faults.append(f"the admin change {number} is in the log, and the store has no such record")
            elif line is None:
                if begin < number <= end:
                    faults.append(f"the admin change {number} is in the store, and not in the log")
            elif line.get("object_kind") != row["kind"] or any(line.get(name) != row[name] for name in _COMPARED):
                faults.append(f"the admin change {number} is another one in the log than in the store")
        if len(faults) > _MOST_TOLD:
            return [*faults[:_MOST_TOLD], f"and {len(faults) - _MOST_TOLD} more differences of admin changes"]
        return faults


def store_of(state: Path | None, config: Path | None) -> Records | None:
    """The checkpoints and admin changes of the store; None if no store was named.

    Raises:
        StoreError: It cannot be read.
    """
    if state is None and config is None:
        return None
    with opened(state, config) as found:
        store = found.store
        logs = store.audit_logs.logs()
        notes = [one.note for log in logs for one in store.audit_logs.checkpoints(log.origin)]
        spans = {log.origin: (log.admin_from, log.admin_until) for log in logs}
        changes: dict[int, dict[str, Any]] = {}
        after = 0
        while page := store.audit.after(after, size=1_000):
            for record in page:
                change = record.change
                changes[record.number] = {
                    "kind": change.kind,
                    "actor": change.by.name,
                    "source": change.by.source,
                    **{name: getattr(change, name) for name in _COMPARED[2:]},
                }
            after = page[-1].number
    return Records(notes, spans, changes)


def files_in_order(logs: Sequence[Path]) -> list[Path]:
    """The files of logs, signed or not, the oldest first.

    Raises:
        ConfigError: There is no such file.
    """
    from callgate.ledger.files import in_order  # noqa: PLC0415  as above

    return list(dict.fromkeys(file for log in logs for file in in_order(log)))


def query_of(
    values: Mapping[str, Sequence[str] | None],
    kinds: Sequence[str] | None,
    actors: Sequence[str] | None,
    trace: str | None,
    times: tuple[datetime | None, datetime | None],
) -> Query:
    """The lines that options ask for."""
    from callgate.ledger.search import DECISION, Query  # noqa: PLC0415  as above

    for kind in kinds or ():
        if kind not in _KINDS:
            raise typer.BadParameter(f"unknown kind {quoted(kind)}{did_you_mean(kind, _KINDS)}", param_hint="--kind")
    wanted = {name: frozenset(given) for name, given in values.items() if given}
    query = Query(values=wanted, since=times[0], until=times[1], actor=frozenset(actors or ()), trace=trace)
    if kinds:
        return Query(**{**vars(query), "kinds": frozenset(kinds)})
    if actors:
        return Query(**{**vars(query), "kinds": frozenset({"admin"})})
    # Values are those of decisions.
    return Query(**{**vars(query), "kinds": frozenset({DECISION})}) if wanted or trace else query


def exporter(form: Format, enterprise: int) -> Callable[[Found], str]:
    """Gives a line in a format of other systems."""
    from callgate import __version__  # noqa: PLC0415  as above
    from callgate.ledger.export import Format, cef, rfc5424  # noqa: PLC0415  as above

    host = socket.gethostname()
    if form is Format.CEF:
        return lambda found: cef(found.fields, version=__version__, host=host)
    return lambda found: rfc5424(found.fields, found.content, host=host, process="-", enterprise=enterprise)
