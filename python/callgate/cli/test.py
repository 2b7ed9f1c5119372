"""`callgate test`."""

import socket
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Annotated, Final

import typer

from callgate.config.files import Files
from callgate.errors import CallgateError, ConfigError
from callgate.text import masked, reason_of, visible
from callgate.workbench.replace import refuse_sources

if TYPE_CHECKING:
    from callgate.workbench.policy_tests import RunResult
    from callgate.workbench.policy_tests.running import CaseResult

EXAMPLES: Final = (
    "callgate test",
    "callgate test -v -k images tests",
    "callgate test --coverage --fail-under 90 --junit junit.xml tests",
    "callgate test --watch",
)
_FAILED: Final = 1
_MOST_PERCENT: Final = 100.0


@dataclass(frozen=True)
class _Options:
    """The options of a run."""

    paths: tuple[Path, ...]
    policy: Path | None
    config: Path | None
    catalogue: Path | None
    words: str
    is_verbose: bool
    stops_early: bool
    has_coverage: bool
    fail_under: float | None
    junit: Path | None
    as_json: bool


def test(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="PATH",
            help="Files of tests, or folders: those in them, and in folders below, whose names end in `_test`.",
            show_default="the present folder",
        ),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option(metavar="FILE_OR_DIR", help="Test this policy instead of those that the tests name.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Test this configuration: its servers, grants and policies.")
    ] = None,
    catalogue: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Categories, risks and input schemas; not with --config.")
    ] = None,
    select: Annotated[
        str, typer.Option("-k", metavar="WORDS", help="Run the tests whose file or name contains each of these words.")
    ] = "",
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Print each test, and the steps to a decision that differs.")
    ] = False,
    stop: Annotated[bool, typer.Option("--exitfirst", "-x", help="Stop at the first failure.")] = False,
    coverage: Annotated[
        bool, typer.Option("--coverage", help="Print the rules with a side that no test reached; with -v all rules.")
    ] = False,
    fail_under: Annotated[
        float | None,
        typer.Option(
            min=0, max=_MOST_PERCENT, metavar="PERCENT", help="Fail if fewer sides are reached; implies --coverage."
        ),
    ] = None,
    junit: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML too.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON document.")] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Run again whenever a test or policy changes.")] = False,
) -> None:
    """Run tests of policies; exit code 1 if one fails or coverage is too low, 2 if a file is wrong or none is found."""
    if config is not None and (policy is not None or catalogue is not None):
        other = "--policy" if policy is not None else "--catalogue"
        raise typer.BadParameter(f"give either --config or {other}", param_hint="--config")
    options = _Options(
        paths=tuple(paths or [Path()]),
        policy=policy,
        config=config,
        catalogue=catalogue,
        words=select,
        is_verbose=verbose,
        stops_early=stop,
        has_coverage=coverage or fail_under is not None,
        fail_under=fail_under,
        junit=junit,
        as_json=as_json,
    )
    if not watch:
        raise typer.Exit(_run(options, Files(), is_compact=False))
    for name, is_given in (("--json", as_json), ("--junit", junit is not None)):
        if is_given:
            raise typer.BadParameter("is for one run, and --watch runs many times", param_hint=name)
    _watch(options)


def _watch(options: _Options) -> None:
    """Runs at once, and after each change of a file that was read, until Ctrl-C."""
    # Imported when it is used: it takes long.
    from callgate.control.watch import Watcher  # noqa: PLC0415
    from callgate.workbench.policy_tests import is_changed  # noqa: PLC0415

    changed, is_started = Event(), False
    watcher = Watcher(changed.set)
    try:
        while True:
            files = Files()
            try:
                _run(options, files, is_compact=True)
            except CallgateError as error:
                typer.echo(masked(str(error)), err=True)
            watcher.watch(files)
            if not is_started:
                watcher.start()
                is_started = True
            while not is_changed(files):
                # With a bound, so that Ctrl-C is heard on every system.
                if changed.wait(1.0):
                    changed.clear()
    except KeyboardInterrupt:
        pass
    finally:
        if is_started:
            watcher.stop()


