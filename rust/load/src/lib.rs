//! Load tests of a decision point: what a platform team runs before it trusts the sidecar.
//!
//! [`Run`] puts load on a [`Target`] with an own gRPC client, at a fixed rate (open loop, latency counted from when a request
//! was due) or as fast as answers come (closed loop), and ends in a [`Report`]. [`Calls`] come from a file of JSON lines
//! or are generated from a policy.

mod calls;
mod connect;
mod connection;
mod error;
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
pub use options::{Method, Options, Token};
pub use report::{Bytes, Delay, Fault, Generator, Interval, Latency, Report};
pub use run::{Progress, Run};
pub use target::Target;
pub use tls::Tls;
