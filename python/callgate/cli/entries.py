"""Entries of `grants` and `peps` in configurations: found, and changed in their files."""

from __future__ import annotations

import json
import shlex
import sys
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callgate.cli import tokens
from callgate.config.faults import InvalidConfigError
from callgate.config.fields import format_instant
from callgate.config.tokens import MOST_TOKENS, Token
from callgate.config.units import parse_duration
from callgate.errors import ConfigError
from callgate.text import quoted
from callgate.workbench import edit
from callgate.workbench.layout import UneditableError
from callgate.workbench.replace import replace as replace_file

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from callgate.config.document import Document, KeyPath
    from callgate.config.faults import Fault
    from callgate.config.load import Loaded

ConfigFile = Annotated[Path, typer.Option("--config", metavar="FILE", help="The configuration.")]
Write = Annotated[bool, typer.Option("--write", help="Edit the file; without it, print the change.")]
Keep = Annotated[str, typer.Option(metavar="TIME", help="Time for which the old token still works; `0s` for none.")]
Old = Annotated[bool, typer.Option("--old", help="Take out the old token alone, the one with an end.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@dataclass(frozen=True)
class Entry:
    """A grant or a PEP, and its place."""

    noun: str
    """The word for it in messages: `grant` or `PEP`."""
    command: str
    """The commands about it, and the key of its list."""
    name: str
    option: str
    """The option by which commands name it."""
    tokens: tuple[Token, ...]
    path: KeyPath
    document: Document | None
    """The file that contains it."""
    fault: Callable[[KeyPath, str], Fault]

    def __str__(self) -> str:
        """The beginning of a message."""
        return f"the {self.noun} {quoted(self.name)}"

    def error(self, message: str) -> InvalidConfigError:
        """An error at its place."""
        return InvalidConfigError([self.fault(self.path, f"{self} {message}")])

    def file(self) -> Document:
        """The file that contains it.

        Raises:
            InvalidConfigError: It comes from the environment.
        """
        if self.document is None:
            raise self.error(f"does not come from a file; change it where `{self.command}` is set")
        return self.document


def found(entries: Sequence[Entry], name: str, *, noun: str, option: str) -> Entry:
    """The entry of a name.

    Raises:
        typer.BadParameter: There is none.
    """
    tokens.must_be_known(option, noun, name, [entry.name for entry in entries])
    return next(entry for entry in entries if entry.name == name)


def rotate(loaded: Loaded, entry: Entry, keep: str, *, write: bool, as_json: bool) -> None:
    """Gives an entry a new token, and the old one an end.

    Raises:
        ConfigError: It has two tokens already, or its file cannot be edited.
    """
    now = datetime.now(timezone.utc).replace(microsecond=0)
    try:
        kept = parse_duration(keep)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--keep") from None
    document = entry.file()
    if sum(not token.has_ended(now) for token in entry.tokens) == MOST_TOKENS:
        if all(token.until is None for token in entry.tokens):
            raise entry.error("has two tokens without an end; give the old one an `until` by hand")
        message = (
            f"has two tokens already{_ends(entry)}; wait for the end of the old one, or take it out with "
            f"`{_revocation(loaded, entry)}`"
        )
        raise entry.error(message)
    # Without the key of the other tokens, a new key would make all of them unknown.
    token, token_hash = tokens.new(loaded, may_make_key=not entry.tokens)
    held = [old for old in entry.tokens if kept and not old.has_ended(now)]
    ends = {old.hash: format_instant(min(old.until or now + kept, now + kept)) for old in held}
    try:
        edited = _with_tokens(document, entry, ends, token_hash)
    except UneditableError as error:
        line = _line(ends, token_hash)
        _print_by_hand(f"write this in place of `token_hash` or `tokens` of {entry}:", token, line, as_json=as_json)
        raise InvalidConfigError([entry.fault(entry.path, str(error))]) from None
    _finish(document, edited, write=write, as_json=as_json, token=token)


def revoke(entry: Entry, *, old: bool, write: bool, as_json: bool) -> None:
    """Takes an entry out of its file, or its old token alone.

    Raises:
        ConfigError: It has no old token, or its file cannot be edited.
    """
    document = entry.file()
    if old:
        ending = [(token.until, index) for index, token in enumerate(entry.tokens) if token.until is not None]
        if len(entry.tokens) < MOST_TOKENS or not ending:
            has = "one token" if len(entry.tokens) == 1 else f"{len(entry.tokens)} tokens without an end"
            message = f"has no old token: it has {has}; without --old, the {entry.noun} itself is taken out"
            raise entry.error(message)
        path: KeyPath = (*entry.path, "tokens", min(ending)[1])
        by_hand = f"take the first entry of `tokens` that ends out of {entry}"
    else:
        path, by_hand = entry.path, f"take {entry} out of `{entry.command}`"
    try:
        edited = edit.remove_item(document, path)
    except UneditableError as error:
        raise InvalidConfigError([entry.fault(entry.path, f"{error}; {by_hand} by hand")]) from None
    _finish(document, edited, write=write, as_json=as_json)


def create(document: Document, key: str, entry: dict[str, Any], token: str, *, as_json: bool) -> None:
    """Writes a new entry into a file.

    Raises:
        ConfigError: The file cannot be edited.
    """
    try:
        if key in document.data:
            edited = edit.append_item(document, (key,), entry)
        else:
            edited = edit.add_list(document, key, entry)
    except UneditableError as error:
        line = f"- {json.dumps(entry, ensure_ascii=False)}"
        _print_by_hand(f"write this line under `{key}`:", token, line, as_json=as_json)
        raise ConfigError(str(error)) from None
    _finish(document, edited, write=True, as_json=as_json, token=token)


def told_tokens(held: Sequence[Token], now: datetime) -> str:
    """The number of tokens and their ends, in words."""
    if not held:
        return "no token"
    count = "1 token" if len(held) == 1 else f"{len(held)} tokens"
    ends = [
        f"{'ended' if token.has_ended(now) else 'until'} {format_instant(token.until)}" for token in held if token.until
    ]
    return f"{count} ({', '.join(f'one {end}' if len(held) > 1 else end for end in ends)})" if ends else count


def tokens_as_json(held: Sequence[Token]) -> list[dict[str, str | None]]:
    """The tokens without their hashes."""
    return [{"until": None if token.until is None else format_instant(token.until)} for token in held]


def print_token(token: str) -> None:
    """Prints a token, the only thing on stdout until then."""
    typer.echo("the token, which is shown here and nowhere else:", err=True)
    typer.echo(token)
    sys.stdout.flush()


def _finish(before: Document, after: Document, *, write: bool, as_json: bool, token: str | None = None) -> None:
    """Writes the file if wanted, and prints the token and the change."""
    if write:
        replace_file(Path(before.file), before.content, after.content)
    change = edit.diff(before, after)
    if as_json:
        fields = {} if token is None else {"token": token}
        typer.echo(json.dumps({**fields, "file": before.file, "written": write, "diff": change}, ensure_ascii=False))
        return
    if token is not None:
        print_token(token)
    if write:
        typer.echo(f"the change that was written to `{before.file}`:", err=True)
    else:
        again = "" if token is None else ", for which it makes another token"
        message = f"nothing was written: make this change of `{before.file}` by hand, or give --write{again}:"
        typer.echo(message, err=True)
    typer.echo(change, nl=False)


def _with_tokens(document: Document, entry: Entry, ends: Mapping[str, str], new: str) -> Document:
    """The file in which the entry has a new token, beside the old ones that have an end now."""
    section = _section(document, entry.path)
    if "tokens" not in section:
        if not ends:
            first = next(iter(section))
            first = "token_hash" if "token_hash" in section else first
            return edit.set_member(document, entry.path, "token_hash", new, after=first)
        [until] = ends.values()
        document = edit.into_list(document, entry.path, "token_hash", ("tokens", "hash"), until)
        return edit.append_item(document, (*entry.path, "tokens"), {"hash": new})
    path = (*entry.path, "tokens")
    document = edit.append_item(document, path, {"hash": new})
    for index in reversed(range(len(entry.tokens))):
        old = entry.tokens[index]
        if old.hash not in ends:
            document = edit.remove_item(document, (*path, index))
        elif old.until is None or format_instant(old.until) != ends[old.hash]:
            document = edit.set_member(document, (*path, index), "until", ends[old.hash], after="hash")
    return document


def _section(document: Document, path: KeyPath) -> dict[str, Any]:
    value: Any = document.data
    for step in path:
        value = value[step]
    section: dict[str, Any] = value
    return section


def _line(ends: Mapping[str, str], new: str) -> str:
    """The tokens as the configuration has them."""
    held = [{"hash": old, "until": until} for old, until in ends.items()]
    return f'"tokens": {json.dumps([*held, {"hash": new}])}'


def _ends(entry: Entry) -> str:
    ends = sorted(token.until for token in entry.tokens if token.until is not None)
    return f", of which one ends at {format_instant(ends[0])}" if ends else ""


def _revocation(loaded: Loaded, entry: Entry) -> str:
    """The command that takes the old token out."""
    file = [] if loaded.document is None else ["--config", loaded.document.file]
    return shlex.join(["callgate", entry.command, "revoke", *file, entry.option, entry.name, "--old", "--write"])


def _print_by_hand(what: str, token: str, line: str, *, as_json: bool) -> None:
    """Prints what to write where the command cannot. On stdout, because error messages mask hashes."""
    if as_json:
        typer.echo(json.dumps({"token": token, "written": False, "by_hand": line}, ensure_ascii=False))
        return
    print_token(token)
    typer.echo(what, err=True)
    typer.echo(line)
    sys.stdout.flush()
