"""`callgate bench`."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.live import Live
from rich.text import Text

from callgate._callgate import BenchCalls, bench_hgrm, bench_run, version
from callgate.cli import bench_compare, bench_report, machine
from callgate.cli.target import address_of
from callgate.config.engine_form import engine_path
from callgate.config.units import parse_duration
from callgate.errors import ConfigError
from callgate.text import quoted, reason_of

_LONGEST_S = 7 * 86_400
_SHORTEST_DURATION_S, _SHORTEST_TIMEOUT_S = 0.1, 0.001
_TOKEN_VARIABLE = "CALLGATE_TOKEN"  # noqa: S105  the name of a variable
_INTERRUPTED = 130
_STDOUT = Path("-")
_MS = 1000


def _seconds(text: str) -> float:
    """A duration such as `2s` or `500ms`, or a number of seconds.

    Raises:
        typer.BadParameter: Anything else, or more than a week.
    """
    try:
        seconds = float(text)
    except ValueError:
        try:
            seconds = parse_duration(text).total_seconds()
        except ValueError as error:
            message = f"{error}; or a number of seconds"
            raise typer.BadParameter(message) from None
    if not 0 <= seconds <= _LONGEST_S:  # also where it is none
        message = f"expected at most {_LONGEST_S} seconds, got {quoted(text)}"
        raise typer.BadParameter(message)
    return seconds


def _at_least(shortest_s: float) -> Callable[[float], float]:
    """Refuses shorter durations."""

    def check(seconds: float) -> float:
        if seconds < shortest_s:
            message = f"expected at least {shortest_s:g} seconds, got {seconds:g}"
            raise typer.BadParameter(message)
        return seconds

    return check


class Method(str, Enum):
    """The called method."""

    CHECK = "check"
    BATCH = "batch"
    STREAM = "stream"


EXAMPLES: Final = (
    "callgate bench 127.0.0.1:9191 --policy policy.yaml --grants 1000 --output a.json",
    "callgate bench --compare a.json b.json --fail-above 1.1",
)


def bench(
    target: Annotated[
        str | None, typer.Argument(help="HOST:PORT, https://HOST:PORT or unix:PATH.", show_default=False)
    ] = None,
    calls: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Calls to send: JSON lines, one call per line.")
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE_OR_DIR", help="Policy from which calls are generated.")
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Categories, risks and input schemas, with --policy.")
    ] = None,
    grants: Annotated[int, typer.Option(min=1, metavar="N", help="Distinct grants, with --policy.")] = 1,
    seed: Annotated[int, typer.Option(min=0, metavar="N", help="Seed of the generated calls, with --policy.")] = 1,
    save_calls: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the calls as JSON lines before the run.")
    ] = None,
    method: Annotated[Method, typer.Option(help="The method to call.")] = Method.CHECK,
    batch_size: Annotated[int, typer.Option(min=1, metavar="N", help="Calls of a batch.")] = 64,
    connections: Annotated[int, typer.Option(min=1, metavar="N", help="Connections.")] = 4,
    streams: Annotated[int, typer.Option(min=1, metavar="N", help="Requests in flight per connection.")] = 16,
    rate: Annotated[
        float | None,
        typer.Option(metavar="N", help="Requests per second at fixed times; default: as fast as answered."),
    ] = None,
    duration: Annotated[
        float,
        typer.Option(
            parser=_seconds,
            callback=_at_least(_SHORTEST_DURATION_S),
            metavar="TIME",
            help="Duration of the measurement.",
        ),
    ] = 10.0,
    warmup: Annotated[
        float,
        typer.Option(
            parser=_seconds, metavar="TIME", help="Duration of the same load before it; `2s`, `500ms` or seconds."
        ),
    ] = 1.0,
    timeout: Annotated[
        float,
        typer.Option(
            parser=_seconds,
            callback=_at_least(_SHORTEST_TIMEOUT_S),
            metavar="TIME",
            help="Longest time of an answer.",
        ),
    ] = 10.0,
    threads: Annotated[
        int, typer.Option(min=0, max=1024, metavar="N", help="Threads of the load; 0 for half of the cores.")
    ] = 0,
    token_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help=f"Bearer token to send; else that of {_TOKEN_VARIABLE}.")
    ] = None,
    tls_ca: Annotated[Path | None, typer.Option(metavar="PEM", help="Authorities of the target's certificate.")] = None,
    tls_cert: Annotated[
        Path | None, typer.Option(metavar="PEM", help="The client's certificate, for mutual TLS.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="PEM", help="The key of --tls-cert.")] = None,
    output: Annotated[Path | None, typer.Option(metavar="FILE", help="File for the report as JSON.")] = None,
    hgrm: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File for the latencies as a percentile distribution; `-` prints it."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(metavar="A B", help="Compare two reports instead of running.")
    ] = None,
    fail_above: Annotated[
        float | None,
        typer.Option(min=1, metavar="RATIO", help="With --compare: exit code 1 if B is that much worse."),
    ] = None,
) -> None:
    """Run a load test against a sidecar; exit code 0, 2 wrong use or no sidecar found, 130 after Ctrl-C."""
    if compare is not None:
        _compare(compare, target, fail_above, as_json=as_json)
    if target is None or fail_above is not None or (hgrm == _STDOUT and as_json):
        raise _wrong_use(target, fail_above)
    address = address_of(target, "TARGET")
    asked = _calls(calls, policy, catalogue, grants, seed)
    if save_calls is not None:
        asked.write(save_calls)
    options: dict[str, Any] = {
        "method": method.value,
        "batch_size": batch_size if method is Method.BATCH else None,
        "connections": connections,
        "streams": streams,
        "rate": rate,
        "duration_ms": round(duration * _MS),
        "warmup_ms": round(warmup * _MS),
        "timeout_ms": round(timeout * _MS),
        "threads": threads,
    }
    began = time.time()
    # An unwritable file is reported before the run, not after it.
    _touch(output, hgrm)
    with _progress() as progress:
        text = bench_run(
            str(address),
            asked,
            **options,
            token=_token(token_file),
            tls_ca=tls_ca,
            tls_cert=tls_cert,
            tls_key=tls_key,
            progress=progress,
        )
    document: dict[str, Any] = {
        "format": bench_compare.FORMAT,
        "callgate": version(),
        "unix_time": round(began),
        "machine": machine.facts(),
        "options": {
            "target": target,
            **options,
            "calls": len(asked),
            "source": str(calls or policy),
            **({"grants": grants, "seed": seed} if policy is not None else {}),
        },
        "result": json.loads(text),
    }
    _report(document, output, hgrm, as_json=as_json)
    _end(target, document["result"])


def _compare(reports: tuple[Path, Path], target: str | None, fail_above: float | None, *, as_json: bool) -> NoReturn:
    if target is not None:
        raise typer.BadParameter("compares two reports, and needs no target", param_hint="--compare")
    worse = bench_compare.run(*reports, fail_above=fail_above, as_json=as_json)
    raise typer.Exit(1 if worse else 0)


def _wrong_use(target: str | None, fail_above: float | None) -> typer.BadParameter:
    if target is None:
        return typer.BadParameter("name a target: HOST:PORT, https://HOST:PORT or unix:PATH", param_hint="TARGET")
    if fail_above is not None:
        return typer.BadParameter("goes with --compare", param_hint="--fail-above")
    message = "`-` prints another form than --json does; give one of the two, or a file"
    return typer.BadParameter(message, param_hint="--hgrm")


def _report(document: dict[str, Any], output: Path | None, hgrm: Path | None, *, as_json: bool) -> None:
    """Writes the files that were asked for, and prints the report."""
    if output is not None:
        _write(output, json.dumps(document, indent=2) + "\n")
    if hgrm is not None:
        distribution = bench_hgrm(document["result"]["histogram"])
        if hgrm == _STDOUT:
            typer.echo(distribution, nl=False)
            return
        _write(hgrm, distribution)
    if as_json:
        typer.echo(json.dumps(document))
    else:
        bench_report.show(document)


def _end(target: str, result: dict[str, Any]) -> None:
    """Raises the error or exit of a run that ended early."""
    if result["vanished"] is not None:
        message = f"`{target}`: {result['vanished']}"
        raise ConfigError(message)
    if result["ended"] == "interrupted":
        raise typer.Exit(_INTERRUPTED)


def _calls(calls: Path | None, policy: Path | None, catalogue: Path | None, grants: int, seed: int) -> BenchCalls:
    if policy is not None and calls is None:
        with engine_path(policy) as path:
            return BenchCalls.from_policy(path, catalogue, grants=grants, seed=seed)
    if calls is None or policy is not None:
        raise typer.BadParameter("give either --calls or --policy", param_hint="--calls")
    if catalogue is not None:
        raise typer.BadParameter("goes with --policy", param_hint="--catalogue")
    return BenchCalls.from_file(calls)


def _token(path: Path | None) -> str | None:
    if path is None:
        return os.environ.get(_TOKEN_VARIABLE) or None
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = reason_of(error) if isinstance(error, OSError) else "it is not UTF-8"
        message = f"cannot read `{path}`: {reason}"
        raise ConfigError(message) from None


def _touch(*paths: Path | None) -> None:
    for path in paths:
        if path is not None and path != _STDOUT:
            _write(path, "")


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"cannot write `{path}`: {reason_of(error)}"
        raise ConfigError(message) from None


@contextmanager
def _progress() -> Iterator[Callable[[str], None] | None]:
    """A progress line, only on a terminal."""
    console = Console(stderr=True, highlight=False)
    if not (sys.stderr.isatty() and console.is_terminal):
        yield None
        return
    with Live(console=console, auto_refresh=False, transient=True) as live:

        def show(text: str) -> None:
            live.update(Text(bench_report.progress_line(json.loads(text)), no_wrap=True), refresh=True)

        yield show
