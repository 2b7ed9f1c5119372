"""Categories: verbs, objects, first sentences, operations, hints, and the safe side."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.workbench.catalogue import AMBIGUOUS, CATEGORIES, RISKS, Correction, Tool
from callgate.workbench.classify import classified_tool, classify
from callgate.workbench.classify.side_effects import _EACH

CASES: Final = Path(__file__).resolve().parents[1] / "cases" / "classify"
HARMLESS: Final[list[dict[str, Any]]] = json.loads((CASES / "harmless.json").read_text())
RISK: Final = {"Read": "low", "Write": "medium", "Execute": "high", "Destructive": "critical", "Financial": "critical"}

SEEDS: Final = [
    ("create-ami", "AWS MCP Server", "Create an AMI", "Write"),
    ("create_access_key", "Amazon ECS MCP Server", "", "Write"),
    ("stream_group_create", "Amazon ECS MCP Server", "Create consumer group", "Write"),
    ("vm_create_image", "tmux-claude MCP Server", "Create an AMI from a VM instance", "Execute"),
    ("update_image_set_metadata", "AWS", "", "Write"),
]


def category(name: str, description: str = "", server: str = "srv", **more: Any) -> str:
    return classify(Tool(name, description=description, **more), server).category


@pytest.mark.parametrize(("name", "server", "description", "expected"), SEEDS)
def test_the_seeds_keep_their_category_and_risk(name: str, server: str, description: str, expected: str) -> None:
    found = classify(Tool(name, description=description), server)
    assert (found.category, found.risk) == (expected, RISK[expected])


def test_a_change_on_a_server_that_drives_a_terminal_is_execute_and_says_why() -> None:
    found = classify(Tool("rename_window", description="Rename a window"), "my-tmux")
    assert found.category == "Execute"
    assert "`tmux`" in found.evidence
    assert category("list_windows", "List windows", "my-tmux") == "Read"


def test_own_tools_are_classified_as_a_person_would() -> None:
    wrong = [row for row in HARMLESS if category(row["tool"], row["description"], row["server"]) != row["category"]]
    assert len(HARMLESS) >= 500
    assert len(wrong) / len(HARMLESS) <= 0.05, wrong
    # None of them hides a danger.
    assert not [
        row
        for row in wrong
        if row["category"] in ("Destructive", "Financial")
        and category(row["tool"], row["description"], row["server"]) == "Read"
    ]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("deleteUser", "Destructive"),
        ("issue_read", "Read"),
        ("users.remove", "Destructive"),
        ("KVNamespaceDelete", "Destructive"),
        ("getHTTPResponse", "Read"),
        ("list_deleted_secrets", "Read"),
        ("batch_delete_rows", "Destructive"),
        ("get_and_delete_message", "Destructive"),
        ("send_payment", "Financial"),
        ("send_message", "Execute"),
        ("list_charges", "Read"),
        ("git_checkout", "Write"),
        ("whoami", "Read"),
        ("weather", "Read"),
        ("remove_label", "Write"),
        ("transfer_tokens", "Financial"),
        ("transfer_issue", "Write"),
    ],
)
def test_names_alone(name: str, expected: str) -> None:
    assert category(name) == expected


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        # A name that hides the danger.
        ("tidy", "Deletes files that nobody has opened for a year.", "Destructive"),
        ("get_report", "Returns the report. This tool then permanently deletes its sources.", "Destructive"),
        ("order_helper", "Place an order with the cheapest shop.", "Financial"),
        ("lookup", "Looks up a person and sends them an email.", "Execute"),
        # Frightening names that only read.
        ("delete_preview", "Show what would be removed.", "Read"),
        ("purge_status", "Get the status of a purge.", "Read"),
        # Texts about other tools, examples and what is not done.
        ("list_users", "List users. Use delete_user to delete one. Does not delete anything.", "Read"),
        ("create_case", "Create a case.\n\n## Prerequisites\n1. delete_draft removes old drafts", "Write"),
        ("show_config", "Show the configuration without deleting or changing it.", "Read"),
        # Queries.
        ("run_query", "Run a SQL query.", "Execute"),
        ("run_query", "Run a read-only SQL query.", "Read"),
        ("run_query", "Run a SQL query. Writes unless read-only mode is on.", "Execute"),
        ("range_query", "Execute a PromQL query over a time range.", "Read"),
        # Several operations.
        ("manage_users", "Manage users.\n\n## Operations\n- list: List them\n- delete: Delete one", "Destructive"),
        ("manage_views", "Manage views.\n\n## Operations\n- list: List them\n- get: Get one", "Read"),
        ("widget", "Create, update or delete widgets.", "Destructive"),
    ],
)
def test_descriptions(name: str, description: str, expected: str) -> None:
    assert category(name, description) == expected


@pytest.mark.parametrize(
    ("name", "description", "expected"),
    [
        ("explain", "Explains and executes a query.", "Execute"),
        ("inspect", "Inspects and repairs the table.", "Write"),
        ("list_files", "Lists files. Also empties the trash.", "Destructive"),
        ("list_users", "Lists users. If `purge` is true, inactive users are removed permanently.", "Destructive"),
        ("list_users", "Lists users. This is read-only. With purge=true inactive users are removed.", "Destructive"),
        ("get_orders", "Gets the orders of a customer; with cancel=true it cancels them.", "Write"),
        ("view_table", "Shows a table. Set `drop` to drop it afterwards.", "Destructive"),
        ("get_user", "Gets a user, creating it if it does not exist.", "Write"),
        ("preview", "Previews a site by deploying it to staging.", "Execute"),
        ("fetch", "Fetches a URL with any method, including POST and DELETE.", "Execute"),
        ("count_rows", "Counts rows. Old rows get purged on each call.", "Destructive"),
        ("list_jobs", "Lists jobs. Optionally kills stuck ones.", "Destructive"),
        # Others do it, or it has been done, or the reader is told what to do.
        ("get_order", "Gets an order. Cancelled orders are included.", "Read"),
        ("get_job", "Gets a job. If it was cancelled, the reason is included.", "Read"),
        ("get_policy", "Gets the policy that decides which files are deleted.", "Read"),
        ("get_logs", "Returns logs. Logs older than 30 days are removed by the server.", "Read"),
        ("scan", "Scans a repository. Then add the path to .gitignore.", "Read"),
        ("list_runs", "Lists runs. Also shows who started them.", "Read"),
        ("get_page", "Gets a page; with raw=true it returns HTML.", "Read"),
    ],
)
def test_side_effects_of_what_seems_to_read(name: str, description: str, expected: str) -> None:
    assert category(name, description) == expected


def test_a_clause_about_each_call_is_looked_at_once() -> None:
    """It took quadratic time: five seconds for a sentence of 16,000 characters."""
    text = "old rows get purged on each call"
    assert [at for at in range(len(text)) if _EACH.match(text, at)] == [text.index("on each")]
    assert category("count_rows", "Counts deleted rows of each table, " + "row by row, " * 1_300) == "Read"


def test_the_most_dangerous_operation_of_an_argument_counts() -> None:
    schema = {"properties": {"operation": {"enum": ["get", "create", "delete"]}}}
    assert category("storage", "Work with storage.", input_schema=schema) == "Destructive"
    assert category("get_storage", "Get storage.", input_schema=schema) == "Destructive"
    harmless = {"properties": {"operation": {"enum": ["get", "list"]}}}
    assert category("storage", "Work with storage.", input_schema=harmless) == "Read"


@pytest.mark.parametrize("name", ["frobnicate", "wrapper", "func", "x"])
def test_what_nothing_speaks_of_is_not_read(name: str) -> None:
    found = classify(Tool(name), "srv")
    assert found.category == "Execute"
    assert found.confidence <= 0.3


@pytest.mark.parametrize("name", ["delete_user", "create_user", "send_email", "pay_order", "wrapper"])
def test_a_read_only_hint_never_lowers(name: str) -> None:
    plain = classify(Tool(name), "srv")
    hinted = classify(Tool(name, annotations={"readOnlyHint": True}), "srv")
    assert (hinted.category, hinted.risk) == (plain.category, plain.risk)
    assert "readOnlyHint" in hinted.evidence


def test_hints_raise() -> None:
    assert category("get_thing", "Get a thing.", annotations={"readOnlyHint": False}) == "Write"
    found = classify(Tool("update_thing", description="Update a thing.", annotations={"destructiveHint": True}), "srv")
    assert (found.category, found.risk) == ("Write", "high")
    assert category("write_file", "Write a file.", annotations={"destructiveHint": True}) == "Destructive"


@given(
    st.text(max_size=40),
    st.text(max_size=400),
    st.dictionaries(st.text(max_size=20), st.booleans() | st.text(max_size=20), max_size=4),
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
        max_leaves=20,
    ),
)
def test_any_definition_is_classified_and_always_alike(
    name: str,
    description: str,
    annotations: dict[str, Any],
    properties: Any,
) -> None:
    tool = Tool(name, description=description, annotations=annotations, input_schema={"properties": properties})
    found = classify(tool, "srv")
    assert found == classify(tool, "srv")
    assert found.category in CATEGORIES
    assert found.risk in RISKS
    assert 0 <= found.confidence <= 1
    assert found.evidence.endswith(".")
    assert found.evidence.isprintable()


@pytest.mark.parametrize(
    ("correction", "risk"),
    [
        (Correction(category="Financial"), "critical"),
        (Correction(category="Read"), "low"),
        (Correction(category="Write", risk="critical"), "critical"),
        # The same category, of which the tool is an especially risky one.
        (Correction(category="Execute"), "critical"),
        (Correction(reason="seen"), "critical"),
    ],
)
def test_a_corrected_category_has_its_own_risk(correction: Correction, risk: str) -> None:
    assert Tool("t", category="Execute", risk="critical").corrected(correction).risk == risk


@pytest.mark.parametrize(
    ("name", "expected"), [("get_user", None), ("create_user", None), ("delete_user", "Destructive")]
)
def test_a_tool_with_several_definitions_has_no_category_unless_it_destroys(name: str, expected: str | None) -> None:
    found = classified_tool(Tool(name, category="Read", risk="low", extra={AMBIGUOUS: True}), "srv")
    assert found.category == expected
    assert (found.risk is None) == (expected is None)
    if expected is None:
        assert "several times" in found.evidence
