"""`callgate audit`."""

import json
from datetime import datetime
from pathlib import Path
from typing import Annotated

import typer

from callgate.cli import audit_key
from callgate.cli.audit_inputs import Checkpoints, PublicKeys, Records, known_checkpoints, store_of, trusted_keys
from callgate.cli.audit_report import StreamReport, print_proof, print_report
from callgate.cli.examples import examples
from callgate.cli.running import AsJson
from callgate.cli.stores import StoreConfig, StoreState
from callgate.cli.tokens import moment
from callgate.errors import ConfigError
from callgate.ledger.export import EXAMPLE_ENTERPRISE, Format
from callgate.outcome import Outcome
from callgate.text import quoted, visible

_LOG = "/var/log/callgate/decisions.jsonl"
_VERIFY = f"callgate audit verify {_LOG} --public-key audit.key.pub --checkpoints checkpoints.txt"
_PROVE = f"callgate audit prove 1234 {_LOG} --public-key audit.key.pub > call.tlog-proof"
_CHECK = "callgate audit check call.tlog-proof --public-key audit.key.pub"
_SEARCH = f"callgate audit search {_LOG} --grant ci --outcome deny --since 2026-11-01T00:00:00Z"
_EXPORT = f"callgate audit export {_LOG} --format cef"

_BROKEN = 1
_UNSIGNED = 3
"""Exit code of a log that is intact as far as it is signed, and whose last lines are not."""

app = typer.Typer(
    name="audit",
    help="Verify, prove, search and export decision logs; needs no sidecar.",
    epilog=examples(_VERIFY, _PROVE, _CHECK, _SEARCH, _EXPORT),
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(audit_key.app)

_Logs = Annotated[
    list[Path],
    typer.Argument(
        metavar="LOG...", help="Files of decision logs; rotated files beside them are read too.", show_default=False
    ),
]
_Since = Annotated[str | None, typer.Option(metavar="TIME", help="The first time that is wanted, in RFC 3339.")]
_Until = Annotated[str | None, typer.Option(metavar="TIME", help="The first time that is not wanted, in RFC 3339.")]
_Grant = Annotated[list[str] | None, typer.Option(metavar="ID", help="Only this grant; repeatable.")]
_Server = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this server; repeatable.")]
_Tool = Annotated[list[str] | None, typer.Option(metavar="NAME", help="Only this tool; repeatable.")]
_Outcome = Annotated[
    list[Outcome] | None,
    typer.Option(metavar="|".join(one.value for one in Outcome), help="Only this outcome; repeatable."),
]


@app.command(epilog=examples(_VERIFY, f"callgate audit verify {_LOG} --config callgate.yaml --json"))
def verify(
    logs: _Logs,
    public_key: PublicKeys = None,
    checkpoints: Checkpoints = None,
    state: StoreState = None,
    config: StoreConfig = None,
    as_json: AsJson = False,
) -> None:
    """Say whether logs are as they were signed, and whether anything is missing.

    Exit code 0: nothing is wrong. 1: something was changed or is missing. 3: the last lines are not signed.
    """
    from callgate.cli.audit_progress import progress_of  # noqa: PLC0415  it imports rich
    from callgate.ledger.files import find_logs, size_of  # noqa: PLC0415  few commands need it
    from callgate.ledger.verify import verify as verified  # noqa: PLC0415  as above

    keys = trusted_keys(public_key, config)
    found_logs = find_logs(logs)
    streams = found_logs.logs
    if not streams:
        message = "the files are empty: there is no log to verify"
        raise ConfigError(message)
    for plain in found_logs.plain:
        typer.echo(f"left out: `{visible(str(plain))}` is from before the log was signed", err=True)
    records = store_of(state, config)
    known = known_checkpoints(checkpoints or [], logs, records)
    reports = []
    for origin, files in streams.items():
        with progress_of(origin, size_of(files)) as progress:
            found = verified(origin, files, keys, known, keeps_admin=records is not None, progress=progress)
        reports.append(StreamReport(found, len(files), _admin_faults(records, origin, found.admin)))
    print_report(reports, as_json=as_json)
    if any(report.is_bad for report in reports):
        raise typer.Exit(_BROKEN)
    if any(report.result.unsigned for report in reports):
        raise typer.Exit(_UNSIGNED)


def _admin_faults(records: Records | None, origin: str, found: dict[int, dict[str, object]]) -> list[str]:
    return [] if records is None else records.compare(origin, found)


@app.command(epilog=examples(_PROVE))
def prove(
    entry: Annotated[
        str, typer.Argument(metavar="ID", help="The index of an entry, or the id of an approval.", show_default=False)
    ],
    logs: _Logs,
    public_key: PublicKeys = None,
    origin: Annotated[
        str | None, typer.Option(metavar="ORIGIN", help="The name of the log, if the files are of several.")
    ] = None,
    config: StoreConfig = None,
) -> None:
    """Print a proof that an entry is in a log, for somebody who has the public key alone."""
    from callgate.ledger.files import log_files  # noqa: PLC0415  as above
    from callgate.ledger.proof import prove as proved  # noqa: PLC0415  as above

    keys = [one.key for one in trusted_keys(public_key, config)]
    streams = log_files(logs)
    if origin is not None and origin not in streams:
        message = f"there is no log {quoted(origin)} in these files; there is {', '.join(sorted(streams)) or 'none'}"
        raise ConfigError(message)
    if origin is None and len(streams) != 1:
        message = f"the files are of {len(streams)} logs; name one with --origin: {', '.join(sorted(streams))}"
        raise ConfigError(message)
    files = streams[origin or next(iter(streams))]
    index = int(entry) if entry.isascii() and entry.isdigit() else _index_of(entry, [file.path for file in files])
    typer.echo(str(proved(files, index, keys)), nl=False)


def _index_of(approval: str, files: list[Path]) -> int:
    from callgate.ledger.search import DECISION, Query, search  # noqa: PLC0415  as above

    query = Query(values={"approval": frozenset({approval})}, kinds=frozenset({DECISION}))
    found = [(one.fields.get("index"), one.fields.get("outcome")) for one in search(files, query)]
    if len(found) == 1 and isinstance(found[0][0], int):
        return found[0][0]
    if not found:
        message = f"no entry has the approval {quoted(approval)}; `callgate audit search` finds others by their fields"
        raise ConfigError(message)
    listed = ", ".join(f"{index} ({outcome})" for index, outcome in found)
    message = f"{len(found)} entries have the approval {quoted(approval)}; name one by its index: {listed}"
    raise ConfigError(message)


@app.command(epilog=examples(_CHECK))
def check(
    proof: Annotated[Path, typer.Argument(metavar="PROOF", help="The file of a proof.", show_default=False)],
    public_key: PublicKeys = None,
    as_json: AsJson = False,
) -> None:
    """Say whether a proof is true: the entry is in the log that the key has signed. Exit code 1 if it is not."""
    from callgate.config.document import read_bytes  # noqa: PLC0415  as above
    from callgate.ledger.proof import parse_proof  # noqa: PLC0415  as above

    keys = [one.key for one in trusted_keys(public_key, None)]
    try:
        read = parse_proof(read_bytes(proof).decode("utf-8", "replace"))
        signer = read.check(keys)
    except ValueError as error:
        typer.echo(json.dumps({"proven": False, "error": str(error)}) if as_json else f"not proven: {error}")
        raise typer.Exit(_BROKEN) from None
    print_proof(read, signer, as_json=as_json)


@app.command(epilog=examples(_SEARCH, f"callgate audit search {_LOG} --kind admin --actor ann"))
def search(
    logs: _Logs,
    grant: _Grant = None,
    server: _Server = None,
    tool: _Tool = None,
    outcome: _Outcome = None,
    rule: Annotated[list[str] | None, typer.Option(metavar="RULE", help="Only this rule; repeatable.")] = None,
    approval: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only this approval or permit; repeatable.")
    ] = None,
    actor: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only admin changes by this person or token; repeatable.")
    ] = None,
    trace: Annotated[str | None, typer.Option(metavar="ID", help="Only this trace id of `traceparent`.")] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option(metavar="KIND", help="decision, admin, gap, resume, key or file; repeatable."),
    ] = None,
    since: _Since = None,
    until: _Until = None,
    count: Annotated[int | None, typer.Option(min=1, metavar="N", help="End after so many lines.")] = None,
) -> None:
    """Print the lines of logs that have these values, as they are."""
    from callgate.cli.audit_inputs import files_in_order, query_of  # noqa: PLC0415  as above
    from callgate.ledger.search import search as found_lines  # noqa: PLC0415  as above

    values = {"grant": grant, "server": server, "tool": tool, "rule": rule, "approval": approval}
    values["outcome"] = None if outcome is None else [one.value for one in outcome]
    query = query_of(values, kind, actor, trace, _moments(since, until))
    for number, one in enumerate(found_lines(files_in_order(logs), query), 1):
        typer.echo(one.content.decode("utf-8", "replace"))
        if number == count:
            return


