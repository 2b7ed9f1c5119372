//! The properties of a server: which one it is, and if it may hold counts.

use crate::error::SharedError;

/// The oldest version of Redis whose scripts do what ours needs.
const OLDEST: u64 = 7;

/// A server that has kept its data since it got this identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(String);

impl Identity {
    /// The identity as a word.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity of a server by its answer to `INFO`, or the reason why counts must not be kept there.
///
/// `is_sharded` is true if the caller asks the shard of each policy, as a cluster needs it.
pub(crate) fn look_at(info: &str, is_sharded: bool) -> Result<Identity, SharedError> {
    let field = |name: &str| {
        let lines = info.lines();
        lines
            .filter_map(|line| line.split_once(':'))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value.trim())
    };
    let error = |message: String| Err(SharedError::Server(message));
    let (Some(run_id), Some(version)) = (field("run_id"), field("redis_version")) else {
        return error(
            "the store does not say which server it is (`INFO` lacks `run_id` or `redis_version`); expected Redis 7 or \
             later, or what speaks its protocol"
                .to_owned(),
        );
    };
    let major = version
        .split('.')
        .next()
        .and_then(|major| major.parse::<u64>().ok());
    if major.is_none_or(|major| major < OLDEST) {
        return error(format!(
            "the store is Redis {version}, expected version {OLDEST} or later"
        ));
    }
    if let Some(role) = field("role").filter(|role| *role != "master") {
        return error(format!(
            "the store is a {role}, which cannot be written to; expected the master, or a URL of its Sentinels"
        ));
    }
    if !is_sharded && field("cluster_enabled") == Some("1") {
        return error(
            "the store is a node of a Redis Cluster, where each policy has its shard; expected a URL of the cluster, \
             such as `redis+cluster://HOST:PORT,HOST:PORT`"
                .to_owned(),
        );
    }
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        return error(format!(
            "the store has `maxmemory-policy {policy}`, so it may forget counts; expected `noeviction`"
        ));
    }
    let replication = field("master_replid").unwrap_or_default();
    Ok(Identity(format!("{run_id}/{replication}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "# Server\r\nredis_version:7.0.15\r\nrun_id:abc\r\nrole:master\r\nmaster_replid:def\r\nmaxmemory_policy:noeviction\r\ncluster_enabled:0\r\n";

    #[test]
    fn a_server_is_known_by_its_run_and_its_history() {
        assert_eq!(look_at(INFO, false).unwrap().as_str(), "abc/def");
        let without = INFO.replace("master_replid:def\r\n", "");
        assert_eq!(look_at(&without, false).unwrap().as_str(), "abc/");
    }

    #[test]
    fn a_server_that_may_lose_counts_is_refused() {
        for (from, to, message) in [
            ("run_id:abc", "x:y", "does not say which server"),
            ("redis_version:7.0.15", "redis_version:6.2.1", "Redis 6.2.1"),
            ("redis_version:7.0.15", "redis_version:new", "Redis new"),
            ("role:master", "role:slave", "is a slave"),
            ("noeviction", "allkeys-lru", "maxmemory-policy allkeys-lru"),
            ("cluster_enabled:0", "cluster_enabled:1", "redis+cluster://"),
        ] {
            let error = look_at(&INFO.replace(from, to), false).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
        let shard = INFO.replace("cluster_enabled:0", "cluster_enabled:1");
        assert!(look_at(&shard, true).is_ok());
    }
}
