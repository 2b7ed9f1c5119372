"""Accepted pins of the store as the file of pins of a replica that had none.

They are recorded as a list that people have reviewed, so that whatever the server shows here differently is changed or
new, and no further first list is accepted.
"""

from __future__ import annotations

from collections import defaultdict
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from callgate._callgate import pins_accept, pins_record, pins_reset
from callgate.config.pins import seen_tools
from callgate.config.state import make_state_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from callgate.store.pins import Pin


def put_in_place(folder: Path, server: str, url: str, pins: Iterable[Pin]) -> list[tuple[str, str]] | None:
    """Puts the pins of a server in the place of what this replica has accepted of its first list, if it saw one.

    Returns:
        The tools of that list which are now ``changed`` or ``new``, each with its state. None if the pins are those of
        another endpoint, so that nothing was done.

    Raises:
        CallgateError: A file of pins cannot be read or written.
    """
    lists = _lists(_reproducible(folder, server, url, pins))
    if not lists:
        return None
    shown = [form for tool in seen_tools(folder, server) if (form := _newest(server, tool)) is not None]
    if shown:
        pins_reset(folder, server)
    for forms in lists:
        _record(folder, server, url, forms)
        # The first list is accepted as it is, and each further one beside it.
        pins_accept(folder, server, [form.tool for form in forms], None, True)
    return _record(folder, server, url, shown) if shown else []


def _reproducible(folder: Path, server: str, url: str, pins: Iterable[Pin]) -> list[Pin]:
    """Those of the pins that have the same digest with this endpoint."""
    make_state_folder(folder.parent)
    same: list[Pin] = []
    for forms in _lists(pins):
        with TemporaryDirectory(prefix=".pins-", dir=folder.parent) as trial:
            trial_folder = folder.parent / trial
            _record(trial_folder, server, url, forms)
            digests = {
                (tool["tool"], form["digest"]) for tool in seen_tools(trial_folder, server) for form in tool["pinned"]
            }
        same += [form for form in forms if (form.tool, form.digest) in digests]
    return same


def _lists(pins: Iterable[Pin]) -> list[list[Pin]]:
    """Lists with one form of each tool, as few as there can be."""
    of_tool: defaultdict[str, list[Pin]] = defaultdict(list)
    for pin in pins:
        of_tool[pin.tool].append(pin)
    most = max(map(len, of_tool.values()), default=0)
    return [[forms[number] for forms in of_tool.values() if number < len(forms)] for number in range(most)]


def _newest(server: str, tool: dict[str, Any]) -> Pin | None:
    # Here, because it imports SQLAlchemy, which takes long, and decisions are to be served first.
    from callgate.store.pins import Pin, definition_of  # noqa: PLC0415

    forms = [*tool["pinned"], *tool["listed"]]
    return Pin(server, tool["tool"], forms[-1]["digest"], definition_of(forms[-1])) if forms else None


def _record(folder: Path, server: str, url: str, forms: Sequence[Pin]) -> list[tuple[str, str]]:
    answer = f'{{"tools": [{", ".join(form.definition for form in forms)}]}}'
    return pins_record(folder, server, url, None, answer.encode())
