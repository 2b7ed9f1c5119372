"""The command line: one file per command."""

import os
import sys

import typer

from callgate.cli import (
    bench,
    check,
    config,
    connect,
    convert,
    counters,
    grants,
    peps,
    pin,
    schema,
    serve,
    validate,
    version,
    wrap,
)
from callgate.errors import CallgateError
from callgate.text import masked

app = typer.Typer(
    name="callgate",
    help="May this caller call this tool with these arguments, now?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    serve.serve,
    check.check,
    connect.connect,
    bench.bench,
    validate.validate,
    schema.schema,
    version.version,
):
    app.command()(command)

# What follows the server's command is the server's, whether or not it looks like an option of ours.
app.command(context_settings={"allow_interspersed_args": False})(wrap.wrap)

for group in (config.app, convert.app, counters.app, grants.app, peps.app, pin.app):
    app.add_typer(group)


def main() -> None:
    """Runs the command line; a fault of the user's is one line on stderr and exit code 2."""
    try:
        app()
    except CallgateError as error:
        print(masked(str(error)), file=sys.stderr)  # noqa: T201  the one way out for errors
        sys.exit(2)
    except OSError as error:
        # Nobody reads, or the disk is full: not a denial, which is exit code 1. What is buffered cannot be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"input or output failed: {(error.strerror or str(error)).lower()}", file=sys.stderr)  # noqa: T201  as above
        sys.exit(2)