@app.command(epilog=examples(_EXPORT, f"callgate audit export {_LOG} --format rfc5424 --outcome deny"))
def export(
    logs: _Logs,
    form: Annotated[Format, typer.Option("--format", metavar="cef|rfc5424", help="The format of the lines.")],
    grant: _Grant = None,
    server: _Server = None,
    tool: _Tool = None,
    outcome: _Outcome = None,
    kind: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="decision, admin, gap, resume, key or file; repeatable.")
    ] = None,
    since: _Since = None,
    until: _Until = None,
    enterprise_number: Annotated[
        int,
        typer.Option(min=1, metavar="N", help="With rfc5424: your private enterprise number, for the structured data."),
    ] = EXAMPLE_ENTERPRISE,
) -> None:
    """Print lines of logs as other systems read them."""
    from callgate.cli.audit_inputs import exporter, files_in_order, query_of  # noqa: PLC0415  as above
    from callgate.ledger.search import search as found_lines  # noqa: PLC0415  as above

    values = {"grant": grant, "server": server, "tool": tool}
    values["outcome"] = None if outcome is None else [one.value for one in outcome]
    query = query_of(values, kind, None, None, _moments(since, until))
    exported = exporter(form, enterprise_number)
    for one in found_lines(files_in_order(logs), query):
        typer.echo(exported(one))


def _moments(since: str | None, until: str | None) -> tuple[datetime | None, datetime | None]:
    return (
        None if since is None else moment("--since", since),
        None if until is None else moment("--until", until),
    )
