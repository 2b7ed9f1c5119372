"""The output of `callgate validate --deep`: findings with codes and witnesses, repairs, and the meaning of codes."""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import typer

from callgate.config.document import read_bytes
from callgate.config.folder import documents_and_misnamed
from callgate.config.policies import Catalogue as NamedTools
from callgate.config.server_files import server_of
from callgate.control.review import Finding as Basic
from callgate.control.review import review_policies
from callgate.exact_json import write_json
from callgate.text import did_you_mean, masked, plain_line, quoted, visible
from callgate.workbench.analyse import CODES, Finding, analyse, repair
from callgate.workbench.catalogue import Catalogue
from callgate.workbench.edit import diff
from callgate.workbench.replace import replace
from callgate.workbench.rules import Policy, parse_policy

_SAME_PLACE: Final = frozenset({"CG105", "CG111", "CG112", "CG113", "CG131", "CG134", "CG141"})
"""Findings that say more than a warning at the same place."""
_LONGEST: Final = 160


@dataclass(frozen=True)
class Options:
    """The options of the command."""

    catalogue: Catalogue | None
    names: NamedTools | None
    """The same catalogue, for the warnings that are given without `--deep`."""
    is_verbose: bool
    as_json: bool
    fix: bool
    dry_run: bool


@dataclass
class _Total:
    """The findings of all files."""

    errors: int = 0
    warnings: int = 0
    notes: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)


def run(paths: Sequence[Path], options: Options, fail_on: str | None) -> int:
    """Analyses policies and prints what is found; gives the exit code."""
    total = _Total()
    for path in paths:
        _of_path(path, options, total)
    if options.as_json:
        typer.echo(write_json(total.rows, indent=2, string=_string))
    if total.errors:
        return 2
    counted = total.warnings + (total.notes if fail_on == "info" else 0)
    return 1 if fail_on is not None and counted else 0


def explain(code: str) -> None:
    """Prints the meaning of a code.

    Raises:
        typer.BadParameter: There is no such code.
    """
    known = CODES.get(code.upper())
    if known is None:
        raise typer.BadParameter(f"{quoted(code)} is no code of a finding{did_you_mean(code, list(CODES))}")
    typer.echo(f"{known.code}: {known.title} ({known.severity})\n\n{known.meaning}\n\n{known.remedy}")
    if known.is_fixable:
        typer.echo("\n`callgate validate --deep --fix` mends it where no decision changes.")
    typer.echo(f"\n{known.page}")


def _of_path(path: Path, options: Options, total: _Total) -> None:
    basic = list(review_policies(path, options.names))
    files = documents_and_misnamed(path)[0] if path.is_dir() else [path]
    found: list[tuple[Policy, Finding]] = []
    notes: list[tuple[Policy, Finding]] = []
    if any(one.severity == "error" for one in basic):
        files = []
    for file in files:
        servers = _servers(file, path, options.catalogue)
        policy = parse_policy(str(file), read_bytes(file))
        if options.fix:
            policy = _repaired(file, policy, servers, options)
        analysis = analyse(policy, servers, options.catalogue)
        found += ((policy, one) for one in analysis.findings if one.code.severity == "warning" or options.is_verbose)
        notes += ((policy, one) for one in analysis.findings if one.code.severity == "info" and not options.is_verbose)
        found += ((policy, one) for one in analysis.unknown if options.is_verbose)
        notes += ((policy, one) for one in analysis.unknown if not options.is_verbose)
        if analysis.is_cut:
            typer.echo(
                f"{masked(str(file))}: there are more findings; only {len(analysis.findings)} are shown", err=True
            )
    if options.fix and not options.dry_run and files:
        # The files have changed.
        basic = list(review_policies(path, options.names))
    places = {_place(policy, one) for policy, one in found if one.code.code in _SAME_PLACE}
    texts = {(policy.document.file, one.message) for policy, one in found}
    basic = [
        one for one in basic if (one.file, one.line, one.column) not in places and (one.file, one.text) not in texts
    ]
    total.errors += sum(one.severity == "error" for one in basic)
    total.warnings += sum(one.severity == "warning" for one in basic)
    total.warnings += sum(one.code.severity == "warning" for _, one in found)
    total.notes += sum(one.code.severity == "info" for _, one in (*found, *notes))
    if options.as_json:
        total.rows += ({**one.fields(), "code": None, "page": None, "witness": None} for one in basic)
        total.rows += (_row(policy, one) for policy, one in (*found, *notes))
        return
    _print(path, basic, found, notes)


