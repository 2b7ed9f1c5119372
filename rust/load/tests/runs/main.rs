//! Runs against servers that misbehave in known ways.

// Marked as tests, so that the lints know their helpers as such.
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
