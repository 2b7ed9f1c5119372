"""Pages and look-ups of stores of three sizes: of the store itself, over gRPC, as REST, and the page for people.

They are flat if the largest store takes no longer than the smallest.
"""

from __future__ import annotations

import statistics
import sys
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from common import report
from control.client import AdminClient
from control.filled import GRANTS_THAT_ASK, asking, grant_id

from callgate._proto.callgate.admin.v1 import approvals_pb2, grants_pb2
from callgate.store.model import State
from control import world as worlds

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Mapping, Sequence

    from common.report import Report
    from control.world import World

    from callgate.store.store import Store

FLAT = 1.5
PAGE = 100
_LONGEST_PAGE = 1_000
_LIST = "ApprovalsService/ListApprovals"
_LIST_GRANTS = "GrantsService/ListGrants"

Subjects = dict[str, "Callable[[], object]"]


def measure(results: Report, databases: Mapping[str, Sequence[World]], options: argparse.Namespace) -> None:
    """Measures the worlds of each database, the smallest first; adds the tables and the headlines."""
    for database, sizes in databases.items():
        times = _times(sizes, options.lists)
        rows: list[tuple[report.Cell, ...]] = []
        worst: dict[str, float] = {}
        for name in times[0]:
            middles = [statistics.median(one[name]) * 1e3 for one in times]
            ratio = middles[-1] / middles[0]
            rows.append((name, *(round(middle, 2) for middle in middles), f"{ratio:.2f}x"))
            face = name.partition(",")[0]
            worst[face] = max(worst.get(face, 0.0), ratio)
        columns = ("p50 in ms", *(f"{one.size.settled:,} settled" for one in sizes), "last of first")
        results.table(f"pages and look-ups, {database}", columns, rows)
        for face, ratio in worst.items():
            results.headline(f"{database}, {face}: largest store beside smallest", ratio, "x", at_most=FLAT)
        results.raw[f"lists, {database}"] = [
            {name: [round(value * 1e3, 3) for value in values] for name, values in one.items()} for one in times
        ]


def _times(sizes: Sequence[World], rounds: int) -> list[dict[str, list[float]]]:
    """Seconds of each subject, by world; worlds take turns."""
    with ExitStack() as stack:
        subjects = [_subjects(world, stack) for world in sizes]
        times: list[dict[str, list[float]]] = [{name: [] for name in one} for one in subjects]
        for number in range(rounds + 1):
            print(f"pages, round {number} of {rounds}", file=sys.stderr)
            for kept, one in zip(times, subjects, strict=True):
                for name, work in one.items():
                    began = time.perf_counter()
                    work()
                    if number > 0:
                        kept[name].append(time.perf_counter() - began)
    return times


def _subjects(world: World, stack: ExitStack) -> Subjects:
    """The operations that are timed in one world. Each was called once before, and its result was checked."""
    store = world.open()
    stack.callback(store.close)
    sidecar = stack.enter_context(worlds.serving(world))
    worlds.wait_for_store(sidecar)
    # The first read of many grants keeps the interpreter busy that answers these.
    worlds.wait_for_grants(sidecar, world)
    client = AdminClient(sidecar, world)
    stack.callback(client.close)
    return {**_of_store(world, store), **_of_api(world, client)}


def _of_store(world: World, store: Store) -> Subjects:
    approvals, now_us = store.approvals, time.time_ns() // 1_000
    total = world.size.settled + world.size.pending
    tokens: list[str | None] = [None]
    while token := approvals.page(now_us, size=_LONGEST_PAGE, token=tokens[-1]).next_token:
        tokens.append(token)
    if (len(tokens) - 1) * _LONGEST_PAGE >= total or len(tokens) * _LONGEST_PAGE < total:
        sys.exit(f"{world.title}: {total} approvals were on {len(tokens)} pages of {_LONGEST_PAGE}")
    middle, last, one = tokens[len(tokens) // 2], tokens[-1], approvals.page(now_us).items[0].id
    waiting = approvals.page(now_us, state=State.PENDING)
    if not all(item.state is State.PENDING for item in waiting.items):
        sys.exit(f"{world.title}: what waits is not what was listed as such")
    grant = asking(GRANTS_THAT_ASK // 2)
    near_end = grant_id(max(world.size.grants - PAGE - 1, 0))
    return {
        "store, first page": lambda: approvals.page(now_us, size=PAGE),
        "store, middle page": lambda: approvals.page(now_us, size=PAGE, token=middle),
        "store, last page": lambda: approvals.page(now_us, size=PAGE, token=last),
        "store, pending": lambda: approvals.page(now_us, state=State.PENDING, size=PAGE),
        "store, of a grant": lambda: approvals.page(now_us, grant=grant, size=1),
        "store, of a grant, consumed": lambda: approvals.page(now_us, grant=grant, state=State.CONSUMED, size=1),
        "store, one": lambda: (approvals.get(one, now_us), approvals.record(one)),
        "store, one by its beginning": lambda: approvals.find(one[:8]),
        "store, grants, first page": lambda: store.grants.page(size=PAGE),
        "store, grants, last page": lambda: store.grants.page(after=near_end, size=PAGE),
        "store, one grant": lambda: store.grants.get(grant_id(world.size.grants - 1)),
    }


def _of_api(world: World, client: AdminClient) -> Subjects:
    def listed(size: int = PAGE, **fields: Any) -> approvals_pb2.ListApprovalsResponse:  # noqa: ANN401  of the message
        request = approvals_pb2.ListApprovalsRequest(page_size=size, **fields)
        return client.call(_LIST, request, approvals_pb2.ListApprovalsResponse)

    tokens = [""]
    while token := listed(_LONGEST_PAGE, page_token=tokens[-1]).next_page_token:
        tokens.append(token)
    middle, last, one = tokens[len(tokens) // 2], tokens[-1], listed().approvals[0].id
    pending = approvals_pb2.Approval.STATE_PENDING
    if len(listed(state=pending).approvals) != min(PAGE, world.size.pending):
        sys.exit(f"{world.title}: the API does not list what waits")
    get = approvals_pb2.GetApprovalRequest(id=one)
    grants = grants_pb2.ListGrantsRequest(page_size=PAGE)
    grant = grants_pb2.GetGrantRequest(id=grant_id(world.size.grants - 1))
    return {
        "gRPC, first page": listed,
        "gRPC, middle page": lambda: listed(page_token=middle),
        "gRPC, last page": lambda: listed(page_token=last),
        "gRPC, pending": lambda: listed(state=pending),
        "gRPC, of a grant": lambda: listed(1, grant=asking(GRANTS_THAT_ASK // 2)),
        "gRPC, one": lambda: client.call("ApprovalsService/GetApproval", get, approvals_pb2.GetApprovalResponse),
        "gRPC, grants": lambda: client.call(_LIST_GRANTS, grants, grants_pb2.ListGrantsResponse),
        "gRPC, one grant": lambda: client.call("GrantsService/GetGrant", grant, grants_pb2.GetGrantResponse),
        "REST, first page": lambda: client.get(f"/admin/v1/approvals?page_size={PAGE}"),
        "REST, pending": lambda: client.get(f"/admin/v1/approvals?page_size={PAGE}&state=STATE_PENDING"),
        "REST, one": lambda: client.get(f"/admin/v1/approvals/{one}"),
        "page, all that wait": lambda: client.page("/approvals"),
        "page, one": lambda: client.page(f"/approvals/{one}"),
    }
