"""`callgate bench --compare`, on reports made by hand: `tests/cases/bench_compare.json`."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest

from callgate.cli.bench_compare import compare, differences
from support.program import refused, run

CASES: dict[str, Any] = json.loads((Path(__file__).parents[1] / "cases/bench_compare.json").read_text(encoding="utf-8"))


def report(changes: dict[str, Any]) -> dict[str, Any]:
    """The report that all cases change something of."""
    document: dict[str, Any] = copy.deepcopy(CASES["report"])
    result = document["result"]
    samples = changes.get("samples", [1000, 1000, 1000, 1000])
    result["requests_per_second"] = result["decisions_per_second"] = sum(samples) / len(samples)
    p99 = changes.get("p99_us", [200] * len(samples))
    result["intervals"] = [
        {
            "requests_per_second": rate,
            "p50_us": 100,
            "p99_us": us,
            "max_us": us,
            "errors": 0,
            "at_s": at,
            "elapsed_s": 1,
        }
        for at, (rate, us) in enumerate(zip(samples, p99, strict=True))
    ]
    result["latency_us"]["p99"] = sum(p99) / len(p99)
    document["options"].update(changes.get("options", {}))
    document["machine"].update(changes.get("machine", {}))
    result.update(changes.get("result", {}))
    return document


@pytest.mark.parametrize("case", CASES["cases"], ids=lambda case: str(case["name"]))
def test_cases(case: dict[str, Any], tmp_path: Path) -> None:
    paths = [tmp_path / "a.json", tmp_path / "b.json"]
    for path, letter in zip(paths, "ab", strict=True):
        path.write_text(json.dumps(report(case.get(letter, {}))))
    words = ["--fail-above", str(case["fail_above"])] if "fail_above" in case else []
    done = run("bench", "--compare", *paths, *words, "--json")
    compared = json.loads(done.out)
    rows = {row["name"]: row for row in compared["rows"]}
    for name, expected in case.get("rows", {}).items():
        for field, value in expected.items():
            assert rows[name][field] == (pytest.approx(value) if isinstance(value, float) else value), (name, field)
    assert compared["differences"] == case.get("differences", [])
    assert compared["failed"] == case.get("failed", [])
    assert done.code == (1 if case.get("failed") else 0)
    # For people: the same rows, and the same exit code.
    shown = run("bench", "--compare", *paths, *words)
    assert shown.code == done.code
    assert [line for line in shown.out.splitlines() if line.startswith("requests/s")]


def test_what_is_no_report(tmp_path: Path) -> None:
    good = tmp_path / "good.json"
    good.write_text(json.dumps(report({})))
    assert refused("bench", "--compare", "nope", good, cwd=tmp_path).startswith("cannot read `nope`: no such file")
    for text in ("", "[]", "{}", '{"format": "callgate-bench/2"}'):
        (tmp_path / "bad.json").write_text(text)
        line = refused("bench", "--compare", good, "bad.json", cwd=tmp_path)
        assert line.startswith("`bad.json` is no report of `callgate bench`")


def test_a_report_that_is_not_whole(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(report({})))
    (tmp_path / "bad.json").write_text(json.dumps(report({"result": {"latency_us": None}})))
    line = refused("bench", "--compare", "good.json", "bad.json", cwd=tmp_path)
    assert line == "`good.json` or `bad.json` lacks what every report of `callgate bench` has; make it anew"


def test_a_run_that_measured_nothing() -> None:
    good = report({})
    nothing = report({"result": {"requests": 0, "requests_per_second": 0.0, "decisions_per_second": 0.0}})
    for a, b, letter in ((good, nothing, "B"), (nothing, good, "A")):
        assert {row.ratio for row in compare(a, b)} == {None}
        assert f"{letter} measured nothing: no request was answered" in differences(a, b)
