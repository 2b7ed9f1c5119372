"""Paths of REST, from the `google.api.http` options of methods."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from google.api import annotations_pb2, http_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from callgate.admin.calls.registry import RegisteredMethod

_VARIABLE: Final = re.compile(r"\{([a-z0-9_.]+)\}")


@dataclass(frozen=True)
class Binding:
    """A path and a method of HTTP that lead to a method of the API."""

    verb: str
    """The method of HTTP."""
    template: str
    """The path as the option has it: ``/admin/v1/policies/{policy.id}``."""
    variables: tuple[str, ...]
    """The fields that the path names, as dotted paths, in their order."""
    body: str
    """The field that the body is, ``*`` for the whole request, empty for no body."""
    method: RegisteredMethod
    pattern: re.Pattern[str]


@dataclass(frozen=True)
class Match:
    """A binding, with the values of its variables."""

    binding: Binding
    values: dict[str, str]


class Bindings:
    """All paths of an API."""

    def __init__(self, methods: Iterable[RegisteredMethod]) -> None:
        """Takes the methods; those without the option have no path.

        Raises:
            ValueError: An option has a form that is not known here, or two methods have one path.
        """
        self.all = tuple(binding for method in methods for binding in _bindings(method))
        taken: set[tuple[str, str]] = set()
        for binding in self.all:
            key = (binding.verb, _VARIABLE.sub("{}", binding.template))
            if key in taken:
                message = f"two methods have the path `{binding.verb} {binding.template}`"
                raise ValueError(message)
            taken.add(key)

    def find(self, verb: str, raw_path: str) -> Match | None:
        """The binding of a request; HEAD is answered like GET.

        The path is the one that was sent, with its escapes: an id may contain `/` and `:` as `%2F` and `%3A`.
        """
        wanted = "GET" if verb == "HEAD" else verb
        for binding in self.all:
            found = binding.pattern.fullmatch(raw_path) if binding.verb == wanted else None
            if found is None:
                continue
            try:
                values = [unquote(value, errors="strict") for value in found.groups()]
            except UnicodeDecodeError:
                return None
            return Match(binding, dict(zip(binding.variables, values, strict=True)))
        return None

    def verbs(self, raw_path: str) -> list[str]:
        """The methods of HTTP that a path takes."""
        return sorted({binding.verb for binding in self.all if binding.pattern.fullmatch(raw_path)})


def _bindings(method: RegisteredMethod) -> Iterator[Binding]:
    rule = method.descriptor.GetOptions().Extensions[annotations_pb2.http]
    for one in (rule, *rule.additional_bindings):
        verb = one.WhichOneof("pattern")
        if verb is not None:
            yield _binding(method, one, verb)


def _binding(method: RegisteredMethod, rule: http_pb2.HttpRule, verb: str) -> Binding:
    template = str(getattr(rule, verb))
    parts = _VARIABLE.split(template)
    if verb == "custom" or "{" in "".join(parts[::2]) or rule.response_body:
        message = f"the method `{method.name}` has an option `google.api.http` of a form that is not known"
        raise ValueError(message)
    # Texts and variables take turns.
    pattern = "".join(re.escape(part) if number % 2 == 0 else "([^/:]+)" for number, part in enumerate(parts))
    return Binding(verb.upper(), template, tuple(parts[1::2]), rule.body, method, re.compile(pattern))
