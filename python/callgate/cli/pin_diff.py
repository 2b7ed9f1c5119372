"""Differences of a tool, complete enough for a person's review."""

import difflib
import json
from collections.abc import Iterator
from typing import Any, Final

from callgate.text import visible

_FIRST: Final = ("name", "title", "description", "annotations", "inputSchema", "outputSchema")
"""The order of members; others follow by name."""


def lines(tool: dict[str, Any]) -> Iterator[str]:
    """A tool in the format of `callgate pin diff`."""
    if not tool["listed"]:
        yield f"{visible(tool['tool'])}: {tool['state']}"
        for form in tool["pinned"]:
            yield f"  as accepted: {form['digest']}{_shown_to(form)}"
    for after in tool["listed"]:
        before = _before(tool, after)
        yield f"{visible(tool['tool'])}: {tool['state']}{_shown_to(after)}"
        if after["is_ambiguous"]:
            yield "  the server lists it twice, with different definitions; this is the first of them"
        yield f"- accepted: {before['digest'] if before else 'nothing'}"
        yield f"+ listed:   {after['digest']}"
        shown = [*_sections(before, after)]
        yield from shown
        if not shown and not after["is_ambiguous"]:
            yield "  endpoint: another query of the same URL"


def _shown_to(form: dict[str, Any]) -> str:
    known = [variant for variant in form["variants"] if variant != "unknown"]
    return f"  (shown to {', '.join(known)})" if known else ""


def _before(tool: dict[str, Any], after: dict[str, Any]) -> dict[str, Any] | None:
    """The accepted form of the tool: that of the same variant, or else the last one."""
    of_same = [form for form in tool["pinned"] if set(form["variants"]) & set(after["variants"])]
    forms: list[dict[str, Any]] = of_same or tool["pinned"]
    return forms[-1] if forms else None


def _sections(before: dict[str, Any] | None, after: dict[str, Any]) -> Iterator[str]:
    old, new = (_texts(record) for record in (before, after))
    order = {key: index for index, key in enumerate(("endpoint", *_FIRST))}
    for key in sorted({*old, *new}, key=lambda key: (order.get(key, len(order)), key)):
        if old.get(key) != new.get(key):
            yield f"  {visible(key)}:"
            changes = list(difflib.unified_diff(old.get(key, []), new.get(key, []), lineterm=""))
            for line in changes[3:]:
                # The hunks' line numbers belong to no file.
                yield "    ..." if line.startswith("@@") else f"{line[0]}   {line[1:]}"


def _texts(record: dict[str, Any] | None) -> dict[str, list[str]]:
    """The lines of each member; texts of several lines in readable form."""
    if record is None:
        return {}
    texts = {"endpoint": [visible(record["endpoint"])]}
    for key, text in record["members"]:
        value = json.loads(text) if text.startswith('"') else None
        rows = text.split("\n") if value is None else value.split("\n")
        # A member may also be named `endpoint`.
        texts[f"{key} (of the tool)" if key in texts else key] = [visible(row) for row in rows]
    return texts


def document(server: str, tool: dict[str, Any]) -> dict[str, Any]:
    """A tool in the format of `callgate pin diff --json`."""
    forms = [
        {"accepted": _document(_before(tool, form)), "listed": _document(form), "variants": form["variants"]}
        for form in tool["listed"]
    ]
    last = forms[-1] if forms else {"accepted": _document(tool["pinned"][-1]), "listed": None}
    return {
        "server": server,
        "tool": tool["tool"],
        "state": tool["state"],
        "listed_twice": any(form["is_ambiguous"] for form in tool["listed"]),
        "accepted": last["accepted"],
        "listed": last["listed"],
        "forms": forms,
    }


def _document(record: dict[str, Any] | None) -> dict[str, Any] | None:
    if record is None:
        return None
    definition = {key: json.loads(text) for key, text in record["members"]}
    return {"digest": record["digest"], "endpoint": record["endpoint"], "definition": definition}
