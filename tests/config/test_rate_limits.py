"""Files of rate limits: what a configuration says of them, and a sidecar that answers by them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from jsonschema import Draft202012Validator

from callgate import Engine, PolicyError
from support.program import refused, run
from support.setup import TIMEOUT_S, Setup

ROOT = Path(__file__).parents[2]
METHOD = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
OK, OVER_LIMIT = 1, 2


def limits(most: int, domain: str = "mcp", more: str = "") -> str:
    return (
        f"domain: {domain}\n{more}descriptors:\n- key: user\n  rate_limit: {{unit: day, requests_per_unit: {most}}}\n"
    )


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    setup = Setup(tmp_path)
    setup.write("limits.yaml", limits(2))
    setup.configure(rate_limits=["limits.yaml"], counters="memory")
    return setup


def field(number: int, content: bytes) -> bytes:
    """A field of bytes in the form of protobuf; short ones are enough here."""
    assert len(content) < 128
    return bytes([number << 3 | 2, len(content)]) + content


def request(domain: str, **entries: str) -> bytes:
    """A `RateLimitRequest` with one descriptor, written by hand: the generated messages are another package's."""
    written = [field(1, field(1, key.encode()) + field(2, value.encode())) for key, value in entries.items()]
    return field(1, domain.encode()) + field(2, b"".join(written))


def overall_code(response: bytes) -> int:
    """The first field of a `RateLimitResponse`."""
    assert response[0] == 1 << 3
    return response[1]


def ask(address: str, domain: str = "mcp", user: str = "ann") -> int:
    with grpc.insecure_channel(address) as channel:
        method: grpc.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(METHOD)
        return overall_code(method(request(domain, user=user), timeout=TIMEOUT_S))


def test_a_sidecar_limits_and_takes_changes(setup: Setup) -> None:
    with setup.serving() as running:
        assert [ask(running.address) for _ in range(3)] == [OK, OK, OVER_LIMIT]
        with running.reload():
            setup.write("limits.yaml", limits(3))
        assert [ask(running.address) for _ in range(2)] == [OK, OVER_LIMIT]
        with running.reload("failure"):
            setup.write("limits.yaml", limits(3, more="descripters: []\n"))
        assert "limits.yaml:2:1: unknown field `descripters`" in running.get("/readyz")
        assert ask(running.address, user="bob") == OK
        setup.write("other.yaml", limits(1, "other"))
        with running.reload():
            setup.write("limits.yaml", limits(4))
            setup.configure(rate_limits=["limits.yaml", "other.yaml"])
        assert [ask(running.address, "other") for _ in range(2)] == [OK, OVER_LIMIT]
        with pytest.raises(grpc.RpcError) as unknown:
            ask(running.address, "nobody")
        assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
        page = running.get("/metrics")
    counted = dict(metrics_of(page))
    assert counted['domain="mcp",outcome="ok"'] == 4
    assert counted['domain="mcp",outcome="over_limit"'] == 2
    assert counted['domain="other",outcome="over_limit"'] == 1
    assert counted['domain="(unknown)",outcome="unknown_domain"'] == 1


def metrics_of(page: str) -> Iterator[tuple[str, int]]:
    for line in page.splitlines():
        if line.startswith("callgate_rate_limits_total{"):
            labels, value = line.removeprefix("callgate_rate_limits_total{").split("} ")
            yield labels, int(float(value))


def test_rate_limits_need_no_server(setup: Setup) -> None:
    setup.configure(servers=None, policies=None)
    assert run("config", "check", setup.file).code == 0
    with setup.serving() as running:
        assert ask(running.address) == OK
        assert running.ask(grant="g", tool="t", server="s")[1]["rule"] == "(unknown server)"


