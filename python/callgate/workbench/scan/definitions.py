"""Definitions that servers list, as tools of a catalogue.

A catalogue has to be readable whatever a server lists. What its reader would refuse is kept under a name that begins
with `x-`, and a warning names the tool and the reason.
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

from callgate._callgate import catalogue_faults
from callgate.exact_json import write_json
from callgate.text import is_text, quoted, visible
from callgate.workbench.catalogue import AMBIGUOUS, Tool
from callgate.workbench.scan.bad_items import bad_ones
from callgate.workbench.scan.digests import digests_of
from callgate.workbench.scan.target import MAX_DEFINITION_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.scan.target import Target

MAX_TEXT: Final = 16_384
"""Characters of a description or title that are kept."""
MAX_NAME: Final = 1024
"""Characters of a tool's name."""
MAX_DEPTH: Final = 48
"""Levels of a value that are kept as they are: a catalogue's reader takes 64, and its own levels count as well."""

LEFT_OUT: Final = "x-left_out"
"""Members of a definition that are not kept, because they are too large."""

_MOST_REASON: Final = 300
"""Characters of a reason: it may repeat what the server wrote."""
_KEPT: Final = {"inputSchema": "input_schema", "outputSchema": "output_schema", "annotations": "annotations"}


def tools_of(target: Target, listed: Sequence[Any]) -> tuple[dict[str, Tool], list[str]]:
    """The tools of a list by name, in its order, and warnings about what is wrong with them."""
    warnings = list[str]()
    first: dict[str, dict[str, Any]] = {}
    ambiguous = set[str]()
    for number, entry in enumerate(listed, 1):
        fault = _name_fault(entry)
        if fault is not None:
            warnings.append(f"entry {number} of the list is left out: {fault}")
            continue
        name = entry["name"]
        if name not in first:
            first[name] = entry
            continue
        if _judged(first[name]) != _judged(entry):
            ambiguous.add(name)
        same = "different definitions, so that nobody knows which one counts" if name in ambiguous else "one definition"
        warnings.append(f"{quoted(name)} is listed several times, with {same}; the first is kept")
    clear = [entry for name, entry in first.items() if name not in ambiguous]
    digests = digests_of(target, clear)
    unwritable = _unwritable_parts(first)
    made = {name: _Definition(name, entry, unwritable[name], warnings) for name, entry in first.items()}
    faults = _schema_faults({name: one.schema for name, one in made.items() if one.has_schema})
    tools = {}
    for name, one in made.items():
        digest = digests.get(name)
        if digest is None and name not in ambiguous:
            warnings.append(f"{quoted(name)} has no digest: pinning refuses its definition, and so does the gateway")
        tools[name] = one.tool(digest, faults.get(name), is_ambiguous=name in ambiguous)
    return tools, list(dict.fromkeys(warnings))


