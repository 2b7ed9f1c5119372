"""Writes `docs/api.md` from the docstrings of the package; with --check, says whether it is up to date instead.

griffe reads the sources and the stub of the Rust half, so nothing is imported and nothing has to be built.
"""

from __future__ import annotations

import difflib
import re
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

import griffe

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs/api.md"
WIDTH = 120
SIGNATURE_WIDTH = 100

# The page's sections, and the names below each. Names without a module are those of `callgate`.
SECTIONS = {
    "Decide in this process": (
        "Engine",
        "Decision",
        "LimitState",
        "Shadow",
        "Outcome",
        "Explanation",
        "Step",
        "ConditionStep",
        "Peek",
        "PeekedLimit",
        "PolicyInfo",
    ),
    "Let people approve": ("ApprovalStore", "Approval"),
    "Guard functions": ("guard",),
    "Test policies": ("testing.PolicyUnderTest", "testing.Clock"),
    "Ask a sidecar": ("Client", "AsyncClient", "Call"),
    "Serve": ("Server", "Metrics", "ManualClock", "add_to_grpc_server"),
    "Files and tokens": ("validate", "policy_schema", "hash_token", "new_token", "version"),
    "Exceptions": ("CallgateError", "PolicyError", "ConfigError", "StoreError", "NotAllowedError"),
}

INTRODUCTION = """\
# Python API

For people who write Python programs with callgate. After reading an entry you know what a class or function takes, what
it gives, and which exceptions it raises.

`make docs` writes this page from the docstrings, which `help()` shows as well. How the parts work together is told in
[python.md](python.md) and [interfaces.md](interfaces.md#python). Every name is one of the module `callgate`, unless it
is written with another one.
"""

_PART = re.compile(r"^(Args|Returns|Yields|Raises|Attributes):$")
_ITEM = re.compile(r"^(\*{0,2}\w+): (.*)$")


def main() -> int:
    """Writes the page, or compares it."""
    page = render(griffe.load("callgate", search_paths=[ROOT / "python"], allow_inspection=False, resolve_aliases=True))
    before = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
    if page == before:
        return 0
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page, encoding="utf-8")
        return 0
    sys.stdout.writelines(
        difflib.unified_diff(before.splitlines(True), page.splitlines(True), str(PAGE), "the docstrings")
    )
    print("docs/api.md is out of date; run `make docs` and commit what it writes", file=sys.stderr)
    return 1


def render(package: griffe.Object | griffe.Alias) -> str:
    """The whole page."""
    forgotten = public(package) - {name for names in SECTIONS.values() for name in names}
    if forgotten:
        message = f"no section of the page has {', '.join(sorted(forgotten))}; name them in SECTIONS"
        raise ValueError(message)
    contents = [
        line
        for title, names in SECTIONS.items()
        for line in wrapped(f"- {title}: {', '.join(f'[{name}](#{anchor(name)})' for name in names)}", "  ")
    ]
    blocks = [INTRODUCTION, "\n".join(contents)]
    for title, names in SECTIONS.items():
        blocks.append(f"## {title}")
        for name in names:
            found = resolved(package[name])
            # A function may have the name of its module.
            blocks += entry(name, resolved(found[name]) if found.is_module else found)
    return "\n\n".join(block.rstrip("\n") for block in blocks) + "\n"


def public(package: griffe.Object | griffe.Alias) -> set[str]:
    """The names that the package and its module for tests export."""
    exports = {str(name) for name in package.exports or ()} - {"__version__"}
    return exports | {f"testing.{name}" for name in package["testing"].exports or ()}


def entry(name: str, target: griffe.Object) -> Iterator[str]:
    """A class or function: its heading, signature, docstring and members."""
    yield f"### {name}"
    if isinstance(target, griffe.Function):
        yield signature(name, target)
        yield from docstring(target)
    elif isinstance(target, griffe.Class):
        members = {key: resolved(member) for key, member in target.all_members.items()}
        constructor = members.get("__init__") or members.get("__new__")
        if isinstance(constructor, griffe.Function):
            yield signature(name, constructor, is_constructor=True)
        yield from docstring(target)
        if isinstance(constructor, griffe.Function):
            yield from docstring(constructor)
        yield from parts(name, [member for key, member in members.items() if not key.startswith("_")])


def parts(name: str, members: list[griffe.Object]) -> Iterator[str]:
    """The fields of a class as a table, and its methods."""
    fields = [member for member in members if isinstance(member, griffe.Attribute) and is_field(member)]
    if fields:
        yield table(fields)
    for member in members:
        if isinstance(member, griffe.Function):
            yield f"#### {name}.{member.name}"
            yield signature(f"{name}.{member.name}", member)
            yield from docstring(member)


