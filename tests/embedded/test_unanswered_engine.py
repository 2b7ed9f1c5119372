"""The warning of an engine whose policies may ask people, where nobody has said who answers."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from callgate import Engine
from callgate._callgate import ApprovalQueue
from callgate.admin.documents.policies import trial_engine
from callgate.config.files import Files
from callgate.control.sidecar import Source

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def policy(rules: dict[str, Any], name: str = "deploys", **more: Any) -> dict[str, Any]:
    return {"version": "1", "name": name, "default": "deny", "tools": {"t": rules}, **more}


ASKS = policy({"action": "require_approval"})
AT_MAX = policy({"limits": [{"counter": "c", "window": "hour", "max": 1, "at_max": "require_approval"}]}, "spending")


def from_file(asking: dict[str, Any], folder: Path, **sizes: Any) -> Engine:
    file = folder / "policy.json"
    file.write_text(json.dumps(asking))
    return Engine.from_file(file, **sizes)


def from_config(asking: dict[str, Any], _folder: Path, **sizes: Any) -> Engine:
    document = ("p.json", json.dumps(asking).encode())
    return Engine.from_config(policies={"p": document}, servers={"s": "p"}, **sizes)


MAKERS: dict[str, Callable[..., Engine]] = {
    "from_dict": lambda asking, _folder, **sizes: Engine.from_dict(asking, **sizes),
    "from_json": lambda asking, _folder, **sizes: Engine.from_json(json.dumps(asking), **sizes),
    "from_file": from_file,
    "from_config": from_config,
}


@pytest.mark.parametrize("maker", MAKERS)
@pytest.mark.parametrize("asking", [ASKS, AT_MAX], ids=["require_approval", "at_max"])
def test_one_warning_names_the_policy(
    maker: str, asking: dict[str, Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine = MAKERS[maker](asking, tmp_path)
    [record] = caplog.records
    assert (record.name, record.levelname) == ("callgate", "WARNING")
    assert f"by the policy `{asking['name']}`" in record.getMessage()
    assert "`approvals=`" in record.getMessage()
    engine.check(grant="g", tool="t", server="s")
    assert len(caplog.records) == 1


@pytest.mark.parametrize("maker", MAKERS)
def test_nobody_is_warned_who_has_said_so(maker: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for approvals in (ApprovalQueue(), None):
        MAKERS[maker](ASKS, tmp_path, approvals=approvals)
    assert not caplog.records


def test_nobody_is_warned_of_what_asks_nobody(caplog: pytest.LogCaptureFixture) -> None:
    shadowed = {"action": "require_approval", "mode": "shadow"}
    for calm in (policy({}), policy(shadowed), {**ASKS, "mode": "shadow"}):
        Engine.from_dict(calm)
    # The entry enforces, whatever the policy does.
    Engine.from_dict(policy({"action": "require_approval", "mode": "enforce"}, mode="shadow"))
    assert len(caplog.records) == 1


def test_a_warning_names_five_policies(caplog: pytest.LogCaptureFixture) -> None:
    names = [f"p{index}" for index in range(7)]
    documents = {name: (f"{name}.json", json.dumps({**ASKS, "name": name}).encode()) for name in names}
    Engine.from_config(policies=documents, servers=dict(zip(names, names, strict=True)))
    [record] = caplog.records
    assert "by the policies `p0`, `p1`, `p2`, `p3`, `p4` and 2 more, and" in record.getMessage()


def test_a_warning_is_one_harmless_line(caplog: pytest.LogCaptureFixture) -> None:
    Engine.from_dict({**ASKS, "name": "a%s\n\x1b[2J"})
    [record] = caplog.records
    assert record.getMessage().isprintable()


def test_sidecars_and_trials_ask_by_themselves(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "asks.json").write_text(json.dumps(ASKS))
    config = tmp_path / "callgate.json"
    config.write_text(json.dumps({"policies": {"asks": "asks.json"}, "servers": {"s": {"policy": "asks"}}}))
    Source(config, None).read(Files()).engine(on_trial=True)
    trial_engine("asks", json.dumps(ASKS), None, ["s"])
    assert not caplog.records
