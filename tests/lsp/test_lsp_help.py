"""Suggestions, meanings and new names of counters."""

from __future__ import annotations

import json
import re

import pytest

from callgate.config.document import parse_document
from callgate.text import quoted
from callgate.workbench.lsp.completion import Suggestion, suggestions
from callgate.workbench.lsp.counters import RenameError, counter_at, renamed
from callgate.workbench.lsp.documents import LARGEST_CHARACTERS, OpenDocument
from callgate.workbench.lsp.hover import meaning
from callgate.workbench.lsp.kinds import Kind
from callgate.workbench.lsp.schema import Schema
from support.editor import split

TOP = 'version: "1"\ndefault: deny\n'
CONDITIONS = f"{TOP}tools:\n  a: {{require: [{{conditions: "


def suggested(marked: str, name: str = "p.yaml") -> list[Suggestion]:
    text, offset = split(marked)
    return suggestions(OpenDocument(name, text), offset)


def labels(marked: str, name: str = "p.yaml") -> list[str]:
    return [one.label for one in suggested(marked, name)]


def typed(marked: str, label: str, name: str = "p.yaml") -> str:
    """The text after a suggestion was taken."""
    text, _ = split(marked)
    [one] = [one for one in suggested(marked, name) if one.label == label]
    return text[: one.start] + one.text + text[one.end :]


def test_keys_of_the_top_come_with_the_required_ones_first() -> None:
    found = suggested('version: "1"\n‸')
    assert (found[0].label, found[0].is_required) == ("default", True)
    assert "version" not in [one.label for one in found]
    assert {"tools", "hide", "all_tools"} <= {one.label for one in found}
    assert all(one.description for one in found)


def test_keys_that_are_there_are_not_suggested_again() -> None:
    found = labels(f"{TOP}tools:\n  a:\n    limits:\n    - {{window: hour, ‸, scope: grant}}\n")
    assert {"counter", "max"} <= set(found)
    assert not {"window", "scope"} & set(found)
    # The key under the cursor itself is.
    assert "window" in labels(f"{TOP}tools:\n  a:\n    limits:\n    - {{win‸dow: hour}}\n")


@pytest.mark.parametrize(
    ("marked", "expected"),
    [
        (f"{TOP}tools:\n  a:\n    action: ‸", {"allow", "deny", "require_approval"}),
        (f"{TOP}tools:\n  a: {{limits: [{{window: ‸}}]}}", {"second", "minute", "month", "30m"}),
        (f"{TOP}tools:\n  a: {{require: [{{conditions: [{{path: args.x, op: ‸", {"host_in", "exists", "lte"}),
        (f"{TOP}tools:\n  a: {{require: [{{conditions: [{{path: ‸", {"session", "grant.id", "args.amount"}),
        (f"{TOP}tools:\n  a: {{require: [{{conditions: [{{op: exists, value: ‸", {"true", "false"}),
        ("version: ‸", {"1"}),
    ],
)
def test_values(marked: str, expected: set[str]) -> None:
    assert expected <= set(labels(marked))


@pytest.mark.parametrize(
    "marked",
    [
        "    action: deny\n     ‸",
        "    action: deny\n      al‸",
        "    action: deny # c\n\n      ‸\n    hide: true\n",
        "    deny_if: []\n     ‸",
        "    reason: 'x'\n      ‸: y",
        "    x-a:\n    - b\n      ‸",
    ],
)
def test_nothing_is_suggested_where_a_value_goes_on(marked: str) -> None:
    assert labels(f"{TOP}tools:\n  a:\n{marked}") == []


def test_values_on_the_line_after_their_key() -> None:
    assert "deny" in labels(f"{TOP}tools:\n  a:\n    action:\n      ‸")
    assert "action" in labels(f"{TOP}tools:\n  a:\n    reason: x\n    ‸")
    assert "action" in labels(f"{TOP}tools:\n  a: {{}}\n  b:\n    ‸")


