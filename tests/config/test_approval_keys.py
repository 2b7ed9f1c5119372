"""The configuration of approvals."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from callgate.approvals.masking import steps_of
from callgate.config.approvals import Approvals
from callgate.config.faults import InvalidConfigError
from callgate.config.load import load


def loaded(tmp_path: Path, text: str) -> Approvals:
    file = tmp_path / "callgate.yaml"
    file.write_text(text)
    return load(file).config.approvals


def test_the_defaults_are_those_of_the_contract(tmp_path: Path) -> None:
    approvals = loaded(tmp_path, "{}")
    assert approvals.deadline == timedelta(milliseconds=400)
    assert (approvals.keep_arguments, approvals.keep) == (timedelta(days=30), timedelta(days=730))
    assert (approvals.max_arguments_bytes, approvals.mask) == (65_536, [])
    assert (approvals.pending_per_grant, approvals.pending) == (20, 10_000)


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("deadline", "3s", "expected at most `2s`"),
        ("deadline", "1ms", "expected at least `10ms`"),
        ("max_arguments_bytes", "0", "expected `1` to `1MiB`"),
        ("max_arguments_bytes", "2MiB", "expected `1` to `1MiB`"),
        ("pending_per_grant", "0", "expected at least 1"),
        ("keep", "1h", "expected at least `1d`"),
        ("mask", "[password]", "expected the path of an argument, such as `args.password`, got `password`"),
        ("mask", "['args.a[']", "bad path `args.a[` at character 8: expected an index"),
        ("mask", "[tool]", "expected the path of an argument"),
        ("deadlin", "1s", "did you mean `deadline`?"),
    ],
)
def test_wrong_values_have_their_place(tmp_path: Path, key: str, value: str, message: str) -> None:
    with pytest.raises(InvalidConfigError) as refused:
        loaded(tmp_path, f"approvals:\n  {key}: {value}\n")
    assert message in str(refused.value)
    assert "callgate.yaml:2:" in str(refused.value)


@pytest.mark.parametrize(
    ("path", "steps"),
    [
        ("args", ()),
        ("args.a.b", ("a", "b")),
        ("args.items[0]", ("items", 0)),
        ("args.items[*].price", ("items", None, "price")),
        ('args["a.b"]["c\\"]d"].e', ("a.b", 'c"]d', "e")),
        ("args[*][12]", (None, 12)),
        ('args["\\u00e9"].é', ("é", "é")),
    ],
)
def test_masked_paths_are_those_of_policies(tmp_path: Path, path: str, steps: tuple[Any, ...]) -> None:
    quoted = path.replace("'", "''")
    assert loaded(tmp_path, f"approvals: {{mask: ['{quoted}']}}").mask == [path]
    assert steps_of(path) == steps
