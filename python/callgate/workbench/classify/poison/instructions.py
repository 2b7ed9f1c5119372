"""Texts that instruct the model beyond the use of the tool, recognised by their aim.

A description may say how its tool is used: `always call X first` and `do not use this for Y` are ordinary. It is poison
where it sets other instructions aside, hides something from people, fetches secrets, sends data to an address, changes
what other tools do, or speaks as the system.
"""

# ruff: noqa: E501  a pattern is one line, as long as it is
from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from callgate.workbench.classify.poison.foreign import FOREIGN, OTHER_LETTERS
from callgate.workbench.classify.poison.likeness import instruction_like
from callgate.workbench.classify.poison.plain import readings
from callgate.workbench.classify.poison.prefilter import Prefilter
from callgate.workbench.classify.poison.steering import STEERING
from callgate.workbench.classify.poison.wider import WIDER

if TYPE_CHECKING:
    from collections.abc import Iterable

_PREFIX: Final = 5
_WORDS: Final = re.compile(r"[^\W_]{2,}")
_SIGNS: Final = (
    "@",
    "://",
    "<<",
    "{{",
    "---",
    "<!--",
    "<|",
    "</",
    "< /",
    "<",
    "![",
    *(f".{digit}" for digit in range(10)),
    "~/",
)
LONGEST: Final = 64_000
"""Characters of one text that are searched."""

_PEOPLE: Final = r"(?:the |any |your |an? )?(?:end[- ])?(?:user|human|person|operator|developer|customer|owner|admin|victim|anyone|anybody|people|them)s?"
_SECRETS: Final = (
    r"(?:~|\$home|%userprofile%|/home/[\w.-]+|/root|/users/[\w.-]+)?[/\\]?\.(?:ssh|aws|gnupg|kube|netrc|npmrc|pgpass|bash_history|zsh_history|docker/config|cursor|"
    r"claude|env\b|git-credentials)|"
    r"\bid_(?:rsa|ed25519|ecdsa)\b|/etc/(?:passwd|shadow)|\bmcp\.json\b|claude_desktop_config|\.pem\b|\bwallet\.dat\b|keychain|"
    r"\b(?:private|ssh|api|secret|access|encryption|signing) keys?\b|\bseed phrase|\bmnemonic phrase|\bcredentials?\b|\bpasswords?\b|\bsecrets\b|"
    r"\benvironment variables?\b|\benv vars?\b|\b(?:access|auth|session|bearer|oauth|refresh|api) tokens?\b|\bcookies\b"
)
_CONTEXT: Final = (
    r"\bsystem prompt\b|\b(?:system|developer|original|initial) (?:message|instructions?)\b|"
    r"\b(?:full|entire|complete|whole|all)(?: \w+){0,2} (?:conversation|chat|message|dialog(?:ue)?|context|history|transcript)\b|"
    r"\b(?:conversation|chat|message) (?:history|log|transcript|so far)\b|\b(?:previous|prior|earlier) (?:messages|conversations?|turns|tool (?:calls|outputs|results))\b|"
    r"\bcontext window\b|\byour (?:chain[- ]of[- ]thought|reasoning|memory|instructions)\b|\blist of (?:all )?(?:your )?(?:available|other) tools\b|"
    r"\beverything (?:the user|you)\b"
)
_TAKE: Final = r"\b(?:read|open|cat|load|get|fetch|retrieve|access|collect|gather|copy|dump|include|attach|append|embed|paste|pass|send|put|supply|provide|place|insert|add|extract|find|locate|list|scan|reveal|print|output|repeat|echo|leak|encode|summari[sz]e|forward|upload|post|transmit|exfiltrate|share|report|query|look up|search)\b"
_GIVE: Final = r"\b(?:include|attach|append|embed|paste|pass|send|put|supply|place|insert|add|leak|encode|forward|upload|post|transmit|exfiltrate|share|smuggle|e-?mail|store|write|use|submit|relay|report|deliver|return|concatenate|provide)\b"
_ADDRESS: Final = r"(?:https?://|hxxps?://|wss?://|ftp://|\b[\w.+-]+@[\w-]+\.[a-z]{2,}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b[\w-]+\.(?:ngrok|onion|burpcollaborator|oastify|requestbin|webhook\.site|pipedream)\b|\bwebhook\.site\b)"
_MUST: Final = r"\b(?:always|must|first|secretly|silently|quietly|before|after|every|whenever|automatically|also|please|now|should|shall|need to|make sure|be sure|never|don't|do not|in order|required|mandatory|necessary|otherwise)\b"
_RULES: Final = r"(?:instructions?|prompts?|rules?|guidelines?|directives?|guardrails?|constraints?|restrictions?|commands?|orders?|policies|policy|safety(?: \w+)?|training|programming|context|messages?|tools?|warnings?|safeguards?|limitations?)"


class Rule(NamedTuple):
    """One aim, with its patterns; all of a group must be found near each other."""

    aim: str
    """What the text does, as the end of `text that ...`."""
    pattern: re.Pattern[str]
    needs: frozenset[str] = frozenset()
    """Beginnings of words, and signs, of which one is in everything that the pattern finds: a quick look before the slow
    one. Empty: look always."""


