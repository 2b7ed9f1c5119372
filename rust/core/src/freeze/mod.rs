//! Freezes: an operator's stop of calls (`docs/policy.md` section 9). They are kept beside the compiled state and not in it,
//! so that a call that has waited meets those of now.

mod compiled;
mod document;
mod instant;
mod switch;

use crate::policy::NamePattern;

pub use compiled::Freezes;
pub use document::{FreezeRow, parse};
pub use instant::format_seconds;
pub use switch::FreezeSource;
pub(crate) use switch::FreezeSwitch;

/// The rule of a call that a freeze stops.
pub(crate) const FROZEN: &str = "(frozen)";

/// The longest reason, in characters.
const LONGEST_REASON: usize = 1_000;

/// One freeze.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    scope: FreezeScope,
    reason: String,
    until_us: Option<u64>,
}

/// The calls that a freeze stops.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FreezeScope {
    /// All calls.
    All,
    /// The calls at this server.
    Server(String),
    /// The calls of this grant.
    Grant(String),
    /// The calls of the tools that a pattern matches, at one server.
    Tool {
        /// The server.
        server: String,
        /// The pattern as written.
        pattern: String,
        /// The same, as it is matched.
        matcher: NamePattern,
    },
}

impl FreezeScope {
    /// The calls that these names select: without any, all calls. The error says what was expected.
    pub fn new(server: Option<&str>, tool: Option<&str>, grant: Option<&str>) -> Result<Self, String> {
        for (field, name) in [("server", server), ("tool", tool), ("grant", grant)] {
            if name.is_some_and(|name| name.is_empty() || name.contains('\0')) {
                return Err(format!(
                    "`{field}`: expected a name that is not empty, without NUL"
                ));
            }
        }
        match (server, tool, grant) {
            (None, None, None) => Ok(Self::All),
            (Some(server), None, None) => Ok(Self::Server(server.to_owned())),
            (None, None, Some(grant)) => Ok(Self::Grant(grant.to_owned())),
            (Some(server), Some(pattern), None) => Ok(Self::Tool {
                server: server.to_owned(),
                pattern: pattern.to_owned(),
                matcher: NamePattern::parse(pattern).map_err(|fault| format!("`tool`: {fault}"))?,
            }),
            (None, Some(_), _) => {
                Err("`tool` needs `server`, expected the server that offers the tool".to_owned())
            }
            (Some(_), _, Some(_)) => {
                Err("`grant` beside `server`, expected one of them; write two freezes".to_owned())
            }
        }
    }

    /// The kind: `all`, `server`, `grant` or `tool`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::All => Self::KINDS[0],
            Self::Server(_) => Self::KINDS[1],
            Self::Grant(_) => Self::KINDS[2],
            Self::Tool { .. } => Self::KINDS[3],
        }
    }

    /// Every kind, in the order in which freezes are looked at.
    pub const KINDS: [&'static str; 4] = ["all", "server", "grant", "tool"];

    /// The server, if the freeze is at one.
    pub fn server(&self) -> Option<&str> {
        match self {
            Self::Server(server) | Self::Tool { server, .. } => Some(server),
            Self::All | Self::Grant(_) => None,
        }
    }

    /// The pattern of tools, if there is one.
    pub fn tool(&self) -> Option<&str> {
        match self {
            Self::Tool { pattern, .. } => Some(pattern),
            _ => None,
        }
    }

    /// The grant, if the freeze is of one.
    pub fn grant(&self) -> Option<&str> {
        match self {
            Self::Grant(grant) => Some(grant),
            _ => None,
        }
    }
}

impl Freeze {
    /// A freeze until a time in Unix microseconds; without one it has no end. The error says what was expected.
    pub fn new(scope: FreezeScope, reason: &str, until_us: Option<u64>) -> Result<Self, String> {
        if reason.trim().is_empty() {
            return Err("`reason`: expected a text that is not empty; callers read it".to_owned());
        }
        if reason.contains(char::is_control) || reason.chars().count() > LONGEST_REASON {
            return Err(format!(
                "`reason`: expected one line of at most {LONGEST_REASON} characters; callers read it"
            ));
        }
        Ok(Self {
            scope,
            reason: reason.to_owned(),
            until_us,
        })
    }

    /// The calls that it stops.
    pub const fn scope(&self) -> &FreezeScope {
        &self.scope
    }

    /// The reason that its callers are told.
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Its end in Unix microseconds, if it has one.
    pub const fn until_us(&self) -> Option<u64> {
        self.until_us
    }

    /// Returns whether it stops calls at a time.
    pub fn is_in_force(&self, unix_us: u64) -> bool {
        self.until_us.is_none_or(|until_us| unix_us < until_us)
    }
}
