"""The questions of the inbox before a permit: its uses, its length, and a term for each argument."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from callgate.approvals.offer import masked_names, permit_bounds, written_terms
from callgate.approvals.sections import seen
from callgate.approvals.shown import read_evidence
from callgate.approvals.times import exact
from callgate.cli.answering import make_offer, must_allow_permit, permit_arguments
from callgate.config.units import format_duration, parse_duration
from callgate.exact_json import read_json
from callgate.store.errors import AnswerError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.cli.keys import Key
    from callgate.store.approvals.recorded import Recorded
    from callgate.store.model import Approval, PermitBounds, PermitOffer

_LONGEST: Final = 4_000
_DIGITS: Final = 9
_TERMS: Final = "exactly, at_most:NUMBER, one_of:[VALUE, ...], any"


@dataclass
class Question:
    """A question, and the answer as far as it is typed."""

    label: str
    text: str


class PermitQuestions:
    """The questions for one approval. Their first answers are another person's offer, or the policy's."""

    def __init__(self, approval: Approval, record: Recorded) -> None:
        """Takes an approval that is pending.

        Raises:
            AnswerError: No permit can be made of it.
        """
        must_allow_permit(approval)
        bounds = permit_bounds(approval.needs)
        if bounds is None:
            raise AnswerError("the rules that asked let nobody make a permit")
        arguments = permit_arguments(approval, record)
        masked = masked_names(read_evidence(record))
        self.approval = approval
        self._record = record
        self._names = list(arguments)
        uses, length, terms = _offered(record, bounds)
        more = shlex.join(name for name in terms if name not in arguments)
        usual = {name: "any" if name in masked else "exactly" for name in arguments}
        self._questions = [
            Question(f"uses of the permit, 1 to {bounds.max_uses}:", uses),
            Question(f"its length, at most {exact(bounds.max_duration_us)}:", length),
            *(Question(f"`{seen(name)}` may be ({_TERMS}):", terms.get(name, usual[name])) for name in arguments),
            Question("other arguments that may be there with any value, with spaces between:", more),
        ]
        self._place = 0

    @property
    def line(self) -> str:
        """The question, and the answer as it is typed."""
        question = self._questions[self._place]
        return f"{self._place + 1}/{len(self._questions)}  {seen(question.label)} {seen(question.text)}_"

    def press(self, key: Key) -> bool:
        """Obeys a key; true once the last question is answered."""
        question = self._questions[self._place]
        if key.name == "enter":
            if self._place + 1 == len(self._questions):
                return True
            self._place += 1
        elif key.name == "up":
            self._place = max(self._place - 1, 0)
        elif key.name == "down":
            self._place = min(self._place + 1, len(self._questions) - 1)
        elif key.name == "backspace":
            question.text = question.text[:-1]
        elif key.name == "clear":
            question.text = ""
        else:
            question.text = (question.text + " ".join(key.text.split("\n")))[:_LONGEST]
        return False

    def offer(self) -> PermitOffer:
        """The permit of the answers. After an error, the question that it is about is asked again.

        Raises:
            AnswerError: There is no such permit.
        """
        uses, length, *terms, more = [question.text.strip() for question in self._questions]
        self._place = 0
        if not (uses.isascii() and uses.isdigit() and len(uses) <= _DIGITS):
            raise AnswerError("expected a whole number")
        self._place = 1
        try:
            duration_us = parse_duration(length) // timedelta(microseconds=1)
        except ValueError as error:
            raise AnswerError(str(error)) from None
        self._place = 2
        words = [f"{name}={term}" for name, term in zip(self._names, terms, strict=True)]
        words += [f"{name}=any" for name in _words(more)]
        return make_offer(self.approval, self._record, int(uses), duration_us, words)


def _words(text: str) -> Sequence[str]:
    try:
        return shlex.split(text)
    except ValueError as error:
        message = f"the other arguments cannot be read: {error}"
        raise AnswerError(message) from None


def _offered(record: Recorded, bounds: PermitBounds) -> tuple[str, str, dict[str, str]]:
    """Uses, length and terms of the last offer that still counts, else those of the policy."""
    text = next((one.terms for one in reversed(record.answers) if one.is_current and one.terms is not None), None)
    if text is None:
        return str(bounds.max_uses), _length(bounds.max_duration_us), {}
    offer = read_json(text)
    return str(offer["uses"]), _length(int(offer["duration_us"])), written_terms(offer["terms"])


def _length(duration_us: int) -> str:
    return format_duration(timedelta(microseconds=duration_us))
