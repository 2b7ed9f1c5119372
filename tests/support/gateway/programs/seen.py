"""Actions and observations of a client, for both generations of the Python SDK, whose objects differ little."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from mcp import types

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_S = 30.0


class Seen:
    """Messages that reach the client, requested or not. `answers` are to the server's requests."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self.answers = answers
        self.did: list[Any] = []
        self.asked: list[str] = []
        self.notified: list[str] = []
        self.progress: list[float] = []

    def callbacks(self) -> dict[str, Any]:
        """The callbacks for the capabilities that the client declares."""
        having = {"sampling": self.on_sampling, "elicitation": self.on_elicitation}
        return {f"{name}_callback": callback for name, callback in having.items() if name in self.answers}

    async def on_sampling(self, _context: object, params: Any) -> Any:
        """The model's answer."""
        self.asked.append(f"sampling: {params.messages[-1].content.text}")
        said = types.TextContent(type="text", text=self.answers["sampling"])
        return types.CreateMessageResult(role="assistant", content=said, model="test")

    async def on_elicitation(self, _context: object, params: Any) -> Any:
        """The person's answer."""
        self.asked.append(f"elicitation: {params.message}")
        return types.ElicitResult.model_validate(self.answers["elicitation"])

    async def on_message(self, message: Any) -> None:
        """Records any other message."""
        # The first generation wraps notifications.
        told = getattr(message, "root", message)
        if isinstance(told, Exception):
            self.notified.append(f"fault: {told}")
        elif isinstance(told, types.LoggingMessageNotification):
            self.notified.append(f"log {told.params.level}: {told.params.data}")
        elif hasattr(told, "method") and not isinstance(told, types.ProgressNotification):
            self.notified.append(told.method)

    async def on_progress(self, progress: float, _total: float | None, _message: str | None) -> None:
        """Records the progress of a call."""
        self.progress.append(progress)

    async def do(self, steps: Sequence[dict[str, Any]], client: Any, session: Any) -> None:
        """Runs the steps one after the other; each step is a method of this name."""
        for todo in steps:
            what, given = todo["do"], {name: value for name, value in todo.items() if name != "do"}
            on = session if what in {"level", "ping"} else client
            try:
                self.did.append(await getattr(self, f"do_{what}")(on, **given))
            except Exception as error:  # noqa: BLE001  whatever it is, it is what the caller gets
                code = getattr(getattr(error, "error", error), "code", None)
                self.did.append({"outcome": "error", "text": str(error), "code": code})

    async def do_list(self, client: Any) -> list[str]:
        """The tools."""
        return sorted(tool.name for tool in (await client.list_tools()).tools)

    async def do_call(
        self, client: Any, name: str, arguments: dict[str, Any] | None = None, *, progress: bool = False
    ) -> dict[str, Any]:
        """A tool's result."""
        told = self.on_progress if progress else None
        result = await client.call_tool(name, arguments, progress_callback=told)
        text = "".join(part.text for part in result.content if isinstance(part, types.TextContent))
        refused = result.isError if hasattr(result, "isError") else result.is_error
        return {"outcome": "refused" if refused else "done", "text": text, "meta": result.meta}

    async def do_resources(self, client: Any) -> list[str]:
        """The resources."""
        return sorted(str(resource.uri) for resource in (await client.list_resources()).resources)

    async def do_read(self, client: Any, uri: str) -> list[str]:
        """A resource."""
        return [content.text for content in (await client.read_resource(uri)).contents]

    async def do_prompts(self, client: Any) -> list[str]:
        """The prompts."""
        return sorted(prompt.name for prompt in (await client.list_prompts()).prompts)

    async def do_prompt(self, client: Any, name: str, arguments: dict[str, str] | None = None) -> list[str]:
        """A prompt."""
        return [message.content.text for message in (await client.get_prompt(name, arguments)).messages]

    async def do_complete(self, client: Any, prompt: str, argument: str, value: str) -> list[str]:
        """The possible values of a prompt's argument."""
        reference = types.PromptReference(type="ref/prompt", name=prompt)
        completed = await client.complete(reference, {"name": argument, "value": value})
        values: list[str] = completed.completion.values
        return values

    async def do_level(self, session: Any, level: str) -> str:
        """From which level on the log is wanted."""
        await session.set_logging_level(level)
        return "set"

    async def do_ping(self, session: Any) -> str:
        """Pings the server."""
        await session.send_ping()
        return "pong"

    def tell(self, version: str, server: str | None) -> None:
        """Prints the record."""
        told = {"version": version, "server": server, **vars(self)}
        del told["answers"]
        sys.stdout.write(json.dumps(told))
