"""`convert ratelimit`: what is kept, what is said, and what envoyproxy/ratelimit would not load either."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from callgate.workbench.convert import Align, convert_ratelimit
from support.convert.sources import convert, faults, source

COUNTS = {"count_refused": True}
LIMIT = "rate_limit: {unit: minute, requests_per_unit: 1}"


def descriptors(text: str) -> str:
    """A file with descriptors in flow style, one a line from line 3 on."""
    return f"domain: d\ndescriptors:\n{text}"


def kept(folder: Path, text: str) -> Any:
    """The descriptors of a file of which nothing is left out."""
    documents, said = convert(convert_ratelimit, folder, descriptors(text))
    assert not [line for line in said if "left out" in line]
    return documents["d"]["descriptors"]


def said(folder: Path, text: str) -> str:
    """The only remark on a file."""
    (line,) = convert(convert_ratelimit, folder, descriptors(text))[1]
    return line


def test_windows_stay_what_they_are_unless_asked(tmp_path: Path) -> None:
    text = descriptors(f"- {{key: k, {LIMIT}}}")
    for align, expected in ((None, "calendar"), (Align.CALENDAR, "calendar"), (Align.SLIDING, "sliding")):
        documents, messages = convert(convert_ratelimit, tmp_path, text, align)
        # Refused requests are counted there, and nowhere in callgate unless it is asked for.
        assert documents["d"]["descriptors"][0].get("count_refused", False) is (align is not Align.SLIDING)
        assert (documents["d"]["align"], messages) == (expected, [])


@pytest.mark.parametrize("unit", ["second", "minute", "hour", "day", "week", "month", "year"])
def test_units(tmp_path: Path, unit: str) -> None:
    for written in (unit, unit.upper(), f'"{unit.title()}"'):
        (descriptor,) = kept(tmp_path, f"- {{key: k, rate_limit: {{requests_per_unit: 5, unit: {written}}}}}")
        assert descriptor == {"key": "k", **COUNTS, "rate_limit": {"unit": unit, "requests_per_unit": 5}}


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("007", "007"),
        ("0x1F", "0x1F"),
        ("true", "true"),
        ("No", "No"),
        ("2026-01-31", "2026-01-31"),
        ("'1.0'", "1.0"),
        ('"\\ta\\"b"', '\ta"b'),
        ("a b", "a b"),
        ("''", None),
        ("~", None),
        ("NULL", None),
    ],
)
def test_values_are_text_as_it_is_written(tmp_path: Path, written: str, expected: str | None) -> None:
    (descriptor,) = kept(tmp_path, f"- {{key: k, value: {written}}}")
    assert descriptor == {"key": "k"} | ({} if expected is None else {"value": expected})


@pytest.mark.parametrize("word", ["true", "True", "yes", "Y", "on", "ON"])
def test_words_for_true(tmp_path: Path, word: str) -> None:
    assert kept(tmp_path, f"- {{key: k, shadow_mode: {word}, {LIMIT}}}")[0]["shadow_mode"] is True


@pytest.mark.parametrize("word", ["false", "FALSE", "no", "n", "Off", "~"])
def test_words_for_false(tmp_path: Path, word: str) -> None:
    assert "shadow_mode" not in kept(tmp_path, f"- {{key: k, shadow_mode: {word}, {LIMIT}}}")[0]


def test_unlimited_and_replaces(tmp_path: Path) -> None:
    text = """
