"""`callgate convert`."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from callgate.cli.examples import examples
from callgate.errors import ConfigError
from callgate.text import masked, visible
from callgate.workbench.convert import (
    Align,
    Conversion,
    convert_intercept,
    convert_limitador,
    convert_ratelimit,
    header_of,
    policy_targets,
    render_policy_json,
    render_policy_yaml,
    targets,
    text_of,
    write,
)

app = typer.Typer(
    name="convert",
    help="Write other services' rules as callgate's own.",
    epilog=examples(
        "callgate convert intercept policy.yaml",
        "callgate convert ratelimit config.yaml",
        "callgate convert limitador limits.yaml",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Convert: TypeAlias = "Callable[[Sequence[Path], Align | None], Conversion]"

_Files = Annotated[list[Path], typer.Argument(metavar="FILE", help="Files to convert: YAML, or JSON (`.json`).")]
_Output = Annotated[
    Path | None,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File for the result instead of stdout; JSON if its name ends with `.json`. An existing folder gets one "
        "file per domain.",
        show_default=False,
    ),
]
_Partial = Annotated[bool, typer.Option("--partial", help="Write the result even if something is left out.")]


@app.callback()
def group() -> None:
    """Write other services' rules as callgate's own."""


@app.command(
    epilog=examples(
        "callgate convert intercept --output converted.yaml policy.yaml",
        "callgate convert intercept --output converted policies/*.yaml",
    )
)
def intercept(
    files: _Files,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File for the result instead of stdout; JSON if its name ends with `.json`. An existing folder gets "
            "one file per policy.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert policies of PolicyLayer Intercept; exit code 2 where the meaning of a rule cannot be kept."""
    policies = convert_intercept(files)
    for policy, file in zip(policies, policy_targets(files, output), strict=True):
        for said in policy.said:
            typer.echo(said, err=True)
        if file is not None and file.suffix == ".json":
            text = render_policy_json(policy.data)
        else:
            # The contents of a name must not end a comment.
            text = render_policy_yaml(policy.data, [visible(line) for line in header_of(policy.source)])
        if file is None:
            typer.echo(text, nl=False)
        else:
            write(text, file)


@app.command(epilog=examples("callgate convert ratelimit --output limits.yaml config.yaml"))
def ratelimit(
    files: _Files,
    output: _Output = None,
    align: Annotated[
        Align | None,
        typer.Option(
            help="Windows of the result. By default they are not changed (`calendar`); with `sliding`, no interval "
            "of a window's length admits more than the limit.",
            show_default=False,
        ),
    ] = None,
    partial: _Partial = False,
) -> None:
    """Convert configuration files of envoyproxy/ratelimit; exit code 1 where something would be left out."""
    _run("ratelimit", convert_ratelimit, files, output, align, partial=partial)


@app.command(epilog=examples("callgate convert limitador --align sliding --output limits.yaml limitador.yaml"))
def limitador(
    files: _Files,
    output: _Output = None,
    align: Annotated[
        Align | None,
        typer.Option(
            help="Windows of the result, because callgate has none that begin with the first hit; with `sliding`, no "
            "interval of a window's length admits more than the limit.",
            show_default=False,
        ),
    ] = None,
    partial: _Partial = False,
) -> None:
    """Convert limits files of limitador; exit code 1 where something would be left out."""
    _run("limitador", convert_limitador, files, output, align, partial=partial)


def _run(
    name: str, convert: _Convert, files: list[Path], output: Path | None, align: Align | None, *, partial: bool
) -> None:
    conversion = convert(files, align)
    for said in conversion.said:
        typer.echo(said, err=True)
    left_out = len(conversion.left_out)
    if left_out and not partial:
        rules = "one thing is" if left_out == 1 else f"{left_out} things are"
        typer.echo(f"nothing was written, since {rules} left out; `--partial` writes the rest", err=True)
        raise typer.Exit(1)
    if left_out and not any(limits.descriptors for limits in conversion.domains):
        typer.echo("nothing was written, since nothing is left", err=True)
        raise typer.Exit(1)
    if not conversion.domains:
        message = "the files hold no limits, so that there is nothing to write"
        raise ConfigError(message)
    for limits, file in zip(conversion.domains, targets(conversion.domains, output, files), strict=True):
        header = _header(name, files, align, limits.remarks, [str(said) for said in conversion.left_out])
        text = text_of(limits, file, header)
        if file is None:
            typer.echo(text, nl=False)
        else:
            write(text, file)


def _header(name: str, files: list[Path], align: Align | None, remarks: list[str], left_out: list[str]) -> list[str]:
    chosen = f" --align {align.value}" if align else ""
    header = [f"Made by `callgate convert {name}{chosen}` from {', '.join(masked(str(file)) for file in files)}."]
    header += [f"{remark}." for remark in remarks]
    header += left_out
    # The contents of a name must not end a comment.
    return [visible(line) for line in header]
