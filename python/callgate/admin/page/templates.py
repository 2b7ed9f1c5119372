"""Templates of pages."""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

from callgate._callgate import version
from callgate.admin.http.paths import STYLE

if TYPE_CHECKING:
    from http import HTTPStatus


@cache
def _environment() -> Environment:
    # Everything is escaped, whatever a template's name ends with.
    return Environment(
        loader=PackageLoader("callgate.admin.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def page(template: str, status: HTTPStatus, /, **values: Any) -> HTMLResponse:  # noqa: ANN401  whatever a template shows
    """A page from a template."""
    values = {"style": STYLE, "version": version(), "caller": None, "token": "", "has_passkeys": False, **values}
    return HTMLResponse(_environment().get_template(template).render(values), status)


def style() -> bytes:
    """The style sheet of all pages."""
    return files("callgate.admin.page").joinpath("style.css").read_bytes()
