"""The offers of servers that scenarios need, by the servers' own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from support.gateway.clients import HANDSHAKES, MODERN
from support.gateway.servers import everything, sdk_server, stub_server

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

Call = tuple[str, dict[str, Any]]
"""A tool and its arguments."""


@dataclass(frozen=True)
class Facts:
    """The offers of a server. None means that it lacks one, and scenarios that need it are not run."""

    works: Call
    """Gives a result."""
    fails: Call | None = None
    """Gives a result that is an error."""
    progress: Call | None = None
    """Notifies of three steps."""
    large: Call | None = None
    """Gives 300 KiB."""
    samples: Call | None = None
    elicits: Call | None = None
    logs: Call | None = None
    changes: Call | None = None
    """Notifies of changed tools."""
    subscribes: Call | None = None
    """Notifies subscribers of a changed resource; a second call stops it."""
    tasks: Call | None = None
    """May be called as a task."""
    levels: bool = False
    """Takes `logging/setLevel`."""
    gates: bool = False
    """True if it has the tools of `sdk_server.py` that wait for one another."""
    resource: str | None = None
    prompt: Call | None = None
    completion: Mapping[str, Any] | None = None
    """The parameters of `completion/complete`."""
    sessions: bool = True
    resumes: bool = False
    pages: tuple[str, ...] = field(default=("tools/list", "resources/list", "resources/templates/list", "prompts/list"))
    """The lists that it has."""


SDK = Facts(
    works=("add", {"a": 1, "b": 2}),
    fails=("fail", {"why": "no luck"}),
    progress=("steps", {"count": 3}),
    large=("large", {"kibibytes": 300}),
    samples=("sample", {"question": "is it?"}),
    elicits=("travel", {}),
    logs=("say", {"level": "info", "text": "so it is"}),
    changes=("changed", {"uri": "note://today"}),
    gates=True,
    resource="note://today",
    prompt=("greet", {"language": "rust"}),
    completion={"ref": {"type": "ref/prompt", "name": "greet"}, "argument": {"name": "language", "value": "r"}},
    resumes=True,
)
# An answer without a stream has no earlier messages: neither progress nor requests to the client.
SDK_JSON = replace(SDK, progress=None, logs=None, samples=None, elicits=None, changes=None, gates=False, resumes=False)
EVERYTHING = Facts(
    works=("get-sum", {"a": 1, "b": 2}),
    fails=("get-sum", {"a": "one"}),
    progress=("trigger-long-running-operation", {"duration": 0.03, "steps": 3}),
    samples=("trigger-sampling-request", {"prompt": "is it?"}),
    elicits=("trigger-elicitation-request", {}),
    subscribes=("toggle-subscriber-updates", {}),
    tasks=("simulate-research-query", {"topic": "gates"}),
    levels=True,
    resource="demo://resource/dynamic/text/1",
    prompt=("args-prompt", {"city": "Lisbon"}),
    completion={
        "ref": {"type": "ref/prompt", "name": "completable-prompt"},
        "argument": {"name": "department", "value": "E"},
    },
)
IMAGES = {"instance_id": "i-0123456789abcdef0", "name": "nightly"}
STUB = Facts(
    works=("create-ami", IMAGES),
    fails=("create-ami", {**IMAGES, "instance_id": "elsewhere"}),
)


@dataclass(frozen=True)
class Kind:
    """A server, its start, and the versions of the protocol in which it is tested."""

    start: Callable[[], AbstractContextManager[str]]
    facts: Facts
    versions: tuple[str, ...]


SERVERS = {
    "everything": Kind(everything, EVERYTHING, HANDSHAKES),
    "sdk": Kind(sdk_server, SDK, (*HANDSHAKES, MODERN)),
    "sdk-stateless": Kind(lambda: sdk_server("stateless"), replace(SDK, sessions=False, resumes=False), HANDSHAKES),
    "sdk-json": Kind(lambda: sdk_server("json"), SDK_JSON, (HANDSHAKES[-1], MODERN)),
    "stub": Kind(stub_server, STUB, (HANDSHAKES[-1], MODERN)),
}
