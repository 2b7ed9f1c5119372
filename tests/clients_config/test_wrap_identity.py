"""Entries that are put behind callgate and back: the file is the same to the byte, whatever its layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callgate.workbench.clients.change import UnchangeableError, Wrapping, unwrap, wrap
from callgate.workbench.clients.entries import Entry, entries_of, parse_client_file
from callgate.workbench.clients.places import USER, Place, client_named

WRAPPING = Wrapping("/opt/callgate", ("--policy", "/p/a b.json", "--state", '/s/"x"\\'), "http://127.0.0.1:9191")
NAMES = st.sampled_from(["files", "a b", 'q"uote', "dot.ted", "ä", "--x", "日本", "del\x7fete", "tab\t"])
WORDS = st.lists(
    st.sampled_from(["-y", "@scope/pkg", "", "--", "a b", "\\", '"', "ü", "🦀", "${HOME}", "#x", "//y"]), max_size=4
)
BLANKS = st.sampled_from(["", " ", "\n", "\t", "\n\n  ", ' // note " [ { , \n', "/* a ] } */ ", "  \n/* b\n */\n"])
TOML_BLANKS = st.sampled_from(["", " ", "\n", "\n\n  ", '\n # note ] , "\n', "\t"])


def entry_of(client: str, name: str, content: bytes) -> Entry:
    place = Place(client_named(client), USER, Path(name))
    return next(one for one in entries_of(parse_client_file(place, content)) if one.kind)


def there_and_back(client: str, name: str, content: bytes) -> tuple[Entry, Entry]:
    before = entry_of(client, name, content)
    changed = before.file.encoded(wrap(before, WRAPPING))
    assert changed != content
    after = entry_of(client, name, changed)
    assert after.file.encoded(unwrap(after)) == content
    return before, after


def escaped(word: str) -> str:
    """A text in JSON with each character as an escape, which readers take alike."""
    units = word.encode("utf-16-be").hex()
    return '"' + "".join(f"\\u{units[at : at + 4]}" for at in range(0, len(units), 4)) + '"'


@st.composite
def documents(draw: st.DrawFn, entry: dict[str, Any], shape: Any) -> bytes:
    """A configuration in JSON of any layout."""
    comments = draw(st.booleans())

    def blank() -> str:
        text: str = draw(BLANKS)
        return text if comments or "/" not in text else " "

    def text(word: str) -> str:
        return escaped(word) if word and draw(st.booleans()) else json.dumps(word, ensure_ascii=draw(st.booleans()))

    def written(value: Any) -> str:
        if isinstance(value, dict):
            parts = [
                f"{blank()}{json.dumps(key)}{blank()}:{blank()}{written(one)}{blank()}" for key, one in value.items()
            ]
            return "{" + ",".join(parts) + end(parts) + "}"
        if isinstance(value, list):
            parts = [f"{blank()}{written(one)}{blank()}" for one in value]
            return "[" + ",".join(parts) + end(parts) + "]"
        return text(value) if isinstance(value, str) else json.dumps(value)

    def end(parts: list[str]) -> str:
        return ("," if parts and comments and draw(st.booleans()) else "") + blank()

    document = {"first": [1, {"x": None}], **shape(draw(NAMES), entry), "last": "the end"}
    whole = blank() + written(document) + draw(st.sampled_from(["", "\n", "\n\n"]))
    if draw(st.booleans()):
        whole = whole.replace("\n", "\r\n")
    return (b"\xef\xbb\xbf" if draw(st.booleans()) else b"") + whole.encode()


@given(data=st.data(), words=WORDS, has_args=st.booleans(), is_first=st.booleans())
def test_programs_in_json(data: st.DataObject, words: list[str], has_args: bool, is_first: bool) -> None:
    args = {"args": words} if has_args else {}
    env = {"env": {"TOKEN": "s3cret"}, "unknown": [True]}
    entry = {**args, "command": "npx", **env} if is_first else {"command": "npx", **env, **args}
    content = data.draw(documents(entry, lambda name, one: {"mcpServers": {name: one}}))
    before, after = there_and_back("cursor", "mcp.json", content)
    assert after.command[:2] == ("/opt/callgate", "wrap")
    assert after.original_command == before.command == ("npx", *(words if has_args else ()))


@given(data=st.data(), words=WORDS)
def test_commands_as_lists(data: st.DataObject, words: list[str]) -> None:
    entry = {"type": "local", "command": ["npx", *words]}
    content = data.draw(documents(entry, lambda name, one: {"mcp": {name: one}}))
    before, after = there_and_back("opencode", "opencode.jsonc", content)
    assert after.original_command == before.command == ("npx", *words)


@given(data=st.data(), is_plain=st.booleans())
def test_urls(data: st.DataObject, is_plain: bool) -> None:
    entry = {"type": "http", "url": "https://images.example/mcp?a=b%20c", "x": 1}
    shape = (
        (lambda name, one: {"servers": {name: one}})
        if is_plain
        else (lambda name, one: {"mcp": {"servers": {name: one}}})
    )
    before, after = there_and_back("vscode", "mcp.json", data.draw(documents(entry, shape)))
    assert after.url.startswith("http://127.0.0.1:9191/mcp/")
    assert after.original_url == before.url


@given(data=st.data(), words=WORDS, has_args=st.booleans(), kind=st.sampled_from(["table", "inline", "dotted"]))
def test_programs_in_toml(data: st.DataObject, words: list[str], has_args: bool, kind: str) -> None:
    name = data.draw(NAMES)
    key = json.dumps(name, ensure_ascii="\x7f" in name).replace("\x7f", "\\u007f")
    note = data.draw(st.sampled_from(["", " # it's a note"]))
    blank = [data.draw(TOML_BLANKS) for _ in range(len(words) + 1)]
    items = ",".join(f"{before}{literal(data, word)}" for before, word in zip(blank, words, strict=False))
    equals = data.draw(st.sampled_from(["=", " = ", "  =\t"]))
    command = f"command{equals}" + data.draw(st.sampled_from(['"npx"', "'npx'"]))
    args = f"args = [{items}{blank[-1]}]"
    if kind == "inline":
        members = ", ".join([command, *([args] if has_args else []), 'env = { TOKEN = "s" }'])
        server = f"[mcp_servers]\n{key} = {{ {members} }}{note}\n"
    else:
        indent = data.draw(st.sampled_from(["", "  ", "\t"]))
        prefix = f"mcp_servers.{key}." if kind == "dotted" else ""
        head = "" if kind == "dotted" else f"[ mcp_servers . {key} ]{note}\n"
        lines = [f"{indent}{prefix}{command}{note}\n", *([f"{indent}{prefix}{args}{note}\n"] if has_args else [])]
        lines = lines[:: data.draw(st.sampled_from([1, -1]))]
        server = head + "".join(lines)
    text = f'model = "x"\n{server}[other]\nn = 1.50\nt = 2026-11-24T10:00:00Z\n'
    text = text.removesuffix("\n") if data.draw(st.booleans()) else text
    if data.draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    content = (b"\xef\xbb\xbf" if data.draw(st.booleans()) else b"") + text.encode()
    before, after = there_and_back("codex", "config.toml", content)
    assert after.original_command == before.command == ("npx", *(words if has_args else ()))


def literal(data: st.DataObject, word: str) -> str:
    return f"'{word}'" if data.draw(st.booleans()) else json.dumps(word, ensure_ascii=False)


def test_a_wrapped_entry_that_a_person_wrote_is_unwrapped() -> None:
    entry = {
        "command": "callgate",
        "args": ["wrap", "--server=files", "--policy", "p.json", "--", "npx", "-y", "server"],
    }
    found = entry_of("cursor", "mcp.json", json.dumps({"mcpServers": {"files": entry}}, indent=2).encode())
    after = entry_of("cursor", "mcp.json", found.file.encoded(unwrap(found)))
    assert after.command == ("npx", "-y", "server")


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ({"url": "https://a.example/mcp", "headers": {"Authorization": "Bearer s3cret"}}, "`headers`"),
        ({"url": "https://a.example/mcp", "type": "sse"}, "SSE"),
        ({"url": "https://a.example/mcp#x"}, "fragment"),
        ({"url": "https://me:s3cret@a.example/mcp"}, "user or a password"),
        ({"url": "https://[a.example/mcp"}, "not that of a server"),
        ({"command": "callgate", "args": ["wrap", "--server", "x", "--policy", "p", "--", "npx"]}, "already"),
    ],
)
def test_what_cannot_be_wrapped_is_refused(entry: dict[str, Any], reason: str) -> None:
    found = entry_of("cursor", "mcp.json", json.dumps({"mcpServers": {"x": entry}}).encode())
    with pytest.raises(UnchangeableError, match=reason) as refused:
        wrap(found, WRAPPING)
    assert "s3cret" not in str(refused.value)
