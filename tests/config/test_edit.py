"""Small changes of files, which leave every other character as it is."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from callgate.config.document import Document, parse_document
from callgate.errors import ConfigError
from callgate.workbench import edit
from callgate.workbench.layout import UneditableError
from callgate.workbench.replace import replace

A, B = "a" * 64, "b" * 64
UNTIL = "2027-01-31T00:00:00Z"

BLOCK = f"""# top
servers: {{s: {{policy: p}}}}   # one
grants:   # who
  # first
  - id: a   # she
    # inside
    token_hash: "{A}"   # made by bob
    labels: {{team: x}}

  # second
  - {{id: b, server: s}}   # in brackets
  # end of grants

peps:
- name: z
  token_hash: '{A}'
# tail
"""
ONE_LINE = f'{{"servers": {{}}, "grants": [{{"id": "a", "token_hash": "{A}"}}, {{"id": "b"}}], "peps": []}}'
PRETTY = f"""{{
  "grants": [
    {{
      "id": "a",
      "token_hash": "{A}",
      "labels": {{"x": "it's, ]}} #"}}
    }},
    {{
      "id": "b"
    }}
  ],
  "peps": [
  ]
}}
"""
BRACKETS = f"""grants: [
  {{id: a, token_hash: "{A}"}},  # one
  {{id: b, labels: {{x: it's}}}}  # two
]
"""
DASHES = f'grants:\n-\n  # she\n  id: a\n  token_hash: "{A}"\n-\n  id: b'

MARGIN = f"""grants:
- {{"id": "a", "token_hash": "{A}"}}   # she
# second
- id: b
peps:
- {{name: z, tokens: [{{hash: "{A}"}}]}}
"""


def rotated(document: Document) -> Document:
    document = edit.into_list(document, ("grants", 0), "token_hash", ("tokens", "hash"), UNTIL)
    return edit.append_item(document, ("grants", 0, "tokens"), {"hash": B})


def rotated_again(document: Document) -> Document:
    document = rotated(document)
    document = edit.set_member(document, ("grants", 0, "tokens", 1), "until", UNTIL, after="hash")
    document = edit.append_item(document, ("grants", 0, "tokens"), {"hash": "c" * 64})
    return edit.remove_item(document, ("grants", 0, "tokens", 0))


def emptied(document: Document) -> Document:
    for _ in document.data["grants"]:
        document = edit.remove_item(document, ("grants", 0))
    return document


CHANGES: dict[str, Callable[[Document], Document]] = {
    "rotate": rotated,
    "rotate again": rotated_again,
    "remove the first": lambda document: edit.remove_item(document, ("grants", 0)),
    "remove the last": lambda document: edit.remove_item(document, ("grants", 1)),
    "remove all": emptied,
    "append": lambda document: edit.append_item(
        document, ("grants",), {"id": "c: d", "labels": {"team": "no"}, "revoked": True, "token_hash": B}
    ),
    "add a list": lambda document: edit.add_list(document, "more", {"name": "q"}),
    "add a token": lambda document: edit.append_item(document, ("grants", 0, "tokens"), {"hash": B}),
    "replace a value": lambda document: edit.set_member(document, ("grants", 0), "token_hash", B, after="id"),
    "add a value": lambda document: edit.set_member(document, ("grants", 1), "policy", "p", after="id"),
}


@pytest.mark.parametrize("change", sorted(CHANGES.keys() - {"remove all", "add a token"}))
@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("a.yaml", BLOCK),
        ("a.yaml", BLOCK.replace("\n", "\r\n")),
        ("a.yaml", "\ufeff" + BLOCK),
        ("a.json", ONE_LINE),
        ("a.yaml", ONE_LINE),
        ("a.json", PRETTY),
        ("a.yaml", BRACKETS),
        ("a.yaml", DASHES),
        ("a.yaml", MARGIN),
    ],
    ids=[
        "block",
        "carriage returns",
        "byte order mark",
        "one line",
        "JSON as YAML",
        "pretty",
        "brackets",
        "dashes",
        "margin",
    ],
)
def test_a_change_keeps_what_it_is_not_about(change: str, name: str, text: str) -> None:
    before = parse_document(name, text.encode())
    after = CHANGES[change](before)
    assert after.data != before.data
    assert after.content.startswith(b"\xef\xbb\xbf") == text.startswith("\ufeff")
    if "\r\n" in text:
        assert "\n" not in after.text.replace("\r\n", "")
    # Comments that are not of these grants are there, in their order.
    lines = iter(after.text.splitlines())
    for line in before.text.splitlines():
        if line.lstrip().startswith("#") and "inside" not in line and "she" not in line:
            assert line in lines
    for path in (("servers",), ("peps",)):
        if path[0] in before.data:
            assert after.data[path[0]] == before.data[path[0]]


def test_a_rotation_keeps_comments_and_layout() -> None:
    before = parse_document("a.yaml", BLOCK.encode())
    assert (
        edit.diff(before, rotated(before))
        == f"""--- a.yaml
+++ a.yaml
@@ -4,7 +4,10 @@
   # first
   - id: a   # she
     # inside
-    token_hash: "{A}"   # made by bob
+    tokens:
+      - hash: "{A}"   # made by bob
+        until: {UNTIL}
+      - hash: "{B}"
     labels: {{team: x}}
{" "}
   # second
"""
    )


@pytest.mark.parametrize(
    ("name", "text", "change", "expected"),
    [
        (
            "a.json",
            ONE_LINE,
            "rotate",
            ONE_LINE.replace(
                f'"token_hash": "{A}"', f'"tokens": [{{"hash": "{A}", "until": "{UNTIL}"}}, {{"hash": "{B}"}}]'
            ),
        ),
        (
            "a.yaml",
            BRACKETS,
            "remove the last",
            BRACKETS.replace("},  # one", "}  # one").replace("{id: b, labels: {x: it's}}  # two", "# two"),
        ),
        (
            "a.yaml",
            BRACKETS,
            "append",
            BRACKETS.replace(
                "  # two", ',  # two\n  {id: "c: d", labels: {team: "no"}, revoked: true, token_hash: "B"}'
            ).replace('"B"', f'"{B}"'),
        ),
        (
            "a.json",
            PRETTY,
            "append",
            PRETTY.replace(
                '"id": "b"\n    }',
                '"id": "b"\n    },\n    {\n      "id": "c: d",\n      "labels": {\n        "team": "no"\n      },\n'
                f'      "revoked": true,\n      "token_hash": "{B}"\n    }}',
            ),
        ),
        (
            "a.yaml",
            DASHES,
            "rotate",
            DASHES.replace(f'token_hash: "{A}"', f'tokens:\n  - hash: "{A}"\n    until: {UNTIL}\n  - hash: "{B}"'),
        ),
        ("a.yaml", DASHES, "remove all", "grants: []\n"),
        (
            "a.yaml",
            MARGIN,
            "append",
            MARGIN.replace(
                "- id: b\n", f'- id: b\n- id: "c: d"\n  labels: {{team: "no"}}\n  revoked: true\n  token_hash: "{B}"\n'
            ),
        ),
        ("a.yaml", "grants:\n- {id: a}\n- {id: b}\n", "remove all", "grants: []\n"),
        (
            "a.yaml",
            f'grants:\n- id: a\n  tokens:\n  - {{hash: "{A}"}}\n',
            "add a token",
            f'grants:\n- id: a\n  tokens:\n  - {{hash: "{A}"}}\n  - {{hash: "{B}"}}\n',
        ),
        ("a.json", ONE_LINE, "remove all", '{"servers": {}, "grants": [], "peps": []}'),
        ("a.json", PRETTY, "remove all", '{\n  "grants": [\n  ],\n  "peps": [\n  ]\n}\n'),
        ("a.yaml", DASHES, "add a list", DASHES + "\nmore:\n  - name: q"),
    ],
)
def test_layouts(name: str, text: str, change: str, expected: str) -> None:
    assert CHANGES[change](parse_document(name, text.encode())).text == expected


def test_an_empty_list_becomes_one_in_lines() -> None:
    before = parse_document("a.yaml", b"peps: []  # none yet\nwatch: true\n")
    assert edit.append_item(before, ("peps",), {"name": "q", "uids": [1]}).text == (
        "peps:  # none yet\n  - name: q\n    uids: [1]\nwatch: true\n"
    )


@pytest.mark.parametrize(
    ("text", "change"),
    [
        (f"grants:\n- id: a\n  token_hash: >-\n    {A}\n", "replace a value"),
        (f"grants:\n- id: a\r  token_hash: {A}\n- id: b\n", "rotate"),
        ("grants:\n- id: a\n- ? id\n  : b\n", "add a value"),
        ("grants: [\n  {id: a},  # one\n  {id: b}\n]\n", "remove all"),
        ("grants:\n- id: a\n- id: b\n...\n", "add a list"),
    ],
)
def test_a_layout_that_cannot_be_kept_is_refused(text: str, change: str) -> None:
    before = parse_document("a.yaml", text.encode())
    with pytest.raises(UneditableError, match=r"`a\.yaml` is laid out in a way that this command cannot keep"):
        CHANGES[change](before)


def test_a_file_is_replaced_with_its_mode_through_a_link(tmp_path: Path) -> None:
    real, link = tmp_path / "real.yaml", tmp_path / "link.yaml"
    real.write_bytes(b"old")
    real.chmod(0o640)
    link.symlink_to(real.name)
    number = real.stat().st_ino
    replace(link, b"old", b"new")
    assert (real.read_bytes(), stat.S_IMODE(real.stat().st_mode)) == (b"new", 0o640)
    assert link.is_symlink()
    assert real.stat().st_ino != number
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["link.yaml", "real.yaml"]


def test_a_file_that_was_changed_meanwhile_stays(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"someone else's")
    with pytest.raises(ConfigError, match="has changed while the command was running; run it again"):
        replace(path, b"old", b"new")
    assert path.read_bytes() == b"someone else's"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_file_keeps_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_bytes(b"old")
    os.chown(path, 12345, 23456)
    replace(path, b"old", b"new")
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 23456)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot write `.*/gone/a\.yaml`: no such file or directory"):
        replace(tmp_path / "gone" / "a.yaml", b"", b"")


def test_a_file_that_another_command_changes_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("callgate.config.locks._PATIENCE_S", 0.1)
    path = tmp_path / "a.yaml"
    path.write_bytes(b"old")
    with path.open("rb") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(ConfigError, match="another process has locked"):
            replace(path, b"old", b"new")
    assert [file.name for file in tmp_path.iterdir()] == ["a.yaml"]
    replace(path, b"old", b"new")
    assert path.read_bytes() == b"new"
