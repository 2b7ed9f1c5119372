"""Scenes of approvals: a call asks at a sidecar, something changes, and the call is made again, maybe at another one.

The sidecars of a stage serve many scenes. Each scene has a grant, a server and a policy of its own, so that none
disturbs another; they are in the store before the sidecars start.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import httpx

from callgate import Decision, hash_token, new_token
from callgate.identity.identities import Identities
from callgate.store.documents import Documents, Edit
from callgate.store.freezes import Target
from callgate.store.model import Actor, State
from callgate.store.people import PersonEdit, Role
from callgate.store.place import Place
from callgate.store.store import Store, open_store
from support.admin import PASSWORD, password_hash
from support.approvals import new_id
from support.gateway.offered import Tools, offering
from support.planes import wait_until
from support.replicas import Replica, replica

SCENES = 180
KEY = bytes(range(32))
BY = Actor("test", "here")
TIMEOUT_S = 30.0
PERMIT = {"max_uses": 3, "max_duration": "1h"}
ASKS = {"action": "require_approval"}
GROUPS = {"ann": ["dba"], "ben": ["dba"], "cyd": [], "oli": []}
"""The people who may answer, with their groups."""
ADMIN = "root"
OWNER = "oli"
"""The owner of all grants."""
TOOLS: dict[str, Any] = {
    "risky": ASKS,
    "other": ASKS,
    "calm": {},
    "two": {**ASKS, "approval": {"count": 2}},
    "dba": {**ASKS, "approval": {"approvers": ["dba"]}},
    "two-dba": {**ASKS, "approval": {"count": 2, "approvers": ["dba"]}},
    "hasty": {**ASKS, "approval": {"timeout": "1s", "valid": "1h"}},
    "brief": {**ASKS, "approval": {"valid": "1s"}},
    "many": {**ASKS, "approval": {"permit": PERMIT}},
    "many-two": {**ASKS, "approval": {"count": 2, "permit": PERMIT}},
    "window": {"limits": [{"counter": "window", "window": "2s", "max": 1, "at_max": "require_approval"}]},
    "hour": {"limits": [{"counter": "hour", "window": "1h", "max": 1, "at_max": "require_approval"}]},
    "both": {**ASKS, "limits": [{"counter": "both", "window": "1h", "max": 1, "at_max": "require_approval"}]},
    "pin*": {**ASKS, "approval": {"permit": PERMIT}},
}


def now_us() -> int:
    return time.time_ns() // 1_000


def policy(name: str, **changed: Any) -> dict[str, Any]:
    """The policy of a scene, with some of its tools or fields changed."""
    tools = {**TOOLS, **changed.pop("tools", {})}
    return {"version": "1", "name": name, "default": "deny", "tools": tools, **changed}


@dataclass
class Stage:
    """Sidecars that share a store. Calls ask at the first, and are made again at the last."""

    store: Store
    replicas: list[Replica]
    tokens: list[str]
    tools: Tools
    """The tools of an MCP server behind the sidecars: `calm`, and `pin0` and on, one for each scene."""
    filed: str
    """The token of a grant that stands in the files of all sidecars, for the server `pinned`."""
    sessions: dict[str, str] = field(default_factory=dict)
    numbers: Iterator[int] = field(default_factory=count)

    @property
    def asking(self) -> Replica:
        return self.replicas[0]

    @property
    def using(self) -> Replica:
        return self.replicas[-1]

    def scene(self, tool: str = "risky") -> Scene:
        """A scene of which nothing has happened."""
        number = next(self.numbers)
        return Scene(self, number, self.tokens[number], tool)

    def session(self, name: str) -> str:
        """The token of a person who has logged in."""
        if name not in self.sessions:
            self.sessions[name] = Identities(self.store).log_in(name, PASSWORD, "127.0.0.1")
        return self.sessions[name]

    def put_person(self, name: str, groups: Sequence[str], role: Role = Role.APPROVER) -> None:
        """Adds or changes a person, which ends the sessions of one who is there."""
        edit = PersonEdit(name, frozenset({role}), frozenset(groups), password_hash())
        self.store.people.put(edit, BY, "", now_us())
        self.sessions.pop(name, None)

    def change(self, path: str, **fields: Any) -> dict[str, Any]:
        """Changes something over the admin API of the first sidecar."""
        url = f"http://{self.asking.running.admin}/admin/v1/{path}"
        headers = {"Authorization": f"Bearer {self.session(ADMIN)}"}
        answer = httpx.post(url, json=fields, headers=headers, timeout=TIMEOUT_S)
        assert answer.status_code == 200, answer.text
        document: dict[str, Any] = answer.json()
        return document

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Stops all others from writing approvals."""
        held, enough = threading.Event(), threading.Event()

        def hold(_connection: object) -> None:
            held.set()
            enough.wait(TIMEOUT_S)

        thread = threading.Thread(target=self.store.database.write, args=(hold,))
        thread.start()
        assert held.wait(TIMEOUT_S)
        try:
            yield
        finally:
            enough.set()
            thread.join(TIMEOUT_S)


