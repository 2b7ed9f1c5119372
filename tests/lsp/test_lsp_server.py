"""`callgate lsp` with a real client over standard input and output."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from lsprotocol import types as lsp
from pygls.exceptions import JsonRpcException

from callgate.workbench.lsp.checks import problems
from callgate.workbench.lsp.documents import OpenDocument
from support.editor import PATIENCE_S, Editor, editor

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

POLICY = """\
version: "1"
default: deny
tools:
  😀: {x-a: 😀😀, limits: [{counter: c, window: hour, max: 3}]}
"""


def played(
    folder: Path, scene: Callable[[Editor], Awaitable[None]], capabilities: lsp.ClientCapabilities | None = None
) -> Editor:
    """Plays a scene in an editor; nothing may be logged in it."""

    async def run() -> Editor:
        async with editor(folder, capabilities) as (one, _):
            await scene(one)
        return one

    found = asyncio.run(run())
    assert found.messages == []
    return found


def test_faults_come_and_go_as_somebody_types(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open("p.yaml", POLICY)
        assert await one.diagnostics("p.yaml") == []
        one.change("p.yaml", POLICY.replace("limits", "limts"))
        [found] = await one.diagnostics("p.yaml")
        assert found.message.startswith("unknown field `limts`")
        assert (found.severity, found.source) == (lsp.DiagnosticSeverity.Error, "callgate")
        # In UTF-16 each of the three emoji before it has two units: it is the 15th character and the 18th unit.
        assert found.range == lsp.Range(lsp.Position(3, 18), lsp.Position(3, 23))
        one.change("p.yaml", "default: deny\nversion: [")
        [found] = await one.diagnostics("p.yaml")
        assert found.severity is lsp.DiagnosticSeverity.Error
        one.change("p.yaml", POLICY)
        assert await one.diagnostics("p.yaml") == []

    played(tmp_path, scene)


def test_faults_stay_where_a_slip_hides_the_kind(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open("p.yaml", POLICY)
        assert await one.diagnostics("p.yaml") == []
        one.change("p.yaml", f"[{POLICY}")
        assert [item.severity for item in await one.diagnostics("p.yaml")] == [lsp.DiagnosticSeverity.Error]
        one.change("p.yaml", "services: {web: {image: x}}\n")
        assert await one.diagnostics("p.yaml") == []
        # Another document has taken its place: nothing is known of the new one.
        one.change("p.yaml", f"[{POLICY}")
        assert await one.diagnostics("p.yaml") == []

    played(tmp_path, scene)


def test_findings_have_codes_and_pages(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open(
            "p.yaml",
            'version: "1"\ndefault: deny\ntools:\n  a: {deny_if: [{conditions: [{path: args.x, op: eq, value: 1}]}]}\n',
        )
        found = {item.code: item for item in await one.diagnostics("p.yaml")}
        leak = found["CG121"]
        assert leak.severity is lsp.DiagnosticSeverity.Warning
        assert leak.code_description is not None
        assert leak.code_description.href.endswith("/docs/analysis.md#cg121")

    played(tmp_path, scene)


USELESS = """\
version: "1"
default: deny
tools:
  a:
    deny_if:
    - conditions: [{path: args.x, op: exists, value: true}, {path: args.x, op: exists, value: false}]
    rate_limit: 5/hour
"""


@pytest.mark.parametrize("resolves", [False, True])
def test_what_has_no_effect_is_removed(tmp_path: Path, *, resolves: bool) -> None:
    support = lsp.ClientCodeActionResolveOptions(["edit"])
    actions = lsp.CodeActionClientCapabilities(resolve_support=support) if resolves else None
    capabilities = lsp.ClientCapabilities(text_document=lsp.TextDocumentClientCapabilities(code_action=actions))

    async def scene(one: Editor) -> None:
        one.open("p.yaml", USELESS)
        fixable = [item for item in await one.diagnostics("p.yaml") if item.tags]
        assert fixable
        document = lsp.TextDocumentIdentifier(one.uri("p.yaml"))
        context = lsp.CodeActionContext([])
        params = lsp.CodeActionParams(document, fixable[0].range, context)
        [action] = await one.client.text_document_code_action_async(params) or []
        assert isinstance(action, lsp.CodeAction)
        assert (action.edit is None) is resolves
        if resolves:
            action = await one.client.code_action_resolve_async(action)
        assert action.edit is not None
        assert action.edit.changes is not None
        [edit] = action.edit.changes[one.uri("p.yaml")]
        lines = USELESS.splitlines(keepends=True)
        start, end = edit.range.start, edit.range.end
        before = "".join(lines[: start.line]) + lines[start.line][: start.character]
        after = lines[end.line][end.character :] + "".join(lines[end.line + 1 :])
        assert (
            before + edit.new_text + after
            == 'version: "1"\ndefault: deny\ntools:\n  a:\n    deny_if: []\n    rate_limit: 5/hour\n'
        )
        nowhere = lsp.CodeActionParams(document, lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1)), context)
        assert not await one.client.text_document_code_action_async(nowhere)

    played(tmp_path, scene, capabilities)


OF_INTERCEPT = """\
version: "1"
tools:
  pay:
    rules:
    - {name: a, conditions: [{path: args.x, op: lte, value: 1}]}
    - {name: b, conditions: [{path: args.x, op: lte, value: 2}]}
