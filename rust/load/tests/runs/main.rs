//! Runs against servers with known faults.

// Marked as tests, so that lints treat their helpers as such.
#[cfg(test)]
mod faults;
#[cfg(test)]
mod methods;
#[cfg(test)]
mod rates;
#[cfg(test)]
mod server;
#[cfg(test)]
mod tls;
