"""Folders that pages of the documents begin with."""

from __future__ import annotations

import time
from pathlib import Path

from callgate.store.model import PermitBounds
from callgate.store.place import in_folder
from callgate.store.store import open_store
from callgate.workbench.catalogue import write_catalogue
from support.approvals import HOUR, SECOND, ask, need
from support.evidence import evidence
from support.recommend import START_US, catalogue_of, line, tool, write_log

_ENTRY = {
    "action": "require_approval",
    "require": [{"conditions": [{"path": "args.region", "op": "starts_with", "value": "eu-"}]}],
    "approval": {"permit": {"max_uses": 10, "max_duration": "2h"}},
}
_TOOL = {"description": "Creates an image of a machine.", "input_schema": {"type": "object"}}
_RUN = {
    "type": "object",
    "properties": {
        "image": {"type": "string"},
        "region": {"type": "string", "enum": ["eu-central-1", "eu-west-1"]},
        "count": {"type": "integer", "minimum": 1, "maximum": 10},
    },
    "required": ["image", "region"],
}
_TOOLS = (
    tool("describe_images", "Read", risk="low", evidence="describes images"),
    tool("create-ami", "Write", risk="medium", evidence="creates an image"),
    tool("run_instances", "Execute", risk="high", evidence="starts machines", input_schema=_RUN),
    tool("create_charge", "Financial", risk="high", evidence="charges a customer"),
    tool("terminate_instances", "Destructive", risk="critical", evidence="removes machines for good"),
    tool("sync"),
)
_LIMIT = {"counter": "calls", "rule": "/all_tools/limits/calls", "max": 300, "remaining": 299, "reset_after_ms": 60_000}


def approvals(folder: Path) -> None:
    """A state folder `state`, whose store has approvals that wait."""
    store = open_store(in_folder(folder / "state"))
    bounds = PermitBounds(10, 2 * HOUR)
    common = {"labels": {"team": "red"}, "session": None, "protocol": "gateway", "pep": None}
    asked = [
        ("7mzc4q2lktv5xw3hbn6jd2yroe", '{"region": "eu-west-1", "count": 2}'),
        ("k3vd2axq6ylw7pfs4gtn5bmcoi", '{"region": "eu-west-1", "count": 50}'),
        (
            "q2xw7dmo5hvk3ntz6rcylja4se",
            '{"region": "eu-central-1", "count": 2, "note": "nightly\\u200b"}',
        ),
    ]
    asks = [
        ask(
            f"{number}" * 64,
            need("/tools/create-ami/approval", permit=bounds),
            new_id=name,
            grant="ci",
            server="aws",
            tool="create-ami",
            policy_digest="a" * 64,
            evidence_arguments=arguments,
            evidence=evidence(
                **common,
                tool=_TOOL,
                limits=[_LIMIT],
                entries=[{"rule": "/tools/create-ami", "document": _ENTRY}],
            ),
        )
        for number, (name, arguments) in enumerate(asked, 1)
    ]
    now_us = time.time_ns() // 1_000
    for number, one in enumerate(asks):
        store.approvals.ask([one], now_us - (4 + 2 * (len(asks) - number)) * 60 * SECOND)
    store.close()


def recommended(folder: Path) -> None:
    """A catalogue, and the decision log of a sidecar that allowed everything."""
    (folder / "catalogue.json").write_text(write_catalogue(catalogue_of(*_TOOLS, server="aws")), encoding="utf-8")
    minute = 60 * SECOND
    calls = [("describe_images", "ann", number * SECOND) for number in range(23)]
    calls += [("create-ami", "ci", 5 * minute + number * SECOND // 4) for number in range(37)]
    calls += [("terminate_instances", "ann", 9 * minute)]
    lines = [line(name, START_US + at_us, server="aws", grant=grant) for name, grant, at_us in calls]
    denied = {"outcome": "deny", "rule": "/tools/create_charge/action"}
    lines.append(line("create_charge", START_US + 10 * minute, server="aws", **denied))
    write_log(folder / "decisions.jsonl", *lines)
