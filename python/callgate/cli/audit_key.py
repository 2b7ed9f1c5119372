"""`callgate audit key`."""

from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from callgate.cli.examples import examples
from callgate.cli.tokens import moment
from callgate.config.audit_key import public_path, read_audit_key
from callgate.config.fields import format_instant
from callgate.errors import ConfigError

if TYPE_CHECKING:
    from callgate.ledger.statement import Statement

_NEW = "callgate audit key new audit.key --expires 365d"
_PUBLIC = "callgate audit key public audit.key"
_ROTATE = "callgate audit key rotate audit.key audit-2027.key --expires 365d"

app = typer.Typer(
    name="key",
    help="Keys that sign decision logs.",
    epilog=examples(_NEW, _PUBLIC, _ROTATE),
    no_args_is_help=True,
    rich_markup_mode=None,
)

_Expires = Annotated[
    str | None,
    typer.Option("--expires", metavar="WHEN", help="The end of the key: `365d`, or RFC 3339; without it, never."),
]


@app.callback()
def group() -> None:
    """Keys that sign decision logs."""


@app.command(epilog=examples(_NEW))
def new(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of the new key.", show_default=False)],
    expires: _Expires = None,
) -> None:
    """Make a key, and beside it FILE.pub, the statement for those who verify."""
    from callgate.ledger.private import new_private_key, new_statement, pem_of  # noqa: PLC0415  slow to import

    key = new_private_key()
    statement = new_statement(key, *_times(expires))
    _write(file, pem_of(key), [statement])


@app.command(epilog=examples(_PUBLIC, f"{_PUBLIC} --origin web-1/9f86d081884c7d65"))
def public(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of the key.", show_default=False)],
    origin: Annotated[
        str | None,
        typer.Option(metavar="ORIGIN", help="The name of a log: print the key as NAME+ID+KEY, as verifiers take it."),
    ] = None,
) -> None:
    """Print the public key in PEM."""
    from callgate.ledger.private import parse_private_key, public_of, public_pem_of  # noqa: PLC0415  as above

    key = public_of(parse_private_key(read_audit_key(file).pem, f"`{file}`"))
    typer.echo(public_pem_of(key) if origin is None else key.verifier_key(origin) + "\n", nl=False)


@app.command(epilog=examples(_ROTATE))
def rotate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file of the present key.", show_default=False)],
    new_file: Annotated[Path, typer.Argument(metavar="NEW", help="The file of the next key.", show_default=False)],
    expires: _Expires = None,
) -> None:
    """Make the next key, whose statement the present key signs."""
    from callgate.ledger.private import (  # noqa: PLC0415  as above
        new_private_key,
        new_statement,
        parse_private_key,
        pem_of,
        public_of,
    )

    read = read_audit_key(file)
    present = parse_private_key(read.pem, f"`{file}`")
    if read.statements and read.statements[-1].key != public_of(present):
        message = f"`{public_path(file)}` is not about the key of `{file}`; put the two of one key there"
        raise ConfigError(message)
    key = new_private_key()
    created, end = _times(expires)
    # A key of another program has no statement yet.
    before = list(read.statements) or [new_statement(present, created, None)]
    _write(new_file, pem_of(key), [*before, new_statement(key, created, end, present)])
    typer.echo(f"name `{new_file}` as `audit.key_file`, and restart callgate", err=True)


def _times(expires: str | None) -> tuple[datetime, datetime | None]:
    created = datetime.now(timezone.utc).replace(microsecond=0)
    end = None if expires is None else moment("--expires", expires)
    if end is not None and end <= created:
        raise typer.BadParameter("expected a time in the future", param_hint="--expires")
    return created, end


def _write(file: Path, pem: bytes, statements: list["Statement"]) -> None:
    from callgate.ledger.private import write_new  # noqa: PLC0415  as above

    beside = public_path(file)
    write_new(beside, "\n".join(one.note for one in statements).encode(), 0o644)
    write_new(file, pem, 0o600)
    end = statements[-1].expires
    typer.echo(f"made: {file}, {'without an end' if end is None else f'until {format_instant(end)}'}")
    typer.echo(f"public: {beside}; give it to those who verify")