@pytest.mark.parametrize(
    ("name", "content", "fault"),
    [
        (
            "limits.yaml",
            "domain: d\ndescriptors: [{key: a, rate_limit: {unit: minute}}]\n",
            "limits.yaml:2:36: a rate limit needs",
        ),
        ("limits.json", '{"domain": ""}', "limits.json:1:12: expected the name of the domain, got an empty string"),
        ("twice.yaml", limits(1), "twice.yaml:1:9: the domain `mcp` is already in `"),
    ],
)
def test_faults_have_their_place(setup: Setup, name: str, content: str, fault: str) -> None:
    setup.write(name, content)
    setup.configure(rate_limits=["limits.yaml", name] if name == "twice.yaml" else [name])
    assert fault in refused("config", "check", setup.file)
    assert fault in refused("serve", "--config", setup.file)


def test_a_file_that_is_not_there(setup: Setup) -> None:
    setup.configure(rate_limits=["limits.yaml", "nope.yaml"])
    assert "cannot read `" in refused("config", "check", setup.file)


LIMIT = {"unit": "day", "requests_per_unit": 1}


@pytest.mark.parametrize(
    ("document", "good"),
    [
        ({"domain": "d"}, True),
        (
            {"$schema": "x", "x-owner": 1, "domain": "d", "align": "calendar", "headers": "never", "descriptors": []},
            True,
        ),
        ({"domain": "d", "descriptors": [{"key": "k", "value": "", "rate_limit": LIMIT}]}, True),
        ({"domain": "d", "descriptors": [{"key": "k", "descriptors": [{"key": "l", "rate_limit": LIMIT}]}]}, True),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "unit": "Year"}}]}, True),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {"unlimited": True, "name": "n"}}]}, True),
        ({"domain": "d", "descriptors": [{"key": "k", "value": "a*", "share_threshold": True}]}, True),
        ({"domain": "d", "descriptors": [{"key": "k", "shadow_mode": True, "rate_limit": LIMIT}]}, True),
        ({"domain": "d", "descriptors": [{"key": "k", "shadow_mode": False, "share_threshold": False}]}, True),
        (
            {
                "domain": "d",
                "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "replaces": [{"name": "n"}], "name": ""}}],
            },
            True,
        ),
        ([], False),
        ({}, False),
        ({"domain": ""}, False),
        ({"domain": 1}, False),
        ({"domain": "d", "domains": []}, False),
        ({"domain": "d", "align": "fixed"}, False),
        ({"domain": "d", "headers": True}, False),
        ({"domain": "d", "descriptors": {}}, False),
        ({"domain": "d", "descriptors": [{"value": "v"}]}, False),
        ({"domain": "d", "descriptors": [{"key": ""}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "value": 404}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "detailed_metric": True}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "value": "a", "share_threshold": True}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "share_threshold": True}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "shadow_mode": True}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "count_refused": True}]}, False),
        (
            {"domain": "d", "descriptors": [{"key": "k", "count_refused": True, "rate_limit": {"unlimited": True}}]},
            False,
        ),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {"unit": "day"}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "unit": "days"}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "requests_per_unit": 1 << 32}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "requests_per_unit": -1}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "requests_per_unit": 0.5}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "unlimited": True}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "replaces": ["n"]}}]}, False),
        ({"domain": "d", "descriptors": [{"key": "k", "rate_limit": {**LIMIT, "replaces": [{"name": ""}]}}]}, False),
    ],
)
def test_the_schema_says_what_the_reader_says(document: object, good: bool) -> None:
    schema = json.loads(run("schema", "rate-limits").out)
    assert Draft202012Validator(schema).is_valid(document) is good
    file = ("limits.json", json.dumps(document).encode())
    if good:
        Engine.from_config(policies={}, servers={}, rate_limits=[file])
    else:
        with pytest.raises(PolicyError, match=r"limits\.json:1:"):
            Engine.from_config(policies={}, servers={}, rate_limits=[file])


def test_the_example_fits_the_schema() -> None:
    schema = json.loads(run("schema", "rate-limits").out)
    Draft202012Validator.check_schema(schema)
    example = yaml.safe_load((ROOT / "examples" / "rate-limits.yaml").read_text())
    assert list(Draft202012Validator(schema).iter_errors(example)) == []