def _print(
    path: Path, basic: Sequence[Basic], found: Sequence[tuple[Policy, Finding]], notes: Sequence[tuple[Policy, Finding]]
) -> None:
    lines: list[tuple[tuple[str, int, int], str]] = []
    for one in basic:
        if one.severity == "error":
            is_named = one.line is not None or one.file is None or one.file in one.text
            typer.echo(one if is_named else f"{one.file}: {one}", err=True)
        else:
            lines.append(((one.file or "", one.line or 0, one.column or 0), str(one)))
    for policy, finding in found:
        file, line, column = _place(policy, finding)
        text = f"{file}:{line}:{column}: {finding.code.severity}: {finding.code.code}: {masked(finding.message)}"
        lines.append(((file, line, column), "\n".join((text, *_evidence(finding)))))
    for _, text in sorted(lines, key=lambda one: one[0]):
        typer.echo(text)
    if any(one.severity == "error" for one in basic):
        return
    unknown = sum(one.code.code == "CG190" for _, one in notes)
    rest = len(notes) - unknown
    said = [
        *([f"{rest} {'note' if rest == 1 else 'notes'}"] if rest else []),
        *([f"{unknown} {'question' if unknown == 1 else 'questions'} without an answer"] if unknown else []),
    ]
    more = f" ({' and '.join(said)}; `--verbose` shows them)" if said else ""
    typer.echo(f"{path}: ok{more}")


def _evidence(one: Finding) -> Iterator[str]:
    """The lines of a witness."""
    yield f"    {_short(masked(plain_line(one.witness.text)))}"
    for call in one.witness.calls:
        given = call.call
        times = f"{call.times} times " if call.times > 1 else ""
        session = "" if given.session is None else f" session {given.session}"
        decision = visible(f"{call.outcome} {call.rule}".rstrip())
        args = masked(write_json(given.args))
        yield _short(f"    {times}{visible(given.tool)} {args}{session}: {decision}")


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."


def _string(text: str) -> str:
    """A string of JSON, without secrets."""
    return json.dumps(masked(text), ensure_ascii=False)


def _row(policy: Policy, one: Finding) -> dict[str, Any]:
    file, line, column = _place(policy, one)
    return {
        "file": file,
        "line": line,
        "column": column,
        "rule": one.rule,
        "text": masked(one.message),
        "severity": one.code.severity,
        "code": one.code.code,
        "page": one.code.page,
        "witness": one.witness.fields(),
    }


def _place(policy: Policy, one: Finding) -> tuple[str, int, int]:
    return (policy.document.file, *policy.document.place(one.at, of_key=one.of_key))


def _servers(file: Path, path: Path, catalogue: Catalogue | None) -> tuple[str, ...]:
    """The servers of a policy: in a folder the one that the file's stem names, else all of the catalogue."""
    if path.is_dir():
        return (server_of(file.stem, () if catalogue is None else catalogue.servers),)
    return tuple(catalogue.servers) if catalogue is not None and catalogue.servers else ("srv",)


def _repaired(file: Path, policy: Policy, servers: tuple[str, ...], options: Options) -> Policy:
    done = repair(policy, servers, options.catalogue)
    change = diff(policy.document, done.policy.document)
    if options.dry_run:
        typer.echo(change, nl=False, err=options.as_json)
    elif change:
        replace(file, policy.document.content, done.policy.document.content)
    said: Iterable[str] = (f"{one.code.code}: not mended: {masked(reason)}" for one, reason in done.left)
    for line in said:
        typer.echo(f"{masked(str(file))}: {line}", err=True)
    if done.mended and not options.dry_run:
        count = len(done.mended)
        mended = f"{masked(str(file))}: mended {count} {'finding' if count == 1 else 'findings'}"
        typer.echo(mended, err=options.as_json)
    # Without the edits in the file, the findings are still those of the file.
    return policy if options.dry_run else done.policy
