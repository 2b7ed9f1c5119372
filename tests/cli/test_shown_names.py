"""Names with characters that control a terminal or are invisible: every command shows them in the same way."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from support.program import run

if TYPE_CHECKING:
    from pathlib import Path

NAME = "get\x1b[31m\u200b\x85page"
SHOWN = "get\\u{1b}[31m\\u{200b}\\u{85}page"


def test_names_look_the_same_in_each_command(tmp_path: Path) -> None:
    tools = {NAME: {"category": "Destructive"}}
    (tmp_path / "c.json").write_text(json.dumps({"version": "1", "servers": {NAME: {"tools": tools}}}))
    (tmp_path / "p.json").write_text(json.dumps({"version": "1", "default": "deny", "tools": {f"{NAME}s": {}}}))
    for words in (
        ("recommend", "c.json"),
        ("recommend", "--keep", f"{NAME}s", "c.json"),
        ("init", "--server", f"{NAME}/", "new"),
        ("validate", "--catalogue", "c.json", "p.json"),
        ("validate", "--deep", "--catalogue", "c.json", "p.json"),
        ("classify", "c.json"),
        ("diff", "p.json", "q.json"),
    ):
        (tmp_path / "q.json").write_text('{"version": "1", "default": "deny"}')
        done = run(*words, cwd=tmp_path)
        # A policy has the name itself, as its format writes it.
        said = done.err if words == ("recommend", "c.json") else done.out + done.err
        assert SHOWN in said, (words, done)
        assert "\N{REPLACEMENT CHARACTER}" not in said
        assert not {"\x1b", "\u200b", "\x85"} & set(done.out + done.err)
