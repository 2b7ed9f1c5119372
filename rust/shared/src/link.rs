//! An open connection to a server that may hold counts.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, ErrorKind, RedisError, Script, Value};

use crate::error::SharedError;
use crate::server::{Identity, look_at};

/// An open connection to a master, whose properties were looked at.
#[derive(Clone)]
pub(crate) struct Link {
    connection: MultiplexedConnection,
    /// What the server has kept since this identity is its own: it changes with each restart and each promotion.
    pub(crate) identity: Identity,
    is_given_up: Arc<AtomicBool>,
}

impl Link {
    /// Looks at the server behind a connection.
    pub(crate) async fn new(
        mut connection: MultiplexedConnection,
        is_sharded: bool,
    ) -> Result<Self, SharedError> {
        let info = redis::cmd("INFO");
        let info: Result<String, RedisError> = info.query_async(&mut connection).await;
        let info = info.map_err(|error| SharedError::Connection(told(&error)))?;
        let identity = look_at(&info, is_sharded)?;
        Ok(Self {
            connection,
            identity,
            is_given_up: Arc::default(),
        })
    }

    /// The connection, for a look at the server.
    pub(crate) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    /// Nobody begins to use this connection any more: it has failed, or its server may have another identity.
    pub(crate) fn give_up(&self) {
        // The flag guards nothing: who sees it late fails on this connection, and connects again.
        self.is_given_up.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Relaxed)
    }

    /// Runs a script as one step.
    pub(crate) async fn run(
        &self,
        script: &Script,
        keys: &[String],
        args: &[String],
    ) -> Result<Value, SharedError> {
        let mut call = script.prepare_invoke();
        for key in keys {
            call.key(key);
        }
        for arg in args {
            call.arg(arg);
        }
        let mut connection = self.connection.clone();
        let answer: Result<Value, RedisError> = call.invoke_async(&mut connection).await;
        answer.map_err(|error| SharedError::Connection(told(&error)))
    }
}

/// The times of a connection: nothing on it is waited for longer.
pub(crate) fn with_patience(patience: Duration) -> AsyncConnectionConfig {
    AsyncConnectionConfig::new()
        .set_connection_timeout(Some(patience))
        .set_response_timeout(Some(patience))
}

/// Waits for a connection that is being opened, no longer than `patience` for each of its two steps.
pub(crate) async fn opened(
    opening: impl Future<Output = Result<MultiplexedConnection, RedisError>>,
    patience: Duration,
) -> Result<MultiplexedConnection, SharedError> {
    match tokio::time::timeout(2 * patience, opening).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(SharedError::Connection(told(&error))),
        Err(_) => Err(SharedError::Connection("the store does not answer".to_owned())),
    }
}

/// An error in words, without secrets.
pub(crate) fn told(error: &RedisError) -> String {
    let Some(detail) = error.detail() else {
        return error.to_string();
    };
    // Of an error within a script, its digest and line say nothing to a reader, and differ from script to script.
    let detail = detail
        .split_once(" script: ")
        .map_or(detail, |(detail, _)| detail);
    let kind = match error.kind() {
        ErrorKind::Extension => error.code(),
        _ => None,
    };
    format!("{}: {detail}", kind.unwrap_or_else(|| error.category()))
}
