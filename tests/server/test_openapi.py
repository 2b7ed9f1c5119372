"""The OpenAPI document of the HTTP doors: it is valid, and real doors take and answer what it says."""

from __future__ import annotations

import copy
import http.client
import json
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from callgate import ApprovalStore, Engine, Server, hash_token
from support.cases import Case, decision_cases
from support.doors import HttpDoor
from support.program import run, sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT: Final[dict[str, Any]] = json.loads((ROOT / "python/callgate/openapi.json").read_text(encoding="utf-8"))
PATHS = sorted(path for path, methods in DOCUMENT["paths"].items() if "post" in methods)
APPROVAL: Final = "/v1/approvals/{id}"
CASES = decision_cases()
KEY = bytes(32)
# Fields of answers that only this API sets.
FIELDS = {"retry-after", "ratelimit", "ratelimit-policy", "www-authenticate"}

POLICY: dict[str, Any] = {
    "version": "1",
    "name": "p",
    "default": "deny",
    "tools": {
        "t": {"limits": [{"counter": "c", "window": "minute", "max": 2}]},
        "free": {},
        "approve": {"action": "require_approval"},
        "shadowed": {"mode": "shadow", "action": "deny"},
    },
}


def strict() -> dict[str, Any]:
    """The document, with the documented fields of answers as the only ones; its readers shall ignore others."""
    document = copy.deepcopy(DOCUMENT)
    for name in ("Decision", "LimitState", "Shadow", "Peek", "PeekedLimit", "Approval", "Error"):
        document["components"]["schemas"][name]["additionalProperties"] = False
    return document


STRICT = strict()


def operation(path: str) -> dict[str, Any]:
    """The entry of a path in the document."""
    [found] = STRICT["paths"][path].values()
    entry: dict[str, Any] = found
    return entry


