"""`callgate recommend`."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.cli import next_steps
from callgate.cli.finding_lines import finding_line
from callgate.config.policies import faults_in
from callgate.errors import ConfigError
from callgate.exact_json import write_json
from callgate.text import masked, quoted
from callgate.workbench import recommend as workbench
from callgate.workbench.catalogue import Catalogue, CatalogueServer, Tool, read_catalogue
from callgate.workbench.classify import poison_findings
from callgate.workbench.recommend import Format, Places, Recommendation, Target, Usage, Wishes
from callgate.workbench.replace import refuse_sources

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
    kept = tuple(keep or ())
    servers = workbench.chosen_servers(known, server, kept)
    _refuse_several(servers, target)
    files = {} if target is None else workbench.files_of(target, servers, form)
    if target is not None:
        # Before the log is read, which can take minutes.
        outputs = [*files.values(), *_beside(target)]
        refuse_sources(outputs, [catalogue, *(from_log or ())])
        if not force:
            workbench.refuse_existing(outputs)
    tools = {name: known.servers[name].tools for name in servers}
    usage = workbench.read_usage(from_log, tools) if from_log else None
    found = workbench.recommend(known, servers, Wishes(kept, places, usage))
    texts = {one.server: workbench.text_of(one, form, workbench.header_of(one, usage)) for one in found}
    for name, text in texts.items():
        workbench.check_policy(name, form, text)
    if target is None:
        typer.echo(texts[servers[0]], nl=False)
    else:
        _write(target, {file: texts[name] for name, file in files.items()}, known, files, catalogue)
    for one in found:
        _report(one)
        _warn_of_poison(one, known.servers[one.server].tools)
    if any(one.approvals for one in found):
        typer.echo(workbench.STORE, err=True)
    if usage is not None:
        _report_log(usage, servers)


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


def _refuse_several(servers: Sequence[str], target: Target | None) -> None:
    if not servers:
        message = "the catalogue has no servers, so there is nothing to recommend"
        raise ConfigError(message)
    if len(servers) > 1 and (target is None or not target.is_folder):
        message = (
            f"there are {len(servers)} servers ({_names(servers)}), and a policy belongs to one; choose one with "
            "--server, or name a folder as --out"
        )
        raise ConfigError(message)


def _beside(target: Target) -> list[Path]:
    """The further files of a folder."""
    return [target.path / workbench.CONFIGURATION] if target.is_folder else []


def _write(
    target: Target, policies: dict[Path, str], known: Catalogue, files: dict[str, Path], catalogue: Path
) -> None:
    servers = {name: known.servers[name] for name in files}
    if not target.is_folder:
        workbench.write_files(policies)
        policy = str(target.path)
        check = next_steps.command("validate", "--catalogue", str(catalogue), policy)
        _tell([f"written to `{masked(policy)}`", f"check it: {check}"], ("--policy", policy), servers, is_config=False)
        return
    folder = target.path
    relative = os.path.relpath(catalogue.resolve(), folder.resolve())
    contents = {
        **policies,
        folder / workbench.CONFIGURATION: workbench.configuration_of(files, servers, relative),
    }
    # A link that leads nowhere is somebody's file as well, and writing would follow it out of the folder.
    if not os.path.lexists(folder / ".gitignore"):
        contents[folder / ".gitignore"] = "/state/\n"
    workbench.write_files(contents)
    written = _names([str(file.relative_to(folder)) for file in contents])
    configuration = str(folder / workbench.CONFIGURATION)
    check = next_steps.command("config", "check", configuration)
    lines = [f"written to `{masked(str(folder))}`: {written}", f"check it: {check}"]
    _tell(lines, ("--config", configuration), servers, is_config=True)


def _tell(
    lines: Sequence[str], source: Sequence[str], servers: Mapping[str, CatalogueServer], *, is_config: bool
) -> None:
    for line in (*lines, *next_steps.start_lines(source, servers, is_config=is_config)):
        typer.echo(line, err=True)


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
    asking_less = [rule.tool for rule in one.rules if rule.asks_less]
    for what, tools in (
        ("with approvals", [rule.tool for rule in one.approvals]),
        ("hidden", [tool.tool for tool in one.hidden]),
        ("left out, because no category is known", [tool.tool for tool in one.left_out if tool.kind == "no category"]),
        (
            "left out, because they are listed several times, with different definitions",
            [tool.tool for tool in one.left_out if tool.kind == "ambiguous"],
        ),
        ("left out, because it was never used", [tool.tool for tool in one.left_out if tool.kind == "never used"]),
        ("limit above the recommended one, because of the log", raised),
        ("no approvals, although some calls of the log had one", asking_less),
    ):
        if tools:
            typer.echo(f"  {what}: {_names(tools)}", err=True)
    for note in one.notes[:_MOST_NAMES]:
        typer.echo(f"  {note}", err=True)
    if len(one.notes) > _MOST_NAMES:
        typer.echo(f"  and {len(one.notes) - _MOST_NAMES:,} more such tools", err=True)
    if not one.rules:
        typer.echo("  warning: the policy admits no tool, so all calls are denied", err=True)


def _warn_of_poison(one: Recommendation, tools: Mapping[str, Tool]) -> None:
    """Says which tools the policy lets a caller use although their definitions attack the model that reads them."""
    lines = [finding_line(found) for rule in one.rules for found in poison_findings(tools[rule.tool], one.server)]
    for line in lines[:_MOST_NAMES]:
        typer.echo(f"  {line}", err=True)
    if len(lines) > _MOST_NAMES:
        typer.echo(f"  and {len(lines) - _MOST_NAMES:,} more; `callgate classify` prints all of them", err=True)
    if lines:
        typer.echo("  read these definitions before you use the policy: it admits their tools", err=True)


def _report_log(usage: Usage, servers: Sequence[str]) -> None:
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
        if workbench.DEFAULT_SERVER in others.names:
            typer.echo(f"  {next_steps.naming(servers[0])}", err=True)
    if not usage.peaks_are_exact:
        typer.echo(
            "warning: there were too many calls in a minute to count them all, so that limits may be too low", err=True
        )


def _names(tools: Sequence[str]) -> str:
    more = f" and {len(tools) - _MOST_NAMES:,} more" if len(tools) > _MOST_NAMES else ""
    return f"{', '.join(map(quoted, tools[:_MOST_NAMES]))}{more}"
