"""The command line: one file per command."""

import os
import sys
from collections import UserDict
from importlib import import_module
from typing import Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from callgate.errors import CallgateError
from callgate.text import masked

# In the order of the help. Modules with several commands have an `app`, the others a function of their own name.
_COMMANDS: Final = (
    "serve",
    "check",
    "connect",
    "bench",
    "validate",
    "schema",
    "version",
    "wrap",
    "config",
    "convert",
    "counters",
    "grants",
    "peps",
    "pin",
)
# What follows the server's command is the server's, whether or not it looks like an option of ours.
_SETTINGS: Final = {"wrap": {"allow_interspersed_args": False}}


class _Commands(UserDict[str, Any]):
    """Commands by name. Each is imported when it is used: together they take a second to import."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(_COMMANDS))

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  the type is private to typer
        if self.data[name] is None:
            self.data[name] = _load(name)
        return self.data[name]


class _Group(TyperGroup):
    def __init__(self, **attrs: Any) -> None:  # noqa: ANN401  as TyperGroup has it
        super().__init__(**attrs)
        self.commands = _Commands()


def _load(name: str) -> Any:  # noqa: ANN401  as above
    module = import_module(f"callgate.cli.{name}")
    one = typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        one.add_typer(module.app)
    else:
        one.command(context_settings=_SETTINGS.get(name))(getattr(module, name))
    return get_group(one).commands[name]


app = typer.Typer(
    name="callgate",
    cls=_Group,
    help="May this caller call this tool with these arguments, now?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def _callback() -> None:
    """Makes typer build a group, though no command is registered."""


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
