"""Wrong values of options, in the words of this project instead of those of the library that reads them."""

import re
from typing import Final

import typer
from pydantic import ValidationError

from callgate.config import messages
from callgate.text import did_you_mean, quoted

_CHOICE: Final = re.compile(r".* is not one of (.*)", re.DOTALL)
_NUMBERS: Final = {"int": "expected a whole number", "float": "expected a number"}


def message_of(error: typer.BadParameter) -> str:
    """The expectation and the nearest value; errors of callgate itself stay as they are."""
    if not isinstance(error.__cause__, ValidationError):
        return error.message
    detail = error.__cause__.errors(include_url=False)[0]
    got = quoted(str(detail["input"]))
    number = _NUMBERS.get(detail["type"].partition("_")[0])
    if number is not None:
        return f"{number}, got {got}"
    text = messages.message_of(detail, ())
    choice = _CHOICE.fullmatch(text)
    if choice is not None:
        known = re.findall("'([^']*)'", choice[1])
        return f"unknown value {got}{did_you_mean(str(detail['input']), known)}"
    return f"{text}, got {got}"
