"""Limits and the decision log: what the configuration says is what the data plane is told."""

from __future__ import annotations

import inspect
import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

import callgate
from callgate import Server
from callgate.config import InvalidConfigError, load
from callgate.config.units import parse_duration, parse_size, to_ms


def written(folder: Path, **keys: Any) -> Path:
    path = folder / "callgate.json"
    path.write_text(json.dumps(keys))
    return path


def test_limits_are_those_of_the_library() -> None:
    """The Rust half is a library of its own, with defaults of its own: those that its stub tells of are ours."""
    stub = resources.files(callgate).joinpath("_callgate.pyi").read_text()
    told = dict(re.findall(r"^            (\w+): [^:]*?; None for ([0-9][^.]*)\.$", stub, re.MULTILINE))
    limits = load(None).config.limits.server_keywords()
    assert limits.keys() <= told.keys()
    assert limits.keys() <= inspect.signature(Server).parameters.keys()
    for name, value in limits.items():
        text = told[name].replace(",", "").replace(" ", "")
        assert value == (to_ms(parse_duration(text)) if name.endswith("_ms") else parse_size(text)), name


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
