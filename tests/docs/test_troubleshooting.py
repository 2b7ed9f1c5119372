"""Messages, rules and names on the pages for people who look for a cause are those that the program has."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
ALERTS = (ROOT / "docs/alerts.md").read_text(encoding="utf-8")
# A shorter part of a message could be found anywhere.
SHORTEST_PART = 10
SHORTEST_QUOTE = 15

QUOTES = [" ".join(found.replace("\n>", "\n").split()) for found in re.findall(r"^> (.+?)\n\n", TEXT, re.M | re.S)]
TABLED = re.findall(r'^\| "(.+?)" \|', TEXT, re.MULTILINE)
RULES = re.findall(r"`(\([a-z ]+\))`", TEXT + ALERTS)


@cache
def sources() -> str:
    """The program's sources, with strings that go on over several lines joined."""
    paths = [*ROOT.glob("rust/*/src/**/*.rs"), *ROOT.glob("python/callgate/**/*.py")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(paths) if "tests" not in path.parts)
    text = re.sub(r"\\\n\s*", "", text)
    return re.sub(r'"\s*\n\s*f?"', "", text)


def parts_of(message: str) -> list[str]:
    """The parts of a message between the marks for what differs from case to case."""
    return [part for part in (part.strip(" `:;,") for part in message.split("...")) if part]


def test_page_quotes_messages() -> None:
    assert len(QUOTES) >= 40
    assert len(TABLED) >= 5


@pytest.mark.parametrize("message", [*QUOTES, *TABLED])
def test_message_is_in_the_source(message: str) -> None:
    parts = parts_of(message)
    assert sum(len(part) for part in parts) >= SHORTEST_QUOTE, f"too little of the message is quoted: {message}"
    assert [part for part in parts if len(part) >= SHORTEST_PART and part not in sources()] == []


@pytest.mark.parametrize("rule", sorted(set(RULES)))
def test_rule_is_in_the_source(rule: str) -> None:
    assert f'"{rule}"' in sources()


@pytest.mark.parametrize("page", [TEXT, ALERTS], ids=["troubleshooting", "alerts"])
def test_named_words_are_in_the_source(page: str) -> None:
    """Events of the log, keys and metrics that a page names by a word with `_`."""
    named = set(re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page))
    assert len(named) >= 10
    # Those of Envoy and of containers; the rest is the program's own.
    others = {"failure_mode_deny", "max_request_bytes", "container_cpu_cfs_throttled_periods_total"}
    in_source = {name: name.removeprefix("callgate_").removesuffix("_total") for name in named - others}
    assert sorted(name for name, word in in_source.items() if word not in sources()) == []


def test_every_symptom_says_what_to_do() -> None:
    symptoms = re.split(r"^### ", TEXT, flags=re.MULTILINE)[1:]
    for symptom in symptoms:
        title = symptom.split("\n", 1)[0]
        assert "\nCause: " in symptom, f"`{title}` names no cause"
        assert "\nDo: " in symptom, f"`{title}` does not say what to do"
