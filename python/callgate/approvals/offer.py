"""Permits that an approver may make of an approval: bounds and terms."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from callgate.approvals.sections import one_line, seen
from callgate.exact_json import read_json, write_json
from callgate.store.errors import AnswerError
from callgate.store.model import PermitBounds
from callgate.store.terms import covers, is_equal
from callgate.text import did_you_mean, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from callgate.store.model import Need

_TERM: Final = re.compile(r"(?P<name>.+?)=(?:(?P<plain>exactly|any)|(?P<kind>at_most|one_of):(?P<value>.*))", re.DOTALL)
_ARGUMENT: Final = re.compile(r'args(?:\.(?P<key>[^.\[\]"]+)|\[(?P<quoted>"(?:[^"\\]|\\.)*")\]|(?P<whole>$|\[))')
_PATHS: Final = frozenset({"path", "scope", "cost"})
"""Fields of rules that hold paths."""
_LOCAL: Final = frozenset(
    {"$schema", "$comment", "type", "title", "description", "properties", "required", "examples", "default"}
)
"""Keywords of a schema that look at no argument but those that `properties` and `required` name."""

Terms = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class LookedAt:
    """The arguments that the rules of a call look at."""

    names: frozenset[str] = frozenset()
    is_all: bool = False
    """True if some rule looks at all arguments together."""

    def __contains__(self, name: str) -> bool:
        """True if a rule looks at this argument."""
        return self.is_all or name in self.names


def permit_bounds(needs: Sequence[Need]) -> PermitBounds | None:
    """The bounds that all rules that asked leave for a permit; None if one of them allows none."""
    bounds = [need.permit for need in needs]
    known = [one for one in bounds if one is not None]
    if len(known) < len(bounds) or not known:
        return None
    return PermitBounds(min(one.max_uses for one in known), min(one.max_duration_us for one in known))


def parse_term(text: str) -> tuple[str, dict[str, Any]]:
    """An argument and its condition: `NAME=exactly`, `NAME=at_most:NUMBER`, `NAME=one_of:[VALUE, ...]` or `NAME=any`.

    Raises:
        AnswerError: It is none of these.
    """
    found = _TERM.fullmatch(text)
    if found is None:
        message = (
            f"{quoted(text)} is no term; expected `NAME=exactly`, `NAME=at_most:NUMBER`, `NAME=one_of:[VALUE, ...]` "
            "with JSON values, or `NAME=any`"
        )
        raise AnswerError(message)
    if found["plain"] is not None:
        return found["name"], {found["plain"]: True}
    try:
        value = read_json(found["value"])
    except (ValueError, RecursionError):
        value = None
    is_right = _is_number(value) if found["kind"] == "at_most" else isinstance(value, list) and bool(value)
    if not is_right:
        wanted = "a number" if found["kind"] == "at_most" else 'a JSON list that is not empty, such as `["a", "b"]`'
        message = f"{quoted(text)}: expected {wanted} after `{found['kind']}:`"
        raise AnswerError(message)
    return found["name"], {found["kind"]: value}


def make_terms(arguments: Mapping[str, Any], chosen: Terms, looked_at: LookedAt, masked: frozenset[str]) -> str:
    """The terms of a permit as JSON text: those that were chosen, and `exactly` for each other argument.

    Args:
        arguments: The arguments of the approved call, with exact numbers.
        chosen: Conditions by argument, as `parse_term` gives them; `at_most` has the greatest number alone.
        looked_at: The arguments for which `any` is refused.
        masked: Arguments whose values are hidden from people.

    Raises:
        AnswerError: A term cannot be, or does not cover the approved call itself, which is the permit's first use.
    """
    for name in chosen:
        if name not in arguments and "any" not in chosen[name]:
            hint = did_you_mean(name, [seen(known) for known in arguments]) if arguments else ""
            message = f"the call has no argument {quoted(name)}{hint}; only `any` fits one that it does not have"
            raise AnswerError(message)
    terms = {name: _term(name, value, chosen.get(name, {"exactly": True}), masked) for name, value in arguments.items()}
    for name, condition in chosen.items():
        if "any" not in condition:
            continue
        if name in looked_at:
            which = "all arguments together" if looked_at.is_all else f"the argument {quoted(name)}"
            message = f"a rule looks at {which}, so that {quoted(name)} cannot be `any`"
            raise AnswerError(message)
        terms[name] = {"any": True}
    if not covers(terms, arguments):
        raise AnswerError("the terms do not cover the call itself, which would be the first use of the permit")
    return write_json(terms)


def looked_at(evidence: Mapping[str, Any]) -> LookedAt:
    """The arguments that the rules in an approval's evidence look at; all of them if the evidence does not say."""
    entries = evidence.get("entries")
    if not isinstance(entries, list):
        return LookedAt(is_all=True)
    names: set[str] = set()
    is_all = False
    for entry in entries:
        rules = entry.get("document") if isinstance(entry, dict) else None
        if not isinstance(rules, dict):
            return LookedAt(is_all=True)
        for path in _paths(rules):
            found = _ARGUMENT.match(path)
            if found is None:
                continue
            if found["whole"] is not None:
                is_all = True
            else:
                names.add(found["key"] if found["quoted"] is None else str(read_json(found["quoted"])))
        if "schema" in rules:
            of_schema = _of_schema(rules["schema"])
            is_all |= of_schema is None
            names |= of_schema or set()
    return LookedAt(frozenset(names), is_all)


