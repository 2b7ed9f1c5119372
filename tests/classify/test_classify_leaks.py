"""Attributes of tools, and tools of one grant that leak together."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from callgate.workbench.catalogue import Attributes, Catalogue, CatalogueServer, Correction, Tool
from callgate.workbench.classify import classified, classify, every_tool, grant_of_policy, grants_of_config, leaks
from callgate.workbench.classify.leaks import MOST, Grant, leak_findings

if TYPE_CHECKING:
    from collections.abc import Mapping

MAIL = Tool("search_messages", description="Search messages of the inbox.")
SEND = Tool("send_email", description="Send an email.")
FILES = Tool("read_file", description="Read a file.")
FETCH = Tool("fetch", description="Fetch a URL and return its contents.")
TIME = Tool("get_current_time", description="The current time in a time zone.")


def catalogue(*tools: Tool, overrides: Mapping[str, Correction] | None = None) -> Catalogue:
    servers = {"srv": CatalogueServer({tool.name: tool for tool in tools})}
    return classified(Catalogue(servers, {"srv": overrides} if overrides else {}))


def found(of: Catalogue) -> list[list[str]]:
    return [[name for _, name in leak.tools] for leak in leaks(of, every_tool(of).tools)]


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (MAIL, {"private_data": True, "untrusted_content": True, "sends_out": False, "reversible": True}),
        (SEND, {"private_data": False, "untrusted_content": False, "sends_out": True, "reversible": False}),
        (FILES, {"private_data": True, "untrusted_content": False, "sends_out": False, "reversible": True}),
        (FETCH, {"private_data": False, "untrusted_content": True, "sends_out": True, "open_world": True}),
        (TIME, {"private_data": False, "untrusted_content": False, "sends_out": False}),
        (Tool("run_command", description="Run a shell command."), {"private_data": True, "sends_out": True}),
        (Tool("delete_row"), {"reversible": False}),
        (Tool("create_row", annotations={"openWorldHint": False}), {"open_world": False, "reversible": True}),
    ],
)
def test_attributes(tool: Tool, expected: dict[str, bool]) -> None:
    attributes = classify(tool, "srv").attributes
    assert {name: getattr(attributes, name) for name in expected} == expected


def test_a_pair_leaks() -> None:
    assert found(catalogue(MAIL, SEND, TIME)) == [["search_messages", "send_email"]]
    assert found(catalogue(FILES, FETCH, TIME)) == [["read_file", "fetch"]]


def test_without_one_of_the_three_nothing_leaks() -> None:
    assert found(catalogue(MAIL, FILES, TIME)) == []
    assert found(catalogue(SEND, FILES)) == []


def test_one_tool_that_does_all_leaks_alone() -> None:
    assert ["run_command"] in found(catalogue(Tool("run_command", description="Run a shell command."), TIME))


def test_three_tools_leak_where_no_two_do() -> None:
    feed = Tool("search_news_comments", description="Search comments on news on the web.")
    assert found(catalogue(feed, FILES, SEND)) == [["search_news_comments", "read_file", "send_email"]]


def test_a_correction_counts() -> None:
    correction = Correction(attributes=Attributes(untrusted_content=False))
    assert found(catalogue(MAIL, SEND, overrides={"search_messages": correction})) == []


def test_many_combinations_are_counted_and_not_all_named() -> None:
    many = [Tool(f"read_mail_{index}", description="Read email of the inbox.") for index in range(40)]
    of = catalogue(*many, SEND)
    findings = list(leak_findings(of, [every_tool(of)]))
    assert len(findings) == MOST
    assert f"{40 - MOST} more" in findings[-1].message


def test_a_policy_says_which_tools_are_called_together(tmp_path: Path) -> None:
    of = catalogue(MAIL, SEND, FILES)
    policy = tmp_path / "mail.yaml"
    policy.write_text('version: "1"\ndefault: deny\ntools: {search_*: {}, read_file: {action: deny}}\n')
    assert grant_of_policy(of, policy) == Grant("mail", (("srv", "search_messages"),))
    policy.write_text('version: "1"\ndefault: allow\nhide: [send_*]\n')
    assert [name for _, name in grant_of_policy(of, policy).tools] == ["search_messages", "read_file"]
    policy.write_text('version: "1"\ndefault: allow\ncategories: {Execute: {hide: true}}\n')
    assert ("srv", "send_email") not in grant_of_policy(of, policy).tools


def test_each_grant_of_a_configuration_has_its_own_tools(tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text('{"version": "1", "default": "allow"}')
    (tmp_path / "mail.json").write_text('{"version": "1", "default": "deny", "tools": {"search_messages": {}}}')
    config = tmp_path / "callgate.yaml"
    config.write_text(
        "policies: {all: all.json, mail: mail.json}\n"
        "servers: {srv: {}}\n"
        "grants:\n"
        "  - {id: wide, server: srv, policy: all}\n"
        "  - {id: narrow, server: srv, policy: mail}\n"
        "  - {id: gone, server: srv, policy: all, revoked: true}\n"
        "  - {id: none, server: srv}\n"
    )
    of = catalogue(MAIL, SEND)
    grants = grants_of_config(of, config)
    assert [(grant.name, len(grant.tools)) for grant in grants] == [("wide", 2), ("narrow", 1), ("none", 0)]
    assert [finding.grant for finding in leak_findings(of, grants)] == ["wide"]
    config.write_text("policies: {all: all.json}\nservers: {srv: {policy: all}}\n")
    assert [grant.name for grant in grants_of_config(of, config)] == ["(any caller of srv)"]