"""


@pytest.mark.parametrize(
    ("text", "code", "is_marked"), [(OF_INTERCEPT, "CG103", False), (USELESS.replace("\n", "\r"), "CG101", True)]
)
def test_no_removal_is_offered_that_the_text_cannot_have(
    tmp_path: Path, text: str, code: str, *, is_marked: bool
) -> None:
    async def scene(one: Editor) -> None:
        one.open("policy.yaml", text)
        [found] = await one.diagnostics("policy.yaml")
        assert (found.code, bool(found.tags)) == (code, is_marked)
        document = lsp.TextDocumentIdentifier(one.uri("policy.yaml"))
        params = lsp.CodeActionParams(document, found.range, lsp.CodeActionContext([]))
        assert not await one.client.text_document_code_action_async(params)

    played(tmp_path, scene)


def test_completion_hover_and_rename(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        client = one.client
        one.open("p.yaml", POLICY + "  b: {limits: [{counter: c, win")
        found = await client.text_document_completion_async(lsp.CompletionParams(**one.at("p.yaml", 4, 31)))
        assert isinstance(found, list)
        labels = [item.label for item in found]
        assert {"window", "max", "scope"} <= set(labels)
        assert "counter" not in labels
        window = found[labels.index("window")]
        assert isinstance(window.text_edit, lsp.TextEdit)
        assert window.text_edit == lsp.TextEdit(lsp.Range(lsp.Position(4, 28), lsp.Position(4, 31)), "window: ")
        # The emoji before it are four characters and eight units.
        hover = await client.text_document_hover_async(lsp.HoverParams(**one.at("p.yaml", 3, 20)))
        assert hover is not None
        assert isinstance(hover.contents, lsp.MarkupContent)
        assert "at most `max` units" in hover.contents.value
        one.change("p.yaml", POLICY + "  b: {limits: [{counter: c, window: day, max: 3}]}\n")
        at = one.at("p.yaml", 4, 26)
        prepared = await client.text_document_prepare_rename_async(lsp.PrepareRenameParams(**at))
        assert isinstance(prepared, lsp.PrepareRenamePlaceholder)
        assert prepared.placeholder == "c"
        done = await client.text_document_rename_async(lsp.RenameParams(**at, new_name="spend"))
        assert done is not None
        assert done.changes is not None
        edits = done.changes[one.uri("p.yaml")]
        assert [(edit.range.start.line, edit.new_text) for edit in edits] == [(3, "spend"), (4, "spend")]
        top = one.at("p.yaml", 0, 3)
        assert await client.text_document_prepare_rename_async(lsp.PrepareRenameParams(**top)) is None
        with pytest.raises(JsonRpcException, match="only the counter of a limit"):
            await client.text_document_rename_async(lsp.RenameParams(**top, new_name="x"))
        one.change("p.yaml", POLICY + "  b: {limits: [{counter: a\n b, window: day, max: 3}]}\n")
        # Editors ask this before their user types a name.
        with pytest.raises(JsonRpcException, match=r"at line 5, column 26 goes over several lines"):
            await client.text_document_prepare_rename_async(lsp.PrepareRenameParams(**at))

    played(tmp_path, scene)


def test_editors_find_suggestions_by_the_quote_that_is_typed(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open("p.yaml", 'version: "1"\ndefault: deny\nmode: "sh')
        found = await one.client.text_document_completion_async(lsp.CompletionParams(**one.at("p.yaml", 2, 9)))
        assert isinstance(found, list)
        [shadow] = [item for item in found if item.label == "shadow"]
        assert shadow.filter_text == '"shadow'
        assert shadow.text_edit == lsp.TextEdit(lsp.Range(lsp.Position(2, 6), lsp.Position(2, 9)), "shadow")

    played(tmp_path, scene)


def test_positions_in_bytes(tmp_path: Path) -> None:
    general = lsp.GeneralClientCapabilities(position_encodings=[lsp.PositionEncodingKind.Utf8])

    async def scene(one: Editor) -> None:
        one.open("p.yaml", POLICY.replace("counter", "countr"))
        [found] = await one.diagnostics("p.yaml")
        line = POLICY.splitlines()[3]
        # The mapping that lacks `counter` has a field too many as well; the place of either is behind the emoji.
        assert found.range.start.character in {
            len(line[:at].encode()) for at in (line.index("{c"), line.index("counter"))
        }

    played(tmp_path, scene, lsp.ClientCapabilities(general=general))


def test_other_documents_are_checked_as_they_are_saved(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        text = "servers: {s: {policy: missing}}\npolicies: {}\nlistn: 1\n"
        one.open("callgate.yaml", text)
        assert await one.diagnostics("callgate.yaml") == []
        one.save("callgate.yaml", text)
        found = await one.diagnostics("callgate.yaml")
        assert any("listn" in item.message for item in found)
        one.open("policy_test.yaml", "tests: 5\n")
        one.save("policy_test.yaml", "tests: 5\n")
        assert await one.diagnostics("policy_test.yaml") is not None
        one.open("catalogue.json", '{"version": "1", "servers": {"s": {"tool": {}}}}', "json")
        one.save("catalogue.json", '{"version": "1", "servers": {"s": {"tool": {}}}}')
        while not (found := await one.diagnostics("catalogue.json")):
            pass
        assert "tool" in found[0].message
        one.open("pod.yaml", "apiVersion: v1\nkind: Pod\n")
        assert await one.diagnostics("pod.yaml") == []

    played(tmp_path, scene)


def test_a_file_of_another_size_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not the document; of a pipe, which has no size, the end would never come."""
    path = tmp_path / "callgate.yaml"
    os.mkfifo(path)
    monkeypatch.setattr("pathlib.Path.read_bytes", lambda _path: pytest.fail("it was read"))
    document = OpenDocument(path.name, "servers: {}\n")
    assert problems(document, path, lambda _kind, _path: pytest.fail("it is not saved"), lambda: 0.0) == []


