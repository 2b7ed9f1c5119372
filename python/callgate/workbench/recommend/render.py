"""Recommended policies as text: YAML with comments, or JSON with `x-` fields, which policies ignore."""

from __future__ import annotations

import json
import re
from enum import Enum
from typing import TYPE_CHECKING, Any, Final

from callgate.exact_json import write_json
from callgate.text import visible
from callgate.workbench.recommend.defaults import key_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from callgate.workbench.recommend.arguments import ArgumentChecks
    from callgate.workbench.recommend.recommendation import LeftOutTool, Recommendation

_PLAIN: Final = re.compile(r"[A-Za-z_/][A-Za-z0-9_./-]*")
_WORDS: Final = frozenset({"true", "false", "null", "yes", "no", "on", "off", "y", "n"})
"""Words that some readers of YAML do not read as text."""

_CONSTANTS: Final = {None: "null", True: "true", False: "false"}

_WIDTH: Final = 110
"""Characters of a line of a comment."""

_LONGEST_KEY: Final = 1_000
"""Characters of a key that YAML takes on a line with its colon; a few more are allowed."""

_MOST_PATHS: Final = 12
"""Arguments of one reason that are named."""


class Format(str, Enum):
    """The format of a policy."""

    YAML = "yaml"
    JSON = "json"


def text_of(recommendation: Recommendation, form: Format, header: Sequence[str]) -> str:
    """The text of a policy with its explanations; equal recommendations give equal text.

    Args:
        recommendation: The policy.
        form: The format.
        header: Sentences about the whole policy.
    """
    if form is Format.JSON:
        return _json(recommendation, header)
    return "\n".join(_yaml(recommendation, header)) + "\n"


def _json(recommendation: Recommendation, header: Sequence[str]) -> str:
    document = recommendation.document()
    tools: dict[str, Any] = document.pop("tools")
    for rule in recommendation.rules:
        why: dict[str, Any] = {"x-reason": rule.reason}
        if rule.checks is not None and rule.checks.left_open:
            why["x-left-open"] = {reason: list(paths) for reason, paths in rule.checks.left_open.items()}
        tools[key_of(rule.tool)] = {**why, **tools[key_of(rule.tool)]}
    document["x-recommended"] = list(header)
    if recommendation.hidden:
        document["x-hidden"] = {one.tool: one.reason for one in recommendation.hidden}
    if recommendation.left_out:
        document["x-left-out"] = {one.tool: one.reason for one in recommendation.left_out}
    return write_json({**document, "tools": tools}, indent=2) + "\n"


def _yaml(recommendation: Recommendation, header: Sequence[str]) -> Iterator[str]:
    for line in header:
        yield from _comment(line, "")
    yield 'version: "1"'
    yield "default: deny"
    if recommendation.hidden:
        yield ""
        yield "hide:"
        for one in recommendation.hidden:
            yield from _comment(one.reason, "  ")
            yield f"  - {scalar(key_of(one.tool))}"
    yield ""
    yield "tools:" if recommendation.rules else "tools: {}"
    for number, rule in enumerate(recommendation.rules):
        if number:
            yield ""
        yield from _comment(rule.reason, "  ")
        yield from _open(rule.checks)
        key = scalar(key_of(rule.tool))
        yield from [f"  {key}:"] if len(key) <= _LONGEST_KEY else [f"  ? {key}", "  :"]
        for field, value in rule.document().items():
            yield from _member(field, value, "    ", is_block=isinstance(value, list))
    yield from _left_out(recommendation.left_out)


def _open(checks: ArgumentChecks | None) -> Iterator[str]:
    if checks is None:
        return
    for reason, paths in checks.left_open.items():
        named = ", ".join(f"`{visible(path)}`" for path in paths[:_MOST_PATHS])
        more = f" and {len(paths) - _MOST_PATHS} more" if len(paths) > _MOST_PATHS else ""
        yield from _comment(f"Left open: {named}{more}: {reason}", "  ")


def _left_out(left_out: Sequence[LeftOutTool]) -> Iterator[str]:
    """A comment at the end, which names every tool that the policy does not."""
    if not left_out:
        return
    yield ""
    yield "# Left out, and so denied:"
    for one in left_out:
        yield from _comment(f"- {scalar(one.tool)}: {one.reason}", "", hanging="  ")


def _comment(text: str, indent: str, *, hanging: str = "") -> Iterator[str]:
    """A comment of several lines. No line break of a foreign text may end it: the rest would be part of the policy."""
    lines: list[str] = []
    for word in visible(text).split(" "):
        if lines and len(lines[-1]) + 1 + len(word) <= _WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(f"{hanging}{word}" if lines else word)
    yield from (f"{indent}# {line}".rstrip() for line in lines)


def _member(key: str, value: Any, indent: str, *, is_block: bool = False) -> Iterator[str]:  # noqa: ANN401  JSON
    """A key with its value, in brackets if they fit into a line and `is_block` is false."""
    start = f"{indent}{scalar(key)}:"
    if not is_block or not value:
        line = f"{start} {_flow(value)}"
        if len(line) <= _WIDTH or not value or not isinstance(value, (dict, list)):
            yield line
            return
    yield start
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _member(name, inner, f"{indent}  ")
        return
    for item in value:
        yield from _item(item, f"{indent}  ")


def _item(value: Any, indent: str) -> Iterator[str]:  # noqa: ANN401  as above
    line = f"{indent}- {_flow(value)}"
    if not isinstance(value, dict) or not value or len(line) <= _WIDTH:
        yield line
        return
    # The first key is on the line of the dash.
    first, *rest = [line for key, inner in value.items() for line in _member(key, inner, f"{indent}  ")]
    yield f"{indent}- {first.lstrip()}"
    yield from rest


def _flow(value: Any) -> str:  # noqa: ANN401  as above
    if isinstance(value, dict):
        return _mapping(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    if isinstance(value, str):
        return scalar(value)
    return _CONSTANTS[value] if value is None or isinstance(value, bool) else write_json(value)


def _mapping(value: Mapping[str, Any]) -> str:
    return f"{{{', '.join(f'{scalar(key)}: {_flow(inner)}' for key, inner in value.items())}}}"


def scalar(text: str) -> str:
    """A text, plain where no reader of YAML takes it for something else."""
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if text.isprintable():
        return json.dumps(text, ensure_ascii=False)
    return '"' + "".join(map(_escaped, text)) + '"'


def _escaped(character: str) -> str:
    if character.isprintable():
        return json.dumps(character, ensure_ascii=False)[1:-1]
    return f"\\U{ord(character):08x}"
