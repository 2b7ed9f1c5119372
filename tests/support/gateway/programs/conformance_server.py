"""The server that the conformance suite requires, on the Python SDK: `conformance_server.py PORT OFFERS`.

Speaks 2025-11-25 and 2026-07-28. Runs in an environment of its own.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import uvicorn
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.request_state import RequestStateBoundary, RequestStateSecurity
from mcp.server.subscriptions import InMemorySubscriptionBus, ListenHandler, PromptsListChanged, ToolsListChanged
from mcp.shared.exceptions import MCPError
from mcp.shared.message import ServerMessageMetadata

from support.gateway.programs.kept_events import KeptEvents
from support.gateway.programs.offered_tasks import begin, demand, is_declared, serve_tasks

NEEDS = {"elicitation/create": "elicitation", "sampling/createMessage": "sampling", "roots/list": "roots"}
"""The capability of clients for each thing that a server asks of them."""
CACHED = ("tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read")
PAUSE_S = 0.05
bus = InMemorySubscriptionBus()
offers: dict[str, list[dict[str, Any]]] = {}


def offered(kind: str, key: str, value: str) -> dict[str, Any]:
    """The offer of this name, or the error that there is none."""
    for offer in offers[kind]:
        if offer[key] == value:
            return offer
    raise MCPError(types.INVALID_PARAMS, f"none of the {kind} is {value}")


def filled(value: Any, values: dict[str, Any]) -> Any:
    """A JSON value with `{name}` in its texts replaced by what `values` has for it."""
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"{{{name}}}", str(text))
        return value
    if isinstance(value, list):
        return [filled(one, values) for one in value]
    return {key: filled(one, values) for key, one in value.items()} if isinstance(value, dict) else value


def says(text: str) -> types.CallToolResult:
    return types.CallToolResult(content=[types.TextContent(type="text", text=text)])


def answers_of(params: Any) -> dict[str, Any]:
    """The client's answers so far, by key."""
    return dict(params.input_responses or {})


def next_round(does: dict[str, Any], ctx: ServerRequestContext[Any], params: Any) -> types.InputRequiredResult | None:
    """The next of the rounds in which a server asks its client, or None when all is answered."""
    rounds = does["rounds"]
    place = int(params.request_state or 0)
    if place < len(rounds) and rounds[place].keys() <= answers_of(params).keys():
        place += 1
    if place == len(rounds):
        return None
    requests = rounds[place]
    if does.get("declared"):
        can = ctx.session.client_capabilities
        requests = {key: one for key, one in requests.items() if can is None or getattr(can, NEEDS[one["method"]])}
    result = {"inputRequests": requests, "requestState": str(place) if does.get("state") else None}
    return types.InputRequiredResult.model_validate(result)


async def ask(asked: dict[str, Any], ctx: ServerRequestContext[Any]) -> types.CallToolResult:
    """Asks the client in the midst of a call, as the versions with a handshake do."""
    request, result = types.ElicitRequest, types.ElicitResult
    if asked["method"] == "sampling/createMessage":
        request, result = types.CreateMessageRequest, types.CreateMessageResult
    related = ServerMessageMetadata(related_request_id=ctx.request_id)
    answer = await ctx.session.send_request(request.model_validate(asked), result, metadata=related)
    return says(f"the client said {answer.model_dump_json(by_alias=True)}")


async def call(
    ctx: ServerRequestContext[Any], params: types.CallToolRequestParams
) -> types.CallToolResult | types.InputRequiredResult | dict[str, Any]:
    does, arguments = offered("tools", "name", params.name)["does"], params.arguments or {}
    result = says("done")
    if "rounds" in does:
        again = next_round(does, ctx, params)
        if again is not None:
            return again
        result = says(f"state-ok: {answers_of(params)}")
    if "task" in does:
        if does.get("required"):
            demand(ctx)
        if is_declared(ctx):
            return begin(does["task"], arguments, result.model_dump(by_alias=True, exclude_none=True))
    if "gives" in does:
        return types.CallToolResult.model_validate(filled(does["gives"], arguments))
    if "asks" in does:
        return await ask(filled(does["asks"], arguments), ctx)
    await act(does, ctx)
    return result


