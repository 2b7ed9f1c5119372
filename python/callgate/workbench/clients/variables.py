"""References to variables in the values of clients' configurations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError
from callgate.text import is_text, quoted

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_REFERENCE: Final = re.compile(
    r"\$\{(?P<folder>workspaceFolder|userHome)\}"
    r"|\$\{(?P<braces>[A-Za-z_][A-Za-z0-9_]*)(?P<default>:-[^}]*)?\}"
    r"|\$\{env:(?P<env>[^}:]+)\}"
    r"|\$\{(?P<input>input|command|config):(?P<what>[^}]*)\}"
    r"|\{env:(?P<opencode>[^}]+)\}"
    r"|\{file:(?P<file>[^}]+)\}"
    r"|\$(?P<dollar>[A-Za-z_][A-Za-z0-9_]*)"
)


def first_reference(text: str, kinds: frozenset[str]) -> str | None:
    """The first reference in a text that a client with these kinds of references replaces; None without one."""
    return next((found[0] for found in _REFERENCE.finditer(text) if _kind(found) in _replaced(kinds)), None)


def _kind(found: re.Match[str]) -> str:
    name = found.lastgroup or ""
    return {"default": "braces", "what": "input"}.get(name, name)


def _replaced(kinds: frozenset[str]) -> frozenset[str]:
    """The kinds of references with those that come along: folders and inputs with `env`, files with `opencode`."""
    further = ({"folder", "input"} if "env" in kinds else set()) | ({"file"} if "opencode" in kinds else set())
    return kinds | further


class UnresolvedError(ConfigError):
    """A value that only the client itself can resolve."""


class Variables:
    """The variables that a client would put into the values of its configuration."""

    def __init__(self, kinds: frozenset[str], environment: Mapping[str, str], project: Path | None) -> None:
        """Takes the kinds of references (`places.Form.variables`), this process's variables, and the project."""
        self._kinds = kinds
        self._environment = environment
        self._project = project
        self.used = set[str]()
        """Names of the variables of this process whose values were put somewhere."""

    def filled(self, text: str) -> str:
        """The text with the values of its references.

        Raises:
            UnresolvedError: A value is not known here.
        """
        return _REFERENCE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        kind = _kind(found)
        if kind not in _replaced(self._kinds):
            # Another client's notation, which this one leaves as it is.
            return found[0]
        if kind in ("input", "file"):
            message = f"its client gets the value of {quoted(found[0])} itself"
            raise UnresolvedError(message)
        if kind == "folder":
            return self._folder(found)
        name = found[kind]
        value = self.named(name)
        if value is not None:
            return value
        if found["default"] is not None:
            return found["default"].removeprefix(":-")
        message = f"the environment variable {quoted(name)} is not set"
        raise UnresolvedError(message)

    def named(self, name: str) -> str | None:
        """The value of a variable of this process; None without one."""
        # No name of a variable has half of a character, and the system would refuse to look for it.
        value = self._environment.get(name) if is_text(name) else None
        if value is not None:
            self.used.add(name)
        return value

    def _folder(self, found: re.Match[str]) -> str:
        if found["folder"] == "userHome":
            return self._environment.get("HOME", found[0])
        if self._project is None:
            message = "it needs the folder of a project; name one with --project"
            raise UnresolvedError(message)
        return str(self._project)
