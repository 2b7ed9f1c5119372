//! One call to be decided, as a door hands it over.

use crate::grant::Token;
use crate::json::Value;

/// The server a call is for when the caller names none: the same at every door.
pub const DEFAULT_SERVER: &str = "srv";

/// Deepest nesting of arguments; the arguments object itself has depth 1 (`docs/design.md`, hostile input).
pub const MAX_ARGS_DEPTH: usize = 64;

/// Who calls, as the enforcement point says it.
#[derive(Clone, Copy, Debug)]
pub enum Caller<'a> {
    /// The grant's id. Where grants are configured, only a [`Pep`] that vouches may say it, and says no labels.
    Named {
        /// Id of the grant that is charged. Must not be empty or hold NUL.
        grant: &'a str,
        /// The grant's labels, `(name, value)`, at most one per name.
        labels: &'a [(&'a str, &'a str)],
    },
    /// The caller's own token, from which the grant follows.
    Token(Token<'a>),
    /// Whom callgate itself has made out by a proof of somebody else, such as the token of an issuer that it believes.
    ///
    /// The grant that is configured under this id at the server, where there is one: that one's policy, labels, expiry and
    /// revocation. Else the server's own policy decides, by these labels.
    Issued {
        /// Id of the grant that is charged. Must not be empty or hold NUL.
        grant: &'a str,
        /// What the proof says of the caller, `(name, value)`, at most one per name.
        labels: &'a [(&'a str, &'a str)],
    },
    /// A token, and an id or labels beside it: no well-formed request.
    Contradictory,
}

impl<'a> Caller<'a> {
    /// The caller of a message whose fields may be empty.
    pub const fn new(grant: &'a str, grant_token: &'a str, labels: &'a [(&'a str, &'a str)]) -> Self {
        if grant_token.is_empty() {
            Self::Named { grant, labels }
        } else if grant.is_empty() && labels.is_empty() {
            Self::Token(Token::new(grant_token))
        } else {
            Self::Contradictory
        }
    }

    /// A caller without labels, by the grant's id.
    pub const fn named(grant: &'a str) -> Self {
        Self::Named { grant, labels: &[] }
    }
}

/// An enforcement point, by a number that stays its own across reloads. Reservations belong to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PepId(pub u32);

/// The enforcement point that asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pep {
    /// Which one it is.
    pub id: PepId,
    /// It may name a configured grant by its id.
    pub vouches: bool,
}

impl Pep {
    /// Whoever asks where nobody has to say who it is.
    pub const UNNAMED: Self = Self {
        id: PepId(0),
        vouches: false,
    };
}

/// The arguments of a call, as far as a door has them.
#[derive(Clone, Copy, Debug)]
pub enum Args<'a> {
    /// The bytes of one JSON object, or nothing at all for `{}`.
    Json(&'a [u8]),
    /// A value of a document that the door has read, with at most [`MAX_ARGS_DEPTH`] levels from here on.
    Read(Value<'a>),
    /// Nobody can say: the proxy forwards no body. A rule that would look at them denies the call.
    Unseen,
}

impl Args<'_> {
    /// A call without arguments, which is one with `{}`.
    pub const NONE: Self = Self::Json(b"");

    /// The bytes they take, 0 where there are none or nobody can say.
    pub fn len_bytes(&self) -> usize {
        match self {
            Self::Json(bytes) => bytes.len(),
            Self::Read(value) => value.raw().len(),
            Self::Unseen => 0,
        }
    }

    /// Whether a rule may look at them.
    pub(crate) const fn are_seen(&self) -> bool {
        !matches!(self, Self::Unseen)
    }
}

/// One attempt to use a tool. Borrowed: deciding copies nothing out of it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Who calls.
    pub caller: Caller<'a>,
    /// Who asks.
    pub pep: Pep,
    /// Tool name, compared as it is. Must not be empty or hold NUL.
    pub tool: &'a str,
    /// Server name. Must not hold NUL; empty stands for the server of the caller's token, else for [`DEFAULT_SERVER`].
    pub server: &'a str,
    /// Session id; `None` or an empty string for a sessionless call. Must not hold NUL.
    pub session: Option<&'a str>,
    /// The arguments.
    pub args: Args<'a>,
    /// A fresh random id when the caller asked for a reservation.
    pub reserve: Option<u128>,
}

impl<'a> Request<'a> {
    /// What is wrong with the names, as a message; arguments are judged by the JSON reader.
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

    /// What is wrong with the names of a request that is for no tool.
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

    /// The session; an empty one is none.
    pub(crate) fn session(&self) -> Option<&'a str> {
        self.session.filter(|session| !session.is_empty())
    }
}

fn holds_nul(text: &str) -> bool {
    text.bytes().any(|byte| byte == 0)
}
