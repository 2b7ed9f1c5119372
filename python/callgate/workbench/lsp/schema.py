"""The parts of a JSON Schema that apply to a place of a document."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from callgate.config.document import KeyPath

Node: TypeAlias = "dict[str, Any]"
"""One schema, an object."""

_ALTERNATIVES: Final = ("anyOf", "oneOf", "allOf")
_BRANCHES: Final = ("then", "else")
_MOST_NODES: Final = 200


class Schema:
    """A schema, and the ways through it."""

    def __init__(self, root: Node) -> None:
        """Takes the whole schema, to which its references point."""
        self._root = root

    def at(self, path: KeyPath, values: Mapping[KeyPath, str], *, is_final: bool = False) -> list[Node]:
        """The schemas that may apply at a path, without those that the values beside it rule out.

        Args:
            path: Keys and indexes from the top.
            values: The text of each value of the document that is neither a mapping nor a list.
            is_final: True to leave out also what may only apply after more is typed.
        """
        nodes = self._expanded([self._root], (), values, is_final=is_final)
        for depth, step in enumerate(path):
            beside = path[:depth]
            found = [
                _general(child) if _has_branch_for(node, step, beside, values, is_final=is_final) else child
                for node in _narrowest(nodes, step, beside, values)
                for child in _children(node, step)
            ]
            nodes = self._expanded(found, path[: depth + 1], values, is_final=is_final)
        return nodes

    def excludes(self, path: KeyPath, value: object, values: Mapping[KeyPath, str]) -> bool:
        """True if a value at a path would make a written one beside it a fault, by a condition of the schema.

        ``align: calendar`` does so beside ``window: 90s``.
        """
        beside, supposed = path[:-1], {**values, path: _text(value)}
        for node in self.at(beside, values):
            for name in _decided_by(node, path[-1]):
                member = (*beside, name)
                if member in values and not _accept(self.at(member, supposed, is_final=True), values[member]):
                    return True
        return False

    def _expanded(
        self, nodes: Iterable[Node], path: KeyPath, values: Mapping[KeyPath, str], *, is_final: bool
    ) -> list[Node]:
        found: list[Node] = []
        waiting = list(nodes)[::-1]
        while waiting and len(found) < _MOST_NODES:
            node = waiting.pop()
            if _is_ruled_out(node, path, values):
                continue
            found.append(node)
            parts = [part for name in _ALTERNATIVES for part in node.get(name, ())]
            parts += [node[name] for name in _branches(node, path, values, is_final=is_final) if name in node]
            if (target := self._target(node)) is not None:
                parts.append(target)
            waiting += [part for part in reversed(parts) if isinstance(part, dict)]
        return found

    def _target(self, node: Node) -> Node | None:
        """The schema that a reference names; None without one, or if it is outside of this document."""
        reference = node.get("$ref")
        if not isinstance(reference, str) or not reference.startswith("#/"):
            return None
        found: Any = self._root
        for step in reference[2:].split("/"):
            found = found[step.replace("~1", "/").replace("~0", "~")]
        return found if isinstance(found, dict) else None


def _children(node: Node, step: str | int) -> Iterator[Node]:
    if isinstance(step, int):
        if isinstance(node.get("items"), dict):
            yield node["items"]
        return
    known = node.get("properties", {}).get(step)
    if isinstance(known, dict):
        yield known
        return
    matching = [one for pattern, one in node.get("patternProperties", {}).items() if re.search(pattern, step)]
    yield from (one for one in matching if isinstance(one, dict))
    if not matching and isinstance(node.get("additionalProperties"), dict):
        yield node["additionalProperties"]


def _narrowest(nodes: list[Node], step: str | int, path: KeyPath, values: Mapping[KeyPath, str]) -> list[Node]:
    """The schemas for a step: where a value beside it tells the alternative, only those that allow fewest values."""
    if step in _TELLING:
        return nodes
    telling = [name for name in _TELLING if (*path, name) in values]
    counts = [
        (min((len(_allowed(node, name)) for name in telling if _allowed(node, name)), default=None), node)
        for node in nodes
        if step in node.get("properties", {})
    ]
    known = [count for count, _ in counts if count is not None]
    return [node for count, node in counts if count == min(known)] if known else nodes


def _allowed(node: Node, name: str) -> list[Any]:
    """The values that a node lists for a member; none if it lists none."""
    member = node.get("properties", {}).get(name)
    if not isinstance(member, dict):
        return []
    found: list[Any] = member.get("enum", [member["const"]] if "const" in member else [])
    return found


def _branches(node: Node, path: KeyPath, values: Mapping[KeyPath, str], *, is_final: bool) -> tuple[str, ...]:
    """The names of the branches that a condition leaves: of one about members and their values, the one that fits.

    What lacks may still be typed, so that both are left, unless the document is final.
    """
    condition = node.get("if")
    if not isinstance(condition, dict) or not condition.keys() <= {"type", "required", "properties"}:
        return _BRANCHES
    required = {(*path, name) for name in condition.get("required", ())}
    if not is_final and not required <= values.keys():
        return _BRANCHES
    holds = required <= values.keys()
    for name in condition.get("properties", {}):
        text = values.get((*path, name))
        holds = holds and (text is None or text in {_text(one) for one in _allowed(condition, name)})
    return ("then",) if holds else ("else",)


def _has_branch_for(
    node: Node, step: str | int, path: KeyPath, values: Mapping[KeyPath, str], *, is_final: bool
) -> bool:
    """True if the one branch that a condition leaves says more about a member than the node around it."""
    branches = _branches(node, path, values, is_final=is_final)
    return len(branches) == 1 and step in node.get(branches[0], {}).get("properties", {})


def _general(node: Node) -> Node:
    """The schema without its alternatives, of which a branch tells the one that is meant."""
    return {name: part for name, part in node.items() if name not in _ALTERNATIVES}


def _decided_by(node: Node, name: str | int) -> set[str]:
    """The members whose schemas depend on the value of a member."""
    condition = node.get("if")
    if not isinstance(condition, dict) or name not in condition.get("properties", {}):
        return set()
    return {member for branch in _BRANCHES for member in node.get(branch, {}).get("properties", {})}


def _accept(nodes: Iterable[Node], text: str) -> bool:
    """True unless a text is certainly no value of any of the schemas that say which scalars they take."""
    found = [_accepts(node, text) for node in nodes]
    return True in found or False not in found


def _accepts(node: Node, text: str) -> bool | None:
    """True if a schema takes a scalar; None if it does not say."""
    if "enum" in node or "const" in node:
        return text in {_text(one) for one in node.get("enum", [node.get("const")])}
    if "pattern" in node:
        return re.search(node["pattern"], text) is not None
    return _NUMBER.fullmatch(text) is not None if node.get("type") == "number" else None


_NUMBER: Final = re.compile(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?")


def _is_ruled_out(node: Node, path: KeyPath, values: Mapping[KeyPath, str]) -> bool:
    """True if a value beside is none of those that the node allows for it."""
    for name in _TELLING & node.get("properties", {}).keys():
        text = values.get((*path, name))
        allowed = _allowed(node, name)
        if text is not None and allowed and text not in {_text(one) for one in allowed}:
            return True
    return False


_TELLING: Final = frozenset({"op"})
"""Members whose value says which alternative a mapping is."""


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def descriptions(nodes: Iterable[Node]) -> list[str]:
    """The descriptions of schemas, each once."""
    return list(dict.fromkeys(node["description"] for node in nodes if "description" in node))


def allowed_values(nodes: Iterable[Node]) -> list[Any]:
    """The values that schemas list, each once; true and false where either may stand."""
    found: list[Any] = []
    for node in nodes:
        found += node.get("enum", [])
        found += [node["const"]] if "const" in node else []
        found += [True, False] if node.get("type") == "boolean" else []
    return _each_once(found)


def suggested_values(nodes: Iterable[Node]) -> list[Any]:
    """Defaults and examples of schemas that are no mapping or list, each once."""
    found = [one for node in nodes for one in (*node.get("examples", ()), node.get("default"))]
    return _each_once([one for one in found if isinstance(one, (str, int, float))])


def _each_once(values: Iterable[Any]) -> list[Any]:
    return list({(type(value), str(value)): value for value in values}.values())
