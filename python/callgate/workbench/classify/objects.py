"""Objects that turn a verb: `send` is Execute, `send` + `payment` is Financial. The tables are data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.vocabulary import CLEAR, PLAIN
from callgate.workbench.classify.words import singular

if TYPE_CHECKING:
    from collections.abc import Sequence

    from callgate.workbench.catalogue import Category


class Turn(NamedTuple):
    """A rule: one of the verbs with one of the objects near it has this category."""

    verbs: frozenset[str]
    objects: frozenset[str]
    category: Category
    strength: int = CLEAR
    unless: frozenset[str] = frozenset()
    """Objects in whose company the rule does not hold."""


def _set(words: str) -> frozenset[str]:
    return frozenset(words.split())


_RUN: Final = _set("run execute perform conduct do process start trigger launch submit")
_VAGUE_RUN: Final = _set("run execute perform conduct do process")
_CHANGE: Final = _set(
    "create make add update send issue process submit place confirm capture execute initiate authorize approve cancel "
    "finalize void start schedule request complete accept settle perform open generate set edit modify upgrade renew "
    "downgrade activate resume record bill do new"
)
_MONEY: Final = _set(
    "payment charge refund payout purchase withdrawal deposit donation disbursement remittance invoice dispute "
    "chargeback trade swap"
)
_FUNDS: Final = _set(
    "fund money balance token eth btc sol usdc usdt crypto cryptocurrency ether bitcoin lamport satoshi currency amount "
    "asset nft payment coin stablecoin usd eur dollar wallet erc20 transaction matic cash native"
)
_NO_MONEY: Final = _set(
    "method template setting reminder status webhook type report preference note comment tag label schema "
    "table page form database session memory event calendar topic queue notification category unit profile plan field "
    "config configuration code term detail analysis estimate recommendation test file document folder"
)
_LOOKS: Final = _set(
    "search lookup analysis audit check diagnostic diagnosis review scan scanner validation assessment inspection lint "
    "linter comparison report explain simulation forecast estimate preview discovery investigation calculation "
    "promql logql traceql metric insight loki jql xpath jsonpath geocode translation statistic plan "
    "select readonly read-only find aggregation"
)
_JOBS: Final = _set(
    "job execution run workflow pipeline query scan build training deployment crawl task export flow playbook "
    "automation agent simulation experiment review check statement batch ingestion crawler command script macro test "
    "benchmark evaluation backtest"
)
_MACHINES: Final = _set(
    "instance server vm application service cluster timer session device tunnel recording trace node broker machine "
    "stream conversation chat game timer countdown"
)

TURNS: Final[tuple[Turn, ...]] = (
    # Money.
    Turn(_CHANGE, _MONEY, "Financial", unless=_NO_MONEY | _set("log")),
    Turn(_set("send transfer move wire bridge withdraw"), _FUNDS, "Financial", unless=_set("email message notification")),
    Turn(_set("create place submit cancel execute modify make replace new amend complete capture"),
         _set("order bid bet"), "Financial", unless=_set("by sort of display in work change court tag note template webhook")),
    Turn(_set("create cancel update upgrade renew start resume activate pause change add modify"),
         _set("subscription"), "Financial",
         unless=_set("topic event webhook queue notification sns pubsub pub/sub email graph eventgrid newsletter filter "
                     "feed message channel list tag azure azurerm id lifecycle kinesis stream log alert")),
    Turn(_set("subscribe"), _set("plan premium paid"), "Financial"),
    Turn(_set("open close liquidate adjust"), _set("position"), "Financial", unless=_set("cursor element window scroll")),
    Turn(_set("book reserve order rent"),
         _set("flight hotel ticket ride taxi car trip pizza food meal item product delivery capacity rental accommodation "
              "seat offering travel stay groceries grocery"), "Financial"),
    Turn(_set("order reserve rent"), _set("number domain"), "Financial"),
    Turn(_set("checkout complete submit"), _set("cart checkout basket"), "Financial"),
    Turn(_set("fund top tip settle bill bridge claim"), _set("wallet account balance up user customer reward token invoice"),
         "Financial", unless=_set("cloud k8s")),
    Turn(_set("add supply provide remove"), _set("liquidity collateral"), "Financial"),
    Turn(_set("deposit swap trade mint bid stake"), _set("node slot file document variable button pod shift camera role"),
         "Write", PLAIN),
    Turn(_set("charge"), _set("battery vehicle car ev device point"), "Write", PLAIN),
    # Deletes that an ordinary call undoes, and changes that one does not.
    Turn(_set("remove"),
         _set("tag label reaction assignee reviewer member collaborator participant follower star like favorite bookmark "
              "pin watcher attendee subscriber upvote mention follow emoji watchlist assignment"),
         "Write", unless=_set("instance file database bucket table key")),
    Turn(_set("clear"), _set("filter selection form input field highlight breakpoint override search console"),
         "Write", PLAIN),
    Turn(_set("reset"), _set("database db branch hard factory table state data cluster environment graph memory all"),
         "Destructive", PLAIN, unless=_set("password view staged unstage")),
    Turn(_set("drop"), _set("element target pin"), "Write", PLAIN),
    Turn(_set("terminate kill"), _set("session"), "Write", PLAIN),
    Turn(_set("move"), _set("trash bin"), "Write"),
    Turn(_set("push"), _set("force"), "Destructive"),
    Turn(_set("release"), _set("address ip eip number"), "Destructive"),
    Turn(_set("unlink"), _set("file"), "Destructive"),
    Turn(_set("tear"), _set("down"), "Destructive"),
    Turn(_set("format"), _set("disk drive volume partition"), "Destructive"),
    # Code, commands, messages, jobs.
    Turn(_set("send post publish reply forward deliver broadcast respond push schedule"),
         _set("message email mail sms notification dm tweet chat webhook alert announcement whatsapp fax slack telegram "
              "discord gmail letter reminder"), "Execute",
         unless=_set("git image branch draft template rule policy setting preference")),
    Turn(_set("make place start initiate create dial"), _set("call"), "Execute", unless=_set("log recording note")),
    Turn(_VAGUE_RUN, _set("sql statement code script command shell cypher opencypher gremlin mutation"), "Execute",
         unless=_set("readonly read-only promql logql select")),
    Turn(_set("query"), _set("sql database db cypher d1 opencypher gremlin sparql"), "Execute", PLAIN,
         unless=_set("readonly read-only knowledge metric log metadata schema")),
    Turn(_VAGUE_RUN, _LOOKS, "Read", PLAIN, unless=_set("job")),
    Turn(_set("run execute"), _set("instance"), "Write", PLAIN),
    Turn(_VAGUE_RUN, _JOBS - {"query"}, "Execute"),
    Turn(_set("start submit trigger launch queue enqueue schedule begin kick restart resume rerun retry"),
         _JOBS, "Execute", unless=_set("application app schedule vm session server instance reboot")),
    Turn(_set("create"), _set("execution deployment"), "Execute",
         unless=_set("template role config configuration environment protection pool group location")),
    Turn(_set("launch run"), _set("container app application browser program process agent"), "Execute"),
    Turn(_set("evaluate"), _set("model answer response policy quality performance metric risk rule option result prompt "
                                "alternative"), "Read", PLAIN, unless=_set("javascript script js")),
    Turn(_set("test"), _set("connection connectivity credential auth authentication pattern regex access"), "Read", PLAIN),
    Turn(_set("build"), _set("url query link prompt message index filter search tree graph"), "Read", PLAIN),
    Turn(_set("process"), _set("refund payment charge payout"), "Financial"),
    Turn(_set("apply"), _set("change edit diff patch update"), "Write",
         unless=_set("terraform tf manifest migration yaml kubernetes stack infrastructure service")),
    Turn(_set("apply"), _set("label tag filter style theme format formatting template color texture material"), "Write"),
    Turn(_set("migrate release publish install"), _set("page draft note article post document issue card lock hold"), "Write", PLAIN),
    Turn(_set("call"), _set("hierarchy stack"), "Read", PLAIN),
    Turn(_set("ask chat prompt query"), _set("agent assistant subagent"), "Execute", PLAIN),
    Turn(_set("make send issue perform do"), _set("http request api graphql rest"), "Execute", PLAIN,
         unless=_set("search pull merge review access feature friend get")),
    # Verbs of reading that change something after all, and the reverse.
    Turn(_set("generate request"), _set("key password credential secret keypair"), "Write", PLAIN,
         unless=_set("list value policy schema detail info")),
    Turn(_set("generate"), _set("image video audio speech music sound voice model asset 3d song picture file document pdf"),
         "Write", PLAIN, unless=_set("report template code url link type")),
    Turn(_set("resolve"), _set("case issue alert incident comment thread conflict ticket finding discussion conversation "
                               "todo problem event bug review"), "Write"),
    Turn(_set("request"), _set("review access approval reviewer leave"), "Write"),
    Turn(_set("capture take"), _set("screenshot accessibility snapshot page screen viewport photo"), "Read", PLAIN,
         unless=_set("volume database db ebs rds disk payment")),
    Turn(_set("take"), _set("backup snapshot"), "Write", PLAIN),
    Turn(_set("optimize organize"), _set("waypoint route query prompt performance cost order processing portfolio "
                                         "configuration code"), "Read", PLAIN),
    Turn(_set("add"), _set("number integer float two"), "Read", PLAIN, unless=_set("phone contact page")),
    Turn(_set("search find"), _set("replace"), "Write", PLAIN, unless=_set("replacement")),
    Turn(_set("track"), _set("event conversion click"), "Write", PLAIN),
    Turn(_set("open"), _set("node image result"), "Read", PLAIN),
    Turn(_set("issue capture"), _set("token certificate credential"), "Write", PLAIN),
    Turn(_set("sign"), _set("transaction"), "Financial"),
    Turn(_set("broadcast submit"), _set("transaction"), "Financial"),
    Turn(_set("create make"), _set("request"), "Write", PLAIN),
)  # fmt: skip

READING_TAILS: Final = _set(
    "status preview impact estimate analysis analyzer check eligibility simulation candidate guide help guidance docs "
    "documentation recommendation forecast precheck explorer performance summary statistics stats detail info "
    "progress suggestion instruction reference"
)
"""Last words of names after which a verb before them is a topic: `delete_preview`, `deploy_help`."""

INFORMATION: Final = _set(
    "status info information weather forecast version help stats statistics health docs documentation log history "
    "balance price pricing metric detail summary overview schema time date guideline guidance recommendation "
    "practices diagnosis resolution list result output report metadata capability limit quota usage cost "
    "quote news definition meaning example reference content list inventory count tree diff blame profile types "
    "directory answer value snapshot screenshot details findings advice "
    "instructions instruction languages"
)
"""Nouns that name information; a name or a description that is one of them, without a verb, is Read."""


def turned(verb: str, after: Sequence[str]) -> Turn | None:
    """The first rule that holds for a verb and the words of its phrase; None if the verb keeps its own meaning."""
    objects = {singular(word) for word in after} | set(after)
    for turn in TURNS:
        if verb in turn.verbs and objects & turn.objects and not objects & turn.unless:
            return turn
    return None


def turning_object(turn: Turn, after: Sequence[str]) -> str:
    """The word that makes a rule hold."""
    return next(word for word in after if word in turn.objects or singular(word) in turn.objects)

