"""Copies the docstrings of the compiled module into its stub; with --check, says whether they are up to date instead.

The stub keeps the types, which the module cannot tell; stubtest compares its signatures with the module's.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from callgate import _callgate

if TYPE_CHECKING:
    from collections.abc import Iterator

STUB = Path(__file__).resolve().parents[1] / "python/callgate/_callgate.pyi"
INDENT = " " * 4


def main() -> int:
    """Writes the stub, or compares it."""
    before = STUB.read_text(encoding="utf-8")
    after = formatted(with_docstrings(before))
    if before == after:
        return 0
    if "--check" not in sys.argv[1:]:
        STUB.write_text(after, encoding="utf-8")
        return 0
    names = ("the stub", "the module")
    difference = difflib.unified_diff(before.splitlines(True), after.splitlines(True), *names)
    sys.stdout.writelines(difference)
    print("docstrings of the stub are out of date; run `make stub` and commit what it writes", file=sys.stderr)
    return 1


def with_docstrings(stub: str) -> str:
    """The stub, with the docstrings of the module in place of its own."""
    lines = stub.splitlines()
    # From the end, so that the numbers of the lines before stay right.
    for node, docstring in sorted(documented(ast.parse(stub)), key=lambda pair: -pair[0].lineno):
        replace(lines, node, docstring)
    return "\n".join([*lines, ""])


def documented(
    stub: ast.Module,
) -> Iterator[tuple[ast.ClassDef | ast.FunctionDef, str | None]]:
    """The classes, functions and members that the module has, each with its docstring there."""
    for node in stub.body:
        if not isinstance(node, ast.ClassDef | ast.FunctionDef) or not hasattr(_callgate, node.name):
            continue
        value = getattr(_callgate, node.name)
        yield node, inspect.getdoc(value)
        for member in node.body:
            if isinstance(node, ast.ClassDef) and isinstance(member, ast.FunctionDef):
                # The docstrings of `object` describe each dunder method.
                is_dunder = member.name.startswith("__")
                yield member, None if is_dunder else inspect.getdoc(getattr(value, member.name))


def replace(lines: list[str], node: ast.ClassDef | ast.FunctionDef, docstring: str | None) -> None:
    """Gives a class or function this docstring, or none."""
    first, *others = node.body
    has_docstring = ast.get_docstring(node) is not None
    is_empty = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and first.value.value is Ellipsis
    begin, end = first.lineno - 1, first.end_lineno or first.lineno
    new = quoted(docstring, INDENT + " " * node.col_offset) if docstring else []
    if has_docstring:
        lines[begin:end] = new or ([] if others else [f"{INDENT}{' ' * node.col_offset}..."])
    elif new and is_empty:
        header = lines[begin][: first.col_offset].rstrip()
        lines[begin:end] = [*([header] if header else []), *new]
    elif new:
        lines[begin:begin] = new


def quoted(docstring: str, indent: str) -> list[str]:
    """The lines of a docstring in a source file."""
    if "\\" in docstring or '"""' in docstring:
        message = f"a docstring of the module needs escapes in the stub, which are not written: {docstring!r}"
        raise ValueError(message)
    first, *others = docstring.splitlines()
    if not others:
        return [f'{indent}"""{first}"""']
    return [f'{indent}"""{first}', *(f"{indent}{line}".rstrip() for line in others), f'{indent}"""']


def formatted(source: str) -> str:
    """The source as ruff formats it."""
    command = [sys.executable, "-m", "ruff", "format", "--stdin-filename", str(STUB), "-"]
    return subprocess.run(command, input=source, capture_output=True, text=True, check=True).stdout


if __name__ == "__main__":
    sys.exit(main())
