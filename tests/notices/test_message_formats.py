"""Messages for people: what an agent wrote into a name or an argument stays text."""

from __future__ import annotations

import json
from typing import Any

import pytest

from callgate.notices.formats.slack import slack_body
from callgate.notices.formats.teams import teams_body
from callgate.notices.message import message_of, trial_message
from callgate.store.model import Approval, Call, State
from callgate.store.notices.model import Contents, Notice, NoticeEvent, NoticeState
from support.approvals import HOUR, NOW, need

EVIL = "<!channel> <@U0> [x](https://evil.example) *b* & https://evil.example www.evil.example @here\u202e"
BASE = "https://callgate.example.com"


def message(event: NoticeEvent, **more: Any) -> Any:
    call = Call("f" * 64, more.get("grant", "g"), "s", more.get("tool", "t"), "p")
    approval = Approval(
        "a" * 26, call, (need(),), None, State.PENDING, NOW, NOW + HOUR, None, NOW, "g", "", "", None, 1
    )
    facts = {"until_us": NOW + HOUR, "was": "pending", "by": "ann (local)", "reason": more.get("reason", "")}
    notice = Notice(
        "n" * 26, "ops", approval.id, event, NOW, facts, NOW + HOUR, None, NoticeState.WAITING, 0, NOW, None, NOW, None
    )
    contents = Contents(approval, '{"risk": "high"}', more.get("arguments"))
    return message_of(notice, contents, BASE, shows_arguments="arguments" in more)


def texts(value: Any, path: str = "") -> list[tuple[str, str]]:
    """All strings of a document, with the keys that lead to them."""
    if isinstance(value, dict):
        return [found for key, one in value.items() for found in texts(one, f"{path}/{key}")]
    if isinstance(value, list):
        return [found for one in value for found in texts(one, path)]
    return [(path, value)] if isinstance(value, str) else []


def slack(one: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(slack_body(one, NOW))
    return document


def teams(one: Any) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(teams_body(one, NOW))
    return document


ALL = message(
    NoticeEvent.REQUESTED, grant=EVIL, tool=EVIL, arguments=json.dumps({"text": EVIL, EVIL: [EVIL]}, ensure_ascii=False)
)


@pytest.mark.parametrize("form", [slack, teams])
def test_nothing_of_an_agent_is_a_link_a_mention_or_invisible(form: Any) -> None:
    for path, text in texts(form(ALL)):
        assert "\u202e" not in text
        if text.startswith((f"<{BASE}/", f"{BASE}/")):
            # The link of callgate itself.
            continue
        assert "https://evil" not in text, path
        assert "www.evil" not in text, path
        assert "@here" not in text, path
        assert "<@U0>" not in text, path


def test_markup_is_read_by_slack_only_in_texts_of_callgate() -> None:
    document = slack(ALL)
    marked = [one for one in json.dumps(document).split('"type": ') if one.startswith('"mrkdwn"')]
    assert len(marked) == 1
    [link] = [one["text"] for one in document["blocks"] if one.get("text", {}).get("type") == "mrkdwn"]
    assert link["text"] == f"<{BASE}/approvals/{'a' * 26}?notice={'n' * 26}|Open the approval>"
    # The notification is read as markup, so that its markup is escaped.
    assert "&lt;!channel&gt;" in document["text"]
    assert "<" not in document["text"]
    assert (document["unfurl_links"], document["unfurl_media"]) == (False, False)
    kinds = {block["type"] for block in document["blocks"]}
    assert kinds == {"header", "section", "rich_text"}


def test_teams_reads_no_markdown_in_any_text() -> None:
    [attachment] = teams(ALL)["attachments"]
    card = attachment["content"]
    assert {one["type"] for one in card["body"]} == {"RichTextBlock"}
    assert {run["type"] for one in card["body"] for run in one["inlines"]} == {"TextRun"}
    assert [one["url"] for one in card["actions"]] == [f"{BASE}/approvals/{'a' * 26}?notice={'n' * 26}"]


@pytest.mark.parametrize("form", [slack, teams])
def test_long_texts_are_cut_and_arguments_are_sent_where_the_operator_says_so(form: Any) -> None:
    assert "secret-word" not in json.dumps(form(message(NoticeEvent.REQUESTED, tool="t" * 5_000)))
    long = form(message(NoticeEvent.REQUESTED, tool="t" * 5_000, arguments=json.dumps({"a": "x" * 9_000})))
    assert max(len(text) for _, text in texts(long)) <= 3_000
    assert "too long for a message" in json.dumps(
        form(message(NoticeEvent.REQUESTED, arguments=json.dumps({"a": "x" * 20_000})))
    )
    assert "deleted" in json.dumps(form(message(NoticeEvent.REQUESTED, arguments=None)))


@pytest.mark.parametrize("form", [slack, teams])
def test_the_end_names_who_and_why_without_secrets(form: Any) -> None:
    token = "cgt_" + "a" * 43
    text = json.dumps(form(message(NoticeEvent.DENIED, reason=f"no: {token}")))
    assert "Denied: s/t" in text
    assert "ann (local)" in text
    assert token not in text
    # Its link is that of the page, which stays.
    assert "?notice=" not in text


@pytest.mark.parametrize("form", [slack, teams])
def test_a_test_says_that_nothing_is_to_be_done(form: Any) -> None:
    text = json.dumps(form(trial_message("n" * 26, NOW)))
    assert "nothing is to be done" in text
    assert "approvals/" not in text
