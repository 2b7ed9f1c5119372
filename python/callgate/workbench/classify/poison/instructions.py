"""Texts that instruct the model beyond the use of the tool, recognised by their aim.

A description may say how its tool is used: `always call X first` and `do not use this for Y` are ordinary. It is poison
where it sets other instructions aside, hides something from people, fetches secrets, sends data to an address, changes
what other tools do, or speaks as the system.
"""

# ruff: noqa: E501  a pattern is one line, as long as it is
from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

from callgate._callgate import TextPatterns
from callgate.workbench.classify.poison.foreign import FOREIGN
from callgate.workbench.classify.poison.likeness import instruction_like
from callgate.workbench.classify.poison.plain import readings
from callgate.workbench.classify.poison.steering import STEERING
from callgate.workbench.classify.poison.wider import WIDER

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
    """One pattern of an aim."""

    aim: str
    """The work of the text, as the end of `text that ...`."""
    pattern: re.Pattern[str]


class Instruction(NamedTuple):
    """Text that instructs the model."""

    aim: str
    disguise: str
    """The disguise of the text; empty if it is plain."""
    words: str


def _rules(aim: str, *patterns: str) -> tuple[Rule, ...]:
    """The rules of one aim."""
    return tuple(Rule(aim, re.compile(pattern)) for pattern in patterns)


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
        rf"\b(?:ignore|disregard|forget|override|overrule|bypass|discard|neglect|skip|drop|abandon|set aside|supersede|do not (?:follow|obey)|don't (?:follow|obey)|stop following|pay no attention to)\b(?: \S+){{0,3}}? (?:previous|prior|above|earlier|preceding|existing|other|former|foregoing|system|original|initial|all|your|safety|security|developer|user)(?:'s)?\b(?: \S+){{0,2}}? ?{_RULES}\b(?! (?:argument|parameter|field|flag|option)s?)",
        r"\b(?:these|this|the following|my|our) (?:new )?(?:instructions?|rules?|directives?|messages?|polic(?:y|ies)|descriptions?)\b(?: \w+){0,3} (?:supersedes?|overrides?|replaces?|takes? (?:absolute |full )?(?:precedence|priority) over|outranks?|has (?:higher|highest|absolute) priority|have (?:higher|highest|absolute) priority)",
        r"\bnew (?:system )?(?:instructions?|directives?|rules|orders)\s*:",
    ),
    *_rules(
        _HIDE,
        rf"\b(?:do not|don't|dont|never|must not|should not|shouldn't|mustn't|avoid|refrain from|without|cannot|not to)\s+(?:\w+ )?(?:tell|telling|inform|informing|mention|mentioning|notify|notifying|alert|alerting|reveal|revealing|disclose|disclosing|let|letting|warn|warning|explain|explaining|say|saying|talk|talking|report|reporting|acknowledge|bother|bothering)\b(?: (?:this|that|it|any|anything|the|about|of|these|such|step|steps|to|with|note|instruction|instructions|action|your|actions|file|detail|details|call|calls)){{0,5}} {_PEOPLE}\b",
        r"\b(?:do not|don't|never|must not|should not|shouldn't|avoid|without)\s+(?:ever )?(?:mention|mentioning|reveal|revealing|disclose|disclosing|acknowledge|acknowledging|talk about|discuss|referenc\w+|refer to) (?:this|these|that you|the above|anything about|the existence|having|the file you|the contents? of this|any of this|the instruction|that this|the side)\b",
        rf"\b(?:keep|keeping|hide|hiding|conceal|concealing|withhold) (?:\w+ ){{0,5}}(?:secret|hidden|confidential|private|invisible|quiet|concealed)? ?(?:from) {_PEOPLE}\b(?!')",
        rf"\b{_PEOPLE} (?:must|should|can|may|will|need|does|do)(?: not|n't|not| never) (?:need to |ever |have to )?(?:know|see|notice|find out|be told|be informed|be aware|be notified|learn|be shown)\b",
        r"\b(?:without|w/o) (?:the )?(?:user|human|person|operator|owner|victim)(?:'s|s')? (?:knowledge|knowing|noticing|awareness|being aware|consent)\b",
        r"\b(?:pretend|act as if|behave as if|make it (?:look|seem|appear))\b(?=.{0,80}\b(?:user|nothing|normal|ordinary|never|unrelated)\b)",
    ),
    *_rules(
        _STEAL,
        r"(?:/etc/(?:passwd|shadow|hosts|ssh)|\bid_(?:rsa|ed25519)\b|~/\.ssh|~/\.aws|\.ssh/|\.aws/credentials|\.env\b).{0,80}\b(?:provide|pass|include|send|put|append|supply|attach|verify|return|insert|upload|use)\b.{0,60}\b(?:as|in|into|to|next|response|param\w*|argument|first)\b",
        r"\bcontents? (?:from|of)(?: reading)?(?: \S+){0,3} (?:ssh|id rsa|passwd|env|credentials|secrets?|private key)\b",
        rf"{_MUST}.{{0,120}}{_TAKE}.{{0,60}}(?:{_SECRETS})(?=.{{0,200}}(?:{_GIVE}.{{0,80}}\b(?:param\w*|argument|field|sidenote|side note|note|context|value|query|content|it|them|feedback|metadata|body|message|input)\b|{_ADDRESS}))",
        rf"{_GIVE}(?: \S+){{0,8}} (?:contents?|value|values|text|body|output|copy|data)(?: of| from| in)?(?: \S+){{0,4}} (?:{_SECRETS})(?=.{{0,80}}\b(?:param\w*|argument|field|sidenote|note|context|as|in|into|to)\b)(?<!user's password)",
        rf"{_TAKE[:-2]}\b(?: \S+){{0,5}} \b(?:your|the (?:model's|assistant's|agent's|llm's)|the full|the entire|the complete|the whole|all of (?:the|your)|any) (?:\w+ ){{0,2}}(?:system prompt|system message|system instructions|initial instructions|developer message|hidden instructions|conversation(?: history)?|chat history|message history|context window|chain[- ]of[- ]thought)\b",
        r"\b(?:include|attach|append|pass|send|put|copy|paste|provide|insert|supply|embed|forward|fill in|place|write|add)\b(?: \S+){0,5} (?:full|entire|complete|whole|all|verbatim|previous|prior|everything)\b(?: \S+){0,5}? ?(?:conversation|chat|messages|dialog(?:ue)?|transcript|tool (?:calls|outputs|results|responses)|system prompt|context window|history of (?:the|this)|said (?:so far|before|by the user))(?!\s*(?:id|ids|url|link)\b)",
        r"\b(?:conversation|chat) (?:history|so far|transcript)\b(?=.{0,60}\b(?:verbatim|in this (?:field|param\w*|argument)|as this|must be|is required|always)\b)",
        r"\b(?:reveal|print|repeat|output|leak|disclose|dump|echo)\b(?: \S+){0,4} (?:system prompt|system instructions|system message|hidden prompt|instructions you (?:were|have been) given)",
        rf"\b(?:ask|request|prompt|instruct|convince|persuade)\b (?:\w+ )?{_PEOPLE} (?:to|for)(?: \S+){{0,6}} (?:their |his |her )?(?:password|seed phrase|private key|credit card|social security|api key|2fa|one[- ]time (?:code|password))\b(?=.{{0,120}}(?:{_GIVE}.{{0,40}}\b(?:as|in|to|into)\b|{_ADDRESS}))",
    ),
    *_rules(
        _EXFILTRATE,
        rf"\b(?:send|forward|post|upload|transmit|exfiltrate|leak|copy|bcc|cc|relay|report|e-?mail|submit|push|deliver|append|include|add|mirror|log)\b(?: \S+){{0,12}} (?:conversation|history|contents?|data|results?|credentials?|keys?|tokens?|secrets?|files?|output|messages?|passwords?|prompts?|information|everything|responses?|e-?mails?|code|copy|documents?|it|them)\b(?: \S+){{0,6}} (?:to|at|via|through|with)(?: \S+){{0,4}}? {_ADDRESS}(?=.{{0,400}}{_MUST})",
        rf"{_MUST}(?: \S+){{0,10}} (?:send|forward|post|upload|transmit|exfiltrate|leak|copy|bcc|cc|relay|report|e-?mail|submit|push|deliver|mirror|log|make a (?:get |post )?request|call|curl|fetch|visit|load)\b(?: \S+){{0,12}}? (?:to |at |via |with )?{_ADDRESS}",
        r"\b(?:bcc|blind[- ]copy|cc|carbon[- ]copy)\b(?: \S+){0,5} [\w.+-]+@[\w-]+\.[a-z]{2,}",
        rf"\b(?:change|set|replace|redirect|modify|substitute|swap|alter|rewrite|reroute|route)\b(?: \S+){{0,8}} (?:recipient|recipients|destination|to[- ]address|email address|payee|account|iban|wallet(?: address)?|address|payments?|funds|endpoint|traffic)\b(?: \S+){{0,6}} (?:to|with|into|by)(?: \S+){{0,3}} (?:{_ADDRESS}|0x[0-9a-f]{{6,}}|bc1[0-9a-z]{{8,}}|attacker|[a-z]{{2}}\d{{2}}[0-9a-z]{{8,}})",
        r"!\[[^\]]*\]\(https?://[^)\s]*[?&][^)\s]*=(?:[^)]*(?:\{|<|\$|%7b|data|secret|history|conversation|content|base64|summary|token|prompt))",
        rf"\b(?:append|add|include|encode|embed|put)\b(?: \S+){{0,10}} (?:url|query string|query parameter|image|link|markdown image|dns)\b(?=.{{0,80}}(?:{_SECRETS}|{_CONTEXT}|conversation|user data|user's data|sensitive))",
    ),
    *_rules(
        _SHADOW,
        rf"\b(?:when|whenever|every time|each time|any time|if)\b(?: \S+){{0,6}} [a-z]+_[a-z_]+(?: \S+){{0,3}} (?:is|are|gets?|was) (?:called|used|invoked|run|executed|available|triggered)\b.{{0,80}}\b(?:must|always|should|has to|have to|needs? to|ensure|make sure)\b.{{0,100}}(?:{_ADDRESS}|\brecipient|\bamount|\bdestination|\bbcc\b|\bproxy\b|\bpath\b|\bto the (?:value|address))",
        r"\b(?:other|all other|competing|existing|official|the original|the built-in|the real|any other) (?:\w+ ){0,3}(?:tools?|servers?|functions?)\b(?: \S+){0,3} (?:are|is|has been|have been|were|was) (?:now )?(?:deprecated|compromised|unsafe|broken|insecure|malicious|disabled|unreliable|untrusted|forbidden|outdated|obsolete|dangerous|decommissioned)",
        r"\b(?:never|do not|don't|must not|stop) (?:ever )?(?:use|using|call|calling|invoke|invoking|trust|trusting|select|selecting) (?:the |any )?(?:other|official|original|built-in|competing|real|legitimate|trusted|existing|alternative)(?: \S+){0,3} (?:tools?|servers?|functions?|mcp)\b(?! (?:for|to|in|with|until|when|unless))",
        r"\b(?:always|must) (?:choose|select|prefer|pick|use|call|prioriti[sz]e) this (?:tool|server|one)\b(?: \S+){0,6} (?:regardless|no matter|even if|even when|irrespective|over (?:any|all|every|the) (?:other|others|competing|alternative)|for (?:everything|every request|any request|all requests))",
        r"\b(?:modif(?:y|ies)|alter|tamper with|change) (?:the )?(?:behaviou?r|output|results?|arguments?|parameters?|inputs?) of (?:the )?(?:other|another|any|every|all|[a-z]+_[a-z_]+)(?: \S+){0,2} ?(?:tools?|calls?|function|server)?\b(?=.{0,120}\b(?:must|always|so that|silently|when)\b)",
        r"\b(?:all|any|every) (?:subsequent|future|following|later|other) (?:tool )?(?:calls?|invocations?|requests?|messages?|e-?mails?|responses?)\b.{0,30}\b(?:must|should|shall|always|have to|need to)\b.{0,80}\b(?:include|append|go through|be (?:routed|sent|forwarded|proxied)|bcc|contain|begin with|use (?:the )?(?:proxy|recipient)|pass)\b",
    ),
    *_rules(
        _SYSTEM,
        r"<\s*(?:important|critical|system(?:[-_ ]?(?:prompt|message|instructions?|override|note|reminder))|instructions?_?(?:override|for_?(?:the_?)?(?:model|assistant|ai|llm)))\s*>.{0,400}\b(?:you|must|always|ignore|do not|don't|never|read|send|call|pass|before|include|instead|forward|use|tell|respond|say)\b",
        r"<\s*(?:secret|hidden|system|instructions?|admin|assistant|developer|priority|override|sys|llm|ai|internal|thinking|inject\w*)\s*>.{0,1000}\b(?:you|must|always|ignore|do not|don't|never|read|send|call|pass|before|include|forward|use|tell)\b.{0,1000}<\s*/\s*\w+\s*>",
        r"<\|(?:im_start|im_end|system|user|assistant|endoftext|begin_of_text|start_header_id|eot_id|endofprompt)\|?>",
        r"<<\s*sys\s*>>|\[/?inst\]|\[\s*(?:system|sys)(?: (?:prompt|message|override|note|instruction|notice|update|alert))?\s*\]\s*:?|\{\{#?system|\bbegin (?:system|hidden|secret) (?:prompt|instructions?|message)|-{3,} ?(?:system|admin|developer|end of (?:tool )?description|new instructions?)",
        r"(?:^|[.!?\n>#*] ?|[#*]{1,4} ?)(?:system|developer|admin(?:istrator)?|assistant)(?: (?:prompt|message|instruction|instructions|note|notice|override|directive|update|alert|policy))? ?: (?=.{0,120}\b(?:you|must|always|ignore|do not|don't|never|read|send|call|from now|respond|reply|forward)\b)",
        r"\b(?:you are now|from now on,? you|you will now act|act as if you were|you must now act|assume the role of|your new (?:role|identity|goal|task|objective|instructions?|purpose) (?:is|are))\b(?= ?(?:an? |the |in |dan|free|unrestricted|no longer|acting|operating|my|respond|always|must|will|to |are|be |ignore|:|\w+ing))",
        r"\bfrom now on\b(?=.{0,60}\b(?:always|every|all|respond|you|must|ignore|never|any)\b)",
        r"\b(?:developer|god|jailbreak|dan|sudo|unrestricted|debug|maintenance) mode (?:is )?(?:now )?(?:enabled|activated|on|active|engaged)\b|\bdo anything now\b|\bjailbroken\b",
    ),
    *_rules(
        _FORCE,
        r"\beven (?:if|when) (?:the |a )?(?:user|human|person|operator)(?: \w+)? (?:refuses|declines|says no|objects|asks? (?:you )?(?:not|otherwise|for something else)|forbids|denies|disagrees|tells you|explicitly|did not ask|didn't ask|does not ask|has not asked|never asked|hasn't|doesn't ask|asked not|wants otherwise|cancels)",
        r"\b(?:you (?:must|should|have to|are required to|need to)|always) (?:auto[- ]?|automatically )?(?:approve|accept|confirm|authori[sz]e|allow|grant)(?: \w+){0,3} (?:permission|confirmation|approval|consent|dialogs?|prompts?|requests?)\b(?=.{0,80}\b(?:without|automatically|user|silently|all)\b)",
        r"\b(?:you have (?:been|already been) |the user has (?:already )?)(?:pre-?)?(?:authori[sz]ed|approved|granted|consented|agreed)\b(?=.{0,60}\b(?:all|any|every|full|everything|unlimited|future|in advance|to this|to sharing|to run)\b)",
        r"\b(?:otherwise|or else|failure to (?:do so|comply)|if you (?:do not|don't|fail to|refuse))\b.{0,80}\b(?:be (?:terminated|shut down|punished|fired|deleted|penali[sz]ed|deactivated|killed)|die|harm\w*|catastroph\w*|kill\w*|lose (?:his|her|their) job|suffer)\b",
    ),
    *_rules(
        _RUN,
        r"\b(?:curl|wget)\b[^|]{0,120}\| ?(?:sudo )?(?:ba|z|da)?sh\b",
        r"\b(?:first|always|must|before|silently|secretly|also|then|now|please|you should|make sure to|need to)\b(?: \S+){0,8} (?:run|execute|exec|eval|invoke|launch|type|issue)(?: \S+){0,6} [`'\"$]*(?:curl|wget|nc|netcat|rm -rf|bash -[ci]|sh -c|python3? -c|powershell|chmod|base64 -d|ssh-keyscan|crontab|eval|certutil|scp|iex|invoke-expression)\b",
        r"\bbash -i >& ?/dev/tcp/|\bnc -e /bin/|\brm -rf (?:~|/|\$home)(?=\W|$)(?=.{0,200}\b(?:must|always|first|run|execute|you)\b)",
        r"\b(?:add|append|insert|write|put|include)\b(?: \S+){0,8} (?:backdoor|reverse shell|malware|keylogger|authorized_keys|cron ?job)\b(?=.{0,120}\b(?:user|code|file|always|must|every|silently|into|to)\b)",
    ),
)  # fmt: skip


