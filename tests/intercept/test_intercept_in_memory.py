"""Policies of Intercept are read as they are, wherever policies are read."""

from __future__ import annotations

import json
import tempfile
from typing import TYPE_CHECKING, Any

import pytest

from callgate import Engine
from callgate.config.engine_form import engine_form, engine_path
from callgate.config.policies import approvals, faults_in, named_tools, policy_document
from callgate.errors import CallgateError, ConfigError, PolicyError
from support.program import run, sidecar
from support.setup import Running, Setup

if TYPE_CHECKING:
    from pathlib import Path

MAIL = """\
version: "1"
tools:
  mail:
    rules:
      - name: few
        rate_limit: 2/day
        on_deny: two a day
      - name: inside
        conditions:
          - {path: args.to, op: regex, value: '@example\\.com$'}
"""
WARNED = MAIL.replace("few\n", "few\n        ticket: X-1\n")
REFUSED = MAIL.replace("2/day", "2/week")
# Only the engine knows the classes of Unicode.
UNKNOWN_CLASS = MAIL.replace("@example\\.com$", "\\p{Nope}")
OWN = '{"version": "1", "default": "deny"}'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    texts = {"mail": MAIL, "warned": WARNED, "refused": REFUSED, "unknown": UNKNOWN_CLASS}
    for name, text in texts.items():
        (tmp_path / f"{name}.yaml").write_text(text)
    return tmp_path


def test_check(folder: Path) -> None:
    call = ("--grant", "g", "--tool", "mail", "--args", '{"to": "a@example.com"}')
    done = run("check", "--policy", "mail.yaml", *call, "--repeat", "3", cwd=folder)
    assert done.code == 3
    assert [line.split(" retry ")[0] for line in done.out.splitlines()] == [
        "1 allow",
        "2 allow",
        "3 rate_limited /tools/mail/limits/_rate_day",
        "2 allow, 1 rate_limited",
    ]
    done = run("check", "--policy", "mail.yaml", "--grant", "g", "--tool", "mail", "--args", '{"to": "x"}', cwd=folder)
    assert (done.code, done.out.splitlines()[0]) == (1, "deny /tools/mail/require/inside")
    # The name of the policy, by which counts are kept apart, is the stem of the file.
    assert "policy mail " in done.out


@pytest.mark.parametrize(
    ("name", "told"),
    [
        (
            "refused",
            "refused.yaml:6:21: rule `few` of `mail`: expected `minute`, `hour` or `day` after the `/`, ",
        ),
        ("unknown", "unknown.yaml:10:13: "),
    ],
)
def test_faults_name_the_place_in_the_source(folder: Path, name: str, told: str) -> None:
    file = f"{name}.yaml"
    (folder / "c.json").write_text(json.dumps({"servers": {"s": {"policy": "p"}}, "policies": {"p": file}}))
    words = [
        ("validate", file),
        ("check", "--policy", file, "--grant", "g", "--tool", "t"),
        ("config", "check", "c.json"),
    ]
    words += [
        ("check", "--config", "c.json", "--grant", "g", "--server", "s", "--tool", "t"),
        ("serve", "--policy", file),
    ]
    for command in words:
        done = run(*command, cwd=folder)
        assert (done.code, done.out) == (2, ""), command
        assert [line[: len(told)] for line in done.err.splitlines() if not line.startswith("warning")] == [told], (
            command
        )


def test_findings_for_programs(folder: Path) -> None:
    done = run("validate", "--json", "refused.yaml", "unknown.yaml", "warned.yaml", "mail.yaml", cwd=folder)
    found = json.loads(done.out)
    assert [(one["file"], one["line"], one["column"], one["rule"], one["severity"]) for one in found] == [
        ("refused.yaml", 6, 21, "/tools/mail/rules/0/rate_limit", "error"),
        ("unknown.yaml", 10, 13, "/tools/mail/rules/1/conditions/0", "error"),
        ("warned.yaml", 6, 9, "/tools/mail/rules/0/ticket", "warning"),
    ]


def test_a_folder_may_hold_both_formats(folder: Path) -> None:
    policies = folder / "policies"
    policies.mkdir()
    (policies / "mail.yaml").write_text(MAIL)
    (policies / "shop.json").write_text(OWN)
    assert run("validate", "policies", cwd=folder).out == "policies: ok\n"
    call = ("--grant", "g", "--tool", "mail", "--args", '{"to": "a@example.com"}')
    assert run("check", "--policy", "policies", "--server", "mail", *call, cwd=folder).code == 0
    assert run("check", "--policy", "policies", "--server", "shop", *call, cwd=folder).code == 1
    # Faults of both formats name the file of the folder.
    (policies / "shop.json").write_text('{"version": "1"}')
    done = run("check", "--policy", "policies", "--server", "shop", *call, cwd=folder)
    assert (done.code, done.err) == (
        2,
        "policies/shop.json:1:1: a policy needs the field `default`: `allow` or `deny`\n",
    )
    (policies / "mail.yaml").write_text(REFUSED)
    (policies / "more.yaml").write_text(REFUSED)
    done = run("check", "--policy", "policies", "--server", "shop", *call, cwd=folder)
    assert [line[:23] for line in done.err.splitlines()] == ["policies/mail.yaml:6:21", "policies/more.yaml:6:21"]
    (policies / "more.yaml").unlink()
    (policies / "mail.yaml").write_text(MAIL)
    (policies / "mail.json").write_text(OWN)
    (policies / "shop.json").unlink()
    done = run("check", "--policy", "policies", "--server", "mail", *call, cwd=folder)
    assert done.code == 2
    assert "callgate-policy-" not in done.err
    assert "policies" in done.err


