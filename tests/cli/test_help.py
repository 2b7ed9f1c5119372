"""The help texts of the commands."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

import callgate
from callgate.cli import app
from callgate.cli.values import message_of
from callgate.config.audit import Audit
from callgate.config.counters import Counters
from callgate.config.fields import meanings
from callgate.config.listeners import Admin
from callgate.config.load import load
from callgate.config.model import Config
from callgate.config.upstreams import Pinning, Upstream
from callgate.control.sidecar import Source
from support.program import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel

PROGRAM: Any = get_command(app)
COMMANDS: Any = PROGRAM.commands
SHARED: dict[str, tuple[type[BaseModel], str]] = {
    "--catalogue": (Config, "catalogue"),
    "--state": (Config, "state"),
    "--counters": (Counters, "store"),
    "--decision-log": (Audit, "path"),
    "--audit": (Audit, "mode"),
}
KEYS: dict[str, dict[str, tuple[type[BaseModel], str]]] = {
    "serve": {
        **SHARED,
        "--listen": (Config, "listen"),
        "--admin": (Admin, "listen"),
        "--socket": (Config, "socket"),
        "--workers": (Config, "workers"),
        "--log-format": (Config, "log_format"),
        "--grace": (Config, "grace"),
        "--watch": (Config, "watch"),
        "--pinning": (Upstream, "pinning"),
    },
    "wrap": {**SHARED, "--pinning": (Upstream, "pinning")},
}


@pytest.mark.parametrize("command", KEYS)
def test_an_option_for_a_key_says_what_the_model_says(command: str) -> None:
    helps = {name: option.help for option in COMMANDS[command].params for name in option.opts}
    for option, (section, key) in KEYS[command].items():
        text = " ".join(meanings(section)[key].replace("`", "").split())
        assert helps[option].startswith(text), (option, helps[option])


def commands(command: Any, *words: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command and group below one, with the words that lead to it."""
    yield words, command
    for name in getattr(command, "commands", {}):
        yield from commands(command.commands[name], *words, name)


EVERY = dict(commands(PROGRAM))


def shown(*words: str) -> str:
    done = CliRunner().invoke(app, list(words), prog_name="callgate")
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("shell", "script"),
    [("bash", "complete -o default -F "), ("zsh", "#compdef callgate"), ("fish", "complete --command")],
)
def test_completion_for_a_shell_by_its_name(shell: str, script: str) -> None:
    assert script in shown("--show-completion", shell)


@pytest.mark.parametrize("option", ["--show-completion", "--install-completion"])
def test_completion_for_an_unknown_shell(option: str) -> None:
    done = CliRunner().invoke(app, [option, "zhs"])
    assert (done.exit_code, f"{option}: unknown shell `zhs`; did you mean `zsh`?" in done.output) == (2, True)


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_no_help_shows_a_type_of_the_language_as_a_value(words: tuple[str, ...]) -> None:
    lines = [line for line in shown(*words, "-h").splitlines() if line.startswith("  ")]
    assert [line for line in lines if "list[" in line or " range>" in line] == []
    # The names of arguments say enough, such as FILE.
    arguments = [line for line in lines if line[2].isupper()]
    assert [line for line in arguments if "<path>" in line or "<str>" in line] == []


@pytest.mark.parametrize("words", [words for words, command in EVERY.items() if not hasattr(command, "commands")])
def test_wrong_values_of_options_are_told_in_the_words_of_this_project(words: tuple[str, ...]) -> None:
    options = [param for param in EVERY[words].params if param.param_type_name == "option" and not param.is_flag]
    told = [refusal(EVERY[words], option, value) for option in options for value in ("nonsense", "-1", "1e99")]
    assert [text for text in told if "value error" in text.lower() or "input should" in text.lower()] == []