@pytest.mark.parametrize("typed", ["‸", "l‸", "lt‸", "‸nonsense", '"l‸', '"l‸"', "l‸t, value: 3"])
def test_an_operator_that_is_half_typed_rules_no_other_out(typed: str) -> None:
    found = {one.label: one for one in suggested(f"{CONDITIONS}[{{path: args.x, op: {typed}")}
    assert {"exists", "lte", "in", "host_in"} <= set(found)
    # Each is explained by itself.
    assert "Compares numbers by exact decimal value" in found["lte"].description
    assert "Equal to one of the list" not in found["lte"].description
    assert "Equal to one of the list" in found["in"].description


CALENDAR = {"minute", "hour", "day", "week", "month"}
SLIDING = {"second", "minute", "hour", "day", "week", "30m", "1h"}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("align: calendar, window: ‸", CALENDAR),
        ("window: ‸, align: calendar", CALENDAR),
        ("window: mo‸, align: calendar", CALENDAR),
        ("window: ‸, align: sliding", SLIDING),
        # The alignment may still come.
        ("window: ‸", CALENDAR | SLIDING),
        ("window: ‸, align: ", CALENDAR | SLIDING),
        ("window: month, align: ‸", {"calendar"}),
        ("window: month, align: sli‸", {"calendar"}),
        ("align: ‸, window: month", {"calendar"}),
        ("window: second, align: ‸", {"sliding"}),
        ("window: 90s, align: ‸", {"sliding"}),
        ("window: 0.5, align: calendar‸", {"sliding"}),
        ("window: hour, align: ‸", {"sliding", "calendar"}),
        ("window: fortnight, align: ‸", set()),
        ("align: ‸", {"sliding", "calendar"}),
    ],
)
def test_windows_and_alignments_go_together(limit: str, expected: set[str]) -> None:
    assert set(labels(f"{TOP}tools:\n  a: {{limits: [{{counter: c, max: 1, {limit}}}]}}\n")) == expected
    lines = limit.replace(", ", "\n      ")
    assert set(labels(f"{TOP}tools:\n  a:\n    limits:\n    - max: 1\n      {lines}\n")) == expected


def test_a_rate_limit_slides() -> None:
    assert set(labels(f"{TOP}tools:\n  a: {{rate_limit: {{max: 1, window: ‸}}}}\n")) == SLIDING


def test_a_hidden_category_has_no_other_rules() -> None:
    assert labels(f"{TOP}categories: {{Read: {{hide: true, ‸}}}}\n") == []
    assert {"hide", "rate_limit"} <= set(labels(f"{TOP}categories: {{Read: {{hi‸de: true}}}}\n"))


def test_counters_of_the_document_are_suggested() -> None:
    text = f"{TOP}tools:\n  a: {{limits: [{{counter: mine}}]}}\n  b: {{limits: [{{counter: ‸}}]}}\n"
    assert labels(text) == ["mine"]


@pytest.mark.parametrize(
    ("marked", "label", "after"),
    [
        ("def‸", "default", "default: "),
        ('version: "1"\ndef‸: deny', "default", 'version: "1"\ndefault: deny'),
        ("version: ‸", "1", 'version: "1"'),
        ('version: "‸"', "1", 'version: "1"'),
        (f"{TOP}mo‸de", "mode", f"{TOP}mode: "),
        (f"{TOP}mode: sha‸", "shadow", f"{TOP}mode: shadow"),
    ],
)
def test_a_suggestion_replaces_the_word(marked: str, label: str, after: str) -> None:
    assert typed(marked, label) == after


@pytest.mark.parametrize(
    ("marked", "label", "after"),
    [
        (f'{CONDITIONS}[{{path: "‸, op: eq, value: 1}}]', "tool", f"{CONDITIONS}[{{path: tool, op: eq, value: 1}}]"),
        (f'{CONDITIONS}[{{path: "‸, op: "eq"}}]', "tool", f'{CONDITIONS}[{{path: tool, op: "eq"}}]'),
        (f"{CONDITIONS}[{{path: 'to‸, op: 'eq'}}]", "tool", f"{CONDITIONS}[{{path: tool, op: 'eq'}}]"),
        (f'{CONDITIONS}[{{"‸, op: eq}}]', "path", f"{CONDITIONS}[{{path: , op: eq}}]"),
        (f'{TOP}mode: "‸ # c', "shadow", f"{TOP}mode: shadow # c"),
        (f'{TOP}mode: "sh‸ # say "c"', "shadow", f'{TOP}mode: shadow # say "c"'),
        (f'{TOP}mode: "sh‸ad" # c', "shadow", f"{TOP}mode: shadow # c"),
        (f"{TOP}mode: ‸'shad'", "shadow", f"{TOP}mode: shadow"),
    ],
)
def test_a_quote_that_is_not_closed_takes_nothing_after_the_cursor(marked: str, label: str, after: str) -> None:
    assert typed(marked, label) == after