async def act(does: dict[str, Any], ctx: ServerRequestContext[Any]) -> None:
    """Performs a call's actions, without its result."""
    if "needs" in does:
        can = ctx.session.client_capabilities
        if can is None or getattr(can, does["needs"]) is None:
            missing: dict[str, Any] = {"requiredCapabilities": {does["needs"]: {}}}
            raise MCPError(types.MISSING_REQUIRED_CLIENT_CAPABILITY, f"needs {does['needs']}", missing)
    if "changes" in does:
        await bus.publish(ToolsListChanged() if does["changes"] == "tools" else PromptsListChanged())
    for line in does.get("logs", ()):
        await ctx.session.send_log_message("info", line, related_request_id=ctx.request_id)
        await anyio.sleep(PAUSE_S)
    for progress in does.get("progress", ()):
        await ctx.session.report_progress(progress, 100)
        await anyio.sleep(PAUSE_S)
    if "closes" in does and ctx.close_sse_stream is not None:
        await ctx.close_sse_stream()
        await anyio.sleep(PAUSE_S)


async def prompt(
    ctx: ServerRequestContext[Any], params: types.GetPromptRequestParams
) -> types.GetPromptResult | types.InputRequiredResult:
    does = offered("prompts", "name", params.name)["does"]
    if "gives" in does:
        return types.GetPromptResult.model_validate(filled(does["gives"], params.arguments or {}))
    text = types.TextContent(type="text", text=f"In this context: {sorted(answers_of(params))}")
    return next_round(does, ctx, params) or types.GetPromptResult(
        messages=[types.PromptMessage(role="user", content=text)]
    )


async def read(_: ServerRequestContext[Any], params: types.ReadResourceRequestParams) -> types.ReadResourceResult:
    for resource in offers["resources"]:
        if resource["uri"] == params.uri:
            return types.ReadResourceResult.model_validate({"contents": [resource]})
    for template in offers["templates"]:
        before, after = template["uriTemplate"].split("{id}")
        name = params.uri.removeprefix(before).removesuffix(after)
        if name and params.uri == before + name + after:
            found = {**filled(template, {"id": name}), "uri": params.uri}
            return types.ReadResourceResult.model_validate({"contents": [found]})
    raise MCPError(types.INVALID_PARAMS, "Resource not found", {"uri": params.uri})


async def tools(*_: Any) -> types.ListToolsResult:
    return types.ListToolsResult.model_validate({"tools": offers["tools"]})


async def prompts(*_: Any) -> types.ListPromptsResult:
    return types.ListPromptsResult.model_validate({"prompts": offers["prompts"]})


async def resources(*_: Any) -> types.ListResourcesResult:
    return types.ListResourcesResult.model_validate({"resources": offers["resources"]})


async def templates(*_: Any) -> types.ListResourceTemplatesResult:
    return types.ListResourceTemplatesResult.model_validate({"resourceTemplates": offers["templates"]})


async def complete(_: ServerRequestContext[Any], params: types.CompleteRequestParams) -> types.CompleteResult:
    values = [value for value in ("paris", "park", "party") if value.startswith(params.argument.value)]
    return types.CompleteResult(completion=types.Completion(values=values, total=len(values), has_more=False))


async def accept(*_: Any) -> types.EmptyResult:
    return types.EmptyResult()


def served() -> Server[Any]:
    server = Server(
        "conformance",
        version="1",
        cache_hints=dict.fromkeys(CACHED, CacheHint(ttl_ms=1000, scope="public")),
        on_list_tools=tools,
        on_call_tool=call,
        on_list_prompts=prompts,
        on_get_prompt=prompt,
        on_list_resources=resources,
        on_list_resource_templates=templates,
        on_read_resource=read,
        on_subscribe_resource=accept,
        on_unsubscribe_resource=accept,
        on_subscriptions_listen=ListenHandler(bus),
        on_completion=complete,
        on_set_logging_level=accept,
    )
    serve_tasks(server)
    server.middleware.append(RequestStateBoundary(RequestStateSecurity.ephemeral(), default_audience="conformance"))
    return server


if __name__ == "__main__":
    offers.update(json.loads(Path(sys.argv[2]).read_text(encoding="utf-8")))
    app = served().streamable_http_app(event_store=KeptEvents(), retry_interval=50)
    uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error")