- {key: a, rate_limit: {unlimited: true, replaces: [{name: x}]}}
- {key: b, rate_limit: {name: x, unit: day, requests_per_unit: 0}}
"""
    assert kept(tmp_path, text) == [
        {"key": "a", "rate_limit": {"replaces": [{"name": "x"}], "unlimited": True}},
        {"key": "b", **COUNTS, "rate_limit": {"name": "x", "unit": "day", "requests_per_unit": 0}},
    ]


def test_descriptors_without_limits_stay_since_they_match(tmp_path: Path) -> None:
    assert kept(tmp_path, f"- {{key: k, value: v}}\n- {{key: k, {LIMIT}}}")[0] == {"key": "k", "value": "v"}


def test_files_of_one_domain_become_one(tmp_path: Path) -> None:
    one, two, other = (tmp_path / name for name in ("one.yaml", "two.json", "other.yaml"))
    one.write_text("domain: d\ndescriptors: [{key: a}]\n")
    two.write_text('{"domain": "d", "descriptors": [{"key": "b", "value": 5}]}')
    other.write_text("domain: e\n")
    conversion = convert_ratelimit([one, other, two])
    assert [limits.plain() for limits in conversion.domains] == [
        {"domain": "d", "align": "calendar", "descriptors": [{"key": "a"}, {"key": "b", "value": "5"}]},
        {"domain": "e", "align": "calendar", "descriptors": []},
    ]
    two.write_text('{"domain": "d",\n "descriptors": [{"key": "a"}]}')
    with pytest.raises(Exception, match=r"two\.json:2:18: `a` stands here twice, first at .*one\.yaml:2; keep one"):
        convert_ratelimit([one, two])


LEFT_OUT = {
    f"- {{key: 'k*', {LIMIT}}}": "3:9: left out: `k*`: a `*` in a key; here a key is compared as it stands",
    f"- {{key: k, quota_mode: true, {LIMIT}}}": (
        "3:12: left out: the limit of `k`: with `quota_mode` a request passes until all such limits are over; "
        "here each limit refuses by itself"
    ),
    "- {key: k, rate_limit: {name: n, unit: day, requests_per_unit: 1}}\n"
    "- {key: l, quota_mode: true, rate_limit: {unit: day, requests_per_unit: 1, replaces: [{name: n}]}}": (
        "4:12: left out: the limit of `l`: with `quota_mode` a request passes until all such limits are over; "
        "here each limit refuses by itself; without it `n`, which it replaces, counts where both match"
    ),
    f"- {{key: k, value: v, metadata: {{a: [1.5]}}, {LIMIT}}}": (
        "3:22: left out: `metadata` of `k=v`: there it can be sent to Envoy; here it cannot"
    ),
}


@pytest.mark.parametrize("text", LEFT_OUT)
def test_left_out(tmp_path: Path, text: str) -> None:
    assert said(tmp_path, text) == LEFT_OUT[text]


def test_what_is_around_a_limit_that_is_left_out_stays(tmp_path: Path) -> None:
    text = f"- {{key: k, quota_mode: true, shadow_mode: true, {LIMIT}, descriptors: [{{key: l, {LIMIT}}}]}}"
    documents, _ = convert(convert_ratelimit, tmp_path, descriptors(text))
    inner = {"key": "l", **COUNTS, "rate_limit": {"unit": "minute", "requests_per_unit": 1}}
    assert documents["d"]["descriptors"] == [{"key": "k", "descriptors": [inner]}]


def test_metadata_alone_is_left_out(tmp_path: Path) -> None:
    documents, _ = convert(convert_ratelimit, tmp_path, descriptors(f"- {{key: k, metadata: {{a: b}}, {LIMIT}}}"))
    assert documents["d"]["descriptors"][0]["rate_limit"]["requests_per_unit"] == 1


NOTES = {
    f"- {{key: k, detailed_metric: true, {LIMIT}}}": (
        "3:12: note: `detailed_metric` is about names of metrics alone, and is not kept"
    ),
    f"- {{key: k, value_to_metric: true, {LIMIT}}}": (
        "3:12: note: `value_to_metric` is about names of metrics alone, and is not kept"
    ),
    "- {key: k, shadow_mode: true}": (
        "3:12: note: `shadow_mode` has no effect without a limit that counts, and is not kept"
    ),
    "- {key: k, quota_mode: true, rate_limit: {unlimited: true}}": (
        "3:12: note: `quota_mode` has no effect without a limit that counts, and is not kept"
    ),
    "- {key: k, metadata: {a: b}}": "3:12: note: `metadata` has no effect without a limit that counts, and is not kept",
    "- {key: k, rate_limit: {unit: day}}": "3:24: note: without `requests_per_unit` the limit is 0, and all is refused",
    "- {key: k, rate_limit: {unlimited: true, unit: fortnight}}": (
        "3:42: note: `unit` has no effect where `unlimited` is true, and is not kept"
    ),
    "- {key: k, rate_limit: {unlimited: true, requests_per_unit: 5}}": (
        "3:42: note: `requests_per_unit` has no effect where `unlimited` is true, and is not kept"
    ),
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 5, shadow_mode: true}}": (
        "3:58: note: `shadow_mode` has no effect in a rate limit, and is not kept"
    ),
    "- {key: k, unit: day}": "3:12: note: `unit` has no effect in a descriptor, and is not kept",
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 5, replaces: [{name: x}]}}": (
        "3:69: note: no limit of this domain is called `x`"
    ),
    f"- {{key: k, value: 'a*', {LIMIT}}}\n- {{key: k, value: 'ab*c', {LIMIT}}}": (
        "4:3: note: `k=ab*c` is never reached, since `k=a*` comes first; it is not kept"
    ),
    f"- {{key: user, {LIMIT}}}\n- {{key: user_id, {LIMIT}}}": (
        "4:3: note: there, key and value are compared as `key_value`, so that an entry of the key `user` can match "
        "`user_id` or the other way round; here, keys and values are compared apart"
    ),
    f"- {{key: user, value: '*', {LIMIT}}}": (
        "3:3: note: there, `user=*` matches every entry that begins with `user_` once key and value are joined by `_`, "
        "whatever its key; here, those of its own key alone"
    ),
}


@pytest.mark.parametrize("text", NOTES)
def test_notes(tmp_path: Path, text: str) -> None:
    assert said(tmp_path, text) == NOTES[text]


def test_a_wildcard_with_text_is_noted_where_the_file_has_such_a_key(tmp_path: Path) -> None:
    wildcard = f"- {{key: user, value: 'id*', {LIMIT}}}"
    assert not convert(convert_ratelimit, tmp_path, descriptors(wildcard))[1]
    assert said(tmp_path, f"{wildcard}\n- {{key: b, descriptors: [{{key: user_id, {LIMIT}}}]}}") == (
        "3:3: note: there, `user=id*` matches every entry that begins with `user_id` once key and value are joined by "
        "`_`, whatever its key such as `user_id`; here, those of its own key alone"
    )


def test_what_is_not_kept_is_not_there(tmp_path: Path) -> None:
    for text in NOTES:
        documents, _ = convert(convert_ratelimit, tmp_path, descriptors(text))
        for descriptor in documents["d"]["descriptors"]:
            assert descriptor.keys() <= {"key", "value", "count_refused", "rate_limit"}
            limit = descriptor.get("rate_limit", {})
            assert limit.keys() in (
                {"unit", "requests_per_unit", "replaces"},
                {"unit", "requests_per_unit"},
                {"unlimited"},
                set(),
            )


FAULTS = {
    "- 5": ["3:3: expected keys and values"],
    "- {value: v}": ["3:3: expected the key `key` with a name"],
    "- {key: ''}": ["3:3: expected the key `key` with a name"],
    "- {key: [a]}": ["3:9: expected text"],
    "- {key: 1.5}": ["3:9: expected text; put a number with a fraction or an exponent in quotes"],
    "- {key: k, valeu: v}": ["3:12: unknown key `valeu`; did you mean `value`?"],
    "- {key: k, rate_limit: 5}": ["3:24: expected keys and values"],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: '5'}}": [
        "3:55: expected a whole number, in decimal digits without quotes and leading zeros"
    ],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 010}}": [
        "3:55: expected a whole number, in decimal digits without quotes and leading zeros"
    ],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: -1}}": [
        "3:55: expected a whole number, in decimal digits without quotes and leading zeros"
    ],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 4294967296}}": ["3:55: expected at most 4294967295"],
    "- {key: k, rate_limit: {unit: fortnight, requests_per_unit: 1}}": [
        "3:31: expected one of `second`, `minute`, `hour`, `day`, `week`, `month`, `year` as `unit`, got `fortnight`"
    ],
    "- {key: k, rate_limit: {requests_per_unit: 1}}": [
        "3:24: expected one of `second`, `minute`, `hour`, `day`, `week`, `month`, `year` as `unit`"
    ],
    "- {key: k, rate_limit: {unlimited: true, unit: day}}": [
        "3:48: expected no unit where `unlimited` is true; remove one of them"
    ],
    "- {key: k, shadow_mode: 'yes'}": ["3:25: expected `true` or `false`"],
    "- {key: k, shadow_mode: 1}": ["3:25: expected `true` or `false`"],
    "- {key: k, share_threshold: true, value: v}": ["3:29: expected a `*` in the `value` whose counts are to be one"],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 1, replaces: [{}]}}": [
        "3:69: expected the key `name` with the name of a limit"
    ],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 1, replaces: {name: x}}}": ["3:68: expected a list"],
    "- {key: k, rate_limit: {unit: day, requests_per_unit: 1, name: x, replaces: [{name: x}]}}": [
        "3:78: `x` is the name of this very limit; it cannot replace itself"
    ],
    "- {key: a, value: b}\n- {key: a, value: b}": ["4:3: `a=b` stands here twice, first at source.yaml:3; keep one"],
    "- {key: a, value: b_c}\n- {key: a_b, value: c}": [
        "4:3: `a_b=c` stands here twice, first at source.yaml:3; keep one"
    ],
    "- {key: a, descriptors: [{key: b}, {key: b}]}": [
        "3:36: `a, b` stands here twice, first at source.yaml:3; keep one"
    ],
    "- {key: a, key: b}": ["3:12: key `key` appears twice in one object"],
    "- &a {key: a}": ["3:3: anchors are not supported; remove it (and quote a string that begins with `&`)"],
    "- {key: a": ["4:1: not YAML: while parsing a flow mapping, did not find expected ',' or '}'"],
    "- {valeu: v}\n- {key: k, rate_limit: {unit: x}}": [
        "3:3: expected the key `key` with a name",
        "3:4: unknown key `valeu`; did you mean `value`?",
        "4:31: expected one of `second`, `minute`, `hour`, `day`, `week`, `month`, `year` as `unit`, got `x`",
    ],
}


@pytest.mark.parametrize("text", FAULTS)
def test_faults(tmp_path: Path, text: str) -> None:
    found = [line.replace(f"{tmp_path}/", "") for line in faults(convert_ratelimit, tmp_path, descriptors(text + "\n"))]
    assert found == FAULTS[text]


def test_faults_of_the_top(tmp_path: Path) -> None:
    for text, expected in {
        "": "1:1: expected the key `domain` with a name",
        "descriptors: []": "1:1: expected the key `domain` with a name",
        "domain: ''": "1:9: expected the key `domain` with a name",
        "domain: d\ndescriptors: {}": "2:14: expected a list",
        "domain: d\ndescriptor: []": "2:1: unknown key `descriptor`; did you mean `descriptors`?",
        "- domain: d": "1:1: expected keys and values at the top of the file",
    }.items():
        assert faults(convert_ratelimit, tmp_path, text) == [expected]


def test_a_deep_file_is_refused(tmp_path: Path) -> None:
    text = "domain: d\ndescriptors: " + "[{key: k, descriptors: " * 5_000
    path = source(tmp_path, text)
    with pytest.raises(Exception, match="nested deeper than the 64 levels allowed"):
        convert_ratelimit([path])
