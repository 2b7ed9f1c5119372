"""Addresses of sidecars on the command line."""

import typer

from callgate.target import Target, parse


def address_of(text: str, option: str) -> Target:
    """The address that the value of an option or argument names."""
    try:
        return parse(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None
