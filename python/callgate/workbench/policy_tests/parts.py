"""The parts of steps: calls, expectations, freezes, and the terms of permits."""

from __future__ import annotations

import math
from decimal import Decimal
from enum import Enum
from typing import TYPE_CHECKING, Annotated, Any, Final

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, WithJsonSchema, WrapValidator, model_validator

from callgate.config.fields import Duration, Section, Text, with_meanings
from callgate.outcome import Outcome
from callgate.text import quoted

if TYPE_CHECKING:
    from pydantic import BaseModel, ValidatorFunctionWrapHandler

ANY_OUTCOME: Final = "any"
"""The word for a call whose decision does not matter."""

NO_SHADOW: Final = "none"
"""The word for a decision that full enforcement would give as well."""


class AnswerOutcome(str, Enum):
    """The result of a person's answer."""

    APPROVED = "approved"
    PENDING = "pending"
    DENIED = "denied"
    REFUSED = "refused"


def _number(value: object) -> int | Decimal:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        message = "expected a number"
        raise ValueError(message)
    # As it is written: the document gives the float that is nearest to it.
    return value if isinstance(value, int) else Decimal(repr(value))


def _is_one_line(value: str) -> str:
    if "\n" in value or "\r" in value:
        message = "expected one line"
        raise ValueError(message)
    return value


def word_or(section: type[Section], expected: str) -> WrapValidator:
    """A text, or keys and values of a section; dispatched by hand, so that a fault has its place."""

    def dispatched(value: object, _: ValidatorFunctionWrapHandler) -> object:
        if isinstance(value, (str, section)):
            return value
        if not isinstance(value, dict):
            message = f"expected {expected}"
            raise ValueError(message)  # noqa: TRY004  as above
        return section.model_validate(value)

    return WrapValidator(dispatched)


def _path_or_document(value: object, _: ValidatorFunctionWrapHandler) -> object:
    if isinstance(value, dict) or (isinstance(value, str) and value and "\0" not in value):
        return value
    message = "expected a path, or the document itself"
    raise ValueError(message)


Number = Annotated[int | Decimal, BeforeValidator(_number), WithJsonSchema({"type": "number"})]
"""An exact number."""

Line = Annotated[Text, AfterValidator(_is_one_line)]
"""Text on one line."""

PathOrDocument = Annotated[str | dict[str, Any], WrapValidator(_path_or_document)]
"""A path that starts at the folder of the test file, or the document itself."""


def _expectation_schema(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, section)
    schema["minProperties"] = 1


class ShadowExpectation(Section):
    """The decision that full enforcement would have given, where it differs."""

    outcome: Outcome
    """Its outcome."""

    rule: str | None = None
    """Its rule pointer."""


class Expectation(Section):
    """The fields of a decision that are compared; those that are not named may be anything."""

    model_config = ConfigDict(json_schema_extra=_expectation_schema)

    outcome: Outcome | None = None
    """The outcome."""

    rule: str | None = None
    """The whole rule pointer; empty for a plain allow."""

    message: str | None = None
    """The whole message."""

    message_contains: Text | None = None
    """A part of the message."""

    remaining: dict[Text, Number] = Field(default={})
    """Units left after the call, by counter; with `times`, after the last call."""

    over: dict[Text, Number] = Field(default={})
    """Units taken above `max`, by counter; with `times`, after the last call."""

    retry_after: Duration | None = None
    """Time until the units of the call are free; with `times`, of the last call."""

    policy: Text | None = None
    """The name of the policy that decides."""

    shadow: Annotated[
        ShadowExpectation | str | None, word_or(ShadowExpectation, "an outcome, `none`, or `outcome` and `rule`")
    ] = None
    """The outcome that full enforcement would have given, where it differs: a word, `none`, or `outcome` and `rule`."""

    @model_validator(mode="after")
    def _says_something(self) -> Expectation:
        if not self.model_fields_set:
            message = "expected at least one field, such as `outcome`"
            raise ValueError(message)
        return self


def _call_schema(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, section)
    schema["not"] = {"required": ["args", "args_json"]}


class Call(Section):
    """One call of a tool."""

    model_config = ConfigDict(json_schema_extra=_call_schema)

    tool: str
    """Name of the tool: any text, because callers send any."""

    args: dict[str, Any] | None = None
    """The arguments."""

    args_json: str | None = None
    """The arguments as JSON text, in place of `args`: for numbers that must stay as they are written, and bad input."""

    grant: str | None = None
    """The grant that is charged; else that of `defaults`, else `test`."""

    server: str | None = None
    """Name of the server; else that of `defaults`, else `srv`."""

    session: str | None = None
    """Id of the session; else that of `defaults`."""

    labels: dict[str, str] | None = None
    """Labels of the grant; else those of `defaults`. Only as long as no grants are configured, which have their own."""

    @model_validator(mode="after")
    def _one_form_of_arguments(self) -> Call:
        if self.args is not None and self.args_json is not None:
            message = "`args` and `args_json` are both given; keep one"
            raise ValueError(message)
        return self


class Defaults(Section):
    """The fields of calls that do not name them."""

    grant: Text | None = None
    """The grant that is charged."""

    server: Text | None = None
    """Name of the server."""

    session: str | None = None
    """Id of the session."""

    labels: dict[Text, str] | None = None
    """Labels of the grant."""


class FreezeTarget(Section):
    """The calls that a freeze stops; all calls if it names nothing."""

    server: Text | None = None
    """Calls at this server alone."""

    tool: Text | None = None
    """With `server`: calls of these tools alone, a name or a pattern."""

    grant: Text | None = None
    """Calls of this grant alone."""


def _freeze_schema(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, FreezeTarget)
    with_meanings(schema, section)


class Freeze(FreezeTarget):
    """A freeze: an operator's stop of calls."""

    model_config = ConfigDict(json_schema_extra=_freeze_schema)

    reason: Line = "test"
    """The reason, which callers are told."""

    duration: Duration | None = None
    """Time until its end; without one it lasts until `thaw`."""


class Term(Section):
    """The condition for one argument of a permit, if it is not a word."""

    at_most: Number | None = None
    """The greatest number."""

    one_of: list[Any] | None = Field(default=None, min_length=1)
    """The values that are allowed."""

    @model_validator(mode="after")
    def _one_condition(self) -> Term:
        if len(self.model_fields_set) != 1:
            message = "expected one of `at_most` and `one_of`"
            raise ValueError(message)
        return self


def _term_words(value: str | Term) -> str | Term:
    if isinstance(value, str) and value not in {"exactly", "any"}:
        message = f"expected `exactly`, `any`, or one of the keys `at_most` and `one_of`, got {quoted(value)}"
        raise ValueError(message)
    return value


TermOrWord = Annotated[
    Term | str,
    word_or(Term, "`exactly`, `any`, or one of the keys `at_most` and `one_of`"),
    AfterValidator(_term_words),
]
"""A condition for one argument of a permit."""