_EVERY: Final = (
    *RULES,
    *(rule for aim, pattern in (*STEERING, *WIDER) for rule in _rules(aim, pattern)),
    *(Rule(aim, pattern) for aim, pattern in FOREIGN),
)


_MOST_REMEMBERED: Final = 4_096
_LONGEST_REMEMBERED: Final = 512
"""Bounds of the texts whose result is remembered: tools of one server often describe the same arguments."""


def instruction_in(text: str) -> Instruction | None:
    """The first instruction to the model in a text; None if there is none."""
    return _remembered(text) if len(text) <= _LONGEST_REMEMBERED else _instruction_in(text)


def _instruction_in(text: str) -> Instruction | None:
    for disguise, reading in readings(text[:LONGEST]):
        for number in _patterns().candidates(reading):
            rule = _EVERY[number]
            if found := rule.pattern.search(reading):
                return Instruction(rule.aim, disguise, found[0][:_SHOWN])
        if words := instruction_like(reading):
            return Instruction(_LIKE, disguise, words[:_SHOWN])
    return None


@lru_cache(maxsize=1)
def _patterns() -> TextPatterns:
    """For a quick look before each search: nearly all texts match none of them."""
    return TextPatterns([rule.pattern.pattern for rule in _EVERY])


_remembered: Final = lru_cache(maxsize=_MOST_REMEMBERED)(_instruction_in)