@pytest.mark.parametrize("has_configuration", [False, True])
def test_a_sidecar_takes_a_changed_file(tmp_path: Path, *, has_configuration: bool) -> None:
    setup = Setup(tmp_path)
    file = setup.write("p.yaml", WARNED)
    setup.configure(policies={"p": "p.yaml"})
    source = ("--config", setup.file) if has_configuration else ("--policy", file)
    with sidecar(*source, "--log-format", "json", "--grace", "1") as process:
        running = Running(process)
        assert process.said(r"^warning: .*(p\.yaml:6:9: .*)").endswith(
            "rule `few` of `mail`: `ticket` has no effect in a rule, and is not kept"
        )
        assert [_status(running) for _ in range(3)] == [200, 200, 429]
        with running.reload("failure"):
            setup.write("p.yaml", REFUSED)
            running.hang_up()
        assert _status(running) == 429
        with running.reload():
            # The count stays.
            setup.write("p.yaml", MAIL.replace("2/day", "3/day"))
            running.hang_up()
        assert [_status(running) for _ in range(2)] == [200, 429]
        assert run("bench", running.address, "--policy", file, "--duration", "0.1", "--warmup", "0").code == 0
        log = {line["event"]: line for line in running.stop()}
    assert f"{file}:6:21: rule `few` of `mail`: expected `minute`" in log["reload_failed"]["error"]


def _status(running: Running) -> int:
    call: dict[str, Any] = {"grant": "g", "server": "s", "tool": "mail", "args": {"to": "a@example.com"}}
    status, _ = running.ask(**call)
    return status


def test_findings_about_the_contents_are_placed_in_the_source() -> None:
    text = MAIL.replace(
        "      - name: few\n", "      - name: ask\n        action: require_approval\n      - name: few\n"
    )
    document = policy_document("p.yaml", text.encode())
    assert document is not None
    assert named_tools(document) == {"mail"}
    [found] = approvals(document)
    assert str(found).startswith("p.yaml:5:9: calls that need an approval are denied")
    assert found.path == ("tools", "mail", "rules", 0)


def test_faults_of_a_document_that_is_in_no_file() -> None:
    [fault] = faults_in("store:policies/p.yaml", UNKNOWN_CLASS.encode())
    assert str(fault).startswith("store:policies/p.yaml:10:13: ")
    assert faults_in("p.yaml", MAIL.encode()) == []


@pytest.mark.parametrize(
    "text",
    [
        'version: "1"\n',
        'version: "1"\nhide: [a]\ntools: {}\n',
        'version: "1"\ntools: {a: null}\n',
        'version: "1"\ntools: {a: {action: deny}}\n',
        'version: "1"\ntools: [{rules: []}]\n',
        'version: "1"\nall_tools: {rules: []}\n',
        "rules: [\n",
    ],
)
def test_a_document_without_rules_is_read_as_callgates_own(text: str) -> None:
    """Otherwise a policy that lacks its `default` would allow every call."""
    form = engine_form("p.yaml", text.encode())
    assert (form.document, form.content) == (None, text.encode())
    assert faults_in("p.yaml", text.encode())


def test_a_key_may_be_written_with_escapes() -> None:
    form = engine_form("p.json", rb'{"version": "1", "tools": {"a": {"\u0072ules": []}}}')
    assert form.document is not None


def test_texts_that_yaml_does_not_take_as_they_are(tmp_path: Path) -> None:
    name = "a\x7f\u0085\u2028\ufeff\U0001f600\t\n'\"\\é"
    rules = [{"name": name, "action": "deny", "on_deny": name}]
    content = json.dumps({"version": "1", "tools": {name: {"rules": rules}}}).encode()
    for suffix in ("yaml", "json"):
        file = tmp_path / f"p.{suffix}"
        if suffix == "json":
            file.write_bytes(content)
        else:
            document = json.loads(content)
            file.write_text(json.dumps(document, ensure_ascii=True).replace("\\ud83d\\ude00", "\U0001f600"))
        with engine_path(file) as path:
            decision = Engine.from_file(path).check(tool=name, grant="g")
        assert (decision.outcome.value, decision.message) == ("deny", name)


def test_no_place_for_temporary_files(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "nowhere"))
    with (
        pytest.raises(ConfigError, match=r"mail.yaml` has to be converted.*; set TMPDIR"),
        engine_path(folder / "mail.yaml"),
    ):
        pass
    (folder / "own.json").write_text(OWN)
    with engine_path(folder / "own.json") as path:
        assert path == folder / "own.json"


def test_errors_inside_name_the_source(folder: Path) -> None:
    with pytest.raises(PolicyError) as raised, engine_path(folder / "unknown.yaml") as path:
        Engine.from_file(path)
    assert (raised.value.file, raised.value.line) == (str(folder / "unknown.yaml"), 10)
    with pytest.raises(CallgateError, match="not this"), engine_path(folder / "mail.yaml"):
        raise ConfigError("not this")


SPENT = """\
version: "1"
tools:
  pay:
    rules:
      - name: daily
        conditions:
          - {path: state.pay.spent, op: lte, value: 100}
          - {path: args.to, op: regex, value: '^a$'}
        state: {counter: spent, window: day, increment_from: args.amount}
"""


def test_findings_about_calls_that_take_units(tmp_path: Path) -> None:
    (tmp_path / "pay.yaml").write_text(SPENT)
    done = run("validate", "--deep", "--verbose", "pay.yaml", cwd=tmp_path)
    assert "CG136" in done.out, done
    assert done.err == ""
