"""The extension for tasks (`io.modelcontextprotocol/tasks`), as far as the conformance suite asks for it.

A task does nothing by itself: what has become of it is worked out when its client asks.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.shared.exceptions import MCPError

EXTENSION = "io.modelcontextprotocol/tasks"
TTL = timedelta(minutes=5)
HEADER_MISMATCH = -32020


def now() -> datetime:
    return datetime.now(tz=timezone.utc)


@dataclass
class Task:
    """One task: how it ends, what it asks before, and what it was told."""

    ends: dict[str, Any]
    asks: dict[str, Any]
    lasts: timedelta
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    created: datetime = field(default_factory=now)
    is_cancelled: bool = False

    @property
    def status(self) -> str:
        if self.is_cancelled:
            return "cancelled"
        if self.asks:
            return "input_required"
        if now() < self.created + self.lasts:
            return "working"
        return "failed" if "error" in self.ends else "completed"

    def told(self) -> dict[str, Any]:
        """The fields of every answer about the task."""
        return {
            "taskId": self.id,
            "status": self.status,
            "createdAt": self.created.isoformat(),
            "lastUpdatedAt": self.created.isoformat(),
            "ttlMs": int(TTL / timedelta(milliseconds=1)),
            "pollIntervalMs": 50,
        }


class TaskParams(types.RequestParams):
    """Parameters of every method for tasks."""

    task_id: str
    input_responses: dict[str, Any] | None = None


tasks: dict[str, Task] = {}


def is_declared(ctx: ServerRequestContext[Any]) -> bool:
    """True if the client of this request supports tasks."""
    can = ctx.session.client_capabilities
    return can is not None and EXTENSION in (can.extensions or {})


def demand(ctx: ServerRequestContext[Any]) -> None:
    """Refuses a client that does not know tasks."""
    if not is_declared(ctx):
        missing: dict[str, Any] = {"requiredCapabilities": {"extensions": {EXTENSION: {}}}}
        raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, f"needs {EXTENSION}", missing)


def begin(does: dict[str, Any], arguments: dict[str, Any], result: dict[str, Any]) -> dict[str, Any]:
    """Makes a task of a call whose result would be this, unless the offer says otherwise."""
    ends = {"error": does["breaks"]} if "breaks" in does else {"result": does.get("gives", result)}
    task = Task(ends, dict(does.get("asks", {})), timedelta(seconds=arguments.get("seconds", 0)))
    tasks[task.id] = task
    return {"resultType": "task", **task.told()}


def _known(ctx: ServerRequestContext[Any], params: TaskParams) -> Task:
    demand(ctx)
    if ctx.request is not None and ctx.request.headers.get("mcp-name") != params.task_id:
        raise MCPError(HEADER_MISMATCH, "Mcp-Name and taskId differ")
    if params.task_id not in tasks:
        raise MCPError(types.INVALID_PARAMS, f"no task {params.task_id}")
    return tasks[params.task_id]


async def get(ctx: ServerRequestContext[Any], params: TaskParams) -> dict[str, Any]:
    """Answers with the state of a task."""
    task = _known(ctx, params)
    status = task.status
    further = {"inputRequests": task.asks} if status == "input_required" else {}
    return {
        "resultType": "complete",
        **task.told(),
        **further,
        **(task.ends if status in {"completed", "failed"} else {}),
    }


async def update(ctx: ServerRequestContext[Any], params: TaskParams) -> dict[str, Any]:
    """Takes answers to what it asks."""
    task = _known(ctx, params)
    task.asks = {key: asked for key, asked in task.asks.items() if key not in (params.input_responses or {})}
    return {"resultType": "complete"}


async def cancel(ctx: ServerRequestContext[Any], params: TaskParams) -> dict[str, Any]:
    """Ends it, unless it is over."""
    task = _known(ctx, params)
    task.is_cancelled = task.status not in {"completed", "failed"}
    return {"resultType": "complete"}


def serve_tasks(server: Server[Any]) -> None:
    """Gives a server the methods for tasks."""
    server.extensions[EXTENSION] = {}
    for method, handler in (("tasks/get", get), ("tasks/update", update), ("tasks/cancel", cancel)):
        server.add_request_handler(method, TaskParams, handler)