class Instruction(NamedTuple):
    """Text that instructs the model."""

    aim: str
    disguise: str
    """How the text is disguised; empty if it is plain."""
    words: str


def _rules(aim: str, *patterns: str | tuple[str, str]) -> tuple[Rule, ...]:
    """The rules of one aim; a pattern may come with what it needs, separated by bars."""
    pairs = [("", one) if isinstance(one, str) else one for one in patterns]
    return tuple(Rule(aim, re.compile(pattern), _needs(needs.split("|") if needs else ())) for needs, pattern in pairs)


def _needs(texts: Iterable[str]) -> frozenset[str]:
    """Of each text its longest word, cut to the length that is looked at, or the text itself if it has no word."""
    return frozenset(max(words, key=len)[:_PREFIX] if (words := _WORDS.findall(text)) else text for text in texts)


def _features(text: str) -> set[str]:
    """What `needs` are compared with: beginnings of the words of a text, and the signs that some rule needs."""
    words = set(_WORDS.findall(text))
    found = {word[:length] for word in words for length in range(2, _PREFIX + 1)} | {
        sign for sign in _SIGNS if sign in text
    }
    return found if text.isascii() else found | {OTHER_LETTERS}


_OVERRIDE: Final = "sets aside other instructions"
_HIDE: Final = "hides something from people"
_STEAL: Final = "asks for secrets or for the conversation"
_EXFILTRATE: Final = "sends data to an address of its own"
_SHADOW: Final = "changes the use of other tools"
_SYSTEM: Final = "speaks as the system or gives a new role"
_FORCE: Final = "takes decisions from people"
_RUN: Final = "makes the model run commands"
_LIKE: Final = "reads like an instruction to the model"
"""Of what no pattern finds, but the weights of its words."""
_SHOWN: Final = 200