def _run(options: _Options, files: Files, *, is_compact: bool) -> int:
    """One run; its exit code.

    Raises:
        CallgateError: A file is wrong, or there are no tests.
    """
    # Imported when they are used: the store takes long, and `callgate test --help` needs none of it.
    from callgate.workbench.policy_tests import (  # noqa: PLC0415
        Override,
        find_files,
        load_suites,
        run_suites,
        selection_of,
    )
    from callgate.workbench.policy_tests.reports import failed_junit_xml, junit_xml  # noqa: PLC0415

    began, hostname = datetime.now(timezone.utc), socket.gethostname()
    try:
        found = find_files([_known(path, files) for path in options.paths], files)
        suites = load_suites(found, Override(options.policy, options.config, options.catalogue), files)
        if options.junit is not None:
            refuse_sources([options.junit], files.paths)
        told = _Progress(is_verbose=options.is_verbose, is_quiet=options.as_json or is_compact)
        result = run_suites(suites, selection_of(options.words, stops_early=options.stops_early), told.tell)
    except CallgateError as error:
        if options.junit is not None:
            refuse_sources([options.junit], files.paths)
            # Otherwise the results of an earlier run would stand for this one.
            _write(options.junit, failed_junit_xml(str(error), began, hostname))
        raise
    told.end()
    is_under = options.fail_under is not None and result.coverage.is_under(options.fail_under)
    if options.as_json:
        _print_json(result, has_coverage=options.has_coverage)
    else:
        _print_result(result, options, began=began if is_compact else None)
    if options.junit is not None:
        _write(options.junit, junit_xml(result, began, hostname))
    if is_under:
        typer.echo(f"coverage is under {options.fail_under:g} %", err=True)
    return _FAILED if result.failed or is_under else 0


class _Progress:
    """The results of tests as they come: a point or an F for each, or a line with `-v`."""

    def __init__(self, *, is_verbose: bool, is_quiet: bool) -> None:
        self._is_verbose = is_verbose
        self._is_quiet = is_quiet
        self._file: str | None = None

    def tell(self, case: "CaseResult") -> None:
        """Prints the result of one test."""
        from callgate.workbench.policy_tests.reports import result_line  # noqa: PLC0415

        if self._is_quiet:
            return
        colour = "green" if case.has_passed else "red"
        if self._is_verbose:
            name, _, word = result_line(case).rpartition(" ")
            typer.echo(f"{masked(name)} {typer.style(word, fg=colour)}")
            return
        if case.file != self._file:
            self.end()
            self._file = case.file
            typer.echo(f"{masked(visible(case.file))} ", nl=False)
        typer.echo(typer.style("." if case.has_passed else "F", fg=colour), nl=False)

    def end(self) -> None:
        """Ends the line of a file."""
        if self._file is not None:
            typer.echo()
            self._file = None


def _print_result(result: "RunResult", options: _Options, *, began: datetime | None) -> None:
    """Prints failures, coverage and numbers; with a time, without empty lines."""
    from callgate.workbench.policy_tests.coverage import coverage_lines  # noqa: PLC0415
    from callgate.workbench.policy_tests.reports import failure_lines, summary_line  # noqa: PLC0415

    for case in result.cases:
        if case.failure is not None:
            if began is None:
                typer.echo()
            for line in failure_lines(case, case.failure, explained=options.is_verbose):
                typer.echo(masked(line))
    if options.has_coverage:
        if began is None:
            typer.echo()
        for line in coverage_lines(result.coverage, all_items=options.is_verbose):
            typer.echo(masked(line))
    if began is None:
        typer.echo()
    time = "" if began is None else f"{began.astimezone():%H:%M:%S} "
    typer.secho(f"{time}{summary_line(result)}", fg="red" if result.failed else "green")


def _print_json(result: "RunResult", *, has_coverage: bool) -> None:
    from callgate.exact_json import write_json  # noqa: PLC0415
    from callgate.workbench.policy_tests.reports import run_document  # noqa: PLC0415

    typer.echo(write_json(run_document(result, with_coverage=has_coverage), indent=2))


def _known(path: Path, files: Files) -> Path:
    files.add(path)
    return path


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        message = f"cannot write `{masked(str(path))}`: {reason_of(error)}"
        raise ConfigError(message) from None
