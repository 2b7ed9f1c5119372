"""`callgate init`."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli import next_steps
from callgate.config.check import not_in_a_path
from callgate.config.fields import checked_text
from callgate.config.upstreams import endpoint_url
from callgate.errors import ConfigError
from callgate.text import masked, reason_of, visible
from callgate.workbench.recommend import DEFAULT_SERVER

EXAMPLES: Final = (
    "callgate init my-policies",
    "callgate init --server aws --upstream http://127.0.0.1:8000/mcp my-policies",
)
_SERVER: Final = "demo"

_CONFIGURATION: Final = """\
# The configuration of `callgate serve`. `callgate schema config` prints every key.
servers:
  {name}:
    policy: main
{upstream}
policies:
  main: policy.yaml

# Counters, accepted tools and keys. It contains secrets: keep it out of version control.
state: state
"""

_UPSTREAM: Final = "    upstream: {{url: {url}}}\n"
_NO_UPSTREAM: Final = """\
    # With the address of the MCP server, callgate stands in front of it, as /mcp/{shown}:
    # upstream: {{url: "http://127.0.0.1:8000/mcp"}}
"""

_POLICY: Final = """\
# A policy: the tools that agents may call. `callgate validate policy.yaml` checks this file.
version: "1"

# A tool that no entry below names is refused.
default: deny

# Tools that agents do not see, and cannot call.
hide: ["delete_*", "drop_*"]

# All tools together: at most 1,000 calls in any hour for each caller.
all_tools:
  limits:
    - {counter: calls, window: hour, max: 1000, scope: grant}

# A name alone does not make a tool harmless: `read_file` may read secrets, and `get_report` may write. Before you keep
# a pattern, look at the tools that it allows. An entry with a tool's exact name applies in place of the pattern.
tools:
  "get_*": {}
  "list_*": {}
  "read_*": {}
  "search*": {rate_limit: "30/minute"}
  "create_*": {rate_limit: "5/minute"}
"""

_TESTS: Final = """\
# Tests of the policy. `callgate test` runs them; `callgate test --coverage` names the rules that they do not reach.
policy: policy.yaml

tests:
  - name: agents read
    steps:
      - {call: {tool: get_report}, expect: allow}
      - {call: {tool: list_reports}, expect: allow}
      - {call: {tool: read_page}, expect: allow}

  - name: agents do not delete, and do not see the tools that do
    steps:
      - {call: {tool: delete_report}, expect: {outcome: deny, rule: (hidden)}}
      - {call: {tool: drop_table}, expect: {outcome: deny, rule: (hidden)}}

  - name: a tool that no entry names is refused
    call: {tool: pay}
    expect: {outcome: deny, rule: (default deny)}

  - name: five things are created in a minute, and more after it
    steps:
      - {call: {tool: create_report}, times: 5, expect: allow}
      - call: {tool: create_report}
        expect: {outcome: rate_limited, rule: /tools/create_*/limits/create_*_rate, retry_after: 1m}
      - wait: 1m
      - {call: {tool: create_report}, expect: allow}

  - name: thirty searches in a minute, and more after it
    steps:
      - {call: {tool: search}, times: 30, expect: allow}
      - call: {tool: search}
        expect: {outcome: rate_limited, rule: /tools/search*/limits/search*_rate, retry_after: 1m}
      - wait: 1m
      - {call: {tool: search}, expect: allow}

  - name: a thousand calls in an hour, whichever tools they use
    steps:
      - {call: {tool: get_report}, times: 1000, expect: allow}
      - call: {tool: list_reports}
        expect: {outcome: rate_limited, rule: /all_tools/limits/calls, retry_after: 1h}
"""

_README: Final = """\
# callgate working folder

- `policy.yaml`: what agents may do. `callgate.yaml`: the servers, and who may call.
- Check both after each change: `callgate config check callgate.yaml`
- Test the policy: `callgate test` runs the tests in `policy_test.yaml`.
- Ask the policy: `callgate check --policy policy.yaml --grant demo --tool search --explain`
- Start callgate: `callgate serve --config callgate.yaml`; it reloads changed files automatically.
- Agents reach a server with an `upstream` at `http://127.0.0.1:9191/mcp/<server>`.
- Give each caller a token: {grants}
- `state/` contains secrets: `.gitignore` keeps it out of version control.
"""

_IGNORED: Final = "/state/\n"


def init(
    folder: Annotated[
        Path, typer.Argument(metavar="FOLDER", help="The folder; created if it does not exist.")
    ] = Path(),
    server: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the MCP server.", show_default=_SERVER)
    ] = None,
    upstream: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of the MCP server, to which callgate forwards allowed calls.")
    ] = None,
) -> None:
    """Write a working folder: a policy, tests, a configuration and a README. Asks for the server only on a terminal."""
    if sys.stdin.isatty() and sys.stdout.isatty():
        if server is None:
            server = typer.prompt("Name of the MCP server", default=_SERVER)
        if upstream is None:
            upstream = typer.prompt("Its URL, such as http://127.0.0.1:8000/mcp (empty for none)", default="") or None
    name = _SERVER if server is None else server
    try:
        checked_text(name)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--server") from None
    if (fault := not_in_a_path(name)) is not None:
        raise typer.BadParameter(fault, param_hint="--server")
    if upstream is not None:
        try:
            endpoint_url(upstream)
        except ValueError as error:
            raise typer.BadParameter(str(error), param_hint="--upstream") from None
    contents = _contents(name, upstream)
    ignored = folder / ".gitignore"
    kept = contents.pop(".gitignore") if ignored.exists() else None
    _write(folder, contents)
    if kept is not None and not _has_line(ignored, kept.strip()):
        typer.echo(f"`{masked(str(ignored))}` exists already: add `{kept.strip()}` to it", err=True)
    typer.echo(f"written: {', '.join(contents)} in `{masked(str(folder))}`")
    go = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    typer.echo(f"start it: {go}callgate serve --config callgate.yaml")
    if upstream is None and name != DEFAULT_SERVER:
        typer.echo(next_steps.naming(name))


def _contents(server: str, upstream: str | None) -> dict[str, str]:
    # A JSON string is valid YAML.
    name = json.dumps(server, ensure_ascii=False)
    url = _NO_UPSTREAM.format(shown=visible(server))
    if upstream is not None:
        url = _UPSTREAM.format(url=json.dumps(upstream))
    create = f"`callgate grants create --config callgate.yaml --id alice --server {shlex.quote(server)} --policy main`"
    return {
        "callgate.yaml": _CONFIGURATION.format(name=name, upstream=url),
        "policy.yaml": _POLICY,
        "policy_test.yaml": _TESTS,
        "README.md": _README.format(grants=create),
        ".gitignore": _IGNORED,
    }


def _has_line(file: Path, line: str) -> bool:
    try:
        return line in file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False


def _write(folder: Path, contents: dict[str, str]) -> None:
    """Writes the files, or none of them if one exists already."""
    if folder.is_symlink() and not folder.exists():
        message = (
            f"`{masked(str(folder))}` is a link to a folder that does not exist; make it, or choose another folder"
        )
        raise ConfigError(message)
    for name in contents:
        if (folder / name).exists() or (folder / name).is_symlink():
            message = (
                f"`{masked(str(folder / name))}` exists already, and nothing is overwritten; choose another folder"
            )
            raise ConfigError(message)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in contents.items():
            # `x` refuses a file that another process has made in the meantime.
            with (folder / name).open("x", encoding="utf-8") as file:
                file.write(text)
    except OSError as error:
        message = f"cannot write `{masked(str(error.filename))}`: {reason_of(error)}"
        raise ConfigError(message) from None
