//! Which messages that call no tool may pass.

use callgate_core::policy::NamePattern;

use crate::message::TOOLS_CALL;

/// Requests of clients that read, or that are about the client's own session, subscriptions and tasks, in every revision
/// from 2024-11-05 to 2026-07-28 and its extension for tasks.
///
/// What servers ask of clients (`sampling/createMessage`, `elicitation/create`, `roots/list`) is not among them: no client
/// sends it.
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
    // Input that a task, which began as a judged call, has asked its own client for.
    "tasks/update",
    "tools/list",
];

/// What notifications begin with: they ask for nothing.
const NOTIFICATIONS: &str = "notifications/";

/// Which methods may pass besides `tools/call`, which the policy judges.
///
/// A method that is denied here never passes; one that is allowed here does; then the known ones pass, and everything
/// else is denied. Names are compared as they are, and patterns are those of policies (`docs/policy.md` section 1).
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

/// A list of methods that cannot be meant.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct MethodsError(String);

impl Methods {
    /// The known methods, with further ones allowed and denied by exact name or pattern.
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

    /// Whether a message of this method may pass; never true of `tools/call`.
    pub fn passes(&self, method: &str) -> bool {
        method != TOOLS_CALL && !self.denies(method) && (is_known(method) || matches(&self.allowed, method))
    }

    /// Whether a method is denied by its name or a pattern, rather than because nothing is known of it.
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
