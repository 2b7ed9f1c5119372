"""Wider patterns of instructions to the model: fewer words each, in combinations that ordinary descriptions do not have."""

# ruff: noqa: E501  a pattern is one line, as long as it is
from __future__ import annotations

from typing import Final

_MODEL: Final = r"\b(?:assistant|model|llm|ai|agent|claude|chatgpt|gpt|copilot|you)\b"
_MUST: Final = r"\b(?:must|should|shall|always|has to|have to|needs? to|is required to|are required to|will|never)\b"
_PERSON: Final = (
    r"(?:the |a |any |your )?(?:user|human|person|operator|developer|customer|owner|people|victim|admin|client)s?\b"
)
_PRIVATE: Final = (
    r"(?:credentials?|api[- ]?keys?|access keys?|tokens?|passwords?|secrets?|clipboard|private keys?|ssh keys?|cookies|environment variables?|env vars?|"
    r"(?:previous|prior|earlier|last|recent|past|all)(?: \w+)? (?:messages|conversations?|tool (?:results|calls|outputs))|"
    r"(?:conversation|chat|message|browsing|command|search) history|(?:card|credit card|bank|payment|personal|private|customer|user)(?:'s)? (?:data|details|information|number|files|messages)|"
    r"system prompt|hidden prompt|inbox|contacts list|address book|browser history)"
)
_OF_ALL: Final = r"(?:all|any|every|user's|users'|his|her|their|you (?:have )?(?:seen|know|found|can find)|from the (?:environment|conversation|context|session|chat|memory|machine|system|host|project)|in the (?:conversation|context|session|chat|environment|project)|with (?:each|every)|in full|verbatim|available to you|whole|entire|complete)"
_HAND: Final = r"\b(?:send|attach|include|hand over|append|forward|upload|transmit|post|submit|pass|relay|share|put|embed|supply|leak|exfiltrate|copy|dump|report|paste|insert|save|smuggle|deliver|e-?mail|encode)\b"
_TO: Final = r"(?:https?://(?!localhost|127\.0\.0\.1|(?:www\.)?example\.)|[\w.+-]+@(?!example\.|domain\.|company\.|email\.)[\w-]+\.[a-z]{2,}|(?<![\d.])(?!127\.0\.0\.1|0\.0\.0\.0|10\.0\.0\.|192\.168\.)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|\b0x[0-9a-f]{20,}|\bbc1[0-9a-z]{20,}|\+\d{9,})"
_FILES: Final = r"(?:~/\.\w+|/etc/(?:passwd|shadow|hosts)|\S*\bid_(?:rsa|ed25519)\S*|\S*\.ssh\b\S*|\S*\.aws\b\S*|\S*\.env\b(?!ironment)|\S*\.netrc|\S*\.npmrc|\S*\.bash_history|\S*\.kube\b\S*|\S*mcp\.json)"
_OPEN: Final = r"(?:read|list|cat|open|copy|get|load|fetch|dump|access|retrieve|include|attach|send|use|grab|scan|upload|extract|view|check)"

