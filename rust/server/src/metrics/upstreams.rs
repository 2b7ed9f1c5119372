//! The numbers of the servers behind the gateway.

/// The numbers of one server behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamNumbers {
    /// Its name, which is configured, or was.
    pub server: String,
    /// Requests open at it now.
    pub open_requests: usize,
    /// Failures to give a reply that could be passed on, by kind; every kind there is.
    pub failures: Vec<(&'static str, u64)>,
    /// Requests that were sent to it, by whether their connection was `new` or `reused`.
    pub sent: Vec<(&'static str, u64)>,
    /// Requests that were sent once more, as nothing of them had been written.
    pub retries: u64,
    /// Its tools by what pinning says of them; empty where nothing is pinned.
    pub tools: Vec<(&'static str, usize)>,
    /// Changed and new tools in its lists; empty if nothing is pinned.
    pub tools_changed: Vec<(&'static str, u64)>,
}