@pytest.mark.parametrize(("shown", "saved"), [("", "\ufeff"), ("\ufeff", "\ufeff"), ("\ufeff", "")])
def test_a_file_is_saved_also_if_only_the_editor_or_the_file_has_a_mark(tmp_path: Path, shown: str, saved: str) -> None:
    async def scene(one: Editor) -> None:
        text = "servers: {}\npolicies: {}\nlistn: 1\n"
        one.open("callgate.yaml", shown + text)
        assert await one.diagnostics("callgate.yaml") == []
        one.save("callgate.yaml", saved + text)
        found = await one.diagnostics("callgate.yaml")
        assert [item.range.start for item in found if "listn" in item.message] == [lsp.Position(2, 0)]

    played(tmp_path, scene)


def test_a_policy_of_800_tools(tmp_path: Path) -> None:
    many = "".join(f"  tool_{number}: {{rate_limit: {number + 1}/hour}}\n" for number in range(800))

    async def scene(one: Editor) -> None:
        text = f'version: "1"\ndefault: deny\ntools:\n{many}'
        one.open("p.yaml", text)
        for number in range(20):
            one.change("p.yaml", f"{text}  more: {{rate_limit: {number + 1}/hou")
        position = one.at("p.yaml", 803, 10)
        assert await one.client.text_document_completion_async(lsp.CompletionParams(**position))
        assert await one.diagnostics("p.yaml")
        one.change("p.yaml", text)
        assert await one.diagnostics("p.yaml") == []
        # Of the versions between, at most the one that was checked when the others came has diagnostics.
        assert len(one.published) <= 2

    played(tmp_path, scene)


