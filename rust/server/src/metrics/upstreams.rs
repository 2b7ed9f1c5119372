//! The numbers of the servers behind the gateway.

/// What is counted of one server behind the gateway.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamNumbers {
    /// Its name, which is configured, or was.
    pub server: String,
    /// Requests open at it now.
    pub open_requests: usize,
    /// Why it gave no reply that could be passed on, and how often; every kind there is.
    pub failures: Vec<(&'static str, u64)>,
    /// Requests that were sent to it, by whether their connection was `new` or `reused`.
    pub sent: Vec<(&'static str, u64)>,
    /// Requests that were sent once more, as nothing of them had been written.
    pub retries: u64,
    /// Its tools by what pinning says of them; empty where nothing is pinned.
    pub tools: Vec<(&'static str, usize)>,
    /// How often its lists made a tool changed or new; empty where nothing is pinned.
    pub tools_changed: Vec<(&'static str, u64)>,
}
