"""Files of policy tests: what is refused, with its place and the nearest thing that exists."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate import ConfigError
from callgate.config.document import parse_document
from callgate.config.faults import InvalidConfigError
from callgate.config.files import Files
from callgate.exact_json import write_json
from callgate.workbench.policy_tests import Override, find_files, is_changed, load_suites
from callgate.workbench.policy_tests.cases import read_cases
from support.policy_tests import faults_of, run_text

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.faults import Fault

HEAD = "policy: {version: '1', default: deny}\npeople: {alice: []}\ncalls: {good: {tool: t}}\ntests:\n"
ACTIONS = "`call`, `wait`, `at`, `approve`, `deny`, `permit`, `roll_back`, `freeze`, `thaw`, `reload`"
OUTCOMES = "`allow`, `deny`, `rate_limited`, `approval_required`, `any`"


@pytest.mark.parametrize(
    ("test", "faults"),
    [
        (
            "{name: a, call: good, expct: allow}",
            ["5:25: `tests[0]`: unknown key `expct`; did you mean `expect`?"],
        ),
        (
            "{name: a, call: goood, expect: allow}",
            ["5:19: there is no call `goood` among `calls`; did you mean `good`?"],
        ),
        ("{name: a, call: good, expect: alow}", ["5:33: unknown outcome `alow`; did you mean `allow`?"]),
        (
            "{name: a, call: {tol: x}, expect: deny}",
            [
                "5:20: `tests[0].call`: unknown key `tol`; did you mean `tool`?",
                "5:19: `tests[0].call`: the key `tool` is missing",
            ],
        ),
        (
            "{name: a, call: good, expect: {}}",
            ["5:33: `tests[0].expect`: expected at least one field, such as `outcome`"],
        ),
        ("{name: a, call: good, expect: {shadow: dny}}", ["5:42: unknown outcome `dny`; did you mean `deny`?"]),
        (
            "{name: a, call: good, expect: 3}",
            ["5:33: `tests[0].expect`: expected an outcome, or the fields of a decision"],
        ),
        ("{name: a, call: good, times: 0, expect: deny}", ["5:32: `tests[0].times`: expected 1 to 100,000"]),
        (
            "{name: a, call: {tool: t, args: {}, args_json: ''}, expect: deny}",
            ["5:19: `tests[0].call`: `args` and `args_json` are both given; keep one"],
        ),
        (
            "{name: a, call: good, expect: {remaining: {c: 1e999}}}",
            ["5:49: `tests[0].expect.remaining.c`: expected a number"],
        ),
        ("{name: a}", ["5:3: `tests[0]`: expected `steps`, or `call` and `expect`"]),
        (
            "{name: a, call: good, expect: deny, steps: [{wait: 1s}]}",
            ["5:3: `tests[0]`: `steps` and a single call are both given; make the call a step"],
        ),
        ("{name: a, steps: []}", ["5:20: `tests[0].steps`: expected at least 1 entry, got 0"]),
        ("{name: a, call: good}", [f"5:13: a call has `expect`: one of {OUTCOMES}, or fields of a decision"]),
        (
            "{name: a, call: good, expect: any}",
            ["5:3: the test `a` expects nothing; give a call of it `expect` with an outcome"],
        ),
        (
            "{name: a, steps: [{wait: 1s}, {freeze: {}}]}",
            ["5:3: the test `a` expects nothing; give a call of it `expect` with an outcome"],
        ),
        (
            "{name: a, start: 1960-01-01T00:00:00Z, call: good, expect: deny}",
            ["5:20: expected a time from 1970 to 9000"],
        ),
        (
            "{name: a, start: yesterday, call: good, expect: deny}",
            [
                (
                    "5:20: `tests[0].start`: expected a time with its zone as in RFC 3339, such as "
                    "`2027-01-31T00:00:00Z`, got `yesterday`"
                )
            ],
        ),
    ],
)
def test_a_test(tmp_path: Path, test: str, faults: list[str]) -> None:
    assert sorted(faults_of(tmp_path, f"{HEAD}- {test}\n")) == sorted(faults)


@pytest.mark.parametrize(
    ("step", "fault"),
    [
        ("{}", f"7:5: `tests[0].steps[0]`: expected one of the keys {ACTIONS}"),
        (
            "{wait: 1s, at: 2027-01-01T00:00:00Z}",
            "7:5: `tests[0].steps[0]`: a step does one thing, got `wait` and `at`; make two steps",
        ),
        ("{wait: 1s, times: 2}", "7:5: `tests[0].steps[0]`: `times` goes with `call`, not with `wait`"),
        ("{approve: alice, uses: 2}", "7:5: `tests[0].steps[0]`: `uses` goes with `permit`, not with `approve`"),
        ("{wait: }", "7:5: `tests[0].steps[0]`: `wait` has no value"),
        (
            "{wait: long}",
            (
                "7:12: `tests[0].steps[0].wait`: "
                "expected a duration such as `500ms`, `30s`, `5m`, `12h` or `7d`, got `long`"
            ),
        ),
        ("{at: 2025-12-31T23:59:59Z}", "7:10: time does not go back: the step before is at `2026-01-01T00:00:00Z`"),
        ("{approve: alce}", "7:15: `alce` is not among `people`; did you mean `alice`?"),
        ("{approve: alice, of: x}", "7:26: no call before has the name `x`; there is none"),
        (
            "{approve: alice, expect: allow}",
            "7:30: expected of an answer `approved`, `pending`, `denied`, `refused`, got `allow`",
        ),
        ("{roll_back: lst}", "7:17: no call before has the name `lst`; did you mean `last`?"),
        ("{freeze: {tool: x}}", "7:14: expected no names, `server`, `grant`, or `server` and `tool`"),
        (
            "{permit: alice, terms: {a: maybe}}",
            (
                "7:32: `tests[0].steps[0].terms.a`: "
                "expected `exactly`, `any`, or one of the keys `at_most` and `one_of`, got `maybe`"
            ),
        ),
        (
            "{permit: alice, terms: {a: {at_most: 1, one_of: [1]}}}",
            "7:32: `tests[0].steps[0].terms.a`: expected one of `at_most` and `one_of`",
        ),
        ("{reload: {version: '1'}}", None),
        ("{reload: nix.yaml}", None),
    ],
)
def test_a_step(tmp_path: Path, step: str, fault: str | None) -> None:
    text = f"{HEAD}- name: a\n  steps:\n  - {step}\n  - {{call: good, expect: deny}}\n"
    found = faults_of(tmp_path, text)
    if fault is None:
        assert len(found) == 1
        assert found[0].startswith("7:14: ")
    else:
        assert found == [fault]


def test_names_of_tests_are_their_own(tmp_path: Path) -> None:
    test = "- {name: a, call: good, expect: deny}\n"
    assert faults_of(tmp_path, HEAD + test + test) == ["6:10: two tests of this file have the name `a`; rename one"]


def test_the_top(tmp_path: Path) -> None:
    test = "tests: [{name: a, call: {tool: t}, expect: deny}]\n"
    assert faults_of(tmp_path, test) == [
        "1:1: no policy: expected the key `policy` or `config`, or the option --policy or --config"
    ]
    assert faults_of(tmp_path, f"policy: p.yaml\nconfig: c.yaml\n{test}") == [
        "1:1: `config` brings its own policies and catalogue, and `policy` is given as well; keep one"
    ]
    assert faults_of(tmp_path, f"policy: nix.yaml\n{test}")[0].startswith("1:9: cannot read `")
    assert faults_of(tmp_path, "policy: {version: '1', default: deny}\ntests: []\n") == [
        "2:8: `tests`: expected at least 1 entry, got 0"
    ]
    assert faults_of(tmp_path, f"policy: 3\n{test}") == ["1:9: `policy`: expected a path, or the document itself"]
    assert faults_of(tmp_path, "") == ["1:1: the key `tests` is missing"]


def test_a_fault_of_a_policy_inside_has_its_place(tmp_path: Path) -> None:
    text = """\
