//! One call to be decided, as a door hands it over.

/// The server a call is for when the caller names none: the same at every door.
pub const DEFAULT_SERVER: &str = "srv";

/// Deepest nesting of arguments; the arguments object itself has depth 1 (`docs/design.md`, hostile input).
pub const MAX_ARGS_DEPTH: usize = 64;

/// One attempt to use a tool. Borrowed: deciding copies nothing out of it.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Id of the grant that is charged. Must not be empty or hold NUL.
    pub grant: &'a str,
    /// Tool name, compared as it is. Must not be empty or hold NUL.
    pub tool: &'a str,
    /// Server name. Must not be empty or hold NUL; doors use [`DEFAULT_SERVER`] where the caller gave none.
    pub server: &'a str,
    /// Session id; `None` or an empty string for a sessionless call. Must not hold NUL.
    pub session: Option<&'a str>,
    /// The grant's labels, `(name, value)`, at most one per name.
    pub labels: &'a [(&'a str, &'a str)],
    /// The arguments: the bytes of one JSON object, or nothing at all for `{}`.
    pub args_json: &'a [u8],
    /// A fresh random id when the caller asked for a reservation.
    pub reserve: Option<u128>,
}

impl<'a> Request<'a> {
    /// What is wrong with the names, as a message; arguments are judged by the JSON reader.
    pub(crate) fn name_fault(&self) -> Option<&'static str> {
        let fine = |name: &str| !name.is_empty() && !holds_nul(name);
        let session = self.session.unwrap_or_default();
        if fine(self.grant) && fine(self.tool) && fine(self.server) && !holds_nul(session) {
            return None;
        }
        Some(match self {
            Self { grant: "", .. } => "the grant is empty; name the grant that is charged",
            Self { tool: "", .. } => "the tool name is empty; name the tool to be called",
            Self { server: "", .. } => "the server name is empty; name the tool's server",
            _ if holds_nul(self.grant) => "the grant holds NUL; names are text without NUL",
            _ if holds_nul(self.tool) => "the tool name holds NUL; names are text without NUL",
            _ if holds_nul(self.server) => "the server name holds NUL; names are text without NUL",
            _ => "the session holds NUL; names are text without NUL",
        })
    }

    /// The session; an empty one is none.
    pub(crate) fn session(&self) -> Option<&'a str> {
        self.session.filter(|session| !session.is_empty())
    }

    /// The arguments' bytes; nothing stands for `{}`.
    pub(crate) fn args_bytes(&self) -> &'a [u8] {
        if self.args_json.is_empty() {
            b"{}"
        } else {
            self.args_json
        }
    }

    /// The grant's label of this name.
    pub(crate) fn label(&self, name: &str) -> Option<&'a str> {
        self.labels
            .iter()
            .find(|(label, _)| *label == name)
            .map(|(_, value)| *value)
    }
}

fn holds_nul(text: &str) -> bool {
    text.bytes().any(|byte| byte == 0)
}
