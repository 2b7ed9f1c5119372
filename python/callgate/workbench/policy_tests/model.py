"""The keys of a file of policy tests, with their types and meanings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema, model_validator

from callgate.config.fields import Count, Duration, Instant, Section, Text, with_meanings
from callgate.outcome import Outcome
from callgate.workbench.policy_tests.parts import (
    ANY_OUTCOME,
    AnswerOutcome,
    Call,
    Defaults,
    Expectation,
    Freeze,
    FreezeTarget,
    Line,
    PathOrDocument,
    TermOrWord,
    word_or,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

MOST_TIMES: Final = 100_000
"""Most calls of one step."""


def _times(value: int) -> int:
    if not 1 <= value <= MOST_TIMES:
        message = f"expected 1 to {MOST_TIMES:,}"
        raise ValueError(message)
    return value


Times = Annotated[
    Count, AfterValidator(_times), WithJsonSchema({"type": "integer", "minimum": 1, "maximum": MOST_TIMES})
]
"""A number of equal calls."""

ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "call": ("expect", "times", "name"),
    "wait": (),
    "at": (),
    "approve": ("expect", "of", "groups", "reason"),
    "deny": ("expect", "of", "groups", "reason"),
    "permit": ("expect", "of", "groups", "reason", "uses", "duration", "terms"),
    "roll_back": (),
    "freeze": (),
    "thaw": (),
    "reload": (),
}
"""The keys that say what a step does, each with the keys that go with it."""


def _step_schema(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, section)
    schema["oneOf"] = [
        {
            "required": [action, "expect"] if action == "call" else [action],
            "propertyNames": {"enum": [action, *more]},
        }
        for action, more in ACTIONS.items()
    ]
    schema["properties"]["expect"]["anyOf"][1] = {
        "enum": [*(word.value for word in Outcome), ANY_OUTCOME, *(word.value for word in AnswerOutcome)]
    }


class Step(Section):
    """One step of a test: what happens, and what is expected of it. Steps follow each other without time between."""

    model_config = ConfigDict(json_schema_extra=_step_schema)

    call: Annotated[Call | str | None, word_or(Call, "a call, or the name of one of `calls`")] = None
    """Makes a call: the call itself, or the name of one of `calls`."""

    expect: Annotated[Expectation | str | None, word_or(Expectation, "an outcome, or the fields of a decision")] = None
    """The expectation. Of a call: an outcome, `any`, or the fields of the decision. Of an answer: `approved`,
    `pending` (more people have to approve), `denied`, or `refused` (this person may not answer)."""

    times: Times = 1
    """Number of equal calls in a row. `outcome`, `rule`, `message`, `policy` and `shadow` are expected of each."""

    name: Text | None = None
    """A name of the call, for `of` and `roll_back`."""

    wait: Duration | None = None
    """Lets time pass."""

    at: Instant | None = None
    """Moves the time to this instant, which is not before the present one."""

    approve: Line | None = None
    """Approves the approval that the last call waits for; names the person."""

    deny: Line | None = None
    """Denies the approval that the last call waits for; names the person."""

    permit: Line | None = None
    """Approves it with a permit for several calls; names the person."""

    of: Text | None = None
    """The name of the call whose approval is meant, if it is not the last one that waits."""

    groups: list[Text] | None = None
    """The groups of the person; else those of `people`."""

    reason: Line | None = None
    """The person's reason."""

    uses: Count | None = None
    """Uses of the permit; by default as many as the policy lets."""

    duration: Duration | None = None
    """Length of the permit; by default the longest that the policy lets."""

    terms: dict[str, TermOrWord] = Field(default={})
    """Conditions by argument: `exactly`, `any`, `{at_most: NUMBER}` or `{one_of: [VALUE]}`; else `exactly`."""

    roll_back: Text | None = None
    """Rolls back a call that was allowed: its name, or `last` for the last one that was allowed."""

    freeze: Freeze | None = None
    """Freezes calls."""

    thaw: FreezeTarget | None = None
    """Ends a freeze with the same names."""

    reload: PathOrDocument | None = None
    """Replaces the policy, as an operator does while callgate runs."""

    @property
    def action(self) -> str:
        """The key that says what the step does."""
        return next(name for name in ACTIONS if name in self.model_fields_set)

    @model_validator(mode="after")
    def _one_action(self) -> Step:
        found = [name for name in ACTIONS if name in self.model_fields_set]
        if not found:
            message = f"expected one of the keys {', '.join(f'`{name}`' for name in ACTIONS)}"
            raise ValueError(message)
        if len(found) > 1:
            message = f"a step does one thing, got {' and '.join(f'`{name}`' for name in found)}; make two steps"
            raise ValueError(message)
        [action] = found
        if getattr(self, action) is None:
            message = f"`{action}` has no value"
            raise ValueError(message)
        for name in type(self).model_fields:
            if name in self.model_fields_set and name != action and name not in ACTIONS[action]:
                fitting = " or ".join(f"`{other}`" for other, more in ACTIONS.items() if name in more)
                message = f"`{name}` goes with {fitting}, not with `{action}`"
                raise ValueError(message)
        return self


