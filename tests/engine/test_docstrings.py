"""The text of `help()` and `inspect` about the compiled module is that of its stub."""

from __future__ import annotations

import ast
import inspect
import pydoc
import re
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from callgate import _callgate

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
STUB = ROOT / "python/callgate/_callgate.pyi"
SCRIPT = ROOT / "scripts/stub.py"


@cache
def stub() -> ast.Module:
    return ast.parse(STUB.read_text(encoding="utf-8"))


def members() -> Iterator[tuple[str, ast.FunctionDef | ast.ClassDef, Any]]:
    """The classes, functions and members of the stub: name, declaration, and what the module has."""
    for node in stub().body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            value = getattr(_callgate, node.name)
            yield node.name, node, value
            for member in node.body:
                if isinstance(node, ast.ClassDef) and isinstance(member, ast.FunctionDef):
                    yield f"{node.name}.{member.name}", member, getattr(value, member.name)


def is_property(node: ast.FunctionDef) -> bool:
    return any(isinstance(decorator, ast.Name) and decorator.id == "property" for decorator in node.decorator_list)


def parameters(node: ast.FunctionDef) -> list[tuple[str, str]]:
    """The name and the kind of each parameter of a declaration."""
    kinds = [
        ("positional-only", node.args.posonlyargs),
        ("positional or keyword", node.args.args),
        ("variadic positional", [node.args.vararg] if node.args.vararg else []),
        ("keyword-only", node.args.kwonlyargs),
        ("variadic keyword", [node.args.kwarg] if node.args.kwarg else []),
    ]
    return [(arg.arg, kind) for kind, args in kinds for arg in args if arg.arg not in {"self", "cls"}]


def inspected(value: Any) -> list[tuple[str, str]]:
    """The name and the kind of each parameter that `inspect` finds."""
    found = inspect.signature(value).parameters.values()
    return [(one.name, one.kind.description) for one in found if one.name != "self"]


MEMBERS = list(members())
FUNCTIONS = [(name, node, value) for name, node, value in MEMBERS if isinstance(node, ast.FunctionDef)]
DOCUMENTED = [(name, node, value) for name, node, value in MEMBERS if not node.name.startswith("__")]
CALLABLES = [one for one in FUNCTIONS if not one[1].name.startswith("__") and not is_property(one[1])]
CONSTRUCTORS = [
    (name, node, getattr(_callgate, name.partition(".")[0])) for name, node, _ in FUNCTIONS if node.name == "__new__"
]


def test_the_lists_are_not_empty() -> None:
    assert len(DOCUMENTED) > 130
    assert len(CALLABLES) > 40
    assert len(CONSTRUCTORS) > 7


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, _, value in DOCUMENTED])
def test_everything_has_a_docstring(name: str, value: Any) -> None:
    docstring = inspect.getdoc(value)
    assert docstring, f"{name} has no docstring; write one in rust/python/src"
    first = docstring.splitlines()[0]
    assert first.endswith("."), f"{name}: the first line is no sentence: {first}"


@pytest.mark.parametrize(("name", "node", "value"), [*CALLABLES, *CONSTRUCTORS])
def test_signatures_can_be_inspected(name: str, node: ast.FunctionDef, value: Any) -> None:
    assert inspected(value) == parameters(node), name


@pytest.mark.parametrize(("name", "node", "value"), [*CALLABLES, *CONSTRUCTORS])
def test_documented_arguments_exist(name: str, node: ast.FunctionDef, value: Any) -> None:
    _, found, rest = (inspect.getdoc(value) or "").partition("Args:\n")
    if found:
        section = rest.partition("\n\n")[0]
        documented = re.findall(r"^    \**(\w+): ", section, re.MULTILINE)
        assert documented, name
        assert set(documented) <= {parameter for parameter, _ in parameters(node)}, name


def test_help_shows_signatures_and_docstrings() -> None:
    text = pydoc.plain(pydoc.render_doc(_callgate.Engine))
    assert "check(self, /, *, tool, grant=None, args=None," in text
    assert "Decides one call, and takes units from its limits if it is allowed." in text
    assert "counter_capacity" in text


def test_the_stub_has_the_docstrings_of_the_module() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("declaration", "docstring", "expected"),
    [
        ("def f() -> None: ...", "One.", 'def f() -> None:\n    """One."""'),
        ('def f() -> None:\n    """Old."""', "One.\n\nTwo.", 'def f() -> None:\n    """One.\n\n    Two.\n    """'),
        ('def f() -> None:\n    """Old.\n\n    Two.\n    """', None, "def f() -> None:\n    ..."),
        ('class C:\n    """Old."""\n\n    x: int', "One.", 'class C:\n    """One."""\n\n    x: int'),
        ("class C:\n    x: int", "One.", 'class C:\n    """One."""\n    x: int'),
    ],
)
def test_a_docstring_is_replaced(
    declaration: str, docstring: str | None, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    from stub import replace  # noqa: PLC0415  it is a script

    lines = declaration.splitlines()
    [node] = ast.parse(declaration).body
    assert isinstance(node, ast.FunctionDef | ast.ClassDef)
    replace(lines, node, docstring)
    assert "\n".join(lines) == expected