@dataclass
class Scene:
    """A call, its grant, its server and its policy."""

    stage: Stage
    number: int
    token: str
    tool: str
    asked: Decision | None = None
    permit_id: str = ""

    @property
    def grant(self) -> str:
        return f"g{self.number}"

    @property
    def server(self) -> str:
        return f"m{self.number}"

    @property
    def policy(self) -> str:
        return f"p{self.number}"

    @property
    def approval_id(self) -> str:
        assert self.asked is not None
        assert self.asked.approval is not None, self.asked
        return self.asked.approval

    @property
    def state(self) -> State:
        return self.stage.store.approvals.get(self.approval_id, now_us()).state

    @property
    def is_permit_active(self) -> bool:
        return self.stage.store.permits.get(self.permit_id, now_us()).is_active

    def call(self, **changed: Any) -> dict[str, Any]:
        """The fields of the call."""
        fields = {"grant_token": self.token, "server": self.server, "tool": self.tool, "args": {"n": 1, "what": "x"}}
        return {**fields, **changed}

    def check(self, at: Replica | None = None, **changed: Any) -> Decision:
        """Makes the call, or one that differs."""
        return (at or self.stage.using).client.check(**self.call(**changed))

    def ask(self, **changed: Any) -> Decision:
        """Makes the call for the first time; it waits for people."""
        self.asked = self.check(self.stage.asking, **changed)
        assert self.asked.outcome == "approval_required", self.asked
        return self.asked

    def answer(self, name: str = "ann", verb: str = "approve", **fields: Any) -> str:
        """Answers over the admin API; the message of a refusal."""
        url = f"http://{self.stage.asking.running.admin}/admin/v1/approvals/{self.approval_id}:{verb}"
        headers = {"Authorization": f"Bearer {self.stage.session(name)}"}
        answer = httpx.post(url, json=fields, headers=headers, timeout=TIMEOUT_S)
        document = answer.json()
        if answer.status_code != 200:
            return str(document["message"])
        self.permit_id = document.get("permit", "")
        return ""

    def permit(self, name: str = "ann", *, uses: int = 2, duration: str = "600s", **arguments: Any) -> str:
        """Offers a permit, in which arguments have the value of the call if nothing else is given."""
        return self.answer(name, permit={"arguments": arguments, "max_uses": uses, "duration": duration})

    def wait_for(self, state: State) -> None:
        wait_until(lambda: self.state is state)

    def wait_everywhere(self, rule: str, **changed: Any) -> None:
        """Waits until a call that needs no approval gets this rule at all replicas."""
        for each in self.stage.replicas:
            wait_until(partial(lambda each: self.check(each, **{"tool": "calm", **changed}).rule == rule, each))

    def change_policy(self, **changed: Any) -> None:
        """Puts another version of the policy into force at all replicas."""
        before = self.check(tool="calm").policy_version
        self._put(self.stage.store.policies, self.policy, policy(self.policy, **changed))
        for each in self.stage.replicas:
            wait_until(partial(lambda each: self.check(each, tool="calm").policy_version != before, each))

    def change_grant(self, **changed: Any) -> None:
        """Puts another version of the grant into the store."""
        self._put(self.stage.store.grants, self.grant, grant(self.number, self.token, **changed))

    def remove_grant(self) -> None:
        self.stage.store.grants.put([Edit(self.grant, None)], BY, "", now_us())

    def freeze(self) -> str:
        """Freezes the grant at all replicas; the id of the freeze."""
        target = Target(grant=self.grant)
        made = self.stage.store.freezes.freeze(new_id(), target, "stop", BY, now_us())
        self.wait_everywhere("(frozen)")
        return made.id

    def thaw(self, freeze_id: str) -> None:
        self.stage.store.freezes.thaw(freeze_id, BY, "over", now_us())
        self.wait_everywhere("")

    @staticmethod
    def _put(documents: Documents, name: str, document: Mapping[str, Any]) -> None:
        documents.put([Edit(name, json.dumps(document))], BY, "", now_us())


def grant(number: int, token: str, **changed: Any) -> dict[str, Any]:
    """The grant of a scene."""
    servers = dict.fromkeys((f"m{number}", "elsewhere", "pinned", "reported"), f"p{number}")
    fixed = {"id": f"g{number}", "servers": servers, "token_hash": hash_token(KEY, token)}
    return {**fixed, "owner": {"issuer": "local", "subject": OWNER}, **changed}


@contextmanager
def stage(folder: Path, place: Place, replicas: int) -> Iterator[Stage]:
    """Sidecars with their own state folders."""
    tokens = [new_token() for _ in range(SCENES)]
    with ExitStack() as stack:
        store = stack.enter_context(closing(open_store(place)))
        numbers = range(SCENES)
        now = now_us()
        store.policies.put([Edit(f"p{n}", json.dumps(policy(f"p{n}"))) for n in numbers], BY, "", now)
        store.servers.put([Edit(name, "{}") for name in ("elsewhere", *(f"m{n}" for n in numbers))], BY, "", now)
        store.grants.put([Edit(f"g{n}", json.dumps(grant(n, tokens[n]))) for n in numbers], BY, "", now)
        tools = stack.enter_context(offering())
        tools.offered = {"calm": "asks nobody", **{f"pin{number}": "as it was" for number in numbers}}
        upstream = f"http://127.0.0.1:{tools.port}/mcp"
        filed = new_token()
        servers = {
            "pinned": {"upstream": {"url": upstream, "probe": False}},
            "reported": {"upstream": {"url": upstream, "probe": False, "pinning": "report"}},
        }
        keys: dict[str, Any] = {
            "grants": [{"id": "filed", "server": "pinned", "policy": "allow", "token_hash": hash_token(KEY, filed)}],
            "grant_key_file": "key",
            "servers": servers,
            # A busy machine is slow to answer.
            "approvals": {"deadline": "2s", "mask": ["args.password"]},
        }
        running = []
        for number in range(replicas):
            own = folder / f"replica-{number}"
            own.mkdir()
            (own / "key").write_text(KEY.hex())
            running.append(stack.enter_context(replica(own, place, **keys)))
        made = Stage(store, running, tokens, tools, filed)
        for name, groups in GROUPS.items():
            made.put_person(name, groups)
        made.put_person(ADMIN, [], Role.ADMIN)
        made.scene().wait_everywhere("")
        yield made
