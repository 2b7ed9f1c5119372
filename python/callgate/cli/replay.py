"""`callgate replay`."""

from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import Annotated, Final

import typer

from callgate.config.bundle import configured_grants
from callgate.config.load import load
from callgate.errors import ConfigError
from callgate.text import did_you_mean, quoted
from callgate.workbench.replay import Choice, Findings, document, text_lines
from callgate.workbench.replay import replay as replayed

EXAMPLES: Final = (
    "callgate replay decisions.jsonl --policy new.yaml",
    "callgate replay --fail-on permissive --server aws --policy aws.yaml decisions.jsonl",
    "callgate replay - --policy new.yaml --json",
)


class FailOn(Enum):
    """A reason for exit code 1."""

    PERMISSIVE = "permissive"
    STRICTER = "stricter"
    OTHER = "other"
    ANY = "any"
    UNKNOWN = "unknown"
    NONE = "none"


def replay(
    logs: Annotated[
        list[Path],
        typer.Argument(
            metavar="LOG",
            help="Decision log, with its rotated files; of several sidecars, the logs of all. `-` for stdin.",
        ),
    ],
    policy: Annotated[Path, typer.Option(metavar="FILE", help="Policy that decides the calls once more.")],
    server: Annotated[
        str | None, typer.Option(metavar="NAME", help="Server whose calls are decided; by default all.")
    ] = None,
    decided_by: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Name of the policy whose decisions are decided once more; by default all."),
    ] = None,
    catalogue: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Catalogue with categories, risks and input schemas of the tools."),
    ] = None,
    no_catalogue: Annotated[
        bool, typer.Option("--no-catalogue", help="The sidecar has no catalogue: tools have no category.")
    ] = False,
    config: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Configuration with the labels of the grants, and with the catalogue."),
    ] = None,
    fail_on: Annotated[
        list[str] | None,
        typer.Option(
            metavar="WORDS",
            help="Exit code 1 for `permissive`, `stricter` or `other` changes, for `any` of them, for `unknown` "
            "ones (calls that cannot be judged, and lines that cannot be read), or for `none`; several with commas, "
            "or repeated.",
            show_default="any",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decide the calls of decision logs by another policy: which decisions change, and why."""
    words = set(_words(fail_on or [FailOn.ANY.value]))
    if catalogue is not None and no_catalogue:
        raise typer.BadParameter("--no-catalogue does not go with --catalogue")
    labels: Mapping[str, Mapping[str, str]] = {}
    if config is not None:
        loaded = load(config)
        labels = {placed.grant.id: placed.grant.labels for placed in configured_grants(loaded)}
        catalogue = loaded.config.catalogue if catalogue is None and not no_catalogue else catalogue
    choice = Choice(server, decided_by, catalogue, not no_catalogue, labels)
    found = replayed(logs, policy, choice)
    if as_json:
        typer.echo(document(found))
    else:
        for line in text_lines(found):
            typer.echo(line)
    if found.damaged_lines and not found.decisions and not found.skipped:
        message = "no line could be read; name the log of a sidecar, which `audit.path` of its configuration has"
        raise ConfigError(message)
    raise typer.Exit(1 if words & _apply(found) else 0)


def _words(given: list[str]) -> Iterator[FailOn]:
    known = [one.value for one in FailOn]
    for word in (one.strip() for text in given for one in text.split(",")):
        if word not in known:
            message = f"unknown word {quoted(word)}{did_you_mean(word, known)}"
            raise typer.BadParameter(message, param_hint="--fail-on")
        yield FailOn(word)


def _apply(found: Findings) -> set[FailOn]:
    """The words that apply to the findings."""
    words = (FailOn.PERMISSIVE, FailOn.STRICTER, FailOn.OTHER, FailOn.UNKNOWN)
    applying = {word for word in words if found.count(word.value)}
    if found.damaged_lines:
        # They may be of calls that change.
        applying.add(FailOn.UNKNOWN)
    return applying | {FailOn.ANY} if found.changes else applying
