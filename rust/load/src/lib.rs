//! Load tests of a decision point, for platform teams that evaluate the sidecar.
//!
//! [`Run`] puts load on a [`Target`] with a gRPC client on `h2`, and ends in a [`Report`]. The load has a fixed rate
//! (open loop, latency counted from the time at which a request was due), or follows the answers (closed loop).
//! [`Calls`] come from a file of JSON lines or are generated from a policy.

mod calls;
mod connect;
mod connection;
mod error;
mod hgrm;
mod http2;
mod message;
mod options;
mod pace;
mod plan;
mod report;
mod run;
mod stats;
mod summary;
mod target;
mod timer;
mod tls;
mod worker;

pub use calls::{Calls, Generate};
pub use error::LoadError;
pub use hgrm::percentile_distribution;
pub use options::{Method, Options, Token};
pub use report::{Bytes, Delay, ErrorCount, Generator, Interval, Latency, Report};
pub use run::{Progress, Run};
pub use target::Target;
pub use tls::Tls;
