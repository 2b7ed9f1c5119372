"""Scans merged into catalogues: what stays, what is replaced, and the changes that are reported."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from callgate.workbench.catalogue import Attributes, Catalogue, CatalogueServer, Correction, Tool
from callgate.workbench.scan.listing import Listing
from callgate.workbench.scan.merge import Change, Merge, merge
from callgate.workbench.scan.target import HttpTarget

TARGET = HttpTarget("srv", "https://a.example/mcp?key=secret")
THEN, NOW = "2026-11-23T10:00:00Z", "2026-11-24T10:00:00Z"


def tool(name: str, **further: Any) -> dict[str, Any]:
    return {"name": name, "description": f"Does {name}.", "inputSchema": {"type": "object"}, **further}


def scan(catalogue: Catalogue, *tools: dict[str, Any], target: HttpTarget = TARGET, classify: Any = None) -> Merge:
    return merge(catalogue, [Listing(target, [*tools], title="T", version="2", pages=1)], NOW, classify)


def test_a_first_scan_has_no_changes() -> None:
    merged = scan(Catalogue(), tool("a"), tool("b"))
    assert (merged.changes, merged.first) == ((), ("srv",))
    found = merged.catalogue.servers["srv"]
    assert list(found.tools) == ["a", "b"]
    assert (found.title, found.version, found.scanned_at) == ("T", "2", NOW)
    assert found.source == {"url": "https://a.example/mcp?key=***"}


def test_changes_name_the_members() -> None:
    before = scan(Catalogue(), tool("a"), tool("b"), tool("c"), tool("same"), tool("meta")).catalogue
    merged = scan(
        before,
        tool("a", description="Does something else."),
        tool("b", inputSchema={"type": "object", "required": ["x"]}, annotations={"readOnlyHint": False}),
        tool("new"),
        tool("same"),
        tool("meta", unknown=1),
    )
    assert merged.changes == (
        Change("srv", "a", "changed", ("description",)),
        Change("srv", "b", "changed", ("input_schema", "annotations")),
        Change("srv", "new", "added"),
        Change("srv", "meta", "changed", ("definition",)),
        Change("srv", "c", "removed"),
    )
    assert list(merged.catalogue.servers["srv"].tools) == ["a", "b", "new", "same", "meta"]


def test_the_order_of_keys_and_the_spelling_of_numbers_change_nothing() -> None:
    before = scan(Catalogue(), tool("a", inputSchema={"type": "object", "maximum": 10})).catalogue
    assert scan(before, tool("a", inputSchema={"maximum": 10.0, "type": "object"})).changes == ()


def test_a_change_behind_the_kept_part_of_a_description_is_found() -> None:
    long = "d" * 20_000
    before = scan(Catalogue(), tool("a", description=long)).catalogue
    merged = scan(before, tool("a", description=f"{long}!"))
    assert merged.changes == (Change("srv", "a", "changed", ("definition",)),)


def test_a_schema_that_breaks_is_a_change() -> None:
    before = scan(Catalogue(), tool("a")).catalogue
    merged = scan(before, tool("a", inputSchema={"type": 5}))
    assert merged.changes == (Change("srv", "a", "changed", ("input_schema", "x-input_schema")),)
    again = scan(merged.catalogue, tool("a"))
    assert again.changes == (Change("srv", "a", "changed", ("input_schema", "x-input_schema")),)
    assert again.catalogue.servers["srv"].tools["a"].extra == {}


def test_another_endpoint_alone_changes_no_tool() -> None:
    before = scan(Catalogue(), tool("a")).catalogue
    merged = scan(before, tool("a"), target=replace(TARGET, url="https://b.example/mcp"))
    assert merged.changes == ()
    assert merged.catalogue.servers["srv"].source == {"url": "https://b.example/mcp"}


def test_other_servers_corrections_and_unknown_fields_stay() -> None:
    other = CatalogueServer(tools={"x": Tool("x", category="Write")})
    known = CatalogueServer(tools={"a": Tool("a", extra={"x-note": "n"})}, scanned_at=THEN, extra={"x-team": "red"})
    overrides = {"srv": {"a": Correction(risk="high", reason="seen"), "gone": Correction(category="Read")}}
    before = Catalogue({"other": other, "srv": known}, overrides, {"x-file": 1})
    after = scan(before, tool("a")).catalogue
    assert list(after.servers) == ["other", "srv"]
    assert after.servers["other"] is other
    assert (after.overrides, after.extra) == (overrides, {"x-file": 1})
    assert after.servers["srv"].extra == {"x-team": "red"}
    assert after.servers["srv"].tools["a"].extra == {"x-note": "n"}


def test_classifications_of_unchanged_tools_stay_and_others_are_made_anew() -> None:
    asked = list[str]()

    def classify(one: Tool, server: str, title: str) -> Tool:
        asked.append(f"{server} {title}/{one.name}")
        return replace(one, category="Destructive", evidence="made now")

    old = scan(Catalogue(), tool("same"), tool("changed"), tool("bare")).catalogue.servers["srv"]
    tools = {
        name: one
        if name == "bare"
        else replace(one, category="Read", confidence=0.5, evidence="made then", attributes=Attributes(sends_out=True))
        for name, one in old.tools.items()
    }
    before = Catalogue({"srv": replace(old, tools=tools)})
    now = (tool("same"), tool("changed", description="Deletes."), tool("bare"), tool("new"))
    after = scan(before, *now, classify=classify).catalogue.servers["srv"].tools
    assert asked == ["srv T/changed", "srv T/bare", "srv T/new"]
    assert [after[name].evidence for name in ("same", "changed", "bare", "new")] == ["made then", *["made now"] * 3]
    assert after["same"].attributes == Attributes(sends_out=True)
    # Without a classifier, what is known stays: an old classification is better than none, and a change is reported.
    kept = scan(before, *now).catalogue.servers["srv"].tools
    assert [kept[name].category for name in ("same", "changed", "bare", "new")] == ["Read", "Read", None, None]


def test_a_category_that_a_person_wrote_stays() -> None:
    def classify(one: Tool, _server: str, _title: str) -> Tool:
        return replace(one, category="Execute", risk="high", confidence=0.5, evidence="made now")

    # Classifiers give a confidence, and people do not.
    by_hand = {"a": Tool("a", category="Read", risk="low"), "b": Tool("b", risk="high")}
    before = Catalogue({"srv": CatalogueServer(tools=by_hand)})
    after = scan(before, tool("a"), tool("b"), classify=classify).catalogue.servers["srv"].tools
    assert (after["a"].category, after["a"].risk, after["a"].confidence) == ("Read", "low", None)
    assert (after["b"].category, after["b"].confidence) == ("Execute", 0.5)


def test_a_failed_scan_changes_nothing() -> None:
    before = scan(Catalogue(), tool("a")).catalogue
    merged = merge(before, [Listing(TARGET, failure="it does not answer")], NOW)
    assert merged.catalogue == before
    assert (merged.changes, merged.first) == ((), ())


def test_what_a_server_says_of_itself_fits_a_catalogue() -> None:
    listing = Listing(TARGET, [tool("a")], title="\ud800" + "t" * 5000, version="v" * 5000, pages=1)
    found = merge(Catalogue(), [listing], NOW).catalogue.servers["srv"]
    assert (found.title[:2], len(found.title), len(found.version)) == ("\N{REPLACEMENT CHARACTER}t", 1024, 1024)