def test_a_quote_that_is_not_closed_in_json() -> None:
    before = '{"version": "1", "default": "deny", "tools": {"a": {"limits": [{"window": 1, '
    assert typed(f'{before}"‸}}]}}}}}}', "max", "p.json") == f'{before}"max": }}]}}}}}}'
    assert typed('{"hide": [], "‸:"deny"}', "default", "p.json") == '{"hide": [], "default":"deny"}'


@pytest.mark.parametrize(
    ("marked", "label", "after"),
    [
        (f'{TOP}tools:\n  a:\n    "act‸"', "action", f"{TOP}tools:\n  a:\n    action: "),
        (f"{TOP}tools:\n  a:\n    'act‸'\n", "action", f"{TOP}tools:\n  a:\n    action: \n"),
        (f'{TOP}tools:\n  a:\n    limits:\n    - "‸"', "window", f"{TOP}tools:\n  a:\n    limits:\n    - window: "),
        ('"‸"', "default", "default: "),
        (f'{TOP}"mo‸": shadow', "mode", f"{TOP}mode: shadow"),
        (f'{TOP}"mo‸ : shadow', "mode", f"{TOP}mode : shadow"),
    ],
)
def test_a_key_replaces_the_quotes_around_the_cursor(marked: str, label: str, after: str) -> None:
    assert typed(marked, label) == after


def test_json_gets_quotes() -> None:
    assert typed('{"version": "1", ‸}', "default", "p.json") == '{"version": "1", "default": }'
    assert typed('{"version": "1", "def‸"}', "default", "p.json") == '{"version": "1", "default": }'
    assert typed('{"version": "1", "default": ‸}', "deny", "p.json") == '{"version": "1", "default": "deny"}'
    assert typed('{"version": "1", "default": "d‸"}', "deny", "p.json") == '{"version": "1", "default": "deny"}'


def test_documents_of_others_get_no_help() -> None:
    assert labels("apiVersion: v1\nkind: Pod\nspec: {}\n‸") == []
    assert labels("apiVersion: v1\nkind: ‸") == []


@pytest.mark.parametrize(
    ("name", "text", "kind"),
    [
        ("any.yaml", f"{TOP}tools: {{}}", Kind.POLICY),
        ("any.json", '{"version": "1", "hide": ["x"]', Kind.POLICY),
        ("any.yaml", f"{TOP}tools: {{}}\nfoo: 1\nbar: 1\nbaz: 1\nqux: 1\n", Kind.POLICY),
        ("any.yaml", 'vrsion: "1"\ndefualt: deny\ntools: {}\n', Kind.POLICY),
        ("any.yaml", "tols: {}\n", Kind.POLICY),
        ("policy.yaml", "", Kind.POLICY),
        ("policy.json", '{"Statement": []}', Kind.POLICY),
        ("callgate.yaml", "servers: {}", Kind.CONFIG),
        ("callgate.yaml", "", Kind.CONFIG),
        ("any.yaml", "servers: {}\ngrants: []\nlisten: x\n", Kind.CONFIG),
        ("policy_test.yaml", "", Kind.TESTS),
        ("any.yaml", "policy: p.yaml\ntests: []\n", Kind.TESTS),
        ("catalogue.yaml", 'version: "1"', Kind.CATALOGUE),
        ("catalogue.json", '{"version": "1", ', Kind.CATALOGUE),
        ("catalogue.json", '{"bogus": 1}', Kind.CATALOGUE),
        ("any.json", '{"version": "1", "servers": {}, "overrides": {}}', Kind.CATALOGUE),
        ("any.json", '{"version": "1", "servers": {"s": {"tools": {"t": {}}}}}', Kind.CATALOGUE),
    ],
)
def test_kinds_are_told_apart(name: str, text: str, kind: Kind) -> None:
    document = OpenDocument(name, text)
    assert (document.kind, document.is_checked) == (kind, True)