def whole_characters(text: str) -> str:
    """The text with a replacement character for each half of a surrogate pair that stands alone."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _judged(entry: dict[str, Any]) -> dict[str, Any]:
    """The members of a definition that count for its digest (docs/pinning.md)."""
    return {key: value for key, value in entry.items() if key not in ("_meta", "icons", "execution")}


def _name_fault(entry: Any) -> str | None:  # noqa: ANN401  JSON
    if not isinstance(entry, dict):
        return "it is no object"
    name = entry.get("name")
    if not isinstance(name, str) or not name:
        return "it has no name"
    if len(name) > MAX_NAME:
        return f"its name {quoted(name)} has more than {MAX_NAME} characters"
    if not is_text(name) or "\0" in name:
        return f"its name {quoted(name)} is no text"
    return None


class _Definition:
    """A definition whose parts fit a catalogue."""

    def __init__(self, name: str, entry: dict[str, Any], unwritable: frozenset[str], warnings: list[str]) -> None:
        self.name = name
        self._unwritable = unwritable
        self._warnings = warnings
        self._extra: dict[str, Any] = {}
        self._left_out = list[str]()
        self.title = self._text(entry, "title")
        self.description = self._text(entry, "description")
        parts = {key: self._part(entry, key) for key in _KEPT}
        self.schema = parts["inputSchema"]
        self.has_schema = self.schema is not None
        self._output_schema = parts["outputSchema"]
        self._annotations = parts["annotations"]

    def tool(self, digest: str | None, schema_fault: str | None, *, is_ambiguous: bool) -> Tool:
        """The tool of the catalogue."""
        if schema_fault is not None:
            self._warnings.append(
                f"the input schema of {quoted(self.name)} is kept as `x-input_schema`, so that it checks no arguments: "
                f"{visible(schema_fault)[:_MOST_REASON]}"
            )
            self._extra["x-input_schema"] = self.schema
        extra = {**self._extra}
        if is_ambiguous:
            extra[AMBIGUOUS] = True
        if self._left_out:
            extra[LEFT_OUT] = self._left_out
        return Tool(
            self.name,
            title=self.title,
            description=self.description,
            input_schema=None if schema_fault is not None else self.schema,
            output_schema=self._output_schema,
            annotations=self._annotations or {},
            digest=digest,
            extra=extra,
        )

    def _text(self, entry: dict[str, Any], key: str) -> str:
        value = entry.get(key, "")
        if value is None or value == "":
            return ""
        if not isinstance(value, str):
            self._warn(key, "it is no text")
            return ""
        if not is_text(value):
            self._warnings.append(f"the {key} of {quoted(self.name)} has halves of characters, which are replaced")
            value = whole_characters(value)
        if len(value) > MAX_TEXT:
            self._warnings.append(
                f"the {key} of {quoted(self.name)} has {len(value)} characters; the first {MAX_TEXT} are kept"
            )
            value = value[:MAX_TEXT]
        return value

    def _part(self, entry: dict[str, Any], key: str) -> Any:  # noqa: ANN401  JSON
        """A member of the definition; None if it is absent, or kept in another way."""
        value = entry.get(key)
        if value is None:
            return None
        is_schema = key == "inputSchema"
        if _depth(value) > MAX_DEPTH:
            self._warn(key, f"it has more than {MAX_DEPTH} levels")
            return None
        if len(write_json(value)) > MAX_DEFINITION_BYTES:
            self._warn(key, f"it has more than {MAX_DEFINITION_BYTES} bytes")
            return None
        if key in self._unwritable:
            self._warn(key, "it holds text or numbers that no catalogue can hold")
            return None
        if not isinstance(value, dict) and not (is_schema and isinstance(value, bool)):
            self._extra[f"x-{_KEPT[key]}"] = value
            self._warnings.append(f"`{key}` of {quoted(self.name)} is no object; it is kept as `x-{_KEPT[key]}`")
            return None
        return value

    def _warn(self, key: str, reason: str) -> None:
        self._left_out.append(_KEPT.get(key, key))
        self._warnings.append(f"`{key}` of {quoted(self.name)} is left out: {reason}")


def _depth(value: Any) -> int:  # noqa: ANN401  JSON
    """The levels of a value, without recursion."""
    deepest, waiting = 0, [(value, 1)]
    while waiting:
        one, depth = waiting.pop()
        deepest = max(deepest, depth)
        inner = one.values() if isinstance(one, dict) else one if isinstance(one, list) else ()
        waiting += [(each, depth + 1) for each in inner if isinstance(each, (dict, list))]
    return deepest


def _schema_faults(schemas: dict[str, Any]) -> dict[str, str]:
    """The reason for which the engine refuses a schema, by the tool's name."""
    return dict(bad_ones(list(schemas), lambda some: _fault(_catalogue({name: schemas[name] for name in some}))))


def _unwritable_parts(entries: dict[str, dict[str, Any]]) -> dict[str, frozenset[str]]:
    """The members that no catalogue can hold, such as half of a surrogate pair or a number out of range, by tool."""
    parts = [
        (name, key, entry[key])
        for name, entry in entries.items()
        for key in _KEPT
        if key in entry and _depth(entry[key]) <= MAX_DEPTH
    ]
    bad = bad_ones(parts, lambda some: _fault({"version": "1", "servers": {}, "x-v": [one for _, _, one in some]}))
    found = {(name, key) for (name, key, _), _ in bad}
    return {name: frozenset(key for key in _KEPT if (name, key) in found) for name in entries}


def _catalogue(schemas: dict[str, Any]) -> dict[str, Any]:
    tools = {name: {"input_schema": schema} for name, schema in schemas.items()}
    return {"version": "1", "servers": {"scanned": {"tools": tools}}}


def _fault(document: dict[str, Any]) -> str | None:
    """The first fault of a catalogue, as the engine's reader finds it."""
    with TemporaryDirectory(prefix="callgate-scan-") as folder:
        path = Path(folder) / "catalogue.json"
        path.write_text(write_json(document), encoding="ascii")
        return next((message for _, _, message in catalogue_faults(path)), None)