def refusal(command: Any, option: Any, value: str) -> str:
    """The fault of an option's value; empty if it has none, as any text has as a name or a path."""
    try:
        command.make_context("command", [option.opts[0], *[value] * option.nargs])
    except typer.BadParameter as error:
        return message_of(error)
    return ""


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("tail", "--outcome", "den"), "'--outcome': unknown value `den`; did you mean `deny`?"),
        (
            ("tail", "--outcome", "bad"),
            "'--outcome': unknown value `bad`; expected one of `allow`, `approval_required`, `deny`, `rate_limited`",
        ),
        (("serve", "--pinning", "enforced"), "'--pinning': unknown value `enforced`; did you mean `enforce`?"),
        (("serve", "--grace", "x"), "'--grace': expected a number, got `x`"),
        (("serve", "--workers", "9999"), "'--workers': expected at most 1024, got `9999`"),
        (("serve", "--workers", "1.5"), "'--workers': expected a whole number, got `1.5`"),
        (("top", "--interval", "0"), "'--interval': expected at least 0.1, got `0`"),
        (("limits", "--grant", "g", "--args", "{bad"), "--args: not JSON: expected a key in quotes"),
        (("limits", "--grant", "g", "--args", "[1]"), "--args: expected a JSON object"),
    ],
)
def test_wrong_values(words: tuple[str, ...], message: str) -> None:
    done = CliRunner().invoke(app, list(words))
    assert done.exit_code == 2
    assert f"Invalid value for {message}" in done.output


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_every_help_has_examples_that_parse(words: tuple[str, ...]) -> None:
    _, _, examples = shown(*words, "-h").partition("\n  Examples:\n")
    lines = examples.splitlines()
    assert lines
    for line in lines:
        program, *rest = shlex.split(line)
        assert program == "callgate"
        # A group's own examples are those of its commands.
        assert tuple(rest[: len(words)]) == words
        if rest[0] in {"--install-completion", "--show-completion"}:
            continue
        known = max((known for known in EVERY if tuple(rest[: len(known)]) == known), key=len)
        assert not hasattr(EVERY[known], "commands"), line
        # Refuses unknown options, missing ones and values that do not fit.
        EVERY[known].make_context("callgate", rest[len(known) :])


@pytest.mark.parametrize("words", [(), ("serve",), ("config",), ("pin", "list"), ("wrap",)])
def test_the_short_form_of_help(words: tuple[str, ...]) -> None:
    assert shown(*words, "-h") == shown(*words, "--help")


def test_the_version_is_an_option_too() -> None:
    assert shown("--version") == shown("version") == f"callgate {callgate.__version__}\n"


def test_commands_are_in_groups() -> None:
    text = shown("--help")
    titles = ["Start:", "Policies and configurations:", "Operation:", "About callgate:"]
    places = [text.index(f"\n{title}\n") for title in titles]
    assert places == sorted(places)
    assert "\nCommands:\n" not in text
    for name in COMMANDS:
        assert sum(line.startswith(f"  {name} ") for line in text.splitlines()) == 1, name


@pytest.mark.parametrize(
    ("words", "expected"),
    [("callgate se", ["serve"]), ("callgate pin ac", ["accept"]), ("callgate serve --up", ["--upstream"])],
)
def test_completion(words: str, expected: list[str]) -> None:
    done = run(
        variables={
            "_CALLGATE_COMPLETE": "complete_bash",
            "COMP_WORDS": words,
            "COMP_CWORD": str(len(words.split()) - 1),
        }
    )
    assert (done.out.split(), done.err) == (expected, "")


def test_pinning_of_servers_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Source] = []
    monkeypatch.setattr("callgate.cli.serve.ServingProcess", lambda source, _log_format: seen.append(source))
    words = ["serve", "--policy", "p.yaml", "--pinning", "report", "--upstream", "a=http://a/mcp"]
    CliRunner().invoke(app, [*words, "--upstream", "b=http://b/mcp"])
    loaded = load(None, seen[0].options).config.servers
    assert [server.upstream and server.upstream.pinning for server in loaded.values()] == [Pinning.REPORT] * 2


def test_pinning_without_a_server_is_refused() -> None:
    done = CliRunner().invoke(app, ["serve", "--policy", "p.yaml", "--pinning", "off"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "--pinning goes with --upstream" in " ".join(done.output.split())
