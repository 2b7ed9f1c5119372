"""The command line: one file per command."""

import os
import sys
from collections import UserDict
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperGroup
from typer.main import get_group

from callgate.cli.examples import examples
from callgate.cli.imports import without_collection
from callgate.errors import CallgateError
from callgate.text import did_you_mean, masked, quoted, reason_of

# The groups of the help, in its order. Modules with several commands have an `app`, the others a function of their own
# name, and the examples of its help in `EXAMPLES`.
_GROUPS: Final = {
    "Start": ("init", "serve", "wrap", "connect"),
    "Tools of servers": ("scan", "classify", "catalogue", "recommend", "clients"),
    "Policies and configurations": (
        "validate",
        "check",
        "test",
        "diff",
        "replay",
        "config",
        "schema",
        "convert",
        "lsp",
    ),
    "Operation": (
        *("status", "top", "tail", "audit", "limits", "candidate", "approvals", "permits", "notices", "freeze", "thaw"),
        "bench",
    ),
    "People": ("login", "logout", "proposals"),
    "Grants, pins, state and administration": ("grants", "peps", "pin", "counters", "store", "admin"),
    "About callgate": ("version",),
}
# Words after the server's command are the server's, even if they look like options of callgate.
_SETTINGS: Final = {"wrap": {"allow_interspersed_args": False}}
_SHELLS: Final = ("bash", "zsh", "fish", "powershell", "pwsh")


class _Commands(UserDict[str, Any]):
    """Commands by name. Each is imported when it is used: together they take a second to import."""

    def __init__(self) -> None:
        super().__init__(dict.fromkeys(name for names in _GROUPS.values() for name in names))

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  the type is private to typer
        if self.data[name] is None:
            self.data[name] = _load(name)
        return self.data[name]


class _Group(TyperGroup):
    def __init__(self, **attrs: Any) -> None:  # noqa: ANN401  as TyperGroup has it
        super().__init__(**attrs)
        self.commands = _Commands()

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:  # noqa: ANN401  as above
        """Reads the command line; the library's options for completion ignore the name of a shell."""
        match args:
            case ["--show-completion" | "--install-completion" as option, shell]:
                if shell not in _SHELLS:
                    message = f"unknown shell {quoted(shell)}{did_you_mean(shell, _SHELLS)}"
                    raise typer.BadParameter(message, ctx, param_hint=option)
                parameter: Any = next(parameter for parameter in self.params if option in parameter.opts)
                # Prints the script or installs it, and ends the program.
                parameter.callback(ctx, parameter, shell)
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:  # noqa: ANN401  as above
        """Runs a command; a wrong value of one of its options is told in the words of this project."""
        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            from callgate.cli.values import message_of  # noqa: PLC0415  most runs need none of it

            error.message = message_of(error)
            raise

    def format_commands(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  as above
        """Writes the commands in their groups."""
        commands = {name: self.get_command(ctx, name) for names in _GROUPS.values() for name in names}
        width = formatter.width - 6 - max(map(len, commands))
        for title, names in _GROUPS.items():
            with formatter.section(title):
                formatter.write_dl(
                    [(name, command.get_short_help_str(width)) for name in names if (command := commands[name])]
                )


def _load(name: str) -> Any:  # noqa: ANN401  as above
    with without_collection():
        module = import_module(f"callgate.cli.{name}")
    one = typer.Typer(rich_markup_mode=None)
    if hasattr(module, "app"):
        one.add_typer(module.app)
    else:
        one.command(context_settings=_SETTINGS.get(name), epilog=examples(*module.EXAMPLES))(getattr(module, name))
    found = get_group(one).commands[name]
    _hide_types(found)
    return found


def _hide_types(command: Any) -> None:  # noqa: ANN401  as above
    """Takes the types of the language out of the help of arguments, where the library puts `<list[Path]>`."""
    for parameter in command.params:
        if parameter.param_type_name == "argument" and not getattr(parameter.type_descriptor, "is_choice", False):
            parameter.display_type_rich = _no_type
    for inner in getattr(command, "commands", {}).values():
        _hide_types(inner)


def _no_type(ctx: Any) -> str:  # noqa: ANN401, ARG001  as the library calls it
    return ""


app = typer.Typer(
    name="callgate",
    cls=_Group,
    help="May this caller call this tool with these arguments, now?",
    epilog=examples(
        "callgate init my-policies",
        "callgate serve --policy policy.yaml",
        "callgate check --policy policy.yaml --grant demo --tool search",
        "callgate --install-completion",
        "callgate --show-completion zsh",
    ),
    context_settings={"help_option_names": ["-h", "--help"]},
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(given: bool) -> None:
    if given:
        from callgate.cli.version import version  # noqa: PLC0415  imported when it is used, as commands are

        version()
        raise typer.Exit


@app.callback()
def _callback(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Takes the options of the program itself."""


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
        print(f"input or output failed: {reason_of(error)}", file=sys.stderr)  # noqa: T201  as above
        sys.exit(2)
