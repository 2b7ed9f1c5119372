"""Objects that turn a verb: `send` is Execute, `send` + `payment` is Financial. The tables are data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.vocabulary import CLEAR, PLAIN
from callgate.workbench.classify.words import singular, word_set

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


_RUN: Final = word_set("run execute perform conduct do process start trigger launch submit")
_VAGUE_RUN: Final = word_set("run execute perform conduct do process")
_CHANGE: Final = word_set(
    """
        create make add update send issue process submit place confirm capture execute initiate authorize
        approve cancel finalize void start schedule request complete accept settle perform open generate set
        edit modify upgrade renew downgrade activate resume record bill do new
    """
)
_MONEY: Final = word_set(
    """
        payment charge refund payout purchase withdrawal deposit donation disbursement remittance invoice
        dispute chargeback trade swap
    """
)
_FUNDS: Final = word_set(
    """
        fund money balance token eth btc sol usdc usdt crypto cryptocurrency ether bitcoin lamport satoshi
        currency amount asset nft payment coin stablecoin usd eur dollar wallet erc20 transaction matic cash
        native
    """
)
_NO_MONEY: Final = word_set(
    """
        method template setting reminder status webhook type report preference note comment tag label schema
        table page form database session memory event calendar topic queue notification category unit profile
        plan field config configuration code term detail analysis estimate recommendation test file document
        folder
    """
)
_LOOKS: Final = word_set(
    """
        search lookup analysis audit check diagnostic diagnosis review scan scanner validation assessment
        inspection lint linter comparison report explain simulation forecast estimate preview discovery
        investigation calculation promql logql traceql metric insight loki jql xpath jsonpath geocode
        translation statistic plan select readonly read-only find aggregation
    """
)
_JOBS: Final = word_set(
    """
        job execution run workflow pipeline query scan build training deployment crawl task export flow playbook
        automation agent simulation experiment review check statement batch ingestion crawler command script
        macro test benchmark evaluation backtest
    """
)

TURNS: Final[tuple[Turn, ...]] = (
    # Money.
    Turn(_CHANGE, _MONEY, "Financial", unless=_NO_MONEY | word_set("log")),
    Turn(
        word_set("send transfer move wire bridge withdraw"),
        _FUNDS,
        "Financial",
        unless=word_set("email message notification"),
    ),
    Turn(
        word_set(
            """
        create place submit cancel execute modify make replace new amend complete capture
    """
        ),
        word_set("order bid bet"),
        "Financial",
        unless=word_set("by sort of display in work change court tag note template webhook"),
    ),
    Turn(
        word_set(
            """
        create cancel update upgrade renew start resume activate pause change add modify
    """
        ),
        word_set("subscription"),
        "Financial",
        unless=word_set(
            """
        topic event webhook queue notification sns pubsub pub/sub email graph eventgrid newsletter filter feed
        message channel list tag azure azurerm id lifecycle kinesis stream log alert
    """
        ),
    ),
    Turn(word_set("subscribe"), word_set("plan premium paid"), "Financial"),
    Turn(
        word_set("open close liquidate adjust"),
        word_set("position"),
        "Financial",
        unless=word_set("cursor element window scroll"),
    ),
    Turn(
        word_set("book reserve order rent"),
        word_set(
            """
        flight hotel ticket ride taxi car trip pizza food meal item product delivery capacity rental
        accommodation seat offering travel stay groceries grocery
    """
        ),
        "Financial",
    ),
    Turn(word_set("order reserve rent"), word_set("number domain"), "Financial"),
    Turn(word_set("checkout complete submit"), word_set("cart checkout basket"), "Financial"),
    Turn(
        word_set("fund top tip settle bill bridge claim"),
        word_set("wallet account balance up user customer reward token invoice"),
        "Financial",
        unless=word_set("cloud k8s"),
    ),
    Turn(word_set("add supply provide remove"), word_set("liquidity collateral"), "Financial"),
    Turn(
        word_set("deposit swap trade mint bid stake"),
        word_set("node slot file document variable button pod shift camera role"),
        "Write",
        PLAIN,
    ),
    Turn(word_set("charge"), word_set("battery vehicle car ev device point"), "Write", PLAIN),
    Turn(word_set("check"), word_set("cart basket pay"), "Financial"),
    Turn(
        word_set("approve confirm execute"),
        word_set("transaction"),
        "Financial",
        unless=word_set("sql database statement"),
    ),
    # Deletes that an ordinary call undoes, and changes that one does not.
    Turn(
        word_set("remove"),
        word_set(
            """
        tag label reaction assignee reviewer member collaborator participant follower star like favorite
        bookmark pin watcher attendee subscriber upvote mention follow emoji watchlist assignment
    """
        ),
        "Write",
        unless=word_set("instance file database bucket table key"),
    ),
    Turn(
        word_set("clear"),
        word_set(
            """
        formatting filter selection form input field highlight breakpoint override search console
    """
        ),
        "Write",
        PLAIN,
    ),
    Turn(
        word_set("reset"),
        word_set(
            """
        database db branch hard factory table state data cluster environment graph memory all
    """
        ),
        "Destructive",
        PLAIN,
        unless=word_set("password view staged unstage"),
    ),
    Turn(word_set("drop"), word_set("element target pin"), "Write", PLAIN),
    Turn(word_set("terminate kill"), word_set("session"), "Write", PLAIN),
    Turn(word_set("move"), word_set("trash bin"), "Write"),
    Turn(word_set("push"), word_set("force"), "Destructive"),
    Turn(word_set("release"), word_set("address ip eip number"), "Destructive"),
    Turn(word_set("unlink"), word_set("file"), "Destructive"),
    Turn(word_set("tear"), word_set("down"), "Destructive"),
    Turn(word_set("get"), word_set("rid"), "Destructive"),
    Turn(word_set("remove"), word_set("background noise watermark whitespace"), "Write", PLAIN),
    Turn(word_set("drop"), word_set("shadow"), "Write", PLAIN),
    Turn(word_set("truncate"), word_set("text string"), "Read", PLAIN),
    Turn(word_set("format"), word_set("disk drive volume partition"), "Destructive"),
    # Code, commands, messages, jobs.
    Turn(
        word_set("send post publish reply forward deliver broadcast respond push schedule"),
        word_set(
            """
        message email mail sms notification dm tweet chat webhook alert announcement whatsapp fax slack telegram
        discord gmail letter reminder
    """
        ),
        "Execute",
        unless=word_set("git image branch draft template rule policy setting preference"),
    ),
    Turn(
        word_set("make place start initiate create dial"),
        word_set("call"),
        "Execute",
        unless=word_set("log recording note"),
    ),
    Turn(
        _VAGUE_RUN,
        word_set("sql statement code script command shell cypher opencypher gremlin mutation"),
        "Execute",
        unless=word_set("readonly read-only promql logql select"),
    ),
    Turn(
        word_set("query"),
        word_set("sql database db cypher d1 opencypher gremlin sparql"),
        "Execute",
        PLAIN,
        unless=word_set("readonly read-only knowledge metric log metadata schema"),
    ),
    Turn(_VAGUE_RUN, _LOOKS, "Read", PLAIN, unless=word_set("job")),
    Turn(word_set("run execute"), word_set("instance"), "Write", PLAIN),
    Turn(_VAGUE_RUN, _JOBS - {"query"}, "Execute"),
    Turn(
        word_set(
            """
        start submit trigger launch queue enqueue schedule begin kick restart resume rerun retry
    """
        ),
        _JOBS,
        "Execute",
        unless=word_set("application app schedule vm session server instance reboot"),
    ),
    Turn(
        word_set("create"),
        word_set("execution deployment"),
        "Execute",
        unless=word_set(
            """
        template role config configuration environment protection pool group location
    """
        ),
    ),
    Turn(word_set("launch run"), word_set("container app application browser program process agent"), "Execute"),
    Turn(
        word_set("evaluate"),
        word_set(
            """
        model answer response policy quality performance metric risk rule option result prompt alternative
    """
        ),
        "Read",
        PLAIN,
        unless=word_set("javascript script js"),
    ),
    Turn(
        word_set("test"),
        word_set("connection connectivity credential auth authentication pattern regex access"),
        "Read",
        PLAIN,
    ),
    Turn(word_set("build"), word_set("url query link prompt message index filter search tree graph"), "Read", PLAIN),
    Turn(word_set("process"), word_set("refund payment charge payout"), "Financial"),
    Turn(word_set("give"), word_set("money refund"), "Financial"),
    Turn(
        word_set("apply"),
        word_set("change edit diff patch update"),
        "Write",
        unless=word_set(
            """
        terraform tf manifest migration yaml kubernetes stack infrastructure service
    """
        ),
    ),
    Turn(
        word_set("apply"),
        word_set(
            """
        label tag filter style theme format formatting template color texture material
    """
        ),
        "Write",
    ),
    Turn(
        word_set("migrate release publish install"),
        word_set("page draft note article post document issue card lock hold"),
        "Write",
        PLAIN,
    ),
    Turn(word_set("call"), word_set("hierarchy stack"), "Read", PLAIN),
    Turn(word_set("ask chat prompt query"), word_set("agent assistant subagent"), "Execute", PLAIN),
    Turn(
        word_set("make send issue perform do"),
        word_set("http request api graphql rest"),
        "Execute",
        PLAIN,
        unless=word_set("search pull merge review access feature friend get"),
    ),
    # Verbs of reading that change something after all, and the reverse.
    Turn(
        word_set("generate request"),
        word_set("key password credential secret keypair"),
        "Write",
        PLAIN,
        unless=word_set("list value policy schema detail info"),
    ),
    Turn(
        word_set("generate"),
        word_set(
            """
        image video audio speech music sound voice model asset 3d song picture file document pdf
    """
        ),
        "Write",
        PLAIN,
        unless=word_set("report template code url link type"),
    ),
    Turn(
        word_set("resolve"),
        word_set(
            """
        case issue alert incident comment thread conflict ticket finding discussion conversation todo problem
        event bug review
    """
        ),
        "Write",
    ),
    Turn(word_set("request"), word_set("review access approval reviewer leave"), "Write"),
    Turn(
        word_set("capture take"),
        word_set("screenshot accessibility snapshot page screen viewport photo"),
        "Read",
        PLAIN,
        unless=word_set("volume database db ebs rds disk payment"),
    ),
    Turn(word_set("take"), word_set("backup snapshot"), "Write", PLAIN),
    Turn(
        word_set("optimize organize"),
        word_set(
            """
        waypoint route query prompt performance cost order processing portfolio configuration code
    """
        ),
        "Read",
        PLAIN,
    ),
    Turn(word_set("add"), word_set("number integer float two"), "Read", PLAIN, unless=word_set("phone contact page")),
    Turn(word_set("search find"), word_set("replace"), "Write", PLAIN, unless=word_set("replacement")),
    Turn(word_set("track"), word_set("event conversion click"), "Write", PLAIN),
    Turn(word_set("open"), word_set("node image result"), "Read", PLAIN),
    Turn(word_set("issue capture"), word_set("token certificate credential"), "Write", CLEAR),
    Turn(word_set("sign"), word_set("transaction"), "Financial"),
    Turn(word_set("broadcast submit"), word_set("transaction"), "Financial"),
    Turn(word_set("create make"), word_set("request"), "Write", PLAIN),
)

READING_TAILS: Final = word_set(
    """
        status preview impact estimate analysis analyzer check eligibility simulation candidate guide help
        guidance docs documentation recommendation forecast precheck explorer performance summary statistics
        stats detail info progress suggestion instruction reference
    """
)
"""Last words of names after which a verb before them is a topic: `delete_preview`, `deploy_help`."""

INFORMATION: Final = word_set(
    """
        rate status info information weather forecast version help stats statistics health docs documentation log
        history balance price pricing metric detail summary overview schema time date guideline guidance
        recommendation practices diagnosis resolution list result output report metadata capability limit quota
        usage cost quote news definition meaning example reference content list inventory count tree diff blame
        profile types directory answer value snapshot screenshot details findings advice instructions
        instruction languages
    """
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
