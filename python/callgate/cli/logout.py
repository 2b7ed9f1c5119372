"""`callgate logout`."""

from typing import Annotated, Final

import typer

from callgate.cli.remote.port import RefusedError, admin_address, logged_in
from callgate.cli.remote.saved import find, forget

EXAMPLES: Final = ("callgate logout --admin https://callgate.example.com:9193",)


def logout(
    admin: Annotated[str, typer.Option("--admin", metavar="URL", help="The admin port of the sidecar.")],
) -> None:
    """End the session of `callgate login` at a sidecar, and remove its file."""
    address = admin_address(admin)
    if find(address) is None:
        typer.echo(f"you are not logged in at `{address}`", err=True)
        return
    port = logged_in(address)
    # The token stays here if the sidecar cannot be told: then it still works, and can be ended later.
    try:
        port.post_form("/logout/token", {})
    except RefusedError as error:
        if error.status != 401:  # noqa: PLR2004  the session has ended already
            raise
    forget(address)
    typer.echo(f"logged out at `{address}`")