def test_half_of_a_character_is_a_fault_at_its_place(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open("p.yaml", POLICY.replace("limits", "limts"))
        await one.diagnostics("p.yaml")
        one.change("p.yaml", 'version: "1"\ndefault: deny\nname: "\ud800"\n')
        [found] = await one.diagnostics("p.yaml")
        assert "half of a character" in found.message
        assert found.severity is lsp.DiagnosticSeverity.Error
        assert found.range.start == lsp.Position(2, 7)

    played(tmp_path, scene)


FAILS = "from callgate.workbench.lsp.features import serve; serve(lambda kind, path: [1 / 0])"


def test_what_cannot_be_checked_does_not_look_checked(tmp_path: Path) -> None:
    async def run() -> Editor:
        async with editor(tmp_path, command=("-c", FAILS)) as (one, _):
            one.open("callgate.yaml", "servers: {}\n")
            assert await one.diagnostics("callgate.yaml") == []
            one.save("callgate.yaml", "servers: {}\n")
            [found] = await one.diagnostics("callgate.yaml")
            assert found.severity is lsp.DiagnosticSeverity.Error
            assert "could not be checked" in found.message
            assert "ZeroDivisionError" in found.message
        return one

    [logged] = asyncio.run(run()).messages
    assert "ZeroDivisionError" in logged.message


def test_a_byte_order_mark_moves_nothing(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open("p.yaml", "\ufefftols: {}\n")
        marked = {item.message[:5]: item.range for item in await one.diagnostics("p.yaml")}
        assert marked["unkno"] == lsp.Range(lsp.Position(0, 1), lsp.Position(0, 5))
        one.open("p.json", '\ufeff{"version": "1", "default": "deny"}', "json")
        [found] = await one.diagnostics("p.json")
        assert "byte order mark" in found.message
        assert found.range == lsp.Range(lsp.Position(0, 0), lsp.Position(0, 1))
        one.open("q.json", '{"tols": {}, "version": "1", "default": "deny"}', "json")
        [found] = await one.diagnostics("q.json")
        assert found.range == lsp.Range(lsp.Position(0, 1), lsp.Position(0, 7))
        one.open("u.yaml", f"\ufeff{USELESS}")
        useless = next(item for item in await one.diagnostics("u.yaml") if item.tags)
        params = lsp.CodeActionParams(
            lsp.TextDocumentIdentifier(one.uri("u.yaml")), useless.range, lsp.CodeActionContext([])
        )
        [action] = await one.client.text_document_code_action_async(params) or []
        assert isinstance(action, lsp.CodeAction)
        assert action.edit is not None
        assert action.edit.changes is not None
        [edit] = action.edit.changes[one.uri("u.yaml")]
        assert edit.range.start == lsp.Position(4, 12)

    played(tmp_path, scene)


def test_a_finding_about_a_name_with_spaces_is_shown_once(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        limit = '{counter: "a  b", window: 1m, max: 1, scope: session}'
        one.open("p.yaml", f'version: "1"\ndefault: deny\ntools:\n  a:\n    limits:\n    - {limit}\n')
        [found] = await one.diagnostics("p.yaml")
        assert (found.code, found.range.start) == ("CG131", lsp.Position(5, 6))

    played(tmp_path, scene)


def test_a_document_that_is_not_open_has_no_answers(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(POLICY, encoding="utf-8")

    async def scene(one: Editor) -> None:
        for name in ("p.yaml", "missing.yaml"):
            at = one.at(name, 1, 2)
            assert await one.client.text_document_completion_async(lsp.CompletionParams(**at)) is None
            assert await one.client.text_document_hover_async(lsp.HoverParams(**at)) is None
            assert await one.client.text_document_prepare_rename_async(lsp.PrepareRenameParams(**at)) is None
            assert await one.client.text_document_rename_async(lsp.RenameParams(**at, new_name="x")) is None

    played(tmp_path, scene)


def test_texts_that_are_no_documents(tmp_path: Path) -> None:
    texts = [
        "",
        "\0",
        "[" * 5_000,
        "a: &b [*b]",
        "\ufeff",
        "{" * 100,
        "version: \ud83d"[:-1],
        "x: |\n" + " " * 5_000,
        "#" * (3 << 20),
    ]

    async def scene(one: Editor) -> None:
        one.open("p.yaml", "version: 1\n")
        await one.diagnostics("p.yaml")
        for text in texts:
            one.change("p.yaml", text)
            await one.client.text_document_completion_async(lsp.CompletionParams(**one.at("p.yaml", 0, 3)))
            await one.client.text_document_hover_async(lsp.HoverParams(**one.at("p.yaml", 7, 300)))
            await one.diagnostics("p.yaml")
        one.open("untitled.json", '{"default": "deny", ', "json")
        assert await one.diagnostics("untitled.json")

    played(tmp_path, scene)


def test_a_closed_document_has_no_diagnostics(tmp_path: Path) -> None:
    async def scene(one: Editor) -> None:
        one.open("p.yaml", "version: 2\ndefault: deny\n")
        assert await one.diagnostics("p.yaml")
        one.client.text_document_did_close(
            lsp.DidCloseTextDocumentParams(lsp.TextDocumentIdentifier(one.uri("p.yaml")))
        )
        assert await one.diagnostics("p.yaml", version=None) == []

    played(tmp_path, scene)


def message(method: str, params: object = None, number: int | None = None) -> bytes:
    """A message of the protocol; a request if it has a number."""
    members = {"jsonrpc": "2.0", "method": method, "params": params}
    body = json.dumps(members if number is None else {**members, "id": number}).encode()
    return b"Content-Length: %d\r\n\r\n%s" % (len(body), body)


INITIALIZE = message("initialize", {"capabilities": {}, "processId": None}, 1)


def run(folder: Path, *messages: bytes) -> tuple[int, str, str]:
    """The exit code of a server that gets these messages, and what it writes to its two outputs."""
    command = [sys.executable, "-m", "callgate", "lsp"]
    done = subprocess.run(
        command, cwd=folder, input=b"".join(messages), capture_output=True, check=False, timeout=PATIENCE_S
    )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def answers(output: str) -> dict[int, dict[str, Any]]:
    """The answers in an output, by the number of their request; no other message may be there."""
    every = [json.loads(part) for part in re.split(r"Content-Length: [^{]*\r\n\r\n", output) if part]
    assert all("method" not in one for one in every), every
    return {one["id"]: one for one in every}


HOVER = "textDocument/hover"
AT_TOP = {"textDocument": {"uri": "file:///p.yaml"}, "position": {"line": 0, "character": 0}}


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (None, "request.params"),
        ([], "request.params"),
        ({}, "required field missing @ request.params.position"),
        ({**AT_TOP, "position": {"line": "x", "character": 0}}, "expected int @ request.params.position.line"),
        ({**AT_TOP, "position": {"line": -1, "character": 0}}, "invalid value @ request.params.position"),
    ],
)
def test_a_request_with_wrong_parameters_is_refused(tmp_path: Path, params: object, reason: str) -> None:
    code, output, _ = run(
        tmp_path,
        INITIALIZE,
        message(HOVER, params, 2),
        message(HOVER, AT_TOP, 3),
        message("shutdown", number=4),
        message("exit"),
    )
    assert code == 0
    found = answers(output)
    assert found[2]["error"]["code"] == -32602
    assert reason in found[2]["error"]["message"]
    # The server goes on.
    assert found[3]["result"] is None


def test_a_request_after_shutdown_is_refused(tmp_path: Path) -> None:
    messages = [INITIALIZE, message("shutdown", number=2), message(HOVER, AT_TOP, 3), message("exit")]
    code, output, _ = run(tmp_path, *messages)
    assert code == 0
    found = answers(output)
    assert found[2]["result"] is None
    assert found[3]["error"]["code"] == -32600


def test_a_part_of_parameters_may_look_like_a_message(tmp_path: Path) -> None:
    action = {"title": "x", "data": {"jsonrpc": "2.0", "id": 9, "method": HOVER}}
    messages = [message("codeAction/resolve", action, 2), message("shutdown", number=3), message("exit")]
    code, output, _ = run(tmp_path, INITIALIZE, *messages)
    assert code == 0
    assert answers(output).keys() == {1, 2, 3}


def test_an_exit_without_shutdown_is_a_failure(tmp_path: Path) -> None:
    assert run(tmp_path, INITIALIZE, message("exit"))[0] == 1
    assert run(tmp_path, INITIALIZE, message("shutdown", number=2), message("exit"))[0] == 0


def test_a_refused_rename_writes_no_traceback(tmp_path: Path) -> None:
    uri = (tmp_path / "p.yaml").as_uri()
    item = {"uri": uri, "languageId": "yaml", "version": 1, "text": POLICY}
    at = {"textDocument": {"uri": uri}, "position": {"line": 0, "character": 3}, "newName": "x"}
    code, output, errors = run(
        tmp_path,
        INITIALIZE,
        message("textDocument/didOpen", {"textDocument": item}),
        message("textDocument/rename", at, 2),
        message("shutdown", number=3),
        message("exit"),
    )
    assert code == 0
    assert "only the counter of a limit" in output
    assert errors == ""


def test_it_ends_with_its_client(tmp_path: Path) -> None:
    server = subprocess.Popen(
        [sys.executable, "-m", "callgate", "lsp"], cwd=tmp_path, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert server.stdin is not None
    assert server.stdout is not None
    body = b'{"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {"capabilities": {}, "processId": null}}'
    server.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
    server.stdin.flush()
    assert server.stdout.readline().startswith(b"Content-Length")
    server.stdin.close()
    server.stdout.close()
    server.wait(PATIENCE_S)
    assert server.returncode == 0
