"""`callgate recommend`."""

import os
import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.config.policies import faults_in
from callgate.errors import ConfigError
from callgate.exact_json import write_json
from callgate.text import masked, quoted
from callgate.workbench import recommend as workbench
from callgate.workbench.catalogue import Catalogue, read_catalogue
from callgate.workbench.recommend import Format, Places, Recommendation, Target, Usage, Wishes

EXAMPLES: Final = (
    "callgate recommend catalogue.json",
    "callgate recommend --server aws --arguments --out aws.yaml catalogue.json",
    "callgate recommend --from-log decisions.jsonl --out recommended catalogue.json",
)

_MOST_NAMES: Final = 10
"""Names of tools in one line of the report; the policy has all of them."""


def recommend(
    catalogue: Annotated[Path, typer.Argument(metavar="CATALOGUE", help="Catalogue with the category of each tool.")],
    server: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Server whose policy is written; repeatable. By default all of them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="PATH",
            help="File for the policy instead of stdout (.yaml, .yml or .json), or a folder for a policy of each "
            "server and a configuration that serves them.",
        ),
    ] = None,
    form: Annotated[
        Format | None,
        typer.Option("--format", help="Format of the policies.", show_default="that of the file's suffix, else yaml"),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option(metavar="TOOL", help="Keep this Destructive tool visible, with approvals; repeatable."),
    ] = None,
    arguments: Annotated[
        bool, typer.Option("--arguments", help="Add checks of arguments from the tools' input schemas.")
    ] = False,
    root: Annotated[
        list[str] | None,
        typer.Option(metavar="PATH", help="With --arguments: folder for arguments with absolute paths; repeatable."),
    ] = None,
    host: Annotated[
        list[str] | None,
        typer.Option(metavar="HOST", help="With --arguments: host, or *.DOMAIN, for arguments with URLs; repeatable."),
    ] = None,
    from_log: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="LOG",
            help="Admit only what this decision log shows as used; its rotated files are read as well. Repeatable.",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that exist.")] = False,
) -> None:
    """Write a policy for the tools of a catalogue by their categories, with the reason for each rule."""
    places = _places(arguments, root or (), host or ())
    target = None if out is None else workbench.target_of(out)
    form = workbench.format_of(target, form)
    known = read_catalogue(catalogue)
    usage = None if not from_log else _usage(from_log, known, server)
    wishes = Wishes(tuple(keep or ()), places, usage)
    found = workbench.recommend(known, server, wishes)
    _refuse_several(found, target)
    texts = {one.server: workbench.text_of(one, form, workbench.header_of(one, usage)) for one in found}
    for name, text in texts.items():
        workbench.check_policy(f"{name}.{form.value}", text)
    if target is None:
        typer.echo(texts[found[0].server], nl=False)
    else:
        _write(target, known, texts, form, catalogue, force=force)
    for one in found:
        _report(one)
    if usage is not None:
        _report_log(usage)


def _places(arguments: bool, roots: Sequence[str], hosts: Sequence[str]) -> Places | None:
    for option, given, op in (("--root", roots, "path_within"), ("--host", hosts, "host_in")):
        if not given:
            continue
        if not arguments:
            raise typer.BadParameter("it needs --arguments, which adds checks of arguments", param_hint=option)
        # The engine says what is wrong with a value.
        check = {"conditions": [{"path": "args.a", "op": op, "value": list(given)}]}
        probe = {"version": "1", "default": "deny", "tools": {"a": {"require": [check]}}}
        faults = faults_in("policy.json", write_json(probe).encode())
        if faults:
            raise typer.BadParameter(faults[0].message, param_hint=option)
    return Places(tuple(roots), tuple(hosts)) if arguments else None


def _usage(logs: Sequence[Path], catalogue: Catalogue, servers: Sequence[str] | None) -> Usage:
    tools = {name: of.tools for name, of in catalogue.servers.items() if not servers or name in servers}
    return workbench.read_usage(logs, tools)


