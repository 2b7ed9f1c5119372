//! The state of a pinned tool, and its consequences.

use std::fmt;
use std::str::FromStr;

use callgate_mcp::Quoted;

/// The state of a tool by its pins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// The tool is as accepted, by the last list.
    Pinned,
    /// Its definition, or the endpoint of its server, is not the accepted one; or the server lists two tools of this
    /// name that differ.
    Changed,
    /// The tool was not in the first whole list, and has not been accepted since.
    New,
    /// The tool is unknown: it was in no list, and no whole list was seen yet.
    Unknown,
}

impl State {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pinned => "pinned",
            Self::Changed => "changed",
            Self::New => "new",
            Self::Unknown => "unknown",
        }
    }

    /// Returns true if the tool is pinned, or seen for the first time (trust on first use).
    pub const fn is_accepted(self) -> bool {
        matches!(self, Self::Pinned | Self::Unknown)
    }

    /// The message to a model whose call is denied for this state. It names no commands: they are the operator's.
    pub fn message(self, server: &str, tool: &str) -> String {
        let (server, tool) = (Quoted(server), Quoted(tool));
        let ask = "do not try again until the operator of callgate has reviewed and accepted it";
        match self {
            Self::Pinned | Self::Unknown => format!("the tool {tool} of the server {server} is accepted"),
            Self::Changed => format!(
                "the tool {tool} of the server {server} is no longer the one that was accepted: its description, \
                 schemas, annotations or endpoint changed; {ask}"
            ),
            Self::New => format!(
                "the tool {tool} was not among the tools of the server {server} when they were accepted; use one that its \
                 list shows, or {ask}"
            ),
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The handling of tools that are changed or new.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Mode {
    /// No pins: no definition is recorded or compared.
    Off,
    /// Changed and new tools are reported, and calls pass.
    Report,
    /// Calls are denied, and lists do not show them.
    #[default]
    Enforce,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 3] = [Self::Off, Self::Report, Self::Enforce];

    /// The word for it in a configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Report => "report",
            Self::Enforce => "enforce",
        }
    }

    /// Returns true if a tool in this state may be called and shown.
    pub const fn lets_pass(self, state: State) -> bool {
        state.is_accepted() || !matches!(self, Self::Enforce)
    }
}

/// No mode of this name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected `off`, `report` or `enforce`")]
pub struct UnknownMode;

impl FromStr for Mode {
    type Err = UnknownMode;

    fn from_str(text: &str) -> Result<Self, UnknownMode> {
        Self::ALL
            .into_iter()
            .find(|mode| mode.as_str() == text)
            .ok_or(UnknownMode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_enforcing_stops_anything() {
        for state in [State::Pinned, State::Changed, State::New, State::Unknown] {
            let is_wrong = matches!(state, State::Changed | State::New);
            assert_eq!(Mode::Enforce.lets_pass(state), !is_wrong, "{state}");
            assert!(
                Mode::Report.lets_pass(state) && Mode::Off.lets_pass(state),
                "{state}"
            );
        }
    }

    #[test]
    fn modes_are_read_by_their_words() {
        for mode in Mode::ALL {
            assert_eq!(mode.as_str().parse(), Ok(mode));
        }
        assert_eq!("Enforce".parse::<Mode>(), Err(UnknownMode));
        assert_eq!(Mode::default(), Mode::Enforce);
    }

    #[test]
    fn a_model_is_told_what_to_do() {
        for state in [State::Changed, State::New] {
            let message = state.message("srv", &"x\n".repeat(100));
            assert!(
                message.contains("reviewed and accepted") && message.contains("`srv`"),
                "{message}"
            );
            assert!(message.len() < 500 && !message.contains('\n'), "{message}");
            assert!(!message.contains("callgate pin"), "{message}");
        }
    }
}
