"""Warnings about what a policy asks for and cannot have: approvals, and tools and servers that do not exist."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from callgate.cli import app
from callgate.config.bundle import read_bundle
from callgate.config.check import check, warnings
from callgate.config.faults import InvalidConfigError
from callgate.config.files import Files
from callgate.config.load import Option
from callgate.control.plan_findings import approval_warnings_of, warnings_of
from callgate.control.sidecar import Source

if TYPE_CHECKING:
    from pathlib import Path

    from callgate.config.document import KeyPath

POLICY = """version: "1"
default: deny
hide: [wipe, "delete_*"]
categories: {Financial: {action: require_approval}}
tools:
  create-ami: {}
  "get_*": {}
  'a\\*b': {}
  pay: {action: require_approval}
"""
CATALOGUE = """
{"version": "1", "servers": {
  "aws": {"tools": {"create_ami": {"category": "Write"}, "a*b": {"category": "Read"}, "pay": {"category": "Write"}}},
  "gone": {"tools": {}}}}
"""
APPROVALS = "4:34: calls that need an approval are denied, because there is no store; give --state"
WIPE = "3:8: the catalogue has no tool `wipe`"
AMI = "6:3: the catalogue has no tool `create-ami`; did you mean `create_ami`?"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "policies").mkdir()
    (tmp_path / "policies" / "aws.yaml").write_text(POLICY)
    (tmp_path / "catalogue.json").write_text(CATALOGUE)
    return tmp_path


def configuration(folder: Path, more: str = "", server: str = "aws") -> Path:
    path = folder / "callgate.yaml"
    path.write_text(
        f"servers: {{{server}: {{policy: aws}}}}\npolicies_folder: policies\ncatalogue: catalogue.json\n"
        f"listen: 127.0.0.1:0\n{more}"
    )
    return path


def of_tools(found: list[str]) -> list[str]:
    return [line for line in found if "no tool" in line or "no server" in line]


def test_validate_warns_of_unknown_tools() -> None:
    done = CliRunner().invoke(app, ["validate", "--catalogue", "catalogue.json", "policies"])
    assert (done.exit_code, done.stderr) == (0, "")
    lines = of_tools(done.stdout.splitlines())
    places = ("policies/aws.yaml:6:3: ", "policies/aws.yaml:3:8: ", "catalogue.json:4:3: ")
    assert [line.partition("warning: ")[0] for line in lines] == list(places)
    assert lines[0].endswith("the catalogue has no tool `create-ami`; did you mean `create_ami`?")
    assert "no server `gone` is configured" in lines[2]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mode: shadow\nall_tools: {mode: shadow}", "3:7: warning: the policy is in shadow mode: rules without"),
        ("tools: {a: {mode: shadow}, b: {mode: shadow}}", "3:19: warning: these rules are in shadow mode: they refuse"),
        ("mode: enforce\ntools: {a: {mode: enforce}}", None),
    ],
)
def test_shadow_mode_is_not_taken_for_protection(folder: Path, text: str, expected: str | None) -> None:
    (folder / "p.yaml").write_text(f'version: "1"\ndefault: deny\n{text}\n')
    done = CliRunner().invoke(app, ["validate", "p.yaml"])
    lines = [line for line in done.stdout.splitlines() if "shadow" in line]
    assert [line.startswith(f"p.yaml:{expected}") for line in lines] == ([] if expected is None else [True])
    started = warnings_of(Source(None, folder / "p.yaml", {}).read(Files()))
    assert any("shadow mode" in line for line in started) is (expected is not None)


def test_without_a_catalogue_nothing_is_said_of_tools() -> None:
    done = CliRunner().invoke(app, ["validate", "policies"])
    assert of_tools(done.stdout.splitlines()) == []


def test_approvals_without_a_store_are_warned_of(folder: Path) -> None:
    plan = Source(None, folder / "policies").read(Files())
    [found] = approval_warnings_of(plan)
    assert found == f"{folder / 'policies' / 'aws.yaml'}:{APPROVALS} (and 1 more in this file)"


def test_a_catalogue_with_a_fault_is_refused(folder: Path) -> None:
    (folder / "catalogue.json").write_text('{"version": "1", "serves": {}}')
    done = CliRunner().invoke(app, ["validate", "--catalogue", "catalogue.json", "policies"])
    assert "unknown field `serves`" in str(done.exception)


def test_a_configuration_warns_too(folder: Path) -> None:
    found = of_tools(warnings(read_bundle(configuration(folder))))
    file = folder / "policies" / "aws.yaml"
    assert found[1:] == [f"{file}:{AMI}", f"{file}:{WIPE}"]
    assert found[0].startswith(
        f"{folder / 'catalogue.json'}:4:3: no server `gone` is configured, so what the catalogue"
    )


def test_a_server_that_the_catalogue_does_not_have_is_not_judged(folder: Path) -> None:
    found = of_tools(warnings(read_bundle(configuration(folder, server="aws2"))))
    assert not [line for line in found if "no tool" in line]
    assert any("no server `aws` is configured" in line and "did you mean `aws2`?" in line for line in found)


@pytest.mark.parametrize("policy", ["policies", "policies/aws.yaml"])
def test_a_start_without_a_configuration_warns_too(folder: Path, policy: str) -> None:
    options: dict[KeyPath, Option] = {("catalogue",): Option("--catalogue", folder / "catalogue.json")}
    found = of_tools(warnings_of(Source(None, folder / policy, options).read(Files())))
    file = folder / "policies" / "aws.yaml"
    assert [line for line in found if f"{file}:{AMI}" == line]
    assert any("`gone`" in line for line in found) is (policy == "policies")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ("proxies: {server: [host], hosts: {a.example: awz}}", "5:46: unknown server `awz`; did you mean `aws`?"),
        ("proxies: {server: [{always: awz}]}", "5:29: unknown server `awz`; did you mean `aws`?"),
    ],
)
def test_proxies_name_configured_servers(folder: Path, more: str, expected: str) -> None:
    path = configuration(folder, more)
    with pytest.raises(InvalidConfigError) as raised:
        check(read_bundle(path))
    assert str(raised.value) == f"{path}:{expected}"
    check(read_bundle(configuration(folder, more.replace("awz", "aws"))))


def test_limits_that_ask_at_their_max_are_warned_about(folder: Path) -> None:
    limit = "{counter: c, window: day, max: 5, at_max: require_approval}"
    (folder / "asks.yaml").write_text(f'version: "1"\ndefault: deny\ntools:\n  t: {{limits: [{limit}]}}\n')
    [found] = approval_warnings_of(Source(None, folder / "asks.yaml").read(Files()))
    assert found.startswith(f"{folder / 'asks.yaml'}:4:58: calls that need an approval are denied"), found