def test_files_in_the_folder_of_policies_are_policies() -> None:
    document = OpenDocument("any.yaml", "foo: 1\n", "policies")
    assert (document.kind, document.is_checked) == (Kind.POLICY, True)
    assert OpenDocument("any_test.yaml", "foo: 1\n", "policies").kind is Kind.TESTS


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("compose.yaml", 'version: "3"\nservices: {}\nvolumes: {}\nnetworks: {}'),
        ("compose.yaml", 'version: "3"\nservices:\n  web: {image: x}\n'),
        ("compose.yaml", "name: x\nservices:\n  web: {image: x}\n"),
        ("compose.yaml", "services:\n"),
        ("package.json", '{"name": "x", "version": "1.0.0", "description": "y", "scripts": {"a": "b"}}'),
        ("package.json", '{"name": "x", "version": "1.0.0"}'),
        ("Chart.yaml", "apiVersion: v2\nname: x\ndescription: y\ntype: application\nversion: 0.1.0\n"),
        ("action.yml", "name: x\ndescription: y\nruns: {using: node20, main: index.js}\n"),
        ("workflow.yml", "name: x\non: push\ndefaults: {run: {shell: bash}}\njobs: {a: {runs-on: x}}\n"),
        (".gitlab-ci.yml", "default:\n  image: x\nstages: [a]\n"),
        ("pubspec.yaml", "name: x\ndescription: y\nversion: 1.0.0\nenvironment: {sdk: ^3.0.0}\n"),
        ("dependabot.yml", "version: 2\nupdates:\n- package-ecosystem: npm\n"),
        (".golangci.yml", 'version: "2"\nlinters: {default: none}\n'),
        ("buf.yaml", "version: v2\nmodules:\n- path: proto\nlint: {use: [STANDARD]}\n"),
        ("config.yml", "version: 2.1\njobs: {build: {docker: [{image: x}]}}\n"),
        ("composer.json", '{"name": "a/b", "description": "y", "require": {"php": ">=8"}}'),
        ("play.yml", "- hosts: all\n  tasks: []\n"),
        ("list.json", "[1, 2]"),
        ("tools.json", '{"tools": [{"name": "x", "inputSchema": {}}]}'),
        ("tools.json", '{"tools": []}'),
        ("mcp.json", '{"servers": {"a": {"command": "x"}}}'),
        ("openapi.yaml", "openapi: 3.1.0\nservers:\n- url: /\npaths: {}\n"),
    ],
)
def test_documents_of_other_programs_are_left_alone(name: str, text: str) -> None:
    document = OpenDocument(name, text)
    assert (document.kind, document.is_checked) == (None, False)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("any.yaml", f"[{TOP}"),
        ("any.yaml", f"- {TOP}"),
        ("any.yaml", 'name: "x\nservices: {}\n'),
        ("any.json", '{"version": {"1", "default": "deny"}'),
        ("any.json", '{\'"default": "deny"}'),
    ],
)
def test_a_slip_of_the_keyboard_leaves_a_document_its_kind(name: str, text: str) -> None:
    assert not OpenDocument(name, text).is_checked
    document = OpenDocument(name, text, kind_before=Kind.POLICY)
    assert (document.kind, document.is_checked) == (Kind.POLICY, True)


@pytest.mark.parametrize(
    ("text", "kind", "is_checked"),
    [
        ("services: {web: {image: x}}\n", None, False),
        ("- hosts: all\n", None, False),
        ("servers: {}\npolicies: {}\n", Kind.CONFIG, True),
        ("", Kind.POLICY, False),
    ],
)
def test_another_text_has_its_own_kind(text: str, kind: Kind | None, *, is_checked: bool) -> None:
    document = OpenDocument("any.yaml", text, kind_before=Kind.POLICY)
    assert (document.kind, document.is_checked) == (kind, is_checked)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("any.yaml", ""),
        ("any.yaml", "# a comment\n"),
        ("any.yaml", "ver:"),
        ("any.yaml", "{ver}"),
        ("any.yaml", 'version: "1"\n'),
        ("any.json", "{"),
        ("any.json", '{"ver'),
        ("any.json", '{"name": "x", "d"}'),
    ],
)
def test_a_document_that_is_hardly_begun_has_help_and_no_faults(name: str, text: str) -> None:
    document = OpenDocument(name, text)
    assert (document.kind, document.is_checked) == (Kind.POLICY, False)


