"""The codes of findings: title, severity, meaning and remedy of each; `docs/analysis.md` has a section for each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

Severity: TypeAlias = Literal["warning", "info"]


@dataclass(frozen=True)
class Code:
    """A kind of finding."""

    code: str
    """`CG` and three digits."""
    title: str
    severity: Severity
    meaning: str
    """One or two sentences, as the page has them."""
    remedy: str
    """The edit that mends it, as the page has it."""
    is_fixable: bool = False
    """True if `--fix` may mend it."""

    @property
    def page(self) -> str:
        """The section of the page."""
        return f"docs/analysis.md#{self.code.lower()}"


CODES: Final = {
    one.code: one
    for one in (
        Code(
            "CG101",
            "check that never denies",
            "warning",
            "No call fails this check, or asks for an approval through it: neither by its values, nor by a missing "
            "one, nor by one of a wrong type.",
            "Correct the conditions if they were meant to stop something; else delete the check.",
            is_fixable=True,
        ),
        Code(
            "CG102",
            "conditions that contradict each other",
            "warning",
            "No call meets all conditions of this `deny_if` or `when`. It only acts on calls whose values have a type "
            "that it cannot compare.",
            "Put conditions of which one is enough into `any`, or correct the values.",
        ),
        Code(
            "CG103",
            "check that earlier rules leave nothing to decide",
            "warning",
            "Every call that this check would stop is denied by an earlier rule, so that it never decides.",
            "Delete the check, or move it before the rule that denies first if its message matters.",
            is_fixable=True,
        ),
        Code(
            "CG104",
            "entry that no call passes",
            "warning",
            "The checks of this entry contradict each other, or one of them denies everything: no call can be allowed.",
            "Correct the check that is named. If every call is meant to be denied, write `action: deny` with a reason.",
        ),
        Code(
            "CG105",
            "rules after `action: deny`",
            "warning",
            "The entry denies every call by its action, so that its checks and limits are never looked at.",
            "Delete the rules, or delete the action.",
            is_fixable=True,
        ),
        Code(
            "CG111",
            "entry that never applies",
            "warning",
            "Every name that this pattern matches has an entry that takes precedence.",
            "Delete the entry, or make its pattern match the names that it is meant for.",
            is_fixable=True,
        ),
        Code(
            "CG112",
            "entry that loses the rules of a wider one",
            "warning",
            "A narrower entry replaces a wider one with all its rules, and admits a call that the wider one "
            "would stop.",
            "Repeat the rules that should hold for both, or move them to `all_tools` or to a category.",
        ),
        Code(
            "CG113",
            "entry that is hidden",
            "warning",
            "`hide` covers every name of this entry. Hidden tools are denied whatever their entry says.",
            "Delete the entry, or take its names out of `hide`.",
            is_fixable=True,
        ),
        Code(
            "CG114",
            "pattern of `hide` that another covers",
            "warning",
            "Another pattern of `hide` matches every name that this one matches.",
            "Delete the pattern.",
            is_fixable=True,
        ),
        Code(
            "CG121",
            "`deny_if` that a missing argument walks around",
            "warning",
            "A call that this check denies is admitted if it leaves out an argument: a comparison with a missing "
            "value does not hold, except the negative ones.",
            "Require the argument: `{path, op: exists, value: true}` in `require`. If the tool does without it, and "
            "its default is harmless, nothing is to be done.",
        ),
        Code(
            "CG122",
            "`require` with a `regex` that is not anchored",
            "warning",
            "The expression is found anywhere in the value, so that a value with other text around it passes too.",
            "Begin the expression with `^` and end it with `$`, around a group if it has alternatives: `^(a|b)$`.",
        ),
        Code(
            "CG123",
            "comparison of text on a path or a URL",
            "warning",
            "`starts_with`, `ends_with`, `contains` and equality compare characters. A path with `..` or a URL with "
            "another host can pass them.",
            "Use `path_within` for paths and `host_in` for URLs.",
        ),
        Code(
            "CG124",
            "`deny_if` that other letters walk around",
            "info",
            "The comparison tells upper from lower case. A tool that does not would take the other spelling for the "
            "value that is denied.",
            "Use `require` with the values that are allowed, or a `regex` that begins with `(?i)`.",
        ),
        Code(
            "CG131",
            "limit per session without one per grant",
            "warning",
            "The count of a new session begins at zero, and callers choose their sessions.",
            "Put a limit with scope `grant` beside it.",
        ),
        Code(
            "CG132",
            "limit per argument without one per grant",
            "warning",
            "The count of a new value of the argument begins at zero, and callers choose their arguments.",
            "Put a limit with scope `grant` beside it, or allow a list of values with `require` and `in`.",
        ),
        Code(
            "CG133",
            "limit that another makes useless",
            "warning",
            "Another limit that counts the same calls refuses every call that this one would refuse.",
            "Delete the limit, or correct its window or `max`.",
            is_fixable=True,
        ),
        Code(
            "CG134",
            "limit that no call fits",
            "warning",
            "The cost of every call is above `max`, so that every call is denied.",
            "Raise `max`, lower `cost`, or write `action: deny`.",
        ),
        Code(
            "CG135",
            "limit that counts nothing",
            "warning",
            "Each call costs 0 units, so that this limit never refuses one.",
            "Delete the limit, or give it a cost.",
        ),
        Code(
            "CG136",
            "cost that a caller sets to zero",
            "info",
            "The cost is an argument, and a call in which it is 0 takes nothing. Nothing else bounds the "
            "number of calls.",
            "Put a limit without `cost` beside it, or require the argument to be greater than 0.",
        ),
        Code(
            "CG141",
            "pattern that matches no tool",
            "warning",
            "No tool of the catalogue has a name that this pattern matches.",
            "Correct the pattern, or scan the server again if it has new tools.",
        ),
        Code(
            "CG142",
            "tool that no entry names",
            "info",
            "No entry and no category applies to this tool of the catalogue: `default` alone decides about it.",
            "Write an entry for the tool, or leave it to `default`.",
        ),
        Code(
            "CG143",
            "category that no tool has",
            "warning",
            "The catalogue puts no tool into this category, so that its rules apply to no call.",
            "Classify the tools of the catalogue, or delete the category.",
        ),
        Code(
            "CG144",
            "input schema that the catalogue does not have",
            "warning",
            "`schema: input` means the schema of the catalogue. It has none for this tool, so that every call is "
            "denied.",
            "Scan the server, so that the catalogue has its schemas, or write the schema into the policy.",
        ),
        Code(
            "CG190",
            "question without an answer",
            "info",
            "The analysis has reached one of its bounds, or does not understand a part of a condition: it says nothing "
            "about this place, neither good nor bad.",
            "Nothing needs to be done. Shorter conditions, split over several checks, can be analysed further.",
        ),
    )
}