def masked_names(evidence: Mapping[str, Any]) -> frozenset[str]:
    """The top-level arguments of which something is hidden, from the paths that the evidence names as `masked`."""
    paths = evidence.get("masked")
    matches = [_ARGUMENT.match(path) for path in paths if isinstance(path, str)] if isinstance(paths, list) else []
    return frozenset(
        found["key"] if found["quoted"] is None else str(read_json(found["quoted"]))
        for found in matches
        if found is not None and found["whole"] is None
    )


def shown_terms(text: str) -> list[tuple[str, str]]:
    """Each argument of a permit's terms and its condition in words; safe to print."""
    terms = read_json(text)
    return [(seen(name), _words(condition)) for name, condition in terms.items()]


def term_options(text: str) -> str:
    """The options of the command line that make these terms again."""
    words = (word for name, term in written_terms(read_json(text)).items() for word in ("--term", f"{name}={term}"))
    return seen(shlex.join(words))


def written_terms(terms: Terms) -> dict[str, str]:
    """The terms as `parse_term` reads them, by argument."""
    written = {}
    for name, condition in terms.items():
        [(kind, value)] = condition.items()
        if kind == "at_most":
            value = value[1]
        written[name] = kind if kind in {"exactly", "any"} else f"{kind}:{write_json(value)}"
    return written


def _term(name: str, value: Any, condition: Mapping[str, Any], masked: frozenset[str]) -> dict[str, Any]:  # noqa: ANN401  JSON
    [(kind, wanted)] = condition.items()
    if kind == "any":
        return {"any": True}
    if name in masked:
        message = f"the value of {quoted(name)} is masked, so that no term can name it; only `{name}=any` is possible"
        raise AnswerError(message)
    if kind == "exactly":
        return {"exactly": value}
    if kind == "one_of":
        if not any(is_equal(value, one) for one in wanted):
            message = f"the values for {quoted(name)} do not contain that of the approved call, {one_line(value)}"
            raise AnswerError(message)
        return {"one_of": list(wanted)}
    if not _is_number(value):
        message = f"{quoted(name)} is no number in the approved call, so that it cannot be `at_most`"
        raise AnswerError(message)
    if value > wanted:
        message = f"{quoted(name)} is {one_line(value)} in the approved call, above `at_most:{one_line(wanted)}`"
        raise AnswerError(message)
    return {"at_most": [min(value, 0), wanted]}


def _words(condition: Mapping[str, Any]) -> str:
    [(kind, value)] = condition.items()
    if kind == "any":
        return "any value, or none"
    if kind == "at_most":
        return f"at most {one_line(value[1])}, at least {one_line(value[0])}"
    if kind == "one_of":
        return f"one of {', '.join(map(one_line, value))}"
    return f"exactly {one_line(value)}"


def _paths(rules: Any, name: str = "") -> Iterator[str]:  # noqa: ANN401  JSON
    """The paths in conditions, scopes and costs."""
    if isinstance(rules, dict):
        for key, value in rules.items():
            # A schema's own words, and values that only look like paths.
            if key not in {"schema", "value"}:
                yield from _paths(value, key)
    elif isinstance(rules, list):
        for one in rules:
            yield from _paths(one, name)
    elif isinstance(rules, str) and name in _PATHS:
        yield rules


def _of_schema(schema: Any) -> set[str] | None:  # noqa: ANN401  JSON
    """The arguments that a schema names; None if it may look at any."""
    if not isinstance(schema, dict) or not schema.keys() <= _LOCAL:
        return None
    properties, required = schema.get("properties", {}), schema.get("required", [])
    return {*map(str, properties), *map(str, required)}


def _is_number(value: object) -> bool:
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)
