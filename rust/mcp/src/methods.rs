//! Methods other than tool calls, and which of them may pass.

use callgate_core::policy::NamePattern;

use crate::message::TOOLS_CALL;

/// Requests of clients that read, or that concern the client's own session, subscriptions and tasks, in every revision
/// from 2024-11-05 to 2026-07-28 and its extension for tasks.
///
/// Requests of servers to clients (`sampling/createMessage`, `elicitation/create`, `roots/list`) are not in the list:
/// no client sends them.
const PASSING: [&str; 19] = [
    "completion/complete",
    "initialize",
    "logging/setLevel",
    "ping",
    "prompts/get",
    "prompts/list",
    "resources/list",
    "resources/read",
    "resources/subscribe",
    "resources/templates/list",
    "resources/unsubscribe",
    "server/discover",
    "subscriptions/listen",
    "tasks/cancel",
    "tasks/get",
    "tasks/list",
    "tasks/result",
    // The client's answer to a task's request for input; the task began as a judged call.
    "tasks/update",
    "tools/list",
];

/// The prefix of notifications, which request nothing.
const NOTIFICATIONS: &str = "notifications/";

/// The methods that may pass besides `tools/call`, which the policy judges.
///
/// A denied method never passes, and an allowed one does unless it is denied. Of the others, the known methods pass and
/// all else is denied. Names are compared exactly; patterns are those of policies (`docs/policy.md` section 1).
///
/// ```
/// use callgate_mcp::Methods;
///
/// let methods = Methods::new(&["vendor/*"], &["vendor/reset", "resources/*"])?;
/// assert!(methods.passes("ping") && methods.passes("vendor/status"));
/// assert!(!methods.passes("vendor/reset") && !methods.passes("resources/read"));
/// assert!(!methods.passes("tools/call"), "that is the policy's to say");
/// # Ok::<(), callgate_mcp::MethodsError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Methods {
    allowed: Vec<NamePattern>,
    denied: Vec<NamePattern>,
}

/// An invalid list of methods.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MethodsError(String);

impl Methods {
    /// The known methods, with others allowed or denied by exact name or pattern.
    pub fn new<T: AsRef<str>>(allowed: &[T], denied: &[T]) -> Result<Self, MethodsError> {
        let read = |patterns: &[T]| -> Result<Vec<_>, MethodsError> {
            patterns
                .iter()
                .map(|pattern| read_pattern(pattern.as_ref()))
                .collect()
        };
        Ok(Self {
            allowed: read(allowed)?,
            denied: read(denied)?,
        })
    }

    /// Returns whether a message of this method may pass; always false for `tools/call`.
    pub fn passes(&self, method: &str) -> bool {
        method != TOOLS_CALL && !self.denies(method) && (is_known(method) || matches(&self.allowed, method))
    }

    /// Returns whether a configured name or pattern denies the method; false for methods that are merely unknown.
    pub fn denies(&self, method: &str) -> bool {
        matches(&self.denied, method)
    }
}

fn matches(patterns: &[NamePattern], method: &str) -> bool {
    patterns.iter().any(|pattern| pattern.matches(method))
}

fn is_known(method: &str) -> bool {
    PASSING.contains(&method) || method.starts_with(NOTIFICATIONS)
}

fn read_pattern(text: &str) -> Result<NamePattern, MethodsError> {
    if text == TOOLS_CALL {
        let message = format!("`{TOOLS_CALL}` is judged by the policy; leave it out of lists of methods");
        return Err(MethodsError(message));
    }
    NamePattern::parse(text).map_err(MethodsError)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_methods_pass_and_others_do_not() {
        let methods = Methods::default();
        for method in PASSING
            .iter()
            .chain(&["notifications/progress", "notifications/tasks/status"])
        {
            assert!(methods.passes(method), "{method}");
        }
        for method in [
            "tools/call",
            "Tools/List",
            "tools/list ",
            "tools/listx",
            "resources/write",
            "sampling/createMessage",
            "elicitation/create",
            "roots/list",
            "rpc.discover",
            "notifications",
            "",
        ] {
            assert!(!methods.passes(method), "{method}");
        }
    }

    #[test]
    fn lists_add_and_take_away() {
        let methods = Methods::new(&["*"], &["admin/*", "prompts/get"]).expect("patterns");
        assert!(methods.passes("anything") && methods.passes("tools/list"));
        for method in ["admin/x", "prompts/get", "tools/call"] {
            assert!(!methods.passes(method), "{method}");
        }
        assert!(methods.denies("admin/x") && methods.denies("prompts/get"));
        assert!(!methods.denies("anything") && !Methods::default().denies("vendor/x"));
    }

    #[test]
    fn lists_that_cannot_be_meant() {
        for (allowed, message) in [
            (
                "tools/call",
                "`tools/call` is judged by the policy; leave it out of lists of methods",
            ),
            ("", "expected a name or a pattern, got an empty string"),
        ] {
            assert_eq!(Methods::new(&[allowed], &[]).unwrap_err().to_string(), message);
            assert_eq!(Methods::new(&[], &[allowed]).unwrap_err().to_string(), message);
        }
    }
}
