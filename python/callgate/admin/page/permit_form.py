"""The form by which an approver makes a permit, and the terms that it gives."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from callgate.approvals.offer import looked_at, make_terms, masked_names, permit_bounds
from callgate.approvals.sections import one_line, seen
from callgate.approvals.shown import read_evidence
from callgate.exact_json import read_json
from callgate.store.errors import AnswerError
from callgate.store.model import State

if TYPE_CHECKING:
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval

_MINUTE_US: Final = 60_000_000
_USUAL_MINUTES: Final = 60
_KINDS: Final = {
    "exactly": "exactly this value",
    "at_most": "at most this number: ...",
    "one_of": "one of these values: [...]",
    "any": "any value, or none",
}
_DIGITS: Final = 9


@dataclass(frozen=True)
class Argument:
    """An argument of the call in the form."""

    json_name: str
    """Its name as JSON, which a form carries unchanged."""
    shown: str
    """Its name and value."""
    kinds: tuple[tuple[str, str], ...]
    """The conditions that it may get, each with its words."""


@dataclass(frozen=True)
class PermitForm:
    """The values of the form."""

    max_uses: int
    max_minutes: int
    minutes: int
    """The minutes that the form proposes."""
    arguments: tuple[Argument, ...]


def permit_form(approval: Approval, record: Recorded) -> PermitForm | None:
    """The form for an approval; None if its rules allow no permit, or for less than a minute."""
    bounds = permit_bounds(approval.needs)
    arguments = _arguments(record)
    if approval.state is not State.PENDING or bounds is None or arguments is None:
        return None
    max_minutes = bounds.max_duration_us // _MINUTE_US
    if max_minutes < 1:
        return None
    evidence = read_evidence(record)
    looked, masked = looked_at(evidence), masked_names(evidence)
    fields = []
    for name, value in arguments.items():
        kinds = ["any"] if name in masked else ["exactly", "one_of"]
        if name not in masked and not isinstance(value, (str, bool, list, dict)) and value is not None:
            kinds.append("at_most")
        if name not in looked and "any" not in kinds:
            kinds.append("any")
        words = tuple((kind, _KINDS[kind]) for kind in kinds)
        fields.append(Argument(json.dumps(name), f"{seen(name)}: {one_line(value)}", words))
    return PermitForm(bounds.max_uses, max_minutes, min(_USUAL_MINUTES, max_minutes), tuple(fields))


def read_offer(record: Recorded, fields: dict[str, str]) -> tuple[str, int, int]:
    """The terms as JSON, the uses and the length in microseconds that a sent form offers.

    Raises:
        AnswerError: A field has a value that no permit can have.
    """
    arguments = _arguments(record)
    if arguments is None:
        raise AnswerError("the arguments of this call are deleted or unreadable, so that no permit can be made")
    chosen: dict[str, dict[str, Any]] = {}
    for field, kind in fields.items():
        prefix, _, number = field.partition(".")
        if prefix != "kind":
            continue
        name = _json(fields.get(f"name.{number}", ""), "the name of an argument")
        if not isinstance(name, str) or kind not in _KINDS:
            raise AnswerError("the form has a condition that this page did not offer; load the page again")
        chosen[name] = {kind: _wanted(kind, name, fields.get(f"value.{number}", ""))}
    uses, minutes = _number(fields, "uses"), _number(fields, "minutes")
    evidence = read_evidence(record)
    terms = make_terms(arguments, chosen, looked_at(evidence), masked_names(evidence))
    return terms, uses, minutes * _MINUTE_US


def _wanted(kind: str, name: str, text: str) -> Any:  # noqa: ANN401  JSON
    if kind in {"exactly", "any"}:
        return True
    value = _json(text, f"the value of the condition for `{seen(name)}`")
    if kind == "one_of" and not (isinstance(value, list) and value):
        message = f'`{seen(name)}`: expected a JSON list that is not empty, such as `["a", "b"]`'
        raise AnswerError(message)
    if kind == "at_most" and (isinstance(value, (str, bool, list, dict)) or value is None):
        message = f"`{seen(name)}`: expected a number"
        raise AnswerError(message)
    return value


def _arguments(record: Recorded) -> dict[str, Any] | None:
    """The arguments of the call; None if they are deleted or unreadable."""
    if record.arguments is None:
        return None
    try:
        arguments = read_json(record.arguments)
    except (ValueError, RecursionError):
        return None
    return arguments if isinstance(arguments, dict) else None


def _json(text: str, what: str) -> Any:  # noqa: ANN401  JSON
    try:
        return read_json(text)
    except (ValueError, RecursionError) as error:
        message = f"{what} is no JSON: {error}"
        raise AnswerError(message) from None


def _number(fields: dict[str, str], name: str) -> int:
    text = fields.get(name, "").strip()
    if not (text.isascii() and text.isdigit() and len(text) <= _DIGITS):
        message = f"`{name}`: expected a whole number"
        raise AnswerError(message)
    return int(text)
