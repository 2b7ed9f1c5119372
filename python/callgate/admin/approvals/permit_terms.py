"""The terms of a permit from an approver's message."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeGuard

from callgate.admin.calls.errors import failed_precondition, invalid
from callgate.admin.messages.times import length_us
from callgate.approvals.offer import looked_at, make_terms, masked_names
from callgate.approvals.shown import read_evidence
from callgate.exact_json import read_json, write_json
from callgate.identity.secret_text import new_id
from callgate.store.errors import AnswerError
from callgate.store.model import PermitOffer
from callgate.store.terms import is_equal

if TYPE_CHECKING:
    from callgate._proto.callgate.admin.v1 import approvals_pb2, permits_pb2
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval


def permit_offer(offer: approvals_pb2.PermitOffer, approval: Approval, record: Recorded) -> PermitOffer:
    """The offered permit, whose terms cover the call that asked.

    Raises:
        AdminError: INVALID_ARGUMENT for terms that cannot be, FAILED_PRECONDITION once the arguments are gone.
    """
    if record.arguments is None:
        message = f"the arguments of the approval `{approval.id}` are not kept any more"
        raise failed_precondition(message)
    arguments = read_json(record.arguments)
    if not isinstance(arguments, dict):
        message = f"the arguments of the approval `{approval.id}` are masked, so that no term can name them"
        raise failed_precondition(message)
    evidence = read_evidence(record)
    chosen = {name: _chosen(name, one, arguments) for name, one in offer.arguments.items()}
    try:
        terms = make_terms(arguments, chosen, looked_at(evidence), masked_names(evidence))
    except AnswerError as error:
        raise invalid("permit.arguments", str(error)) from None
    length = length_us("permit.duration", offer.duration)
    for need in approval.needs:
        # The store refuses these too, as answers that this person may not give.
        if need.permit is None:
            raise failed_precondition(f"the rule `{need.rule}` lets nobody make a permit", reason="NO_PERMIT")
        if not 1 <= offer.max_uses <= need.permit.max_uses:
            raise invalid("permit.max_uses", f"the rule `{need.rule}` allows 1 to {need.permit.max_uses}")
        if not 1 <= length <= need.permit.max_duration_us:
            seconds = need.permit.max_duration_us // 1_000_000
            raise invalid("permit.duration", f"the rule `{need.rule}` allows at most {seconds} s")
    return PermitOffer(new_id(), terms, offer.max_uses, length)


def _chosen(name: str, condition: permits_pb2.ArgumentCondition, arguments: dict[str, Any]) -> dict[str, Any]:
    """A condition as `make_terms` takes it.

    Raises:
        AdminError: INVALID_ARGUMENT.
    """
    field = f"permit.arguments.{name}"
    kind = condition.WhichOneof("condition")
    if kind == "exactly_json":
        if name not in arguments or not is_equal(_json(field, condition.exactly_json), arguments[name]):
            raise invalid(field, "expected the value of the call; other values are in `at_most` and `one_of`")
        return {"exactly": True}
    if kind == "at_most":
        greatest = _json(field, condition.at_most.greatest_json)
        if not _is_number(greatest):
            raise invalid(f"{field}.at_most.greatest_json", "expected a number")
        least, value = condition.at_most.least_json, arguments.get(name)
        if least and _is_number(value) and not is_equal(_json(field, least), min(value, 0)):
            message = f"expected {write_json(min(value, 0))}, or nothing: it is 0, or the call's value if that is less"
            raise invalid(f"{field}.at_most.least_json", message)
        return {"at_most": greatest}
    if kind == "one_of" and condition.one_of.values_json:
        return {"one_of": [_json(field, text) for text in condition.one_of.values_json]}
    if kind == "any" and condition.any:
        return {"any": True}
    raise invalid(field, "expected one of `exactly_json`, `at_most`, `one_of`, and `any` with true")


def _is_number(value: Any) -> TypeGuard[int | Decimal]:  # noqa: ANN401  JSON
    return isinstance(value, (int, Decimal)) and not isinstance(value, bool)


def _json(field: str, text: str) -> Any:  # noqa: ANN401  JSON
    try:
        return read_json(text)
    except (ValueError, RecursionError):
        raise invalid(field, 'expected values as JSON texts, such as `5` or `"eu"`') from None
