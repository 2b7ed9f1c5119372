"""Limits and the decision log: what the configuration says is what the data plane is told."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from callgate import ConfigError, Engine, Server
from callgate.config.faults import InvalidConfigError
from callgate.config.load import load

LIMITS = Path(__file__).resolve().parents[2] / "rust" / "server" / "src" / "limits.rs"
POLICY = {"version": "1", "name": "p", "default": "deny", "tools": {}}


def written(folder: Path, **keys: Any) -> Path:
    path = folder / "callgate.json"
    path.write_text(json.dumps(keys))
    return path


def test_limits_are_those_of_the_library() -> None:
    """The Rust half is a library of its own, with defaults of its own."""
    declared = re.findall(r"^    (\w+): (?:usize|u32|u64) = ([0-9_* ]+),$", LIMITS.read_text(), re.MULTILINE)
    library: dict[str, Any] = {
        name: math.prod(int(factor) for factor in product.split("*")) for name, product in declared
    }
    assert library == load(None).config.limits.server_keywords()
    Server(Engine.from_dict(POLICY), **library).check()


@pytest.mark.parametrize(
    ("limits", "error", "message"),
    [
        ({"max_strems": 1}, TypeError, r"Server.__new__\(\) got an unexpected keyword argument 'max_strems'"),
        ({"max_streams": "1"}, TypeError, "'str' object cannot be interpreted as an integer"),
        ({"max_streams": 1 << 32}, OverflowError, "out of range"),
    ],
    ids=str,
)
def test_a_wrong_limit_is_a_wrong_argument(limits: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        Server(Engine.from_dict(POLICY), **limits)


def test_a_limit_of_none_is_the_default() -> None:
    Server(Engine.from_dict(POLICY), max_streams=None).check()
    with pytest.raises(ConfigError, match="max_streams"):
        Server(Engine.from_dict(POLICY), max_streams=0).start()


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ({"counter_cap": 1}, r"Engine.from_dict\(\) got an unexpected keyword argument 'counter_cap'"),
        ({"counter_capacity": "1"}, "'str' object cannot be interpreted as an integer"),
        ({"counters": 1}, "'int' object is not an instance of 'str'"),
    ],
    ids=str,
)
def test_a_wrong_size_is_a_wrong_argument(sizes: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        Engine.from_dict(POLICY, **sizes)


def test_sizes_and_durations(tmp_path: Path) -> None:
    limits = {"body_limit_bytes": "1MiB", "header_limit_bytes": 2048, "message_timeout": "5s"}
    audit = {"path": "log/decisions.jsonl", "mode": "required", "max_bytes": "1GB", "max_age": "1500ms", "keep": 2}
    config = load(written(tmp_path, limits=limits, audit=audit)).config
    keywords = config.limits.server_keywords()
    assert (keywords["body_limit_bytes"], keywords["header_limit_bytes"]) == (1 << 20, 2048)
    assert keywords["message_timeout_ms"] == 5_000
    assert config.audit is not None
    assert config.audit.server_keywords() == {
        "path": tmp_path / "log" / "decisions.jsonl",
        "mode": "required",
        "max_bytes": 10**9,
        "max_age_s": 2,
        "keep": 2,
        "sync_interval_ms": 1_000,
    }


def test_standard_output_is_no_path(tmp_path: Path) -> None:
    audit = load(written(tmp_path, audit={"path": "-"})).config.audit
    assert audit is not None
    assert str(audit.path) == "-"


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        ({"limits": {"body_limit_bytes": "4 Mib"}}, "`limits.body_limit_bytes`: expected a size such as `65536`, "),
        ({"limits": {"max_connections": 0}}, "`limits.max_connections`: expected at least 1"),
        ({"limits": {"keepalive_timeout": "1ms"}}, "`limits.keepalive_timeout`: expected at least `100ms`"),
        ({"audit": {"mode": "required"}}, "`audit`: the key `path` is missing"),
        ({"audit": {"path": "x", "mode": "maybe"}}, "`audit.mode`: expected `best_effort` or `required`"),
        ({"audit": {"path": "x", "keep": 0}}, "`audit.keep`: expected at least 1"),
    ],
    ids=str,
)
def test_what_is_refused(tmp_path: Path, keys: dict[str, Any], expected: str) -> None:
    with pytest.raises(InvalidConfigError) as raised:
        load(written(tmp_path, **keys))
    assert expected in str(raised.value)