def _case_schema(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, section)
    schema["oneOf"] = [
        {"required": ["steps"], "properties": {"call": False, "expect": False, "times": False}},
        {"required": ["call", "expect"], "properties": {"steps": False}},
    ]
    schema["properties"]["expect"]["anyOf"][1] = {"enum": [word.value for word in Outcome]}


class Case(Section):
    """One test: steps in sequence, or one call. Its counters, approvals and freezes are its own."""

    model_config = ConfigDict(json_schema_extra=_case_schema)

    name: Line
    """Its name in reports; no two tests of a file have the same."""

    description: str | None = None
    """A text for people."""

    start: Instant | None = None
    """The time at its beginning; else that of the file."""

    steps: list[Step] | None = Field(default=None, min_length=1)
    """The steps."""

    call: Annotated[Call | str | None, word_or(Call, "a call, or the name of one of `calls`")] = None
    """The only call, in place of `steps`."""

    expect: Annotated[Expectation | str | None, word_or(Expectation, "an outcome, or the fields of a decision")] = None
    """The expectation of `call`."""

    times: Times = 1
    """Number of equal calls in a row, as in a step."""

    @model_validator(mode="after")
    def _one_form(self) -> Case:
        if self.steps is None and self.call is None:
            message = "expected `steps`, or `call` and `expect`"
            raise ValueError(message)
        if self.steps is not None and not self.model_fields_set.isdisjoint({"call", "expect", "times"}):
            message = "`steps` and a single call are both given; make the call a step"
            raise ValueError(message)
        return self


def _suite_schema(schema: dict[str, Any], section: type[BaseModel]) -> None:
    with_meanings(schema, section)
    schema["properties"]["$schema"] = {"type": "string", "description": "The schema, for editors."}


class Suite(Section):
    """A file of policy tests."""

    model_config = ConfigDict(json_schema_extra=_suite_schema)

    version: Literal["1"] = "1"
    """The version of this format."""

    description: str | None = None
    """A text for people."""

    policy: PathOrDocument | None = None
    """The policy under test: a file, a folder with a file for each server, or the document itself."""

    catalogue: PathOrDocument | None = None
    """Categories, risks and input schemas of tools: a file, or the document itself."""

    config: Text | None = None
    """A configuration, in place of `policy` and `catalogue`: its servers, policies, grants and catalogue."""

    people: dict[Line, list[Text]] = Field(default={})
    """The people who answer approvals, each with the groups of the person. All of them are approvers."""

    calls: dict[Text, Call] = Field(default={})
    """Calls by name, for several steps."""

    defaults: Defaults = Defaults()
    """Fields of calls that do not name them."""

    start: Instant | None = None
    """The time at the beginning of each test; 2026-01-01T00:00:00Z without one."""

    tests: list[Case] = Field(min_length=1)
    """The tests."""

    @model_validator(mode="after")
    def _one_source(self) -> Suite:
        if self.config is not None and (self.policy is not None or self.catalogue is not None):
            other = "policy" if self.policy is not None else "catalogue"
            message = f"`config` brings its own policies and catalogue, and `{other}` is given as well; keep one"
            raise ValueError(message)
        return self