policy:
  version: "1"
  default: deny
  tools:
    a:
      require: [{conditions: [{path: args.x, op: gt, value: much}]}]
      rte_limit: 5/hour
catalogue: {version: "1", servers: {srv: {tools: {a: {category: Reed}}}}}
tests: [{name: a, call: {tool: t}, expect: deny}]
"""
    [catalogue] = faults_of(tmp_path, text)
    assert catalogue.startswith("8:65: ")
    found = faults_of(tmp_path, text.replace("Reed", "Read"))
    assert [one.partition(": ")[0] for one in found] == ["6:61", "7:7"]


def test_schema_is_for_editors_alone(tmp_path: Path) -> None:
    text = HEAD.replace("policy", "$schema: https://callgate.invalid/tests.json\npolicy", 1)
    assert run_text(tmp_path, text + "- {name: a, call: good, expect: deny}\n").passed == 1


def test_files_of_a_folder(tmp_path: Path) -> None:
    names = [
        "b_test.yaml",
        "a_test.yml",
        "in/c_test.json",
        ".hidden_test.yaml",
        ".in/d_test.yaml",
        "test.yaml",
        "e_test.txt",
    ]
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = find_files([tmp_path], Files())
    assert [str(path.relative_to(tmp_path)) for path in found] == ["a_test.yml", "b_test.yaml", "in/c_test.json"]
    # A file that is named is a file of tests, whatever its name.
    assert find_files([tmp_path / "test.yaml"], Files()) == [tmp_path / "test.yaml"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        ConfigError, match=r"no tests in `.*empty`: files of tests have names such as `policy_test.yaml`"
    ):
        find_files([tmp_path / "empty"], Files())


def test_changes_of_files(tmp_path: Path) -> None:
    (tmp_path / "policy.yaml").write_text("version: '1'\ndefault: deny\n")
    (tmp_path / "a_test.yaml").write_text("policy: policy.yaml\ntests: [{name: a, call: {tool: t}, expect: deny}]\n")
    (tmp_path / "state").mkdir()

    def read() -> Files:
        files = Files()
        load_suites(find_files([tmp_path], files), Override(), files)
        return files

    files = read()
    # The state of a sidecar changes all the time.
    (tmp_path / "state" / "callgate.db").write_text("x")
    (tmp_path / "notes.md").write_text("x")
    assert not is_changed(files)
    for change in (
        lambda: (tmp_path / "policy.yaml").write_text("version: '1'\ndefault: allow\n"),
        lambda: os.utime(tmp_path / "a_test.yaml", ns=(0, 0)),
        lambda: (tmp_path / "b_test.yaml").write_text((tmp_path / "a_test.yaml").read_text()),
        (tmp_path / "b_test.yaml").unlink,
    ):
        files = read()
        assert not is_changed(files)
        change()
        assert is_changed(files)
    (tmp_path / "policy.yaml").unlink()
    failed = Files()
    with pytest.raises(InvalidConfigError):
        load_suites(find_files([tmp_path], failed), Override(), failed)
    (tmp_path / "policy.yaml").write_text("version: '1'\ndefault: deny\n")
    assert is_changed(failed)


WORDS = st.sampled_from(
    ["tests", "name", "steps", "call", "expect", "tool", "wait", "1s", "allow", "policy", "permit", "terms"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text() | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS | st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(WORDS, VALUES), st.dictionaries(WORDS, VALUES), st.dictionaries(WORDS, VALUES))
def test_no_document_does_more_than_have_faults(
    top: dict[str, object], test: dict[str, object], step: dict[str, object]
) -> None:
    document = {**top, "tests": [{"name": "a", **test}, {"name": "b", "steps": [step]}]}
    faults: tuple[Fault, ...] = ()
    try:
        read_cases(parse_document("any_test.json", write_json(document).encode()))
    except InvalidConfigError as error:
        faults = error.faults
    assert all(fault.line >= 1 for fault in faults)
