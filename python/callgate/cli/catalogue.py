"""`callgate catalogue`."""

from pathlib import Path
from typing import Annotated

import typer

from callgate.cli.examples import examples
from callgate.text import masked, visible
from callgate.workbench.catalogue import read_catalogue
from callgate.workbench.site import TITLE, build_site

app = typer.Typer(
    name="catalogue",
    help="Work with catalogues of tools.",
    epilog=examples("callgate catalogue build site --catalogue catalogue.json"),
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def group() -> None:
    """Work with catalogues of tools."""


@app.command(
    epilog=examples(
        "callgate catalogue build site --catalogue catalogue.json",
        "callgate catalogue build --title 'Tools of our agents' --catalogue catalogue.json public/tools",
    )
)
def build(
    folder: Annotated[
        Path,
        typer.Argument(
            metavar="DIR", help="Folder of the site: a new or empty one, or a site of this command, which is replaced."
        ),
    ],
    catalogue: Annotated[Path, typer.Option(metavar="FILE", help="The catalogue.", show_default=False)],
    title: Annotated[str, typer.Option(metavar="TEXT", help="Title of the site.")] = TITLE,
) -> None:
    """Write a static site: a page for each server and tool, with its dangers and a rule to begin with."""
    built = build_site(read_catalogue(catalogue), folder, title)
    shown = visible(masked(str(folder)))
    servers, tools = _counted(built.servers, "server"), _counted(built.tools, "tool")
    typer.echo(f"written: {_counted(built.pages, 'page')} about {tools} of {servers} in `{shown}`")
    if built.unclassified:
        one = built.unclassified == 1
        typer.echo(
            f"warning: {_counted(built.unclassified, 'tool')} {'has' if one else 'have'} no category, so no rule is "
            f"recommended for {'it' if one else 'them'}; give {'it' if one else 'them'} one in the catalogue",
            err=True,
        )
    if built.unrated:
        typer.echo(f"warning: {_counted(built.unrated, 'tool')} with a category, but without a risk", err=True)
    if built.poisoned:
        one = built.poisoned == 1
        typer.echo(
            f"warning: {_counted(built.poisoned, 'tool')} with a definition that attacks the model that reads it; "
            f"{'its page says' if one else 'their pages say'} how, and `callgate classify` prints it",
            err=True,
        )
    typer.echo(f"open it: {visible(masked(str(folder / 'index.html')))}")


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"
