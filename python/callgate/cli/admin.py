"""`callgate admin`."""

import typer

from callgate.cli import admin_link, admin_passkeys, admin_people, admin_sessions, admin_tokens
from callgate.cli.examples import examples

app = typer.Typer(
    name="admin",
    help="The people and machines that administer callgate.",
    epilog=examples(
        "callgate admin people add ann --role approver --group dba",
        "callgate admin people list",
        "callgate admin tokens create prometheus --role viewer --expires 90d",
        "callgate admin tokens list",
    ),
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(admin_people.app)
app.add_typer(admin_tokens.app)
app.add_typer(admin_sessions.app)
app.add_typer(admin_passkeys.app)
app.command(epilog=examples("callgate admin link", "callgate admin link --url http://127.0.0.1:9293"))(admin_link.link)


@app.callback()
def group() -> None:
    """The people and machines that administer callgate."""