def _refuse_several(found: Sequence[Recommendation], target: Target | None) -> None:
    if not found:
        message = "the catalogue has no servers, so there is nothing to recommend"
        raise ConfigError(message)
    if len(found) > 1 and (target is None or not target.is_folder):
        names = ", ".join(quoted(one.server) for one in found[:5]) + (", ..." if len(found) > 5 else "")  # noqa: PLR2004
        message = (
            f"there are {len(found)} servers ({names}), and a policy belongs to one; choose one with --server, or name "
            "a folder as --out"
        )
        raise ConfigError(message)


def _write(
    target: Target, known: Catalogue, texts: dict[str, str], form: Format, catalogue: Path, *, force: bool
) -> None:
    if not target.is_folder:
        workbench.write_files(target.path.parent, {target.path.name: next(iter(texts.values()))}, force=force)
        return
    folder = target.path
    relative = os.path.relpath(catalogue.resolve(), folder.resolve())
    contents = workbench.folder_files(known.servers, texts, form, relative)
    if (folder / ".gitignore").exists():
        del contents[".gitignore"]
    workbench.write_files(folder, contents, force=force)
    shown = masked(str(folder))
    typer.echo(f"written: {', '.join(contents)} in `{shown}`", err=True)
    configuration = shlex.quote(str(folder / workbench.CONFIGURATION))
    typer.echo(f"check it: callgate config check {configuration}", err=True)
    typer.echo(f"start it: callgate serve --config {configuration}", err=True)


def _report(one: Recommendation) -> None:
    """Says on stderr what a person should know of one policy before it is used."""
    limits = sum(not rule.needs_approval for rule in one.rules)
    counts = [
        f"{workbench.counted(limits, 'tool')} with limits",
        f"{len(one.approvals):,} with approvals",
        f"{len(one.hidden):,} hidden",
        f"{len(one.left_out):,} left out",
    ]
    typer.echo(f"{quoted(one.server)}: {', '.join(counts)}", err=True)
    raised = [rule.tool for rule in one.rules if rule.is_raised]
    for what, tools in (
        ("with approvals", [rule.tool for rule in one.approvals]),
        ("hidden", [tool.tool for tool in one.hidden]),
        ("left out, because no category is known", [tool.tool for tool in one.left_out if tool.kind == "no category"]),
        ("left out, because it was never used", [tool.tool for tool in one.left_out if tool.kind == "never used"]),
        ("limit above the recommended one, because of the log", raised),
    ):
        if tools:
            typer.echo(f"  {what}: {_names(tools)}", err=True)
    for note in one.notes[:_MOST_NAMES]:
        typer.echo(f"  {note}", err=True)
    if len(one.notes) > _MOST_NAMES:
        typer.echo(f"  and {len(one.notes) - _MOST_NAMES:,} more such tools", err=True)
    if one.approvals:
        typer.echo(f"  {workbench.STORE}", err=True)
    if not one.rules:
        typer.echo("  warning: the policy admits no tool, so all calls are denied", err=True)


def _report_log(usage: Usage) -> None:
    """Says on stderr what the logs show beside the tools that were used."""
    for fault in usage.damaged:
        typer.echo(f"{fault}; the line is left out", err=True)
    if usage.damaged_lines > len(usage.damaged):
        typer.echo(f"and {usage.damaged_lines - len(usage.damaged):,} more damaged lines", err=True)
    others = usage.unknown_servers
    if others.names:
        number = sum(others.names.values()) + others.others
        calls = workbench.counted(number, "decision")
        typer.echo(f"left out: {calls} at other servers: {_names(sorted(others.names))}", err=True)
    if not usage.peaks_are_exact:
        typer.echo(
            "warning: there were too many calls in a minute to count them all, so that limits may be too low", err=True
        )


def _names(tools: Sequence[str]) -> str:
    more = f" and {len(tools) - _MOST_NAMES:,} more" if len(tools) > _MOST_NAMES else ""
    return f"{', '.join(map(quoted, tools[:_MOST_NAMES]))}{more}"
