"""`convert limitador`: what is kept, what is said, and what limitador would not load either."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from callgate.errors import ConfigError
from callgate.workbench.convert import Align, convert_limitador
from callgate.workbench.convert.cel import NotKeptError, parse_condition, parse_variable
from support.convert.sources import convert, faults, source


def limit(*conditions: str, variables: list[str] | None = None, **more: Any) -> dict[str, Any]:
    """A limit of the namespace `d`; without conditions and variables, one for each value of `k`."""
    default = [] if conditions or variables is not None else ["descriptors[0].k"]
    fields = {"namespace": "d", "max_value": 5, "seconds": 60, "conditions": list(conditions)}
    return {**fields, "variables": default if variables is None else variables, **more}


def text(*limits: dict[str, Any]) -> str:
    """A file with a limit a line."""
    return "".join(f"- {json.dumps(item)}\n" for item in limits)


def converted(folder: Path, *limits: dict[str, Any], align: Align | None = Align.SLIDING) -> tuple[Any, list[str]]:
    """The descriptors of `d`, and what was said but for what Envoy must send."""
    documents, said = convert(convert_limitador, folder, text(*limits), align)
    return documents["d"]["descriptors"], [line for line in said if "Envoy must send" not in line]


@pytest.mark.parametrize(
    ("seconds", "unit"),
    [
        (1, "second"),
        (60, "minute"),
        (3_600, "hour"),
        (86_400, "day"),
        (604_800, "week"),
        (2_592_000, "month"),
        (31_536_000, "year"),
    ],
)
def test_windows(tmp_path: Path, seconds: int, unit: str) -> None:
    for align in Align:
        documents, _ = convert(convert_limitador, tmp_path, text(limit(seconds=seconds)), align)
        assert documents["d"] == {
            "domain": "d",
            "align": align.value,
            "descriptors": [{"key": "k", "rate_limit": {"unit": unit, "requests_per_unit": 5}}],
        }


def test_without_a_choice_only_limits_of_at_most_one_are_kept(tmp_path: Path) -> None:
    limits = [limit(f"descriptors[0].k == '{most}'", max_value=most) for most in (0, 1, 2)]
    documents, said = convert(convert_limitador, tmp_path, text(*limits))
    assert documents["d"]["align"] == "sliding"
    assert [found["rate_limit"]["requests_per_unit"] for found in documents["d"]["descriptors"]] == [0, 1]
    (line,) = said[1:]
    assert line == (
        "3:49: left out: limit 3: its windows begin with the first hit; choose `--align sliding`, where no interval of "
        "that length admits more, or `--align calendar`"
    )


def test_conditions_and_variables_become_entries(tmp_path: Path) -> None:
    descriptors, said = converted(
        tmp_path,
        limit("descriptors[0].a == 'x'", 'descriptors[0]["b.c"] == "y" && \'z\' == descriptors[0].d', name="n"),
        limit("descriptors[0].a == 'w'", variables=["descriptors[0]['e']", "descriptors[0].a"]),
    )
    rate_limit = {"unit": "minute", "requests_per_unit": 5}
    assert said == []
    assert descriptors == [
        {
            "key": "a",
            "value": "x",
            "descriptors": [
                {
                    "key": "b.c",
                    "value": "y",
                    "descriptors": [{"key": "d", "value": "z", "rate_limit": {"name": "n", **rate_limit}}],
                }
            ],
        },
        {"key": "a", "value": "w", "descriptors": [{"key": "e", "rate_limit": rate_limit}]},
    ]


def test_what_envoy_must_send_is_said(tmp_path: Path) -> None:
    path = source(tmp_path, text(limit(), limit(variables=["descriptors[0].k", "descriptors[0].l"])))
    conversion = convert_limitador([path], Align.SLIDING)
    remark = "Envoy must send a descriptor with exactly these entries, in this order: `k`; `k`, `l`"
    assert conversion.domains[0].remarks == [remark]
    assert [str(said) for said in conversion.said] == [f"{path}:1:3: note: namespace `d`: {remark}"]


def test_the_same_keys_stand_in_the_same_order(tmp_path: Path) -> None:
    descriptors, _ = converted(
        tmp_path,
        limit("descriptors[0].a == 'x'", "descriptors[0].b == 'y'"),
        limit("descriptors[0].b == 'z'", variables=["descriptors[0].a"]),
    )
    rate_limit = {"unit": "minute", "requests_per_unit": 5}
    # The value of the second limit's `b` is found below `a=x` as well: what is found first is not left again.
    assert descriptors == [
        {
            "key": "a",
            "value": "x",
            "descriptors": [
                {"key": "b", "value": "y", "rate_limit": rate_limit},
                {"key": "b", "value": "z", "rate_limit": rate_limit},
            ],
        },
        {"key": "a", "descriptors": [{"key": "b", "value": "z", "rate_limit": rate_limit}]},
    ]


def test_namespaces_become_domains(tmp_path: Path) -> None:
    documents, _ = convert(convert_limitador, tmp_path, text(limit(), limit(namespace="a/b")), Align.SLIDING)
    assert list(documents) == ["d", "a/b"]


LEFT_OUT: dict[str, str] = {
    "descriptors[0].k != 'v'": (
        "`!=` holds for all values but one; a descriptor names one value, or every value with a count of its own"
    ),
    "descriptors[0].k == 'v' || descriptors[0].k == 'w'": (
        "`||` would be several descriptors with one count; here each has its own"
    ),
    "descriptors[0].k in ['v', 'w']": "`in` would be several descriptors with one count; here each has its own",
    "!(descriptors[0].k == 'v')": "a descriptor says what is there, not what is not",
    "descriptors[0].k > '5'": "a descriptor knows no order of values",
    "descriptors[0].k <= '5'": "a descriptor knows no order of values",
    "descriptors[0].k == '5' ? true : false": "a descriptor knows no choice",
    "descriptors[0].k + 'a' == 'va'": "a descriptor knows no arithmetic",
    "descriptors[0].k == 5": "values of a descriptor are text; put the number in quotes",
    "descriptors[0].k == ''": "an empty value; here a descriptor names one of at least one character",
    "descriptors[0].k == 'v*'": "a `*` in a value; here it stands for any characters",
    "descriptors[0].k == '\\x41'": "the escape `\\x`; write the character itself",
    "descriptors[0][''] == 'v'": "an entry with an empty key",
    "descriptors[1].k == 'v'": (
        "only the first descriptor, `descriptors[0]`; here descriptors are looked at one by one"
    ),
    "descriptors[0].k == descriptors[1].k": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "descriptors[0].k.startsWith('v')": "a descriptor knows no functions and no parts of values; a key with a dot is "
    "written `descriptors[0]['A.B']`",
    "has(descriptors[0].k)": "a descriptor knows no functions, such as `has`",
    "k == 'v'": "`k` is no entry of a descriptor; those are `descriptors[0].k`",
    "limit.name == 'n'": "a condition on `limit` itself; remove it, or the limit where it does not hold",
    "descriptors.size() == 1": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "descriptors[0].k == 'v": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "(descriptors[0].k == 'v'": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "descriptors[0].k == 'v')": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "descriptors[0].k == 'v' &&": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "descriptors[0].k": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
    "": "expected `descriptors[0].KEY == 'VALUE'`, or several joined by `&&`",
}


@pytest.mark.parametrize("condition", LEFT_OUT)
def test_conditions_that_are_left_out(tmp_path: Path, condition: str) -> None:
    descriptors, said = converted(tmp_path, limit("descriptors[0].a == 'x'", condition))
    assert (descriptors, said) == ([], [f"1:95: left out: limit 1: {LEFT_OUT[condition]}"])


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        ("descriptors[0].k == 'v'", "expected `descriptors[0].KEY` or `descriptors[0]['KEY']`"),
        ("descriptors[1].k", "only the first descriptor, `descriptors[0]`; here descriptors are looked at one by one"),
        ("user_id", "`user_id` is no entry of a descriptor; those are `descriptors[0].user_id`"),
        ("descriptors[0].k + 'x'", "a descriptor knows no arithmetic"),
    ],
)
def test_variables_that_are_left_out(tmp_path: Path, variable: str, reason: str) -> None:
    descriptors, said = converted(tmp_path, limit(variables=[variable]))
    assert (descriptors, said) == ([], [f"1:85: left out: limit 1: {reason}"])


def test_limits_that_are_left_out(tmp_path: Path) -> None:
    for item, expected in (
        (limit(seconds=10), "1:49: left out: limit 1: a window of 10 seconds; here windows have 1, 60, 3600, 86400, "),
        (limit(seconds=0), "1:49: left out: limit 1: a window of 0 seconds; "),
        (limit(max_value=2**32), "1:35: left out: limit 1: `max_value` above 4294967295"),
        (limit(variables=[], name="n"), "1:3: left out: limit 1, `n`: it counts every request; let Envoy send a "),
    ):
        descriptors, (said,) = converted(tmp_path, item)
        assert descriptors == []
        assert said.startswith(expected)


def test_two_limits_for_one_descriptor(tmp_path: Path) -> None:
    descriptors, said = converted(
        tmp_path,
        limit("descriptors[0].a == 'x'", variables=["descriptors[0].b"]),
        limit("descriptors[0].b == 'y'", variables=["descriptors[0].a"], seconds=3600),
        limit("descriptors[0].a == 'z'", "descriptors[0].b == 'y'"),
    )
    assert [found["value"] for found in descriptors] == ["x", "z"]
    (line,) = said
    assert line == (
        f"2:3: left out: limit 2: requests that it counts are counted by the limit at {tmp_path}/source.yaml:1 too; "
        "here a descriptor has one limit; give one of them an entry that the other has not"
    )


def test_notes(tmp_path: Path) -> None:
    one = limit("descriptors[0].k == 'v'")
    again = f"limitador takes it for the limit at {tmp_path}/source.yaml:1 again; it is not kept"
    _, said = converted(
        tmp_path,
        {**one, "id": "i", "max_values": 5},
        {**one, "max_value": 7, "name": "again"},
        limit("descriptors[0].k == 'v'", "descriptors[0].k == 'w'"),
        {"namespace": "d", "seconds": 1, "conditions": None, "variables": ["descriptors[0].none"]},
        limit(namespace=""),
    )
    assert said == [
        "1:113: note: `id` is a name for limitador's own interface, and is not kept",
        "1:124: note: `max_values` has no effect, and is not kept; did you mean `max_value`?",
        f"2:3: note: limit 2, `again`: {again}",
        "3:95: note: limit 3: its conditions are never true together; it is not kept",
        "4:3: note: without `max_value` the limit is 0, and all is refused",
        "5:17: note: limit 5: no request of Envoy's has an empty `namespace`; it is not kept",
    ]


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("5", "1:1: expected a list at the top of the file"),
        ("namespace: d", "1:1: expected a list at the top of the file"),
        ("- 5", "1:3: expected keys and values"),
        (text(limit(namespace=5)), "1:17: expected text; put it in quotes"),
        (text(limit(name=True)), "1:114: expected text; put it in quotes"),
        (text(limit(max_value="5")), "1:35: expected a whole number from 0 to 18446744073709551615, without quotes"),
        (text(limit(max_value=-1)), "1:35: expected a whole number from 0 to 18446744073709551615, without quotes"),
        (text(limit(seconds=1.5)), "1:49: expected a whole number from 0 to 18446744073709551615, without quotes"),
        (text(limit(conditions="x")), "1:67: expected a list"),
        (text(limit(conditions=[5])), "1:68: expected text; put it in quotes"),
        (
            "- {namespace: d, seconds: 1, conditions: []}",
            "1:3: expected the key `variables` with a list; `[]` is an empty one",
        ),
        ("- {namespace: d, conditions: [], variables: []}", "1:3: expected the key `seconds` with a whole number"),
        ("- {seconds: 1, conditions: [], variables: []}", "1:3: expected the key `namespace` with text"),
        ("- {namespace: d, namespace: e}", "1:18: key `namespace` appears twice in one object"),
        ("- {\n", "2:1: not YAML: expected a value"),
    ],
)
def test_faults(tmp_path: Path, written: str, expected: str) -> None:
    assert [line for line in faults(convert_limitador, tmp_path, written) if "max_value" not in line] == [expected]


@pytest.mark.parametrize("parse", [parse_condition, parse_variable])
@pytest.mark.parametrize(
    "expression",
    ["(" * 100_000, "'" * 100_000, "descriptors[0]" * 10_000, "\0", "\\", "&&", "'a' == 'b'", "descriptors[0].k()"],
)
def test_expressions_of_any_characters(parse: Callable[[str], object], expression: str) -> None:
    with pytest.raises(NotKeptError) as raised:
        parse(expression)
    assert len(str(raised.value)) < 200


def test_spaces_and_parentheses() -> None:
    assert parse_variable(" descriptors [ 0 ] . k ") == "k"
    assert parse_condition("((descriptors[0].k == 'v')&&(descriptors[0].l=='w'))") == [("k", "v"), ("l", "w")]


def test_a_tree_that_would_be_too_large_is_refused(tmp_path: Path) -> None:
    keys = [f"k{index}" for index in range(20)]
    # For each key two values, each of which leaves all that follow open: every path through them is another one.
    limits = [
        limit(
            f"descriptors[0].{key} == '{value}'",
            f"descriptors[0].last == '{key}{value}'",
            variables=[f"descriptors[0].{other}" for other in keys],
        )
        for key in keys
        for value in "xy"
    ]
    limits.insert(0, limit(variables=[f"descriptors[0].{key}" for key in keys]))
    with pytest.raises(ConfigError, match="need more than 100000 descriptors; split the domain"):
        converted(tmp_path, *limits)
