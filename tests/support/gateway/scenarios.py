"""Actions of clients with servers, as functions of an open `Wire` and of the facts about the server.

Each asserts that its subject has happened, and leaves a transcript. It waits for messages, never for a time: with a
proxy that holds a message back until a stream ends, its scenario waits forever.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from support.gateway.facts import Call, Facts
from support.gateway.wire import META, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Scenario = Callable[[Wire, Facts], None]


def text(message: Mapping[str, Any]) -> str:
    """The text of a call's result."""
    said: str = message["result"]["content"][0]["text"]
    return said


def final(messages: Iterator[dict[str, Any]]) -> dict[str, Any]:
    """The last message, which must come."""
    *_, last = messages
    return last


def lists(wire: Wire, facts: Facts) -> None:
    """Lists everything that can be listed."""
    for method in facts.pages:
        assert "result" in wire.result(method)


def calls(wire: Wire, facts: Facts) -> None:
    """A call that works, one that fails, and tools and methods that do not exist."""
    assert not wire.call(*facts.works)["result"].get("isError")
    if facts.fails is not None:
        assert wire.call(*facts.fails)["result"]["isError"]
    refused = wire.call("no_such_tool")
    assert "error" in refused or refused["result"]["isError"]
    if not wire.modern:
        assert wire.result("no/such/method")["error"]["code"] == -32601


def ping(wire: Wire, _: Facts) -> None:
    """Pings the server."""
    assert wire.result("ping")["result"] == {}


def progress(wire: Wire, facts: Facts) -> None:
    """Notifications that come before the result."""
    assert facts.progress is not None
    name, arguments = facts.progress
    answer = wire.ask("tools/call", {"name": name, "arguments": arguments}, meta={"progressToken": "p"})
    *steps, last = answer.messages()
    assert [step["params"]["progress"] for step in steps] == [1, 2, 3]
    assert "result" in last


def streamed(wire: Wire, _: Facts) -> None:
    """A call that continues only after its first notification was seen."""
    gate = str(uuid.uuid4())
    waiting = wire.ask("tools/call", {"name": "gated", "arguments": {"gate": gate}}, meta={"progressToken": "p"})
    messages = waiting.messages()
    assert next(messages)["params"]["message"] == "waiting"
    assert text(wire.call("open_gate", {"gate": gate})) == "opened"
    assert text(final(messages)) == "through the gate"


def large(wire: Wire, facts: Facts) -> None:
    """A result of 300 KiB."""
    assert facts.large is not None
    assert len(text(wire.call(*facts.large))) == 300 * 1024


def resources(wire: Wire, facts: Facts) -> None:
    """Reads one that exists and one that does not."""
    assert facts.resource is not None
    assert wire.result("resources/read", {"uri": facts.resource})["result"]["contents"]
    assert "error" in wire.result("resources/read", {"uri": "none://such"})


def prompts(wire: Wire, facts: Facts) -> None:
    """Gets one that exists and one that does not."""
    assert facts.prompt is not None
    name, arguments = facts.prompt
    assert wire.result("prompts/get", {"name": name, "arguments": arguments})["result"]["messages"]
    assert "error" in wire.result("prompts/get", {"name": "no_such_prompt"})


def completion(wire: Wire, facts: Facts) -> None:
    """Completes an argument."""
    assert wire.result("completion/complete", facts.completion)["result"]["completion"]["values"]


def logging(wire: Wire, facts: Facts) -> None:
    """A message of the log, within the call that caused it."""
    assert facts.logs is not None
    name, arguments = facts.logs
    meta = {f"{META}/logLevel": "debug"} if wire.modern else None
    answer = wire.ask("tools/call", {"name": name, "arguments": arguments}, meta=meta)
    logged, last = answer.messages()
    assert logged["method"] == "notifications/message"
    assert "result" in last


SAMPLED = {"role": "assistant", "content": {"type": "text", "text": "yes"}, "model": "test"}
ACCEPTED = {"action": "accept", "content": {"city": "Lisbon", "name": "Ada"}}
DECLINED = {"action": "decline"}


def sampling(wire: Wire, facts: Facts) -> None:
    """The server asks the client's model."""
    assert facts.samples is not None
    assert "yes" in text(answered(wire, facts.samples, "sampling/createMessage", SAMPLED))


def elicitation(wire: Wire, facts: Facts) -> None:
    """The server asks the user, who answers once and then not again."""
    assert facts.elicits is not None
    accepted = answered(wire, facts.elicits, "elicitation/create", ACCEPTED)
    assert any(word in json.dumps(accepted["result"]) for word in ("Lisbon", "Ada"))
    declined = answered(wire, facts.elicits, "elicitation/create", DECLINED)
    assert "decline" in json.dumps(declined["result"])


def answered(wire: Wire, call: Call, asks: str, result: Mapping[str, Any]) -> dict[str, Any]:
    """The last message of a call that asks the client for something and gets this."""
    name, arguments = call
    if wire.modern:
        first = wire.call(name, arguments)["result"]
        assert first["resultType"] == "input_required"
        ((key, asked),) = first["inputRequests"].items()
        assert asked["method"] == asks
        given = {"inputResponses": {key: dict(result)}, "requestState": first["requestState"]}
        return wire.result("tools/call", {"name": name, "arguments": arguments, **given})
    messages = wire.ask("tools/call", {"name": name, "arguments": arguments}).messages()
    asked = next(messages)
    assert asked["method"] == asks
    wire.respond(asked, result)
    return final(messages)


