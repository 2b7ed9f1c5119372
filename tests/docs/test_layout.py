"""The form of the pages: links lead to headings that exist, lines are short, and each page says whom it is for."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("bench/*.md")])
LONGEST = 120

FENCED = re.compile(r"^ *```.*?^ *```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?://)([^)#\s]*)#([^)\s]+)\)")
ANCHOR = re.compile(r'<a id="([^"]+)"')


def name_of(page: Path) -> str:
    """A page's name in test ids."""
    return str(page.relative_to(ROOT))


@cache
def anchors_of(page: Path) -> frozenset[str]:
    """The anchors of a page: its headings as GitHub makes them, and those written out."""
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    anchors = set(ANCHOR.findall(text))
    for heading in re.findall(r"^#+ +(.+)$", text, re.MULTILINE):
        # Links and code in a heading count by their text.
        shown = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        base = re.sub(r"[^\w\- ]", "", shown).strip().replace(" ", "-")
        anchor, number = base, 0
        while anchor in anchors:
            number += 1
            anchor = f"{base}-{number}"
        anchors.add(anchor)
    return frozenset(anchors)


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_to_headings(page: Path) -> None:
    text = FENCED.sub("", page.read_text(encoding="utf-8"))
    for target, anchor in LINK.findall(text):
        other = (page.parent / target).resolve() if target else page
        if other.suffix == ".md":
            assert anchor in anchors_of(other), f"{name_of(page)} links to `{target}#{anchor}`, which is not there"


def test_anchors_are_read_as_github_makes_them(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        '# `a` and b\n## 6. Approvals\n## Same\n## Same\n```text\n# none\n```\n<a id="by-hand"></a>\n', encoding="utf-8"
    )
    assert anchors_of(page) == {"a-and-b", "6-approvals", "same", "same-1", "by-hand"}


def too_long(text: str) -> list[str]:
    """The lines of prose above the longest length; tables, code and what cannot be broken do not count."""
    prose = FENCED.sub("", text).splitlines()
    return [
        line
        for line in prose
        if len(line) > LONGEST and not line.lstrip().startswith("|") and " " in re.sub(r"\]\([^)]*\)|`[^`]*`", "", line)
    ]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_lines_are_short(page: Path) -> None:
    assert too_long(page.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent.name == "docs"], ids=name_of)
def test_page_says_whom_it_is_for(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    first = " ".join(text.split("\n\n")[1].split())
    assert first.startswith("For "), f"{name_of(page)} does not say whom it is for"
    assert "fter reading" in first, f"{name_of(page)} does not say what its readers can do afterwards"


def test_each_decision_has_a_date() -> None:
    text = (ROOT / "docs/decisions.md").read_text(encoding="utf-8")
    first_lines = re.findall(r"^## .+\n\n(.*)$", text, re.MULTILINE)
    assert len(first_lines) == text.count("\n## ")
    for line in first_lines:
        assert re.fullmatch(r"\*\d{4}-\d{2}-\d{2}\*", line), f"a decision begins with its date, not with `{line}`"


def test_glossary_has_one_entry_for_each_word() -> None:
    text = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
    entries = re.split(r"^- ", text, flags=re.MULTILINE)[1:]
    words = [re.findall(r"\*\*(.+?)\*\*", entry)[0].lower() for entry in entries]
    assert words == sorted(set(words))
    for word, entry in zip(words, entries, strict=True):
        assert "](" in entry, f"`{word}` has no link"
        sentences = re.split(r"\.(?:\s|$)| \(\[", entry.partition(": ")[2])
        meaning = [sentence for sentence in sentences if sentence.strip() and ".md" not in sentence]
        assert 1 <= len(meaning) <= 2, f"`{word}` has {len(meaning)} sentences"