def resolved(node: dict[str, Any]) -> dict[str, Any]:
    """A node of the document, or the one that it refers to."""
    if "$ref" in node:
        target: Any = STRICT
        for step in node["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        return resolved(target)
    return node


def validator(schema: dict[str, Any]) -> Draft202012Validator:
    """A validator for a schema of the document, whose references lead into the document."""
    return Draft202012Validator({**schema, "components": STRICT["components"]})


REQUESTS = {path: validator(operation(path)["requestBody"]["content"]["application/json"]["schema"]) for path in PATHS}


def conforms(path: str, status: int, fields: http.client.HTTPMessage, answer: Any) -> None:
    """The answer is one that the document describes."""
    responses = operation(path)["responses"]
    assert str(status) in responses, f"{path}: {status} is not documented: {answer}"
    response = resolved(responses[str(status)])
    assert fields["content-type"] == "application/json"
    validator(response["content"]["application/json"]["schema"]).validate(answer)
    documented = {name.lower(): resolved(header) for name, header in response.get("headers", {}).items()}
    sent = {name.lower() for name in fields} & FIELDS
    assert sent <= set(documented), f"{path}: {status} sends {sent}"
    for name, header in documented.items():
        assert name in sent or not header.get("required", False), f"{path}: {status} without {name}"
        if name in sent:
            value = int(fields[name]) if header["schema"].get("type") == "integer" else fields[name]
            validator(header["schema"]).validate(value)


def is_refused(status: int, answer: dict[str, Any]) -> bool:
    """The request was none of a well-formed call."""
    decision = answer.get("decision", answer)
    return status == 400 or decision.get("rule") == "(invalid request)"


class Connection:
    """A client of one server."""

    def __init__(self, address: str) -> None:
        self._connection = http.client.HTTPConnection(address, timeout=20)

    def post(self, path: str, body: bytes, **fields: str) -> tuple[int, http.client.HTTPMessage, Any]:
        """Sends a whole request; the answer must conform."""
        return self.send("POST", path, body, {name.replace("_", "-"): value for name, value in fields.items()})

    def send(
        self, method: str, path: str, body: bytes, fields: dict[str, str]
    ) -> tuple[int, http.client.HTTPMessage, Any]:
        """Sends a request; what of its body is left out is never sent."""
        self._connection.request(method, path, body, fields)
        response = self._connection.getresponse()
        answer = json.loads(response.read())
        conforms(path, response.status, response.headers, answer)
        return response.status, response.headers, answer

    def close(self) -> None:
        self._connection.close()


@contextmanager
def connection(**settings: Any) -> Iterator[Connection]:
    """A connection to a server of its own."""
    with Server(Engine.from_dict(POLICY), workers=1, grace_ms=0, **settings) as server:
        client = Connection(str(server.address))
        try:
            yield client
        finally:
            client.close()


@pytest.fixture(scope="module")
def client() -> Iterator[Connection]:
    with connection() as opened:
        yield opened


def test_the_document_is_valid() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_the_command_prints_it() -> None:
    done = run("schema", "openapi")
    assert (done.code, json.loads(done.out)) == (0, DOCUMENT)


def test_every_schema_is_used() -> None:
    text = json.dumps(DOCUMENT)
    for kind, parts in DOCUMENT["components"].items():
        for name in parts:
            if kind != "securitySchemes":
                assert f'"#/components/{kind}/{name}"' in text, f"{kind} {name} is used nowhere"


class DocumentedDoor(HttpDoor):
    """`POST /v1/check` and `/v1/peek`, held to the document."""

    def _post(self, path: str, fields: dict[str, Any]) -> tuple[int, http.client.HTTPMessage, dict[str, Any]]:
        request = {name: value for name, value in fields.items() if value is not None}
        status, headers, answer = super()._post(path, fields)
        conforms(path, status, headers, answer)
        if isinstance(request.get("args", {}), dict) and not REQUESTS[path].is_valid(request):
            assert is_refused(status, answer), f"{path}: {request} is documented as malformed, and was taken: {answer}"
        return status, headers, answer


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_case_of_the_contract_conforms(case: Case) -> None:
    with DocumentedDoor(case.policy, case.catalogue) as door:
        for call, _ in case.calls:
            door.peek(call)
            door.ask(call)


@pytest.mark.parametrize("path", PATHS)
def test_the_examples_are_answered_by_a_sidecar(path: str) -> None:
    content = operation(path)["requestBody"]["content"]["application/json"]
    assert content["examples"]
    with sidecar("--policy", ROOT / "examples/policy.json", "--catalogue", ROOT / "examples/catalogue.json") as running:
        client = Connection(running.address)
        for name, example in content["examples"].items():
            REQUESTS[path].validate(example["value"])
            status, _, answer = client.post(path, json.dumps(example["value"]).encode())
            # The token of the example belongs to nobody.
            assert status == (403 if name == "token" else 200), answer
            assert not is_refused(status, answer)
        client.close()


@pytest.mark.parametrize("path", [*PATHS, APPROVAL])
def test_the_examples_of_answers_conform(path: str) -> None:
    for status, node in operation(path)["responses"].items():
        content = resolved(node)["content"]["application/json"]
        examples = [example["value"] for example in content.get("examples", {}).values()]
        for example in [*examples, *([content["example"]] if "example" in content else [])]:
            errors = [error.message for error in validator(content["schema"]).iter_errors(example)]
            assert errors == [], f"{path} {status}"


CALL = b'{"grant": "g", "tool": "t"}'


def slowly(path: str) -> int:
    with connection(message_timeout_ms=100) as client:
        return client.send("POST", path, CALL[:3], {"Content-Length": str(len(CALL))})[0]


def without_room(path: str) -> int:
    # One connection may hold an eighth of this for the beginnings of its bodies.
    with connection(unfinished_limit_bytes=32_000, body_limit_bytes=20_000) as client:
        return client.send("POST", path, CALL + 12_000 * b" ", {"Content-Length": "15000"})[0]


def without_a_token(path: str) -> int:
    with connection(peps=[{"name": "p", "token_hash": hash_token(KEY, "cgt_x")}], pep_key=KEY) as client:
        assert client.post(path, CALL, Authorization="Bearer cgt_x")[0] == 200
        return client.post(path, CALL)[0]


def at(bounds: dict[str, int], body: bytes, **fields: str) -> Callable[[str], int]:
    """The status of one request under these bounds."""

    def ask(path: str) -> int:
        with connection(**bounds) as client:
            return client.post(path, body, **fields)[0]

    return ask


def used_up(path: str) -> int:
    with connection() as client:
        assert [client.post("/v1/check", CALL)[0] for _ in range(2)] == [200, 200]
        return client.post(path, CALL)[0]


# How each documented status comes about.
STATUSES: dict[str, Callable[[str], int]] = {
    "200": at({}, CALL),
    "400": at({}, b"[]"),
    "401": without_a_token,
    "403": at({}, CALL, Origin="https://elsewhere.example"),
    "408": slowly,
    "413": at({"body_limit_bytes": 20}, CALL),
    "415": at({}, CALL, Content_Encoding="gzip"),
    "429": used_up,
    "503": without_room,
}


@pytest.mark.parametrize("path", PATHS)
def test_every_documented_status_is_given(path: str) -> None:
    documented = set(operation(path)["responses"]) - {"default"}
    assert documented == set(STATUSES)
    for status, make in STATUSES.items():
        assert make(path) == int(status)


def read_approval(address: str, target: str, **fields: str) -> int:
    """The status of a request about an approval, which conforms."""
    plain = http.client.HTTPConnection(address, timeout=20)
    plain.request("GET", f"/v1/approvals/{target}", headers=fields)
    response = plain.getresponse()
    conforms(APPROVAL, response.status, response.headers, json.loads(response.read()))
    plain.close()
    return response.status


def test_approvals_are_told_as_the_document_says(tmp_path: Path) -> None:
    with ApprovalStore(tmp_path) as approvals:
        engine = Engine.from_dict(POLICY, approvals=approvals.queue)
        asked = engine.check(grant="g", tool="approve").approval
        with Server(engine, workers=1, grace_ms=0, approvals=approvals.queue) as server:
            at = partial(read_approval, str(server.address))
            assert (at(str(asked)), at(f"{asked}?wait_ms=1")) == (200, 200)
            assert (at("x"), at(f"{asked}x"), at(f"{asked}?wait_ms=60001"), at("")) == (404, 404, 400, 400)
            assert at(str(asked), Origin="https://elsewhere.example") == 403
    peps = [{"name": "p", "token_hash": hash_token(KEY, "cgt_x")}]
    with Server(Engine.from_dict(POLICY), workers=1, grace_ms=0, peps=peps, pep_key=KEY) as server:
        at = partial(read_approval, str(server.address))
        assert (at("x"), at("x", Authorization="Bearer cgt_x")) == (401, 503)


def test_other_paths_and_methods_are_refused_as_the_document_says() -> None:
    error = validator({"$ref": "#/components/schemas/Error"})
    with Server(Engine.from_dict(POLICY), workers=1, grace_ms=0) as server:
        for method, path, expected in (
            ("GET", "/v1/check", 405),
            ("PUT", "/v1/peek", 405),
            ("POST", "/v1/x", 404),
            ("POST", "/v1/approvals/x", 405),
        ):
            plain = http.client.HTTPConnection(str(server.address), timeout=20)
            plain.request(method, path)
            response = plain.getresponse()
            assert response.status == expected
            error.validate(json.loads(response.read()))
            plain.close()


NAMES = st.sampled_from(["", "g", "t", "free", "approve", "shadowed", "cgt_x", "é"])
ODD = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), NAMES, st.lists(NAMES, max_size=2))
LABELS = st.dictionaries(NAMES, st.one_of(NAMES, NAMES, ODD), max_size=2)
ARGS = st.dictionaries(
    NAMES, st.recursive(ODD, lambda deeper: st.dictionaries(NAMES, deeper, max_size=2), max_leaves=4)
)
BODIES = st.fixed_dictionaries(
    {"tool": st.one_of(NAMES, NAMES, NAMES, ODD)},
    optional={
        "grant": st.one_of(NAMES, NAMES, ODD),
        "grant_token": st.one_of(st.none(), ODD),
        "args": st.one_of(ARGS, ARGS, ODD),
        "server": st.one_of(NAMES, ODD),
        "session": st.one_of(NAMES, ODD),
        "labels": st.one_of(LABELS, ODD),
        "reserve": st.one_of(st.booleans(), ODD),
    },
)


@settings(max_examples=300, deadline=None)
@given(path=st.sampled_from(PATHS), body=BODIES, dropped=st.booleans(), extra=st.sampled_from([None] * 9 + ["Tool"]))
def test_the_doors_take_what_the_document_allows_and_nothing_else(
    client: Connection, path: str, body: dict[str, Any], extra: str | None, *, dropped: bool
) -> None:
    if dropped:
        del body["tool"]
    if extra is not None:
        body[extra] = "t"
    status, _, answer = client.post(path, json.dumps(body).encode())
    errors = [error.message for error in REQUESTS[path].iter_errors(body)]
    assert is_refused(status, answer) == bool(errors), f"{path} {body}: {errors}, and the door: {status} {answer}"