def resolved(member: griffe.Object | griffe.Alias) -> griffe.Object:
    """The object itself, also if it is inherited."""
    return member.final_target if isinstance(member, griffe.Alias) else member


def is_field(attribute: griffe.Attribute) -> bool:
    """True for a property, and for a field that has a type or a text; an error's fields are told by its docstring."""
    return attribute.annotation is not None or attribute.docstring is not None


def signature(name: str, function: griffe.Function, *, is_constructor: bool = False) -> str:
    """The call of a function with its types, as a block of code."""
    parameters, kinds = [], {parameter.kind for parameter in function.parameters}
    separated = griffe.ParameterKind.var_positional in kinds
    for parameter in function.parameters:
        if parameter.name in {"self", "cls"}:
            continue
        if parameter.kind is griffe.ParameterKind.keyword_only and not separated:
            parameters.append("*")
            separated = True
        prefix = {griffe.ParameterKind.var_positional: "*", griffe.ParameterKind.var_keyword: "**"}
        text = prefix.get(parameter.kind, "") + parameter.name
        if parameter.annotation is not None:
            text += f": {parameter.annotation}"
        if parameter.default is not None and parameter.kind not in prefix:
            text += f" = {parameter.default}" if parameter.annotation is not None else f"={parameter.default}"
        parameters.append(text)
    start = "async " if "async" in function.labels else ""
    end = "" if is_constructor or function.returns is None else f" -> {function.returns}"
    call = f"{start}{name}({', '.join(parameters)}){end}"
    if len(call) > SIGNATURE_WIDTH:
        inner = "".join(f"    {parameter},\n" for parameter in parameters)
        call = f"{start}{name}(\n{inner}){end}"
    return f"```text\n{call}\n```"


def table(values: Iterable[griffe.Attribute]) -> str:
    """Properties and fields with their types."""
    rows = ["| name | type | |", "| --- | --- | --- |"]
    for value in values:
        kind = value.annotation if value.annotation is not None else value.value
        shown = str(kind).replace("|", "\\|")
        text = " ".join(" ".join(plain(value.docstring.value)).split()) if value.docstring else ""
        rows.append(f"| `{value.name}` | `{shown}` | {text} |".replace("  |", " |"))
    return "\n".join(rows)


def docstring(target: griffe.Object) -> Iterator[str]:
    """The parts of a docstring as Markdown."""
    if target.docstring is None:
        return
    text = target.docstring.value
    for block in re.split(r"\n\n(?! )", text):
        title, *lines = block.splitlines()
        part = _PART.match(title)
        if part is None:
            yield "\n".join(prose(block))
            continue
        body = textwrap.dedent("\n".join(lines))
        if part[1] in {"Returns", "Yields"}:
            yield "\n".join(wrapped(f"{part[1]}: {' '.join(plain(body))}", ""))
        else:
            heading = {"Args": "Parameters"}.get(part[1], part[1])
            yield "\n".join([f"{heading}:", "", *(line for item in items(body) for line in wrapped(item, "  "))])


def items(body: str) -> Iterator[str]:
    """The entries of a part: ``name: text``, with further lines of the text indented."""
    for found in re.split(r"\n(?! )", body):
        name, text = _ITEM.match(found.replace("\n", " ")).groups()  # type: ignore[union-attr]
        yield f"- `{name}`: {' '.join(' '.join(plain(text)).split())}"


def prose(block: str) -> Iterator[str]:
    """A paragraph, or a list."""
    if block.startswith("    "):
        yield from ("```text", *textwrap.dedent(block).splitlines(), "```")
        return
    for item in re.split(r"\n(?=- )", block):
        yield from wrapped(" ".join(" ".join(plain(item)).split()), "  " if item.startswith("- ") else "")


def plain(text: str) -> Iterator[str]:
    """The lines of a docstring as Markdown: one kind of code, and links to the pages beside this one."""
    for line in text.splitlines():
        code = re.sub(r"``([^`]+)``", r"`\1`", line)
        yield re.sub(r"`docs/([\w-]+\.md)`", r"[\1](\1)", code)


def wrapped(text: str, indent: str) -> list[str]:
    """The text in lines of the page's width."""
    return textwrap.wrap(text, WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def anchor(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


if __name__ == "__main__":
    sys.exit(main())
