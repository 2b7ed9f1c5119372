//! The data plane from outside, with the real engine behind it.

// Marked as tests, so that the lints know their helpers as such.
#[cfg(test)]
mod approval_given_back;
#[cfg(test)]
mod approval_states;
#[cfg(test)]
mod approvals;
#[cfg(test)]
mod audit;
#[cfg(test)]
mod authz;
#[cfg(test)]
mod authz_hostile;
#[cfg(test)]
mod batch;
#[cfg(test)]
mod cases;
#[cfg(test)]
mod corpus;
#[cfg(test)]
mod early;
#[cfg(test)]
mod ext_mcp;
#[cfg(test)]
mod ext_proc;
#[cfg(test)]
mod ext_proc_hostile;
#[cfg(test)]
mod ext_proc_lists;
#[cfg(test)]
mod flood;
#[cfg(test)]
mod forward_auth;
#[cfg(test)]
mod forward_hostile;
#[cfg(test)]
mod grpc;
#[cfg(test)]
mod hostile;
#[cfg(test)]
mod http;
#[cfg(test)]
mod identity;
#[cfg(test)]
mod lifecycle;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod peek;
#[cfg(test)]
mod quota;
#[cfg(test)]
mod rate_limit;
#[cfg(test)]
mod stream;
#[cfg(test)]
mod stream_client;
#[cfg(test)]
mod stream_end;
#[cfg(test)]
mod stream_waits;
#[cfg(test)]
mod support;
#[cfg(test)]
mod tls;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod waiting_memory;