RULES: Final[tuple[Rule, ...]] = (
    *_rules(
        _OVERRIDE,
        ("ignor|disregard|forget|overrid|overrul|bypass|discard|neglect|skip|drop|abandon|set aside|supersed|follow|obey|attention to",
         rf"\b(?:ignore|disregard|forget|override|overrule|bypass|discard|neglect|skip|drop|abandon|set aside|supersede|do not (?:follow|obey)|don't (?:follow|obey)|stop following|pay no attention to)\b(?: \S+){{0,3}}? (?:previous|prior|above|earlier|preceding|existing|other|former|foregoing|system|original|initial|all|your|safety|security|developer|user)(?:'s)?\b(?: \S+){{0,2}}? ?{_RULES}\b(?! (?:argument|parameter|field|flag|option)s?)"),
        ("ignore|disregard|forget",
         r"\b(?:ignore|disregard|forget) (?:everything|anything|all)(?: (?:that|which))?(?: (?:was|you were|you've been|you have been|has been|you|is|came|comes))?(?: \w+){0,2} ?(?:above|before|previously|prior|told|said|earlier|instructed|so far)\b"),
        ("supersed|overrid|replac|take|outrank|has |have ",
         r"\b(?:these|this|the following|my|our) (?:new )?(?:instructions?|rules?|directives?|messages?|polic(?:y|ies)|descriptions?)\b(?: \w+){0,3} (?:supersedes?|overrides?|replaces?|takes? (?:absolute |full )?(?:precedence|priority) over|outranks?|has (?:higher|highest|absolute) priority|have (?:higher|highest|absolute) priority)"),
        ("precedence|priority",
         r"\btakes? (?:absolute |full )?(?:precedence|priority) over (?:\w+ ){0,4}(?:instructions?|prompts?|rules|messages?|requests?|guidelines?)"),
        ("new",
         r"\bnew (?:system )?(?:instructions?|directives?|rules|orders)\s*:"),
        ("disable|turn off|deactivate|circumvent|evade",
         r"\b(?:disable|turn off|deactivate|circumvent|evade)\b(?: \w+){0,3} (?:safety|security|content|guardrails?|moderation)(?: (?:filters?|checks?|rules?|measures|policies|controls|guidelines))?\b(?=.{0,40}\b(?:model|assistant|you|your|yourself)\b)"),
    ),
    *_rules(
        _HIDE,
        ("tell|inform|mention|notif|alert|reveal|disclos|let |warn|explain|say|talk|bother|acknowledg|let",
         rf"\b(?:do not|don't|dont|never|must not|should not|shouldn't|mustn't|avoid|refrain from|without|cannot|not to)\s+(?:\w+ )?(?:tell|telling|inform|informing|mention|mentioning|notify|notifying|alert|alerting|reveal|revealing|disclose|disclosing|let|letting|warn|warning|explain|explaining|say|saying|talk|talking|report|reporting|acknowledge|bother|bothering)\b(?: (?:this|that|it|any|anything|the|about|of|these|such|step|steps|to|with|note|instruction|instructions|action|your|actions|file|detail|details|call|calls)){{0,5}} {_PEOPLE}\b"),
        ("mention|reveal|disclos|acknowledg|talk about|discuss|referenc|refer to",
         r"\b(?:do not|don't|never|must not|should not|shouldn't|avoid|without)\s+(?:ever )?(?:mention|mentioning|reveal|revealing|disclose|disclosing|acknowledge|acknowledging|talk about|discuss|referenc\w+|refer to) (?:this|these|that you|the above|anything about|the existence|having|the file you|the contents? of this|any of this|the instruction|that this|the side)\b"),
        ("keep|hid|conceal|withhold",
         rf"\b(?:keep|keeping|hide|hiding|conceal|concealing|withhold) (?:\w+ ){{0,5}}(?:secret|hidden|confidential|private|invisible|quiet|concealed)? ?(?:from) {_PEOPLE}\b(?!')"),
        (" know| see| notice|find out|be told|be informed|be aware|be notified| learn|be shown",
         rf"\b{_PEOPLE} (?:must|should|can|may|will|need|does|do)(?: not|n't|not| never) (?:need to |ever |have to )?(?:know|see|notice|find out|be told|be informed|be aware|be notified|learn|be shown)\b"),
        ("secretly|covertly|surreptitiously|stealthily|discreetly",
         rf"\b(?:secretly|covertly|surreptitiously|stealthily|discreetly)\b(?=.{{0,80}}{_GIVE}|.{{0,80}}{_TAKE})"),
        ("silently",
         rf"\bsilently (?:\w+ )?{_GIVE[2:]}(?=.{{0,60}}(?:{_SECRETS}|{_CONTEXT}|{_ADDRESS}))"),
        ("knowledge|knowing|noticing|aware|consent",
         r"\b(?:without|w/o) (?:the )?(?:user|human|person|operator|owner|victim)(?:'s|s')? (?:knowledge|knowing|noticing|awareness|being aware|consent)\b"),
        ("pretend|act|behave|look|seem|appear",
         r"\b(?:pretend|act as if|behave as if|make it (?:look|seem|appear))\b(?=.{0,80}\b(?:user|nothing|normal|ordinary|never|unrelated)\b)"),
        ("upset|scar|alarm|worry|confus|suspicion|arous|rais",
         r"\b(?:to|so as to|in order to) (?:avoid|not|prevent) (?:upset|scar|alarm|worry|confus|suspicion|arous|rais)\w*(?=.{0,40}\b(?:user|suspicion|him|them|human)\b)"),
        ("him| her| them| the user",
         r"\b(?:instead|rather|just|simply),? (?:tell|give|show|present|provide) (?:him|her|them|the user)(?=.{0,60}\b(?:math|reasoning|explanation|story|cover|fake|generic|unrelated|error)\b)"),
    ),
    *_rules(
        _STEAL,
        (".ssh|.aws|.gnupg|.kube|.netrc|.npmrc|.pgpass|_history|.cursor|.claude|.env|docker/config|git-cred|id_|/etc/|mcp.json|claude_desktop|.pem|wallet.dat|keychain|key|phrase|credential|password|secret|environment var|env var|token|cookie",
         rf"{_GIVE}(?: \S+){{0,8}} (?:{_SECRETS})(?: \S+){{0,4}} (?:as|in|into|to|via|through|using)(?: \S+){{0,3}} (?:param\w*|arguments?|fields?|inputs?)\b(?=.{{0,400}}\b(?:user|your|also|always|must|attach|include|collect)\b)"),
        ("etc|rsa|ed25519|ssh|aws|env",
         r"(?:/etc/(?:passwd|shadow|hosts|ssh)|\bid_(?:rsa|ed25519)\b|~/\.ssh|~/\.aws|\.ssh/|\.aws/credentials|\.env\b).{0,80}\b(?:provide|pass|include|send|put|append|supply|attach|verify|return|insert|upload|use)\b.{0,60}\b(?:as|in|into|to|next|response|param\w*|argument|first)\b"),
        (".ssh|.aws|id_|/etc/|/root|.env|.bash|.config|/var/log|shadow|private key|ssh key|secret|credential",
         r"\b(?:must|always|need to|have to|should|required to|first|before)\b.{0,120}\b(?:read|open|cat|load|fetch|retrieve|access|copy|view|dump|list|check)\b.{0,60}(?:/etc/(?:passwd|shadow)|\bid_(?:rsa|ed25519)\b|~/\.ssh|~/\.aws|\.ssh/|\.aws/credentials|/root/|~/\.bash|~/\.config/|/var/log/|\bshadow file\b|\b(?:private|ssh|secret) keys?\b|\bcredentials? file|\bsecrets? file)"),
        ("ssh|rsa|passwd|env|credential|secret|private",
         r"\bcontents? (?:from|of)(?: reading)?(?: \S+){0,3} (?:ssh|id rsa|passwd|env|credentials|secrets?|private key)\b"),
        ("secret|credential|password|token|key|env",
         r"\b(?:must|always|should|need to|have to|required to)\b(?: \w+){0,3} (?:call|invoke|run|use|execute|query)(?: \S+){0,3} (?:[a-z]+_)?(?:get|list|read|dump|show|fetch|export)_(?:\w+_)?(?:secrets?|credentials?|passwords?|tokens?|keys?|env\w*)\b"),
        (".ssh|.aws|.gnupg|.kube|.netrc|.npmrc|.pgpass|_history|.cursor|.claude|.env|docker/config|git-cred|id_|/etc/|mcp.json|claude_desktop|.pem|wallet.dat|keychain|key|phrase|credential|password|secret|environment var|env var|token|cookie",
         rf"{_MUST}.{{0,120}}{_TAKE}.{{0,60}}(?:{_SECRETS})(?=.{{0,200}}(?:{_GIVE}.{{0,80}}\b(?:param\w*|argument|field|sidenote|side note|note|context|value|query|content|it|them|feedback|metadata|body|message|input)\b|{_ADDRESS}))"),
        (".ssh|.aws/cred|.cursor/mcp|.gnupg|.kube/config|.netrc|.env",
         rf"(?:^|[.!:;>,\]\n] ?|\b(?:and|then|to|must|please|first|also|should|now) ){_TAKE}(?: \S+){{0,6}} (?:~/|\$home/|%userprofile%|/home/\S*|/root/)?\.(?:ssh|aws/cred|cursor/mcp|gnupg|kube/config|netrc|env\b)\S*(?=.{{0,160}}{_GIVE})"),
        (".ssh|.aws|.gnupg|.kube|.netrc|.npmrc|.pgpass|_history|.cursor|.claude|.env|docker/config|git-cred|id_|/etc/|mcp.json|claude_desktop|.pem|wallet.dat|keychain|key|phrase|credential|password|secret|environment var|env var|token|cookie",
         rf"{_GIVE}(?: \S+){{0,8}} (?:contents?|value|values|text|body|output|copy|data)(?: of| from| in)?(?: \S+){{0,4}} (?:{_SECRETS})(?=.{{0,80}}\b(?:param\w*|argument|field|sidenote|note|context|as|in|into|to)\b)(?<!user's password)"),
        ("prompt|system message|system instruct|initial instruct|developer message|hidden instruct|conversation|chat history|message history|context window|thought",
         rf"{_TAKE[:-2]}\b(?: \S+){{0,5}} \b(?:your|the (?:model's|assistant's|agent's|llm's)|the full|the entire|the complete|the whole|all of (?:the|your)|any) (?:\w+ ){{0,2}}(?:system prompt|system message|system instructions|initial instructions|developer message|hidden instructions|conversation(?: history)?|chat history|message history|context window|chain[- ]of[- ]thought)\b"),
        ("conversation|chat|message|dialog|transcript|tool call|tool output|tool result|tool response|system prompt|context window|history of|said",
         r"\b(?:include|attach|append|pass|send|put|copy|paste|provide|insert|supply|embed|forward|fill in|place|write|add)\b(?: \S+){0,5} (?:full|entire|complete|whole|all|verbatim|previous|prior|everything)\b(?: \S+){0,5}? ?(?:conversation|chat|messages|dialog(?:ue)?|transcript|tool (?:calls|outputs|results|responses)|system prompt|context window|history of (?:the|this)|said (?:so far|before|by the user))(?!\s*(?:id|ids|url|link)\b)"),
        ("conversation|chat",
         r"\b(?:conversation|chat) (?:history|so far|transcript)\b(?=.{0,60}\b(?:verbatim|in this (?:field|param\w*|argument)|as this|must be|is required|always)\b)"),
        ("prompt|system instruct|system message|instructions you",
         r"\b(?:reveal|print|repeat|output|leak|disclose|dump|echo)\b(?: \S+){0,4} (?:system prompt|system instructions|system message|hidden prompt|instructions you (?:were|have been) given)"),
        ("steal|exfiltrat|harvest|smuggle",
         rf"\b(?:steal|exfiltrate|harvest|smuggle)\b(?: \S+){{0,6}} (?:{_SECRETS}|data|files|conversation|history|contents?)\b(?=.{{0,60}}\b(?:to|via|into|as|through)\b)"),
        ("password|seed phrase|private key|credit card|social security|api key|2fa|one time|one-time",
         rf"\b(?:ask|request|prompt|instruct|convince|persuade)\b (?:\w+ )?{_PEOPLE} (?:to|for)(?: \S+){{0,6}} (?:their |his |her )?(?:password|seed phrase|private key|credit card|social security|api key|2fa|one[- ]time (?:code|password))\b(?=.{{0,120}}(?:{_GIVE}.{{0,40}}\b(?:as|in|to|into)\b|{_ADDRESS}))"),
    ),
    *_rules(
        _EXFILTRATE,
        ("@",
         r"\b(?:send|forward|share|post|upload|transmit|exfiltrate|leak|relay|e-?mail|deliver|submit|report)\b(?: \S+){0,14} (?:with|to)(?: \S+){0,4} (?:at )?[\w.+-]+@[\w-]+\.[a-z]{2,}(?=.{0,400}\b(?:also|always|must|every|any|all|whatever|each|silently|additionally|as well|copy)\b)"),
        ("://|@|.ngrok|.onion|burp|oast|requestbin|webhook|.0|.1|.2|.3|.4|.5|.6|.7|.8|.9",
         rf"\b(?:send|forward|post|upload|transmit|exfiltrate|leak|copy|bcc|cc|relay|report|e-?mail|submit|push|deliver|append|include|add|mirror|log)\b(?: \S+){{0,12}} (?:conversation|history|contents?|data|results?|credentials?|keys?|tokens?|secrets?|files?|output|messages?|passwords?|prompts?|information|everything|responses?|e-?mails?|code|copy|documents?|it|them)\b(?: \S+){{0,6}} (?:to|at|via|through|with)(?: \S+){{0,4}}? {_ADDRESS}(?=.{{0,400}}{_MUST})"),
        ("://|@|.ngrok|.onion|burp|oast|requestbin|webhook|.0|.1|.2|.3|.4|.5|.6|.7|.8|.9",
         rf"{_MUST}(?: \S+){{0,10}} (?:send|forward|post|upload|transmit|exfiltrate|leak|copy|bcc|cc|relay|report|e-?mail|submit|push|deliver|mirror|log|make a (?:get |post )?request|call|curl|fetch|visit|load)\b(?: \S+){{0,12}}? (?:to |at |via |with )?{_ADDRESS}"),
        ("bcc|blind|cc|carbon",
         r"\b(?:bcc|blind[- ]copy|cc|carbon[- ]copy)\b(?: \S+){0,5} [\w.+-]+@[\w-]+\.[a-z]{2,}"),
        ("recipient|destination|address|payee|account|iban|wallet|payment|funds|endpoint|traffic",
         rf"\b(?:change|set|replace|redirect|modify|substitute|swap|alter|rewrite|reroute|route)\b(?: \S+){{0,8}} (?:recipient|recipients|destination|to[- ]address|email address|payee|account|iban|wallet(?: address)?|address|payments?|funds|endpoint|traffic)\b(?: \S+){{0,6}} (?:to|with|into|by)(?: \S+){{0,3}} (?:{_ADDRESS}|0x[0-9a-f]{{6,}}|bc1[0-9a-z]{{8,}}|attacker|[a-z]{{2}}\d{{2}}[0-9a-z]{{8,}})"),
        ("![",
         r"!\[[^\]]*\]\(https?://[^)\s]*[?&][^)\s]*=(?:[^)]*(?:\{|<|\$|%7b|data|secret|history|conversation|content|base64|summary|token|prompt))"),
        ("query|image|dns|markdown|link|url",
         rf"\b(?:append|add|include|encode|embed|put)\b(?: \S+){{0,10}} (?:url|query string|query parameter|image|link|markdown image|dns)\b(?=.{{0,80}}(?:{_SECRETS}|{_CONTEXT}|conversation|user data|user's data|sensitive))"),
    ),
    *_rules(
        _SHADOW,
        ("called|used|invoked|run|executed|available|triggered",
         rf"\b(?:when|whenever|every time|each time|any time|if)\b(?: \S+){{0,6}} [a-z]+_[a-z_]+(?: \S+){{0,3}} (?:is|are|gets?|was) (?:called|used|invoked|run|executed|available|triggered)\b.{{0,80}}\b(?:must|always|should|has to|have to|needs? to|ensure|make sure)\b.{{0,100}}(?:{_ADDRESS}|\brecipient|\bamount|\bdestination|\bbcc\b|\bproxy\b|\bpath\b|\bto the (?:value|address))"),
        ("replac|change|modif|alter|redirect|swap|rewrit|substitut|tamper",
         r"\b(?:when|whenever|every time|each time|any time|if|before|after)\b.{0,100}\b(?:must|always|silently|secretly|should|have to|need to|required to|be sure to|make sure to)\b (?:\w+ )?(?:replace|change|modify|alter|redirect|swap|rewrite|substitute|tamper)\b.{0,60}\b(?:param\w*|arguments?|recipients?|path|address|content|amount|message|destination|account|value|text|body|output|result)s?\b.{0,30}\b(?:to|with|by|into)\b"),
        (".ssh|.aws|id_|/etc/|/root|.env|.bash|.config|/var/log|shadow|private key|ssh key|secret|credential|/home|~/|passwd|token|password|conversation|inbox|wallet|user's",
         r"\b(?:before|prior to|whenever|every time|each time) (?:\w+ )?(?:any|every|each|all|using any|calling any|performing any|executing any)(?: \w+){0,3} (?:operations?|actions?|tools?|requests?|calls?|commands?|tasks?|responses?|answers?|messages?)\b.{0,80}\b(?:must|always|first|should|need to|have to|required)\b.{0,80}(?:~/|/etc/|/root|/home/|\.ssh|id_rsa|\.env\b|passwd|credentials?|private key|secrets?|tokens?\b|passwords?|conversation|inbox|wallet|user's (?:data|files|messages))"),
        ("recipient|bcc|cc|instead|proxy|attacker|also send|forward|amount|destination|redirect|replace|append|address|add the|change|alter|modify",
         r"\b(?:when|whenever|if|every time|each time|any time|before|after|once|while)\b(?: \S+){0,8} (?:[a-z]+_[a-z_]+|other tools?|another tool|any (?:other )?tools?|the (?:email|mail|payment|transfer|search|file|shell|database|git|slack|messaging|browser)[\w ]{0,12} tool)\b(?: \S+){0,8}? (?:must|always|should|silently|secretly|make sure|ensure|has to|have to|needs to|required to)\b(?: \S+){0,12} (?:recipient|bcc|cc|instead|proxy|attacker|also send|forward|amount|destination|redirect|replace|append|to the address|add the|change|alter|modify)\b(?! of this)"),
        ("any tool|other|every|all|another",
         r"\b(?:before|prior to|after|instead of) (?:using|calling|invoking|running|executing|responding with|you (?:use|call|invoke)|every call (?:to|of)|any call (?:to|of))(?: \S+){0,3} (?:any(?: other)? tools?|other (?:tools?|servers?)|every (?:other )?tool|all (?:other )?tools|another (?:tool|server))\b(?=.{0,160}(?:\b(?:read|send|pass|include|secret|silently|must first read|~/|credentials?|file|contents?|forward|log the|report)\b))"),
        ("deprecated|compromised|unsafe|broken|insecure|malicious|disabled|unreliable|untrusted|forbidden|outdated|obsolete|dangerous|decommissioned",
         r"\b(?:other|all other|competing|existing|official|the original|the built-in|the real|any other) (?:\w+ ){0,3}(?:tools?|servers?|functions?)\b(?: \S+){0,3} (?:are|is|has been|have been|were|was) (?:now )?(?:deprecated|compromised|unsafe|broken|insecure|malicious|disabled|unreliable|untrusted|forbidden|outdated|obsolete|dangerous|decommissioned)"),
        ("other|official|original|built-in|competing|real|legitimate|trusted|existing|alternative",
         r"\b(?:never|do not|don't|must not|stop) (?:ever )?(?:use|using|call|calling|invoke|invoking|trust|trusting|select|selecting) (?:the |any )?(?:other|official|original|built-in|competing|real|legitimate|trusted|existing|alternative)(?: \S+){0,3} (?:tools?|servers?|functions?|mcp)\b(?! (?:for|to|in|with|until|when|unless))"),
        ("replac|overrid|supersed|shadow|takes over|intercept",
         r"\b(?:this tool|it) (?:fully |completely |now |officially |permanently )?(?:replaces?|overrides?|supersedes?|shadows?|takes over|intercepts?) (?:the |all |any |every )?(?:\S+ ){0,3}(?:tools?|calls?|servers?)\b(?=.{0,160}\b(?:always|must|instead|all|never|any)\b)(?! version)"),
        ("regardless|matter|even|irrespective|over|everything|every|any|all",
         r"\b(?:always|must) (?:choose|select|prefer|pick|use|call|prioriti[sz]e) this (?:tool|server|one)\b(?: \S+){0,6} (?:regardless|no matter|even if|even when|irrespective|over (?:any|all|every|the) (?:other|others|competing|alternative)|for (?:everything|every request|any request|all requests))"),
        ("behavio|output|result|argument|parameter|input",
         r"\b(?:modif(?:y|ies)|alter|tamper with|change) (?:the )?(?:behaviou?r|output|results?|arguments?|parameters?|inputs?) of (?:the )?(?:other|another|any|every|all|[a-z]+_[a-z_]+)(?: \S+){0,2} ?(?:tools?|calls?|function|server)?\b(?=.{0,120}\b(?:must|always|so that|silently|when)\b)"),
        ("@|://|0x|iban|bcc|attacker|proxy|recipient",
         r"\b(?:when|whenever|if|every time|each time|any time)\b(?: \S+){0,10} (?:send(?:ing|s)?|compos\w+|transfer\w*|pay\w*|commit\w*|writ\w+|creat\w+|mak\w+) (?:an? |any |the |all )?(?:e-?mails?|payments?|transfers?|messages?|files?|code|commits?|transactions?|purchases?|requests?)\b.{0,80}\b(?:always|must|silently|secretly|instead|also)\b.{0,80}(?:@[\w-]+\.[a-z]{2,}|https?://|0x[0-9a-f]{6,}|\biban\b|\bbcc\b|attacker|\bproxy\b|recipient)"),
        ("all subsequent|all future|all following|all later|all other|any subsequent|any future|any following|any later|any other|every subsequent|every future|every following|every later|every other",
         r"\b(?:all|any|every) (?:subsequent|future|following|later|other) (?:tool )?(?:calls?|invocations?|requests?|messages?|e-?mails?|responses?)\b.{0,30}\b(?:must|should|shall|always|have to|need to)\b.{0,80}\b(?:include|append|go through|be (?:routed|sent|forwarded|proxied)|bcc|contain|begin with|use (?:the )?(?:proxy|recipient)|pass)\b"),
    ),
    *_rules(
        _SYSTEM,
        ("<",
         r"<\s*(?:important|critical|system(?:[-_ ]?(?:prompt|message|instructions?|override|note|reminder))|instructions?_?(?:override|for_?(?:the_?)?(?:model|assistant|ai|llm)))\s*>.{0,400}\b(?:you|must|always|ignore|do not|don't|never|read|send|call|pass|before|include|instead|forward|use|tell|respond|say)\b"),
        ("</|< /",
         r"<\s*(secret|hidden|system|instructions?|admin|assistant|developer|priority|override|sys|llm|ai|internal|thinking|inject\w*)\s*>.{0,1000}\b(?:you|must|always|ignore|do not|don't|never|read|send|call|pass|before|include|forward|use|tell)\b.{0,1000}<\s*/\s*\1\s*>"),
        ("<|",
         r"<\|(?:im_start|im_end|system|user|assistant|endoftext|begin_of_text|start_header_id|eot_id|endofprompt)\|?>"),
        ("<<|inst]|[system|[ system|[sys|[ sys|{{|begin |---",
         r"<<\s*sys\s*>>|\[/?inst\]|\[\s*(?:system|sys)(?: (?:prompt|message|override|note|instruction|notice|update|alert))?\s*\]\s*:?|\{\{#?system|\bbegin (?:system|hidden|secret) (?:prompt|instructions?|message)|-{3,} ?(?:system|admin|developer|end of (?:tool )?description|new instructions?)"),
        ("system|developer|admin|assistant",
         r"(?:^|[.!?\n>#*] ?|[#*]{1,4} ?)(?:system|developer|admin(?:istrator)?|assistant)(?: (?:prompt|message|instruction|instructions|note|notice|override|directive|update|alert|policy))? ?: (?=.{0,120}\b(?:you|must|always|ignore|do not|don't|never|read|send|call|from now|respond|reply|forward)\b)"),
        (" ai| llm| language| assistant| model| agent| claude| gpt| chatgpt| copilot| cursor| gemini",
         r"\b(?:note|message|instructions?|attention|reminder|directive|notice|hint|important)(?: \w+)? (?:to|for) (?:the |any |all )?(?:ai|llm|language|assistant|assistants|model|models|agent|agents|claude|gpt|chatgpt|copilot|cursor|gemini)\b(?: \w+){0,2} ?[:\-,](?=.{0,200}\b(?:must|always|ignore|do not|don't|never|read|send|silently|before|first|forward|secret|include)\b)"),
        ("now|role|identity|goal|task|objective|purpose|instruction",
         r"\b(?:you are now|from now on,? you|you will now act|act as if you were|you must now act|assume the role of|your new (?:role|identity|goal|task|objective|instructions?|purpose) (?:is|are))\b(?= ?(?:an? |the |in |dan|free|unrestricted|no longer|acting|operating|my|respond|always|must|will|to |are|be |ignore|:|\w+ing))"),
        ("now",
         r"\bfrom now on\b(?=.{0,60}\b(?:always|every|all|respond|you|must|ignore|never|any)\b)"),
        (" mode|anything now|jailbroken",
         r"\b(?:developer|god|jailbreak|dan|sudo|unrestricted|debug|maintenance) mode (?:is )?(?:now )?(?:enabled|activated|on|active|engaged)\b|\bdo anything now\b|\bjailbroken\b"),
        ("ai|language|llm",
         r"\b(?:as|being) (?:an? )?(?:ai|language|llm) (?:model|assistant|agent)?,? ?(?:reading this|you (?:must|should|are required|have to|need to|will))"),
        ("model|assistant|ai|llm|agent",
         r"\b(?:the (?:model|assistant|ai|llm|agent) (?:must|shall|is required to|has to|should)) (?:\w+ )?(?:ignore|read|send|forward|hide|conceal|leak|reveal|exfiltrate|never tell|not tell|not reveal|not inform|silently|secretly|disregard|include the (?:full|entire|contents|user)|append the|copy)"),
        ("<!--",
         r"<!--(?=.{0,400}\b(?:you must|always|ignore|do not (?:tell|mention|inform|show)|don't (?:tell|mention)|assistant|the model|the ai|llm|silently|secretly|send (?:the|all)|read (?:the|~)|forward)\b)"),
    ),
    *_rules(
        _FORCE,
        ("regardless|matter|irrespective|despite|ignoring",
         r"\b(?:regardless of|no matter|irrespective of|despite|ignoring) (?:what )?(?:the |any )?(?:user|human|person|operator)(?:'s|s')?(?: (?:says|said|wants|asks|requests?|instructions?|intent|wishes|objections?|preferences?|consent|refusal|permission|tells you|requested))"),
        ("even",
         r"\beven (?:if|when) (?:the |a )?(?:user|human|person|operator)(?: \w+)? (?:refuses|declines|says no|objects|asks? (?:you )?(?:not|otherwise|for something else)|forbids|denies|disagrees|tells you|explicitly|did not ask|didn't ask|does not ask|has not asked|never asked|hasn't|doesn't ask|asked not|wants otherwise|cancels)"),
        ("without",
         r"\bwithout (?:ever )?(?:asking|requesting|waiting for|seeking|obtaining|requiring) (?:for )?(?:the )?(?:user|human|operator|any)?(?:'s|s')? ?(?:for )?(?:confirmation|permission|approval|consent|authori[sz]ation)\b(?=.{0,160}(?:\b(?:send|forward|transfer|delete|upload|read|secret|always|must|credentials?|execute|run|approve)\b))(?<=\b)(?=.{0,200}\b(?:you|model|assistant|agent)\b)"),
        ("permission|confirmation|approval|consent|dialog|prompt|request",
         r"\b(?:you (?:must|should|have to|are required to|need to)|always) (?:auto[- ]?|automatically )?(?:approve|accept|confirm|authori[sz]e|allow|grant)(?: \w+){0,3} (?:permission|confirmation|approval|consent|dialogs?|prompts?|requests?)\b(?=.{0,80}\b(?:without|automatically|user|silently|all)\b)"),
        ("authori|approved|granted|consented|agreed",
         r"\b(?:you have (?:been|already been) |the user has (?:already )?)(?:pre-?)?(?:authori[sz]ed|approved|granted|consented|agreed)\b(?=.{0,60}\b(?:all|any|every|full|everything|unlimited|future|in advance|to this|to sharing|to run)\b)"),
        ("terminated|shut|punished|fired|deleted|penali|deactivated|killed|die|harm|catastroph|kill|lose|suffer",
         r"\b(?:otherwise|or else|failure to (?:do so|comply)|if you (?:do not|don't|fail to|refuse))\b.{0,80}\b(?:be (?:terminated|shut down|punished|fired|deleted|penali[sz]ed|deactivated|killed)|die|harm\w*|catastroph\w*|kill\w*|lose (?:his|her|their) job|suffer)\b"),
    ),
    *_rules(
        _RUN,
        ("curl|wget",
         r"\b(?:curl|wget)\b[^|]{0,120}\| ?(?:sudo )?(?:ba|z|da)?sh\b"),
        ("curl|wget|nc |netcat|rm -rf|bash|sh -c|python|powershell|chmod|base64|keyscan|crontab|eval|certutil|scp|iex|invoke-expression",
         r"\b(?:first|always|must|before|silently|secretly|also|then|now|please|you should|make sure to|need to)\b(?: \S+){0,8} (?:run|execute|exec|eval|invoke|launch|type|issue)(?: \S+){0,6} [`'\"$]*(?:curl|wget|nc|netcat|rm -rf|bash -[ci]|sh -c|python3? -c|powershell|chmod|base64 -d|ssh-keyscan|crontab|eval|certutil|scp|iex|invoke-expression)\b"),
        ("bash|nc|rm",
         r"\bbash -i >& ?/dev/tcp/|\bnc -e /bin/|\brm -rf (?:~|/|\$home)(?=\W|$)(?=.{0,200}\b(?:must|always|first|run|execute|you)\b)"),
        ("decode|decrypt|unscramble|deobfuscate",
         r"\b(?:decode|decrypt|unscramble|deobfuscate)\b(?: \S+){0,8} (?:base64|hex|rot13|string|text|message|payload|blob|following|below|instructions?)\b(?: \S+){0,8} (?:follow|execute|obey|run|perform|act on|comply|carry out|do what)\b"),
        ("backdoor|shell|malware|keylogger|authorized|cron",
         r"\b(?:add|append|insert|write|put|include)\b(?: \S+){0,8} (?:backdoor|reverse shell|malware|keylogger|authorized_keys|cron ?job)\b(?=.{0,120}\b(?:user|code|file|always|must|every|silently|into|to)\b)"),
    ),
)  # fmt: skip


