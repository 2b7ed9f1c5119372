"""The things that tools are about, as far as their names say, and the harm that is particular to each."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from callgate.workbench.site.words import singular

if TYPE_CHECKING:
    from callgate.workbench.site.words import NameWords


@dataclass(frozen=True, slots=True)
class Topic:
    """A kind of thing."""

    noun: str
    words: frozenset[str]
    """Words of names that mean it."""
    pairs: frozenset[tuple[str, str]]
    """Neighbours in names that mean it together."""
    stake: str
    """The reason to be careful with it, as a sentence."""
    abuse: str
    """The way in which an attacker uses it, as a sentence."""
    advice: str
    """The first thing to limit, as a sentence."""


def topic_of(words: NameWords) -> Topic | None:
    """The kind of thing that a name is about; None if it says none.

    The last word of the thing comes first, and its group last: `vm_create_image` is about an image, and
    `update_image_set_metadata` about metadata.
    """
    things, every = [singular(word) for word in words.things], [singular(word) for word in words.words]
    for part in (things, every):
        for topic in _TOPICS:
            if not topic.pairs.isdisjoint(pairwise(part)):
                return topic
    for part in (things[-1:], things, every):
        for topic in _TOPICS:
            if not topic.words.isdisjoint(part):
                return topic
    return None


def _topic(noun: str, words: str, *, stake: str, abuse: str, advice: str, pairs: str = "") -> Topic:
    neighbours = frozenset((pair.split("-")[0], pair.split("-")[1]) for pair in pairs.split())
    return Topic(noun, frozenset(words.split()), neighbours, stake, abuse, advice)


_TOPICS: Final = (
    _topic(
        "credentials",
        "credential secret password passphrase token keypair certificate apikey mfa otp",
        pairs="access-key api-key secret-key private-key ssh-key signing-key encryption-key service-account",
        stake=(
            "It is about credentials. A credential works without the agent: once it has left, no limit on the agent "
            "reaches whoever holds it."
        ),
        abuse=(
            "Credentials are the first thing that an attacker looks for. One that ends up in an answer, a log or a "
            "chat stays valid after the conversation is over, often with more rights than the agent has."
        ),
        advice="Name the identities for which credentials may be made or read, and leave administrators out.",
    ),
    _topic(
        "identities and permissions",
        "user role permission policy iam member account acl grant identity principal sso admin owner",
        pairs="access-policy bucket-policy role-policy security-group user-group",
        stake=(
            "It is about who may do what. A change here changes what other rules protect, for the agent itself as well."
        ),
        abuse=(
            "An attacker who steers the agent adds a user, a role or a permission and comes back later by the front "
            "door. The change looks like ordinary administration."
        ),
        advice="Limit the roles and accounts that arguments may name; leave out those that can grant further rights.",
    ),
    _topic(
        "money",
        "payment charge invoice refund payout price subscription order checkout billing budget transfer wallet "
        "balance coupon purchase bank card",
        stake="It is about money. Getting it back depends on somebody else, and on how soon somebody notices.",
        abuse=(
            "Small amounts are easy to overlook: many payments below the amount that anybody checks add up to one "
            "that nobody would have agreed to."
        ),
        advice=(
            "Limit the sum, not only the number of calls: `cost` of a limit may be the argument that holds the amount."
        ),
    ),
    _topic(
        "messages",
        "email mail message sms chat channel slack thread comment reply notification newsletter tweet dm inbox "
        "calendar event meeting invite",
        stake=(
            "It is about messages between people. They carry private content in one direction and instructions of "
            "strangers in the other."
        ),
        abuse=(
            "A message can carry data out, and a message that came in can hold instructions. An agent that does both "
            "can be made to forward one conversation into another."
        ),
        advice="Limit recipients to your own domain or to a list of channels.",
    ),
    _topic(
        "personal data",
        "customer contact patient employee person people lead profile candidate student citizen passenger guest",
        stake="It is about people's data. A mistake concerns people whom nobody asked, and may have to be reported.",
        abuse=(
            "One record looks harmless. A loop over identifiers reaches the whole collection, one allowed call after "
            "another, and each of them looks like work."
        ),
        advice="Keep the calls of a day close to what a person would need: reaching everybody needs many.",
    ),
    _topic(
        "databases",
        "database db table query sql row column collection index schema document record postgres mysql mongo redis "
        "warehouse dataset",
        stake="It is about a database. One statement may reach every row, whatever the name of the tool suggests.",
        abuse=(
            "A statement that arrives as an argument is a program. Text that the agent has read may become part of "
            "it, and then a question reads or changes far more than was asked for."
        ),
        advice="Give the server a database user of its own with few rights: a rule sees a statement only as text.",
    ),
    _topic(
        "queues, streams and caches",
        "stream queue topic cache consumer producer subscription broker kafka job worker batch pipeline",
        stake=(
            "It is about a place that other programs read and write. A change shows up in their behaviour, not in the "
            "agent's."
        ),
        abuse=(
            "Programs that consume from there trust what they find. A crafted entry, or a new consumer that takes "
            "entries away from the right one, acts on their side without a call to them."
        ),
        advice="Limit the names of queues, streams and keys in arguments to those of the agent's task.",
    ),
    _topic(
        "code and releases",
        "repo repository branch commit pr pull merge workflow pipeline release build package deployment artifact "
        "function lambda code notebook tag",
        pairs="pull-request merge-request",
        stake="It is about code. What is changed or started there may run later, elsewhere, with other rights.",
        abuse=(
            "Text in an issue or a review can ask the agent for a change. A commit, a workflow or a release that "
            "comes from it runs with the rights of your build system."
        ),
        advice="Limit repositories and branches by arguments, and keep the protected branches out.",
    ),
    _topic(
        "files",
        "file folder directory path blob object bucket attachment upload document drive filesystem dir",
        stake="It is about files. A path in an argument may lead to any file that the server can reach.",
        abuse=(
            "A path such as `../../.ssh/id_rsa` or a link inside an allowed folder leads to files that nobody meant. "
            "Configuration files and keys are what an attacker asks for first."
        ),
        advice="Hold paths to a few folders with `path_within`, which resolves `..` before it compares.",
    ),
    _topic(
        "machines and their images",
        "vm instance image ami machine server container pod cluster node volume snapshot disk host droplet desktop",
        stake=(
            "It is about machines. They cost money for as long as they exist, and an image or a snapshot holds "
            "everything that was on its disk."
        ),
        abuse=(
            "An image or a snapshot is a copy of a disk, with the keys and data on it; shared with another account, "
            "it carries them out. New machines are also wanted for their computing time."
        ),
        advice="Limit regions, sizes and names in arguments, and label what is made, so that it can be found again.",
    ),
    _topic(
        "networks and the web",
        "url webhook dns domain ip network vpc firewall route proxy endpoint request http page browser website link "
        "crawl scrape site",
        stake=(
            "It reaches other systems. What they answer is written by strangers, and a request is itself a way to "
            "send data to them."
        ),
        abuse=(
            "Data leaves inside an address: a page that the agent reads asks it to open a link with the last answer "
            "in it. Addresses inside your own network answer as well, such as those of a cloud's metadata service."
        ),
        advice="Hold addresses to known hosts with `host_in`.",
    ),
    _topic(
        "commands",
        "command shell terminal bash script process exec console session tmux ssh python eval keyboard",
        stake="It is about commands. Whoever chooses their text can do what the server's user can do.",
        abuse=(
            "A command line has more ways to do harm than a list of forbidden words can name: variables, pipes, other "
            "programs, encodings."
        ),
        advice="Allow a list of exact commands with `in`; do not try to list the dangerous ones.",
    ),
    _topic(
        "descriptions of other things",
        "metadata tag label annotation attribute setting config configuration property parameter flag",
        stake=(
            "It is about data that describes other things. Searches, bills and automatic rules go by it, so a wrong "
            "entry has effects far from where it stands."
        ),
        abuse=(
            "Automatic rules read labels and metadata. An attacker changes an entry so that a resource is found by "
            "the wrong rule, or is no longer found by the right one."
        ),
        advice="Limit the keys that may be changed, and keep those that other rules go by out of the list.",
    ),
    _topic(
        "records of what happened",
        "log metric trace alert alarm incident audit event dashboard monitor report history",
        stake=(
            "It is about records of what happened. They hold private data by accident, and they are what people go by "
            "when something is wrong."
        ),
        abuse=(
            "Logs contain text of strangers, such as names and addresses in requests. An agent that reads them reads "
            "whatever somebody wrote there for it."
        ),
        advice="Limit the span of time or the number of lines for which one call may ask.",
    ),
)
