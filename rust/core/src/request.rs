//! One call to decide, as a protocol handler passes it to the engine.

use std::fmt;

use callgate_counters::{PepId, ReservationId};

use crate::grant::Token;
use crate::json::Value;

/// The server of a call whose caller names none, the same for every protocol.
pub const DEFAULT_SERVER: &str = "srv";

/// The deepest nesting of arguments; the arguments object itself has depth 1.
pub const MAX_ARGS_DEPTH: usize = 64;

/// The caller, as the enforcement point identifies it.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// A caller by the grant's id. If grants are configured, only a [`Pep`] that vouches may send it, and without
    /// labels.
    Named {
        /// Id of the grant that is charged. Must not be empty or hold NUL.
        grant: &'a str,
        /// The grant's labels, `(name, value)`, at most one per name.
        labels: &'a [(&'a str, &'a str)],
    },
    /// The caller's own token, which determines the grant.
    Token(Token<'a>),
    /// A caller that callgate has identified by a third party's proof, such as the token of a trusted issuer.
    ///
    /// If a grant with this id is configured at the server, that grant's policy, labels, expiry and revocation apply.
    /// Otherwise the server's own policy decides with these labels.
    Issued {
        /// Id of the grant that is charged. Must not be empty or hold NUL.
        grant: &'a str,
        /// Claims of the proof about the caller, `(name, value)`, at most one per name.
        labels: &'a [(&'a str, &'a str)],
    },
    /// A token together with an id or labels: not a well-formed request.
    Contradictory,
}

impl<'a> Caller<'a> {
    /// The caller in a message whose fields may be empty.
    pub const fn new(grant: &'a str, grant_token: &'a str, labels: &'a [(&'a str, &'a str)]) -> Self {
        if grant_token.is_empty() {
            Self::Named { grant, labels }
        } else if grant.is_empty() && labels.is_empty() {
            Self::Token(Token::new(grant_token))
        } else {
            Self::Contradictory
        }
    }

    /// A caller by the grant's id, without labels.
    pub const fn named(grant: &'a str) -> Self {
        Self::Named { grant, labels: &[] }
    }
}

/// The enforcement point that sends the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pep {
    /// Its number.
    pub id: PepId,
    /// True if it may name a configured grant by its id.
    pub vouches: bool,
}

impl Pep {
    /// The enforcement point if none has to identify itself.
    pub const UNNAMED: Self = Self {
        id: PepId(0),
        vouches: false,
    };
}

/// The arguments of a call, if they are known.
#[derive(Clone, Copy, Debug)]
pub enum Args<'a> {
    /// The bytes of one JSON object, or empty for `{}`.
    Json(&'a [u8]),
    /// A value of a parsed document, with at most [`MAX_ARGS_DEPTH`] levels from here on.
    Read(Value<'a>),
    /// Unknown because the proxy forwards no body. A rule that reads the arguments denies the call.
    Unseen,
}

impl Args<'_> {
    /// A call without arguments, which equals one with `{}`.
    pub const NONE: Self = Self::Json(b"");

    /// Returns whether a rule may read the arguments.
    pub(crate) const fn are_seen(&self) -> bool {
        !matches!(self, Self::Unseen)
    }
}

/// One attempt to use a tool. Borrowed: a decision copies nothing from it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The caller.
    pub caller: Caller<'a>,
    /// The enforcement point.
    pub pep: Pep,
    /// The tool's name, compared exactly. Must not be empty or contain NUL.
    pub tool: &'a str,
    /// The server's name. Must not contain NUL. If it is empty, the server is that of the caller's token, or else
    /// [`DEFAULT_SERVER`].
    pub server: &'a str,
    /// The session id; `None` or an empty string for a call without a session. Must not contain NUL.
    pub session: Option<&'a str>,
    /// The arguments.
    pub args: Args<'a>,
    /// A fresh random id if the caller requested a reservation.
    pub reserve: Option<ReservationId>,
    /// The tools that a person accepted of the server; `None` at a door that pins none.
    pub pins: Option<&'a dyn PinnedTools>,
    /// The first member of the caller's message that may change the call and is neither its tool nor its arguments: no
    /// rule reads it, and people who approve the call do not see it. `None` if there is none.
    pub unseen_member: Option<&'a str>,
}

/// The tools that a person accepted of a server, as a door keeps them (`docs/pinning.md`).
pub trait PinnedTools: fmt::Debug + Sync {
    /// The message that denies a call of this tool; `None` if it is as it was accepted.
    fn refusal(&self, tool: &str) -> Option<String>;

    /// The digest of everything that was accepted of this tool (`docs/policy.md` section 6); `None` if tools are not pinned.
    fn digest(&self, tool: &str) -> Option<[u8; 32]>;
}

impl<'a> Request<'a> {
    /// The fault of the names as a message, if there is one; the JSON reader checks the arguments.
    pub(crate) fn name_fault(&self) -> Option<&'static str> {
        let tool_fault = || {
            if self.tool.is_empty() {
                Some("the tool name is empty; name the tool to be called")
            } else {
                holds_nul(self.tool).then_some("the tool name holds NUL; names are text without NUL")
            }
        };
        self.grant_fault()
            .or_else(tool_fault)
            .or_else(|| self.place_fault())
    }

    /// The fault of the names of a request without a tool, if there is one.
    pub(crate) fn name_fault_without_tool(&self) -> Option<&'static str> {
        self.grant_fault().or_else(|| self.place_fault())
    }

    fn grant_fault(&self) -> Option<&'static str> {
        match self.caller {
            Caller::Named { grant: "", .. } | Caller::Issued { grant: "", .. } => Some(
                "nobody is named as the caller; send the token of a grant, or name the grant that is charged",
            ),
            Caller::Named { grant, .. } | Caller::Issued { grant, .. } if holds_nul(grant) => {
                Some("the grant holds NUL; names are text without NUL")
            }
            Caller::Contradictory => {
                Some("the call has a `grant_token` and a `grant` or `labels` as well; send the token alone")
            }
            Caller::Named { .. } | Caller::Token(_) | Caller::Issued { .. } => None,
        }
    }

    fn place_fault(&self) -> Option<&'static str> {
        if holds_nul(self.server) {
            return Some("the server name holds NUL; names are text without NUL");
        }
        self.session
            .is_some_and(holds_nul)
            .then_some("the session holds NUL; names are text without NUL")
    }

    /// The session, if it is not empty.
    pub(crate) fn session(&self) -> Option<&'a str> {
        self.session.filter(|session| !session.is_empty())
    }
}

fn holds_nul(text: &str) -> bool {
    text.as_bytes().contains(&0)
}
