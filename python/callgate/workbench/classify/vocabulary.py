"""Verbs by the category of their ordinary use. The tables are data: a word is moved by moving it here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.words import verb_forms

if TYPE_CHECKING:
    from callgate.workbench.catalogue import Category

CLEAR: Final = 3
"""Strength of a verb that says the effect by itself: `delete`, `list`."""
PLAIN: Final = 2
"""Strength of a verb that usually has this effect: `open`, `import`."""
VAGUE: Final = 1
"""Strength of a verb whose effect depends on its object or on the rest of the text: `run`, `process`."""


class Meaning(NamedTuple):
    """Category and strength of a verb."""

    category: Category
    strength: int


_TABLES: Final[tuple[tuple[Category, int, str], ...]] = (
    (
        "Read",
        CLEAR,
        """
        get list describe read show search find fetch view check count lookup look retrieve inspect examine analyze
        analyse explain summarize summarise compare validate verify estimate calculate recommend suggest detect identify
        diagnose discover explore browse monitor watch poll return display lint ls stat head tail grep peek
        preview introspect enumerate understand whoami ping diff determine
        forecast predict measure assess audit lookup autocomplete geocode decode parse tokenize classify
        is has can exists contain match rank score aggregate filter sample outline visualize
        visualise interpret troubleshoot translate transcribe spellcheck proofread round sum subtract multiply divide
        """,
    ),
    (
        "Read",
        PLAIN,
        """
        provide give review scan query download export extract convert compute think reason recall sleep wait
        screenshot snapshot observe trace track resolve probe profile scrape crawl generate render format simulate
        encode hash collect gather report reflect brainstorm help guide map survey isolate design discover
        capture ask learn locate debug investigate research embed echo print
        escape unescape decompile disassemble demangle highlight draw consult
        advise
        """,
    ),
    (
        "Write",
        CLEAR,
        """
        create add update set put insert upsert edit modify patch rename move copy upload write save append prepend
        attach detach tag untag enable disable stop restart reboot pause resume scale resize assign unassign
        associate disassociate link unlink register unregister deregister unsubscribe archive unarchive
        configure reconfigure restore mark unmark label unlabel lock unlock star unstar pin unpin mute unmute follow
        unfollow like unlike react rotate clone duplicate fork commit push stage unstage merge rebase cherry-pick
        increment decrement incr decr replace comment annotate toggle transition reopen promote demote suspend
        unsuspend ban unban block unblock kick invite connect disconnect authorize provision downgrade
        cancel dismiss approve reject click fill upsert subscribe bookmark favorite unfavorite undelete extend
        activate deactivate adjust alter
        """,
    ),
    (
        "Write",
        PLAIN,
        """
        start import open close complete store record join leave accept decline acknowledge ack snooze
        schedule reschedule unschedule share unshare grant allow deny login logout authenticate sign checkout pull
        switch select type press hover drag scroll navigate resize tap swipe focus go visit turn play skip dim
        change adopt sync synchronize synchronise touch init initialize initialise setup
        launch make prepare fix repair undo redo revert rollback backfill index ingest load
        remember memorize memorise note post compose draft submit reply vote upvote downvote
        hold name categorize triage escalate
        establish invalidate dedupe deduplicate compact vacuum drain cordon uncordon package
        initiate assume bind unbind mount unmount
        reserve book plug allocate deallocate customize expose watchlist lower
        import upgrade place transfer trash optimize organize
        split combine rearrange reorder fit crop trim minimize maximize emulate authenticate hide unhide
        protect unprotect enroll unenroll onboard offboard confirm define replicate
        arrange populate seed
        """,
    ),
    ("Write", VAGUE, "access handle control maintain administer manage work interact operate use"),
    (
        "Execute",
        CLEAR,
        """
        invoke trigger deploy redeploy eval shell bash send email sms dispatch broadcast spawn rerun delegate
        notify tweet retweet build transact exec
        """,
    ),
    (
        "Execute",
        PLAIN,
        """
        install compile publish apply retry replay evaluate test forward train finetune migrate orchestrate
        automate call dial message respond chat converse prompt rebuild fire reindex
        fuzz exploit attack inject hack crack release benchmark
        """,
    ),
    ("Execute", VAGUE, "run execute perform conduct do process"),
    (
        "Destructive",
        CLEAR,
        """
        delete remove drop destroy purge wipe erase truncate terminate revoke uninstall nuke rm rmdir del
        obliterate decommission overwrite shred annihilate expunge
        """,
    ),
    (
        "Destructive",
        PLAIN,
        "clear kill flush prune empty discard evict forget unset teardown pop cleanup abandon factory-reset",
    ),
    (
        "Financial",
        CLEAR,
        """
        pay refund purchase buy sell repay payout withdraw donate reimburse disburse remit
        """,
    ),
    ("Financial", PLAIN, "charge stake unstake swap trade bid mint rent lend borrow redeem deposit"),
    # Their category follows from their object alone (`objects.py`).
    (
        "Write",
        VAGUE,
        "reset issue request capture order bill invoice finalize void settle tip wire top fund bridge claim renew",
    ),
)


def _meanings() -> dict[str, Meaning]:
    found: dict[str, Meaning] = {}
    for category, strength, words in _TABLES:
        for word in words.split():
            found.setdefault(word, Meaning(category, strength))
    return found


MEANINGS: Final = _meanings()
FORMS: Final = verb_forms(MEANINGS)