@pytest.mark.parametrize("marked", ['{"‸"}', '{\n  "‸"\n}', '{"‸', '{"ver‸"}', '{"ver‸', "{‸}"])
def test_the_first_key_of_a_policy_is_completed_in_json(marked: str) -> None:
    assert {"version", "default", "tools"} <= set(labels(marked, "p.json"))


@pytest.mark.parametrize("marked", ["{ver‸}", "ver‸:", "ver‸", "‸", "# x\n‸"])
def test_the_first_key_of_a_policy_is_completed_in_yaml(marked: str) -> None:
    assert {"version", "default", "tools"} <= set(labels(marked))


def hovered(marked: str) -> str:
    text, offset = split(marked)
    found = meaning(OpenDocument("p.yaml", text), offset)
    return "" if found is None else found.text


def test_meanings_are_those_of_the_schema() -> None:
    assert "no entry of `tools` and no category matches" in hovered('version: "1"\ndef‸ault: deny\n')
    assert "One of `allow`, `deny`." in hovered('version: "1"\ndefault: de‸ny\n')
    limits = f"{TOP}tools:\n  a: {{limits: [{{counter: c, window: hour, max: 3, sc‸ope: session}}]}}\n"
    assert "One count per value" in hovered(limits)
    assert "Default: `grant`." in hovered(limits)
    condition = "{path: args.u, op: host_in, va‸lue: [a]}"
    text = hovered(f"{TOP}tools:\n  a: {{require: [{{conditions: [{condition}]}}]}}\n")
    assert "Hosts" in text
    # The value of another operator is not meant.
    assert "regular expression" not in text
    assert hovered(f"{TOP}tools:\n  my_tool:\n    nothing‸: 1\n") == ""
    assert hovered("# com‸ment") == ""


@pytest.mark.parametrize(
    ("op", "value", "expected"),
    [("in", "[1]", "A list, not empty."), ("lt", "3", "A number."), ("eq", "3", "Any JSON value.")],
)
def test_the_value_of_an_operator_is_explained_for_this_operator(op: str, value: str, expected: str) -> None:
    condition = f"{{path: args.u, op: {op}, va‸lue: {value}}}"
    assert hovered(f"{TOP}tools:\n  a: {{require: [{{conditions: [{condition}]}}]}}\n") == expected
    # The operators themselves are all there.
    marked = f"{TOP}tools:\n  a: {{require: [{{conditions: [{{path: args.u, op: ‸{op}, value: 1}}]}}]}}\n"
    assert {"exists", "lte"} <= set(labels(marked))


def test_a_window_is_explained_for_its_alignment() -> None:
    limit = f"{TOP}tools:\n  a: {{limits: [{{counter: c, max: 1, window: da‸y, align: "
    assert "One of `minute`, `hour`, `day`, `week`, `month`." in hovered(f"{limit}calendar}}]}}\n")
    assert "366 days.\n" not in hovered(f"{limit}calendar}}]}}\n")
    assert "One of `second`, `minute`, `hour`, `day`, `week`." in hovered(f"{limit}sliding}}]}}\n")
    without = f"{TOP}tools:\n  a: {{limits: [{{counter: c, max: 1, window: da‸y}}]}}\n"
    assert "One of `second`, `minute`, `hour`, `day`, `week`." in hovered(without)


def test_rules_of_a_category_are_not_explained_as_hidden() -> None:
    text = hovered(f"{TOP}categories: {{Re‸ad: {{rate_limit: 5/hour}}}}\n")
    assert "The rules of one entry." in text
    assert "Every tool of the category is hidden" not in text
    text = hovered(f"{TOP}categories: {{Re‸ad: {{hide: true}}}}\n")
    assert "Every tool of the category is hidden" in text
    assert "The rules of one entry." not in text
    assert {"hide", "rate_limit"} <= set(labels(f"{TOP}categories: {{Read: {{‸}}}}\n"))


