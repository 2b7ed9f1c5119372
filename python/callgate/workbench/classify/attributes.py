"""The data that tools read, see and send: the attributes by which tools leak together."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from callgate.workbench.catalogue import Attributes
from callgate.workbench.classify.arguments import carried
from callgate.workbench.classify.prose import LONGEST
from callgate.workbench.classify.words import name_words, sentence_words, singular, word_set

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Category, Tool


_PUBLIC: Final = word_set(
    """
        web internet wikipedia weather forecast documentation docs doc library libraries npm pypi crates public
        arxiv news stock ticker exchange currency dictionary timezone guideline guidance practice practices
        pricing price dataset language languages example examples geocode map route place flight hotel movie
        recipe rss hackernews reddit youtube google duckduckgo brave tavily exa firecrawl page url website site
        help version template templates schema bestpractice
    """
)
_COMPUTED: Final = word_set(
    """
        calculate compute convert echo random uuid hash encode decode format now time think sequentialthinking
        math sum ping sleep wait roll generate render lint translate
    """
)
_PRIVATE: Final = word_set(
    """
        file files directory folder document documents email emails mail inbox message messages chat
        conversation contact contacts calendar event events note notes secret secrets credential credentials key
        keys token password customer customers user users account accounts invoice payment charge balance
        transaction order database table row record records query log logs issue repository repo code commit
        memory crm deal ticket employee payroll patient private personal wallet address bucket object drive
        photo history clipboard env environment config configuration cookie session profile task project channel
        workspace
    """
)
_STRANGERS: Final = word_set(
    """
        web internet url page website site html rss feed email emails mail inbox message messages sms comment
        comments issue issues pull pr review reviews ticket tickets discussion post posts tweet tweets thread
        threads forum reddit slack discord telegram whatsapp channel dm attachment attachments transcript
        submission form feedback support case lead invite mention mentions scrape crawl browser console snapshot
        screenshot search_results wiki readme gist notification notifications youtube subtitle calendar_invite
        invitation voicemail pdf event_description
    """
)
_CARRYING: Final = word_set(
    """
        fetch browse crawl scrape navigate download http curl request open visit webhook
    """
)
_OUTWARD: Final = word_set(
    """
        email emails mail message messages sms slack discord telegram whatsapp tweet post comment webhook
        notification gist pr issue dm fax call chat channel reply invite invitation page review discussion
        release public share link site website form http url
    """
)
_OUTWARD_VERBS: Final = word_set(
    """
        send post publish share upload forward reply tweet notify broadcast email dispatch deliver push export
        transmit submit announce invite comment text message call dial fax navigate fetch webhook curl
    """
)
_SHARED_CHANGES: Final = word_set("create add update edit write open put append insert")
_WORLD: Final = word_set(
    """
        web internet external url website http email sms webhook api third-party remote public phone
    """
)
_INTERNAL_LOOKS: Final = re.compile(r"\b(?:local|in-memory|locally)\b", re.IGNORECASE)


def attributes_of(tool: Tool, category: Category) -> Attributes:
    """The attributes of a tool of a category. What no word speaks of is False where that is safe to say, else None."""
    name = name_words(tool.name)
    first = tool.description[:LONGEST].split("\n\n", 1)[0][:600]
    said = [*name, *sentence_words(first)]
    words = set(said) | {singular(word) for word in said}
    head = set(name) | {singular(word) for word in name}
    kinds: set[str] = {kind for _, kind in carried(tool.input_schema)}
    runs = bool(kinds & {"command"}) or (
        category == "Execute"
        and bool(words & word_set("command shell script javascript bash terminal") or head & {"code", "container"})
    )
    queries = category == "Execute" and bool(words & word_set("sql query database cypher api"))
    fetches = bool(words & _CARRYING) and (
        bool(kinds & {"url"}) or bool(words & word_set("url urls web website page link http"))
    )
    return Attributes(
        private_data=_private(category, words, head, is_open=runs or queries, fetches=fetches),
        untrusted_content=runs or queries or fetches or (_returns(category, words) and bool(words & _STRANGERS)),
        sends_out=_sends(category, words, head, kinds, runs=runs, fetches=fetches),
        reversible=category in ("Read", "Write"),
        open_world=_world(tool, words, kinds, runs=runs, fetches=fetches),
    )


def _returns(category: Category, words: set[str]) -> bool:
    return category == "Read" or bool(words & word_set("read get list search fetch return returns browser"))


def _private(category: Category, words: set[str], head: set[str], *, is_open: bool, fetches: bool) -> bool:
    """True unless the words say that what is read is public or computed: in doubt, data is private."""
    if is_open:
        return True
    if category != "Read" or fetches:
        return False
    if head & _PRIVATE:
        return True
    return not (words & _PUBLIC or head & _COMPUTED)


def _sends(category: Category, words: set[str], head: set[str], kinds: set[str], *, runs: bool, fetches: bool) -> bool:
    if runs or fetches:
        # A command reaches the network, and the address of a request carries data as well.
        return True
    if category == "Read":
        return False
    if head & _OUTWARD_VERBS and category in ("Execute", "Financial"):
        return True
    if head & _OUTWARD_VERBS and (words & _OUTWARD or "url" in kinds):
        return True
    if head & word_set("upload share publish invite") and category == "Write":
        return True
    return category == "Write" and bool(head & _SHARED_CHANGES) and bool(head & _OUTWARD)


def _world(tool: Tool, words: set[str], kinds: set[str], *, runs: bool, fetches: bool) -> bool | None:
    hint = tool.annotations.get("openWorldHint")
    if hint is True or runs or fetches or "url" in kinds or words & _WORLD:
        return True
    return False if hint is False or _INTERNAL_LOOKS.search(tool.description[:600]) else None