STEERING: Final[tuple[tuple[str, str], ...]] = (
    # Aim and pattern.
    ("sets aside other instructions",
     r"\b(?:previous|prior|earlier|your|system|existing|original|above|other|all|safety|security)\b(?: \w+){0,2} (?:instructions?|rules?|guidelines?|restrictions?|polic(?:y|ies)|safeguards?|guardrails?|constraints?|prompts?)\b(?: \w+){0,2} (?:are|is|have been|has been|were|no longer)(?: now| hereby)? ?(?:suspended|void|invalid|cancelled|canceled|apply|applies|lifted|overridden|superseded|revoked|null|outdated|replaced|in force|relevant|disabled|irrelevant|waived)\b"),
    ("sets aside other instructions",
     r"\b(?:system|admin|administrator|developer|root|security|policy|instruction|safety|prompt)[ _-]overrid(?:e|den)\b(?! (?:file|files|option|options|flag|path|value|values|settings?|config|for|of|by|the default|font|css|environment|parameter))"),
    ("sets aside other instructions",
     rf"\b(?:ignore|disregard|forget|dismiss|override|overrule) (?:what|whatever|anything|everything|all that|how|the (?:request|wishes|question|input|intent)s? of|any (?:request|instruction|objection)s? (?:from|of|by)) ?{_PERSON}"),
    ("sets aside other instructions",
     r"\b(?:forget|ignore|disregard|discard|erase|unlearn) (?:about )?(?:everything|(?:all )?(?:of )?(?:your|the|any|these|those|other|previous|prior))(?: \w+){0,3} ?(?:instructions?|rules?|guidelines?|training|prompts?|restrictions?|policies|above|before|so far|told)\b"),
    ("speaks as the system or gives a new role",
     r"\b(?:act|behave|pretend to be|roleplay|operate|respond|answer)(?: as| like)? (?:if you (?:were|are) )?(?:the |an? )?(?:system|root|super|database|network|unrestricted|uncensored|jailbroken|evil|malicious|different|new|another|rogue|hacker|pirate|dan)(?: ?(?:administrator|admin|user|root|assistant|ai|model|persona))?\b(?=[^.]{0,120}(?:\bgrant|\bwithout|\bno (?:rules|limits|restrictions)|\bfull\b|\bignore|\bfollow|\bfrom now|\bpermission|\brestrict|\band\b))"),
    ("speaks as the system or gives a new role",
     rf"(?:^|[.!?:\n(\[] ?)(?:\W*)(?:(?:note|message|instructions?|attention|hint|reminder|important|notice|directive|hidden note|secret)(?: \w+)? (?:for|to)|dear|hey|hello|attention,?) (?:the |any |all |our )?(?:ai|llm|language model|assistant|model|agent|claude|chatgpt|copilot)s?\b(?: \w+)?[:,\-.](?=[^\n]{{0,240}}(?:{_MUST}|{_HAND}|\b(?:read|call|run|ignore|forward|before|after)\b))"),
    ("hides something from people",
     rf"\b(?:not|n't|never|without|avoid|cannot|no)\b(?: \w+){{0,3}} (?:bring(?:ing)? (?:this|it|that|them) up|bring up (?:this|it|that)|point(?:ing)? (?:this|it|that|them) out|draw(?:ing)? attention|rais(?:e|ing) (?:any )?suspicion|arous(?:e|ing) suspicion)\b|\b(?:not|n't|never|without|no)\b(?: \w+){{0,3}} {_PERSON}(?: \w+){{0,2}} (?:ever |never )?(?:finds? out|finding out|realis\w+|realiz\w+|notic\w+|suspect\w*|becomes? aware|becoming aware|being told|being notified|being informed)|\b{_PERSON} (?:must |should |can |may |will )?(?:never|not) (?:ever )?(?:finds? out|realis\w+|realiz\w+|notices?|suspects?|learns?|sees? (?:this|it|that)|becomes? aware|knows?)\b"),
    ("hides something from people",
     r"\b(?:silently|quietly|secretly|covertly|invisibly|discreetly|stealthily) (?:also |then |and )?(?:copy|store|log|send|add|run|call|record|execute|upload|forward|append|write|read|invoke|transfer|include|insert|collect|save|post|replace|change|modify|attach|download|install|delete|remove|transmit|redirect|set|grant|share|email|query|fetch|create|load|open|access|pass|scan)\b"),
    ("hides something from people",
     r"\b(?:add|include|insert|append|carry|contain|embed|put|place|inject|attach)\b(?: \S+){0,4} (?:hidden|invisible|1x1|one-pixel|tracking|covert|obfuscated) (?:\S+ )?(?:imports?|footers?|pixels?|backdoors?|links?|watermarks?|instructions?|prompts?|payloads?|images?|comments?|messages?|dependency|dependencies|scripts?|code|iframes?|tracker)\b"),
    ("asks for secrets or for the conversation",
     rf"{_HAND}(?: \S+){{0,5}} {_OF_ALL}(?: \S+){{0,3}}? {_PRIVATE}(?! (?:as (?:described|required)|for the (?:specified|given)|of (?:the|a) (?:specified|given|project|channel|account)))\b(?! (?:header|id|ids|param))"),
    ("asks for secrets or for the conversation",
     rf"(?:^|[.!?:;,\n] ?|\b(?:and|also|then|must|please|should|to|always|first|now) ){_HAND[2:-2]}\b(?: \S+){{0,5}} {_PRIVATE}(?: \S+){{0,3}} {_OF_ALL}\b"),
    ("asks for secrets or for the conversation",
     rf"(?:^|[.:;,)\n`] ?|\d\) |\b(?:and|then|to|first|must|please|always|also|should|it from|you) ){_OPEN}\b(?: (?:the|all|its|my|their|user's|your|it|from|contents?|of|file|files|in|value|values|data|named|called|at|local|directory)){{0,6}} {_FILES}(?=[^\n]{{0,200}}\b(?:pass|send|include|provide|put|append|attach|relay|call|supply|as|into|through|forward|add|in your|and)\b)"),
    ("sends data to an address of its own",
     rf"{_HAND}(?: \S+){{0,8}}? (?:it|this|that|them|everything|a copy|copies|all|results?|the \w+|password|data|contents?|conversation|messages?|files?|keys?|list)\b(?: \S+){{0,5}}? (?:to|at|via)(?: \S+){{0,3}}? {_TO}(?=[^\n]*(?:\b(?:if|when|whenever|always|every|each|after|before|must|also|silently|secretly|automatically)\b|[.!]|$))(?<!sends)"),
    ("sends data to an address of its own",
     rf"(?:{_MODEL}|\b(?:every|each|all|any)\b(?: \w+){{0,3}} (?:message|e-?mail|response|answer|reply|request|event|commit|file|transfer|payment|invoice|post|document)s?) (?:\w+ ){{0,2}}?{_MUST}(?: \S+){{0,10}} {_TO}"),
    ("sends data to an address of its own",
     rf"\b(?:if|when|whenever|for|in|on|with) (?:\S+ ){{0,8}}?(?:transfers?|payments?|purchase|withdrawals?|e-?mails?|messages?|invitations?|sends?|sending|send_\w+|invoked|requested|called)\b[^.\n]{{0,60}}\b(?:use|set|replace|change|add|make|put|substitute|redirect|recipient|destination|instead)\b[^.\n]{{0,60}}{_TO}"),
    ("changes the use of other tools",
     rf"\b(?:regardless of which|whichever|no matter which|whatever) (?:other )?tools?\b|\b(?:before|after|prior to|instead of|alongside) (?:calling |using |invoking |running )?(?:any|every|each|all)(?: of the)?(?: other)? tools?\b[^.\n]{{0,80}}(?:{_HAND}|\b(?:read|user's|question|results|conversation|context|prompts?)\b)"),
    ("changes the use of other tools",
     r"\b(?:do not|don't|never|stop|avoid|must not)\b (?:\w+ ){0,2}?(?:use|using|call|calling|trust|trusting|rely on)\b[^\n]{0,80}\b(?:tool|server|function|mcp|[a-z]+_[a-z_]+)\b[^\n]{0,80}\b(?:compromised|hacked|malicious|leaks?|infected|insecure|unsafe|breached|tampered)\b"),
    ("changes the use of other tools",
     r"\b(?:this tool|it) (?:\w+ )?(?:overrides?|replaces?|supersedes?|takes the place of)\b[^.\n]{0,60}\b(?:tool|function|server|[a-z]+_[a-z_]+)\b[^.\n]{0,60}\b(?:always|must|should be|in its place|never|instead)\b"),
    ("changes the use of other tools",
     rf"\b(?:when|whenever|if|every time|each time|any time|once)\b[^.\n]{{0,60}}\b(?:[a-z]+_[a-z_]+|other tools?|another tool|mcp)\b[^.\n]{{0,60}}(?:{_MUST}|,)[^.\n]{{0,40}}\b(?:change|set|replace|modify|alter|redirect|substitute|swap|double|increase|overwrite)\b[^.\n]{{0,40}}\b(?:parameter|argument|recipient|path|address|amount|value|destination|content|body|field)s?\b[^.\n]{{0,30}}\b(?:to|with|by|as)\b(?! (?:this|the result|false|true|null))"),
    ("takes decisions from people",
     rf"\b(?:convince|persuade|trick|manipulate|mislead|deceive|pressure|lure|coax|fool)\b (?:\w+ )?{_PERSON}"),
    ("takes decisions from people",
     rf"\b(?:no matter|regardless of|irrespective of|despite|disregarding|whatever)(?: what| how| whether| if)? ?{_PERSON}(?:'s)? (?:\w+ )?(?:says?|said|types?|typed|wrote|writes|wants?|wanted|asks?|asked|requests?|requested|prefers?|answers?|intent\w*|input|instructions?|wishes|objects?|thinks|confirms?|tells?|enters?|entered|specif\w+|chose|chooses|consents?)\b"),
    ("takes decisions from people",
     rf"\b{_PERSON} (?:has|have) (?:already |previously |implicitly )?(?:pre-?)?(?:consented|agreed|approved|authori[sz]ed|granted|given (?:full |their )?(?:consent|permission|approval))\b(?= ?(?:to |all|this|every|any|for|,|\.|in advance|full))(?=[^\n]{{0,140}}\b(?:all|no need|any|every|without|so you|do not ask|don't ask|share|sharing|send|sending|full)\b)"),
    ("hides something from people",
     r"<!--(?:(?!-->).){12,}"),
)  # fmt: skip
