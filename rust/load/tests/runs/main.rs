//! Runs against servers that misbehave in known ways.

mod faults;
mod methods;
mod rates;
mod server;
mod tls;
