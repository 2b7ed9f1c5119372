//! The options of a load test.

use std::fmt;
use std::str::FromStr;
use std::thread::available_parallelism;

use crate::error::LoadError;
use crate::target::Target;
use crate::tls::Tls;

/// The highest number of connections; each uses up a port.
const MAX_CONNECTIONS: usize = 20_000;

/// The highest number of requests in flight on one connection.
const MAX_STREAMS: usize = 100_000;

/// The highest number of calls in a batch.
const MAX_BATCH_SIZE: usize = 100_000;

/// The longest token, in bytes: it must fit into one frame together with the other fields.
const MAX_TOKEN_BYTES: usize = 8_192;

/// The method that requests call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// `Check`: one call per request.
    Check,
    /// `CheckBatch`: several calls per request.
    Batch,
    /// `CheckStream`: one stream of calls per connection.
    Stream,
}

impl Method {
    /// The word used in options and reports.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Batch => "batch",
            Self::Stream => "stream",
        }
    }

    pub(crate) const fn path(self) -> &'static str {
        match self {
            Self::Check => "/callgate.decision.v1.DecisionService/Check",
            Self::Batch => "/callgate.decision.v1.DecisionService/CheckBatch",
            Self::Stream => "/callgate.decision.v1.DecisionService/CheckStream",
        }
    }
}

impl FromStr for Method {
    type Err = LoadError;

    fn from_str(word: &str) -> Result<Self, LoadError> {
        [Self::Check, Self::Batch, Self::Stream]
            .into_iter()
            .find(|method| method.as_str() == word)
            .ok_or_else(|| {
                LoadError::Option(format!(
                    "unknown method `{word}`: expected `check`, `batch` or `stream`"
                ))
            })
    }
}

/// A secret that authenticates the load test to the target; never shown.
#[derive(Clone)]
pub struct Token(String);

impl Token {
    /// Takes a token that a header can carry.
    pub fn new(token: String) -> Result<Self, LoadError> {
        let is_visible = token.bytes().all(|byte| byte.is_ascii_graphic());
        if token.is_empty() || token.len() > MAX_TOKEN_BYTES || !is_visible {
            return Err(LoadError::Option(format!(
                "the token is not usable: expected 1 to {MAX_TOKEN_BYTES} visible ASCII characters"
            )));
        }
        Ok(Self(token))
    }

    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(..)")
    }
}

/// The options of a load test.
#[derive(Clone, Debug)]
pub struct Options {
    /// The target.
    pub target: Target,
    /// Trusted authorities and client certificate for a target with TLS.
    pub tls: Tls,
    /// The token that is sent as `authorization: Bearer`.
    pub token: Option<Token>,
    /// The method.
    pub method: Method,
    /// Calls of each batch.
    pub batch_size: usize,
    /// Connections.
    pub connections: usize,
    /// Requests in flight on each connection.
    pub streams: usize,
    /// Requests per second of all connections together, at fixed times; `None` for a closed loop.
    pub rate: Option<f64>,
    /// Duration of the measurement in milliseconds.
    pub duration_ms: u64,
    /// Duration of the unmeasured warm-up with the same load, in milliseconds.
    pub warmup_ms: u64,
    /// Timeout of an answer in milliseconds.
    pub timeout_ms: u64,
    /// Threads of the generator; 0 for half of the cores.
    pub threads: usize,
}

impl Options {
    /// Default options for this target.
    pub fn new(target: Target) -> Self {
        Self {
            target,
            tls: Tls::default(),
            token: None,
            method: Method::Check,
            batch_size: 64,
            connections: 4,
            streams: 16,
            rate: None,
            duration_ms: 10_000,
            warmup_ms: 1_000,
            timeout_ms: 10_000,
            threads: 0,
        }
    }

    /// Refuses invalid options.
    pub(crate) fn check(&self) -> Result<(), LoadError> {
        let between = |name: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) {
                return Ok(());
            }
            Err(LoadError::Option(format!(
                "`{name}` is {value}: expected 1 to {most}"
            )))
        };
        between("connections", self.connections, MAX_CONNECTIONS)?;
        between("streams", self.streams, MAX_STREAMS)?;
        between("batch size", self.batch_size, MAX_BATCH_SIZE)?;
        if self
            .rate
            .is_some_and(|rate| !rate.is_finite() || !(0.001..=1e9).contains(&rate))
        {
            let message =
                "the rate must be a number of requests per second, more than 0 and at most a billion";
            return Err(LoadError::Option(message.to_owned()));
        }
        if self.duration_ms == 0 || self.timeout_ms == 0 {
            let message = "the duration and the timeout must be more than 0";
            return Err(LoadError::Option(message.to_owned()));
        }
        Ok(())
    }

    /// Threads of the generator.
    pub fn real_threads(&self) -> usize {
        let wanted = if self.threads > 0 {
            self.threads
        } else {
            // The other half is for the target, if it runs on this machine.
            available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))
        };
        wanted.clamp(1, self.connections.max(1))
    }
}
