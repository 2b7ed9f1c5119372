//! The reasons for which the store cannot be used.

/// The store of shared counts cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SharedError {
    /// The URL cannot be used.
    #[error("`counters.shared.url` cannot be used: {0}")]
    Url(String),
    /// The thread of the worker could not be started.
    #[error("the thread that speaks to the store of shared counters could not be started: {0}")]
    Thread(String),
    /// There is no connection.
    #[error("{0}")]
    Connection(String),
    /// The server can be reached, but must not be used.
    #[error("{0}")]
    Server(String),
    /// Other nodes name counts by another key.
    #[error(
        "the nodes that share policy `{policy}` have another `grant_key_file` (their key is {theirs}, ours is {ours}); give all of them \
         one key, or another `counters.shared.prefix`"
    )]
    Key {
        /// Name of the policy.
        policy: String,
        /// Fingerprint of their key.
        theirs: String,
        /// Fingerprint of our key.
        ours: String,
    },
    /// Other nodes keep the counts in another version.
    #[error(
        "the counts of policy `{policy}` are kept in version {theirs} by other callgates (the key `{key}` of the store), and this \
         one has version {ours}, so it would count apart from them; run callgates of one version alone, or go over to the other \
         one as \"Upgrade callgate\" in docs/scaling.md says"
    )]
    Version {
        /// Name of the policy.
        policy: String,
        /// The key with the version in force.
        key: String,
        /// The version in force.
        theirs: String,
        /// The version of this node.
        ours: u32,
    },
    /// The script has failed.
    #[error("{0}")]
    Script(String),
}
