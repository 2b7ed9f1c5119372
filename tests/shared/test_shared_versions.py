"""Sidecars of several releases: one version of the keys is shared, another one is refused, and never above `max`."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from pathlib import Path

import pytest

import callgate
from support.planes import wait_until
from support.redis import running_redis
from support.shared import UNAVAILABLE, Node, fleet, hammer, limit, node, policy

MAX = 20
POLICIES = {
    "s": policy(
        "versions",
        strict=[limit("strict", MAX, "1s", shared="strict")],
        leased=[limit("leased", MAX, "1s", shared="leased")],
        hourly=[limit("hourly", MAX, shared="strict")],
        open=[limit("open", MAX, on_store_failure="allow")],
    )
}
MARKER = "callgate:{versions}:version"


@pytest.mark.parametrize("version", ["0", "2"])
def test_another_version_is_refused_and_its_counts_are_left_alone(tmp_path: Path, version: str) -> None:
    with running_redis(tmp_path / "redis") as redis, redis.client() as client:
        client.hset(MARKER, "version", version)
        with node(tmp_path / "node", redis.url, POLICIES) as one:
            wait_until(lambda: one.faults)
            said = f"policy `versions` are kept in version {version} by other callgates (the key `{MARKER}`"
            assert said in one.faults[0]
            assert "this one has version 1" in one.faults[0]
            assert one.check("strict").rule == UNAVAILABLE
            assert one.admitted(MAX + 1, "open") == MAX + 1, "as the limit says"
            assert client.keys("*") == [MARKER]
            # Going over to this version, as the page says; nobody is restarted.
            client.delete(MARKER, "callgate:1:{versions}")
            one.wait_for_counts("s")
            assert client.hgetall(MARKER) == {"version": "1"}
            assert one.admitted(MAX + 1, "hourly") == MAX


def test_the_version_that_comes_first_is_in_force(tmp_path: Path) -> None:
    with fleet(tmp_path, POLICIES, nodes=1) as made, made.redis.client() as client:
        [one] = made.nodes
        # Another version begins while this one still runs.
        client.delete("callgate:1:{versions}")
        client.hset(MARKER, "version", "2")

        def is_refused() -> bool:
            one.check("strict")
            return one.faults != []

        wait_until(is_refused)
        assert "are kept in version 2" in one.faults[-1]
        wait_until(lambda: {one.check(tool).rule for tool in ("strict", "leased")} == {UNAVAILABLE})


def other_release(folder: Path) -> Path:
    """A copy of the package whose script has another text of the same meaning, as another release may have."""
    package = Path(callgate.__file__).parent
    copy = folder / package.name
    shutil.copytree(package, copy, ignore=shutil.ignore_patterns("__pycache__"))
    [module] = copy.glob("_callgate*.so")
    code = module.read_bytes()
    before, after = b"-- The counts of one policy that several", b"-- THE COUNTS OF ONE POLICY THAT SEVERAL"
    assert code.count(before) == 1
    module.write_bytes(code.replace(before, after))
    return folder


@pytest.mark.parametrize("tool", ["strict", "leased"])
def test_a_rolling_upgrade_to_another_script(tmp_path: Path, tool: str) -> None:
    release = other_release(tmp_path / "release")
    through = ("env", f"PYTHONPATH={release}")
    with fleet(tmp_path, POLICIES, nodes=3) as made, ExitStack() as stack:
        nodes: list[Node] = list(made.nodes)

        def upgrade() -> None:
            for number in range(3):
                folder = tmp_path / f"new-{number}"
                one = stack.enter_context(node(folder, made.redis.url, POLICIES, through=through))
                one.wait_for_counts("s")
                assert one.admits("t")
                made.nodes[number].stop()
                new.append(one)

        new: list[Node] = []
        found = hammer(nodes, tool, window_s=1.0, meanwhile=upgrade)
        assert found.most() <= MAX
        later = hammer(new, tool, window_s=1.0, seconds=2.0)
        assert later.most() <= MAX
        assert all(later.of(number) for number in range(3)), "all of them take part"
        scripts = made.redis.info("memory")["number_of_cached_scripts"]
        # Two scripts of each release, of which one has the same text in both.
        assert scripts == 3
        assert all(one.faults == [] for one in (*made.nodes, *new))