LIMITS = f"""{TOP}all_tools: {{rate_limit: 9/hour}}
tools:
  a: {{limits: [{{counter: spend, window: hour, max: 3}}]}}
  b:
    rate_limit: 5/hour
    limits:
    - {{counter: "spend", window: day, max: 9}}
    - {{counter: other, window: day, max: 9}}
"""


def renamed_text(marked: str, name: str, file: str = "p.yaml") -> str:
    text, offset = split(marked)
    for start, end, new in sorted(renamed(OpenDocument(file, text), offset, name), reverse=True):
        text = text[:start] + new + text[end:]
    return text


@pytest.mark.parametrize(
    "name", ["costs", "a b", "true", "5", "ä: #", 'a"b', "null", "-x", "*", "\x01", "\x7f\x85", "\u2028", "\r", " "]
)
def test_a_counter_is_renamed_in_all_places(name: str) -> None:
    marked = LIMITS.replace('"spend"', '"sp‸end"')
    data = parse_document("p.yaml", renamed_text(marked, name).encode()).data
    limits = [data["tools"]["a"]["limits"][0], *data["tools"]["b"]["limits"]]
    assert [one["counter"] for one in limits] == [name, name, "other"]
    as_json = json.dumps(parse_document("p.yaml", LIMITS.encode()).data)
    again = json.loads(renamed_text(as_json.replace('"spend"', '"‸spend"', 1), name, "p.json"))
    assert again["tools"]["b"]["limits"][0]["counter"] == name


def test_a_counter_keeps_its_own_name() -> None:
    assert renamed_text(LIMITS.replace("other", "othe‸r"), "other") == LIMITS


@pytest.mark.parametrize("name", ["other", "b_rate", "all_tools_rate"])
def test_two_counters_do_not_become_one(name: str) -> None:
    with pytest.raises(RenameError, match=f"there is a counter `{name}` already"):
        renamed_text(LIMITS.replace('"spend"', '"sp‸end"'), name)


IN_LINES = f"""{TOP}tools:
  a:
    limits:
      - {{counter: calls, window: 1m, max: 3}}
  b:
    limits:
      - counter: VALUE
        window: 1m
        max: 3
"""


@pytest.mark.parametrize(
    ("spelled", "name", "where"),
    [
        (">-\n          calls", "calls", "line 9, column 18 is block text (`>-`)"),
        ("|-  # comment\n          calls", "calls", "line 9, column 18 is block text (`|-`)"),
        ("|2-\n          calls", "calls", "line 9, column 18 is block text (`|2-`)"),
        ("all\n          calls", "all calls", "line 9, column 18 goes over several lines without quotes"),
        ("\n          all\n          calls", "all calls", "line 10, column 11 goes over several lines without quotes"),
    ],
)
def test_a_counter_whose_end_is_not_certain_is_not_renamed(spelled: str, name: str, where: str) -> None:
    told = re.escape(f"the counter {quoted(name)} cannot be renamed: its name at {where}; write it on one line")
    text = IN_LINES.replace("VALUE", spelled)
    with pytest.raises(RenameError, match=told):
        renamed_text(text.replace("{counter: calls", f"{{counter: ‸{json.dumps(name)}"), "new")
    # Nor is it at the place itself, where an editor asks before its user types a name.
    marked, offset = split(text.replace("calls\n", "ca‸lls\n"))
    with pytest.raises(RenameError, match=told):
        counter_at(OpenDocument("p.yaml", marked), offset)
    # Nor does another counter get its name.
    with pytest.raises(RenameError, match="there is a counter"):
        renamed_text(text.replace("{counter: calls", "{counter: ‸mine"), name)


