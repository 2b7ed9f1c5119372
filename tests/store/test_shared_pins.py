"""A replica without files, such as one in a new pod, begins with the pins that others have in the store."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from callgate.store.place import parse_place
from support.gateway.offered import Tools, call, listed, offering
from support.planes import wait_until
from support.postgres import Postgres
from support.replicas import Replica, replica

CHANGED = "(tool changed)"


def keys(tools: Tools, **more: Any) -> dict[str, Any]:
    upstream = {"url": f"http://127.0.0.1:{tools.port}/mcp", "probe": False}
    return {"servers": {"s": {"policy": "allow", "upstream": upstream}}, **more}


def url(one: Replica) -> str:
    return f"http://{one.running.address}/mcp/s"


def rule(one: Replica, tool: str) -> str:
    """The rule that denies a call of MCP; empty if it is made."""
    told = call(url(one), tool)["result"].get("_meta", {}).get("callgate/decision", {})
    return str(told.get("rule", ""))


def has(one: Replica, text: str) -> bool:
    return text in one.metrics()


def test_a_server_that_has_changed_its_tools_is_changed_on_new_replicas(postgres: Postgres, tmp_path: Path) -> None:
    place = parse_place(postgres.new_schema())
    late_url = tmp_path / "url"
    late_url.write_text("postgresql+psycopg://nobody@127.0.0.1:1/none")
    late_url.chmod(0o600)
    with ExitStack() as stack:
        tools = stack.enter_context(offering())
        first = stack.enter_context(replica(tmp_path / "first", place, **keys(tools)))
        assert listed(url(first)) == ["a", "b"]
        # Its list is in the store once another replica has it.
        second = stack.enter_context(replica(tmp_path / "second", place, **keys(tools)))
        wait_until(lambda: has(second, 'callgate_tools{server="s",state="pinned"} 2.0'))
        tools.offered = {"a": "does something else", "b": "does b", "c": "is new"}

        third = stack.enter_context(replica(tmp_path / "third", place, **keys(tools)))
        wait_until(partial(has, third, 'callgate_tools{server="s",state="pinned"} 2.0'))
        for one in (second, third):
            assert listed(url(one)) == ["b"]
            assert [rule(one, tool) for tool in "abc"] == [CHANGED, "", CHANGED]

        # While the store cannot be opened, a new replica knows of no pins.
        without_store = keys(tools, store={"url_file": str(late_url)})
        fourth = stack.enter_context(replica(tmp_path / "fourth", None, waits=False, **without_store))
        fourth.wait_for_store("unavailable")
        assert listed(url(fourth)) == ["a", "b", "c"]
        assert [rule(fourth, tool) for tool in "abc"] == ["", "", ""]
        # What is only in memory yet would not be told as replaced.
        wait_until((fourth.folder / "state" / "pins" / "s.json").exists)
        late_url.write_text(place.url)
        fourth.wait_for_store()
        wait_until(lambda: [rule(fourth, tool) for tool in "abc"] == [CHANGED, "", CHANGED])
        assert listed(url(fourth)) == ["b"]
        assert listed(url(first)) == ["b"]
        _, err = fourth.running.stop()
    assert "first_list_replaced" in err
