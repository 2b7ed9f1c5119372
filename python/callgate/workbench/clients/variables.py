"""References to variables in the values of clients' configurations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.errors import ConfigError
from callgate.text import quoted

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


class UnresolvedError(ConfigError):
    """A value that only the client itself can resolve."""


class Variables:
    """The variables that a client would put into the values of its configuration."""

    def __init__(self, kinds: frozenset[str], environment: Mapping[str, str], project: Path | None) -> None:
        """Takes the kinds of references (`places.Form.variables`), this process's variables, and the project."""
        self._kinds = kinds
        self._environment = environment
        self._project = project

    def filled(self, text: str) -> str:
        """The text with the values of its references.

        Raises:
            UnresolvedError: A value is not known here.
        """
        return _REFERENCE.sub(self._value, text)

    def _value(self, found: re.Match[str]) -> str:
        kind = found.lastgroup
        if kind == "default":
            kind = "braces"
        if kind == "what":
            message = f"its client asks for the value of {quoted(found[0])} itself"
            raise UnresolvedError(message)
        if kind == "folder":
            return self._folder(found)
        if kind is None or kind not in self._kinds:
            # Another client's notation, which this one leaves as it is.
            return found[0]
        name = found[kind]
        value = self._environment.get(name)
        if value is not None:
            return value
        if found["default"] is not None:
            return found["default"].removeprefix(":-")
        message = f"the environment variable {quoted(name)} is not set"
        raise UnresolvedError(message)

    def _folder(self, found: re.Match[str]) -> str:
        if "env" not in self._kinds:
            return found[0]
        if found["folder"] == "userHome":
            return self._environment.get("HOME", found[0])
        if self._project is None:
            message = "it needs the folder of a project; name one with --project"
            raise UnresolvedError(message)
        return str(self._project)