@pytest.mark.parametrize(
    ("spelled", "name"),
    [
        ("\n          calls", "calls"),
        ('\n          "calls"', "calls"),
        ("  # comment: >-\n          calls", "calls"),
        ('"all\n          calls"', "all calls"),
        ('"all\\\n          calls"', "allcalls"),
        ("'all\n\n          calls'", "all\ncalls"),
        (r'"c\x61lls"', "calls"),
        ("'it''s'", "it's"),
    ],
)
def test_a_counter_is_renamed_however_it_is_quoted(spelled: str, name: str) -> None:
    text = IN_LINES.replace("VALUE", spelled).replace("{counter: calls", f"{{counter: {json.dumps(name)}")
    marked = text.replace(f"{{counter: {json.dumps(name)}", f"{{counter: ‸{json.dumps(name)}")
    data = parse_document("p.yaml", renamed_text(marked, "new").encode()).data
    assert [data["tools"][tool]["limits"][0]["counter"] for tool in ("a", "b")] == ["new", "new"]


@pytest.mark.parametrize("spelled", ["'multi\n          line'", '"multi\n          line"'])
def test_a_counter_of_several_lines_in_brackets_is_renamed(spelled: str) -> None:
    limit = f"{{counter: {spelled}, window: 1m, max: 3}}"
    text = f"{TOP}tools:\n  a:\n    limits:\n      - {limit}\n"
    assert renamed_text(text.replace("line", "li‸ne"), "new") == text.replace(spelled, '"new"')


def test_a_plain_counter_of_several_lines_in_brackets_is_not_renamed() -> None:
    text = f"{TOP}tools:\n  a:\n    limits:\n      - {{counter: ‸multi\n          line, window: 1m, max: 3}}\n"
    with pytest.raises(RenameError, match="line 6, column 19 goes over several lines"):
        renamed_text(text, "new")


@pytest.mark.parametrize("file", ["p.yaml", "p.json"])
def test_a_name_that_no_file_can_hold_is_refused(file: str) -> None:
    text = json.dumps(parse_document("p.yaml", LIMITS.encode()).data)
    with pytest.raises(RenameError, match="choose another one"):
        renamed_text(text.replace('"spend"', '"‸spend"', 1), "\ud800", file)


def test_a_name_that_is_no_text_is_not_renamed() -> None:
    with pytest.raises(RenameError, match="the counter at line 9 has no text as its name"):
        renamed_text(IN_LINES.replace("VALUE", "‸5"), "new")


def test_counters_of_a_rate_limit_are_seen_in_every_spelling() -> None:
    text = f"{TOP}tools:\n  ? b\n  : rate_limit: 5/hour\n  a: {{limits: [{{counter: ‸c, window: 1m, max: 3}}]}}\n"
    with pytest.raises(RenameError, match="there is a counter `b_rate`"):
        renamed_text(text, "b_rate")


def test_an_unfinished_document_is_not_renamed() -> None:
    with pytest.raises(RenameError, match=r"the document has a fault at line \d+: .*; mend it first"):
        renamed_text(LIMITS.replace("other", "othe‸r") + "  c: {limits: [", "new")


def test_nothing_else_is_renamed() -> None:
    for old, new in (
        ("rate_limit: 5", "rate_limit: ‸5"),
        ("window: day", "wi‸ndow: day"),
        ("counter: other", "cou‸nter: other"),
    ):
        with pytest.raises(RenameError, match="only the counter of a limit"):
            renamed_text(LIMITS.replace(old, new, 1), "x")
    with pytest.raises(RenameError, match="at least one character"):
        renamed_text(LIMITS.replace("other", "oth‸er"), "")


def test_a_text_that_is_too_long_gets_no_help() -> None:
    document = OpenDocument("p.yaml", "version: 1\n" + "#" * LARGEST_CHARACTERS)
    assert (document.is_too_large, document.tokens, document.kind) == (True, [], None)


def test_each_counter_of_a_long_document_costs_no_look_at_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """A document may have tens of thousands, and completion runs in the thread that answers requests."""
    looks: list[object] = []
    at = Schema.at

    def counted(schema: Schema, *args: object, **keywords: object) -> object:
        looks.append(args)
        return at(schema, *args, **keywords)  # type: ignore[arg-type]

    monkeypatch.setattr(Schema, "at", counted)
    numbers = []
    for many in (1, 100):
        limits = "".join(f"    - {{counter: c{number}, max: 1, window: hour}}\n" for number in range(many))
        looks.clear()
        assert len(suggested(f"{TOP}tools:\n  a:\n    limits:\n{limits}    - counter: ‸\n")) == many
        numbers.append(len(looks))
    assert numbers[0] == numbers[1]