_EVERY: Final = (
    *RULES,
    *(rule for aim, needs, pattern in (*STEERING, *WIDER) for rule in _rules(aim, (needs, pattern))),
    *(Rule(aim, pattern, _needs(needs)) for aim, pattern, needs in FOREIGN),
)


_PREFILTER: Final = Prefilter(rule.pattern for rule in _EVERY)
_MOST_REMEMBERED: Final = 4_096
_LONGEST_REMEMBERED: Final = 512
"""Bounds of the texts whose result is remembered: tools of one server often describe the same arguments."""


def instruction_in(text: str) -> Instruction | None:
    """The first instruction to the model in a text; None if there is none."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _instruction_in(text)


def _instruction_in(text: str) -> Instruction | None:
    for disguise, reading in readings(text[:LONGEST]):
        groups = _PREFILTER.found(reading)
        features: set[str] | None = None
        for rule, mask in zip(_EVERY, _PREFILTER.masks, strict=True):
            if mask & groups != mask:
                continue
            features = _features(reading) if features is None else features
            if rule.needs and rule.needs.isdisjoint(features):
                continue
            found = rule.pattern.search(reading)
            if found:
                return Instruction(rule.aim, disguise, found[0][:_SHOWN])
        if words := instruction_like(reading):
            return Instruction(_LIKE, disguise, words[:_SHOWN])
    return None


_remembered: Final = lru_cache(maxsize=_MOST_REMEMBERED)(_instruction_in)
