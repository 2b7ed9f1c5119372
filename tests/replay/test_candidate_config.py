"""The key `candidate` of a server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from callgate import Engine
from callgate.config.bundle import read_bundle
from callgate.config.check import check, policy_warnings, warnings
from callgate.config.managed import DocumentsError, ManagedDocument, merged
from callgate.errors import CallgateError, ConfigError

if TYPE_CHECKING:
    from pathlib import Path

POLICY = {"version": "1", "default": "deny"}


def configured(folder: Path, server: str) -> Path:
    for name in ("live", "next"):
        (folder / f"{name}.json").write_text(json.dumps(POLICY))
    file = folder / "callgate.yaml"
    file.write_text(f"servers:\n  s: {server}\npolicies: {{live: live.json, next: next.json}}\n")
    return file


def test_a_candidate_is_passed_on(tmp_path: Path) -> None:
    bundle = read_bundle(configured(tmp_path, "{policy: live, candidate: next}"))
    check(bundle)
    assert bundle.engine_keywords()["candidates"] == {"s": "next"}
    Engine.from_config(**bundle.engine_keywords())
    assert "is used by no server" not in " ".join(warnings(bundle))
    assert list(policy_warnings(bundle)) == []


@pytest.mark.parametrize(
    ("server", "message"),
    [
        ("{policy: live, candidate: nxt}", "callgate.yaml:2:32: unknown policy `nxt`; did you mean `next`?"),
        ("{candidate: next}", "callgate.yaml:2:18: a candidate is weighed beside the policy of its server, which has"),
    ],
)
def test_a_candidate_that_cannot_be_weighed(tmp_path: Path, server: str, message: str) -> None:
    with pytest.raises(CallgateError) as error:
        check(read_bundle(configured(tmp_path, server)))
    assert message in str(error.value)


def test_a_server_of_the_store_names_a_candidate(tmp_path: Path) -> None:
    files = read_bundle(configured(tmp_path, "{policy: live}"))
    kept = ManagedDocument("servers", "kept", 1, json.dumps({"policy": "live", "candidate": "next"}))
    bundle = merged(files, [kept])
    assert bundle.engine_keywords()["candidates"] == {"kept": "next"}
    wrong = ManagedDocument("servers", "wrong", 1, json.dumps({"policy": "live", "candidate": "nxt"}))
    with pytest.raises(DocumentsError, match="unknown policy `nxt`"):
        merged(files, [kept, wrong])


def test_an_engine_refuses_an_unknown_candidate() -> None:
    policies = {"p": ("p.json", json.dumps(POLICY).encode())}
    with pytest.raises(ConfigError, match="unknown candidate `q`; expected one of `p`, or add it"):
        Engine.from_config(policies=policies, servers={"s": "p"}, candidates={"s": "q"})