def cancellation(wire: Wire, _: Facts) -> None:
    """A call that the client takes back: by a notification, or since 2026-07-28 by closing."""
    gate = str(uuid.uuid4())
    waiting = wire.ask("tools/call", {"name": "gated", "arguments": {"gate": gate}}, meta={"progressToken": "p"})
    messages = waiting.messages()
    assert next(messages)["params"]["message"] == "waiting"
    if wire.modern:
        waiting.close()
    else:
        wire.tell("notifications/cancelled", {"requestId": wire.count, "reason": "no longer wanted"})
    assert text(wire.call("was_cancelled", {"gate": gate})) == "true"


def pushed(wire: Wire, facts: Facts) -> None:
    """Messages of the server without a request, in the stream of a GET."""
    assert facts.changes is not None
    stream = wire.get()
    messages = stream.messages()
    assert "result" in wire.call(*facts.changes)
    assert until(messages, "notifications/tools/list_changed")
    stream.close()


def subscribed(wire: Wire, facts: Facts) -> None:
    """The same about one resource."""
    assert facts.subscribes is not None
    assert wire.result("resources/subscribe", {"uri": facts.resource})["result"] == {}
    stream = wire.get()
    assert "result" in wire.call(*facts.subscribes)
    assert until(stream.messages(), "notifications/resources/updated")["params"]["uri"] == facts.resource
    stream.close()
    assert "result" in wire.call(*facts.subscribes)
    assert wire.result("resources/unsubscribe", {"uri": facts.resource})["result"] == {}


def levels(wire: Wire, _: Facts) -> None:
    """The levels of the log, and one that does not exist."""
    assert wire.result("logging/setLevel", {"level": "error"})["result"] == {}
    assert "error" in wire.result("logging/setLevel", {"level": "whisper"})


def tasks(wire: Wire, facts: Facts) -> None:
    """A call that continues after its answer, and is queried and cancelled by its id."""
    assert facts.tasks is not None
    name, arguments = facts.tasks
    begun = wire.result("tools/call", {"name": name, "arguments": arguments, "task": {"ttl": 60_000}})
    given = {"taskId": begun["result"]["task"]["taskId"]}
    assert wire.result("tasks/get", given)["result"]["status"] == "working"
    assert wire.result("tasks/cancel", given)["result"]["status"] == "cancelled"
    assert wire.result("tasks/get", given)["result"]["status"] == "cancelled"
    assert "error" in wire.result("tasks/get", {"taskId": "no such task"})


def listening(wire: Wire, facts: Facts) -> None:
    """The same since 2026-07-28, in the stream of a request."""
    assert facts.changes is not None
    wanted = {"toolsListChanged": True, "resourceSubscriptions": ["note://today"]}
    stream = wire.ask("subscriptions/listen", {"notifications": wanted})
    messages = stream.messages()
    assert next(messages)["method"] == "notifications/subscriptions/acknowledged"
    assert "result" in wire.call(*facts.changes)
    told = {next(messages)["method"], next(messages)["method"]}
    assert told == {"notifications/tools/list_changed", "notifications/resources/updated"}
    stream.close()


def until(messages: Iterator[dict[str, Any]], method: str) -> dict[str, Any]:
    """The first message of a method."""
    return next(message for message in messages if message.get("method") == method)


def resumption(wire: Wire, _: Facts) -> None:
    """A stream that the server closes before the result, which comes in another."""
    end, gate = str(uuid.uuid4()), str(uuid.uuid4())
    given = {"name": "polled", "arguments": {"end": end, "gate": gate}}
    polled = wire.ask("tools/call", given, meta={"progressToken": "p"})
    messages = polled.messages()
    assert next(messages)["params"]["message"] == "waiting"
    assert text(wire.call("open_gate", {"gate": end})) == "opened"
    assert not list(messages), "the stream ends without a result"
    assert resumed(wire, polled.last_event, gate) == "through the gate"


def broken_off(wire: Wire, _: Facts) -> None:
    """A stream that the client loses and resumes."""
    gate = str(uuid.uuid4())
    lost = wire.ask("tools/call", {"name": "gated", "arguments": {"gate": gate}}, meta={"progressToken": "p"})
    assert next(lost.messages())["params"]["message"] == "waiting"
    lost.close()
    assert resumed(wire, lost.last_event, gate) == "through the gate"


def resumed(wire: Wire, last_event: str, gate: str) -> str:
    """The text of a call that waits at this gate, after the last event that was seen."""
    assert last_event
    assert text(wire.call("open_gate", {"gate": gate})) == "opened"
    again = wire.get("GET after an event", last_event)
    # A server may leave the stream open behind the result.
    return text(next(message for message in again.messages() if "result" in message))


def ended(wire: Wire, _: Facts) -> None:
    """A session that the client ends is over."""
    gone = wire.delete()
    list(gone.messages())
    assert gone.status in {200, 204}
    late = wire.ask("tools/list")
    list(late.messages())
    assert late.status in {400, 404}


def foreign(wire: Wire, _: Facts) -> None:
    """A session that does not exist."""
    wire.session = "00000000-0000-4000-8000-000000000000"
    for answer in (wire.ask("tools/list"), wire.get(), wire.delete()):
        list(answer.messages())
        assert answer.status in {400, 404}


def discovery(wire: Wire, _: Facts) -> None:
    """The server's abilities, without a handshake."""
    assert "2026-07-28" in wire.result("server/discover")["result"]["supportedVersions"]


def mirrored(wire: Wire, _: Facts) -> None:
    """An argument that is repeated in a header; the server refuses a missing or different header."""
    region = {"region": "eu-west-1"}
    assert text(wire.call("regional", region, headers={"mcp-param-region": "eu-west-1"})) == "in eu-west-1"
    assert "error" in wire.call("regional", region, headers={"mcp-param-region": "us-east-1"})
