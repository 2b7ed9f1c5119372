//! The protocols over which calls arrive.

/// The protocol of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    Grpc,
    Http,
    ExtAuthz,
    ForwardAuth,
    ExtProc,
    ExtMcp,
    RateLimit,
    Gateway,
    Stdio,
}

impl Protocol {
    /// Every protocol, in the order of their numbers.
    pub(crate) const ALL: [Self; 9] = [
        Self::Grpc,
        Self::Http,
        Self::ExtAuthz,
        Self::ForwardAuth,
        Self::ExtProc,
        Self::ExtMcp,
        Self::RateLimit,
        Self::Gateway,
        Self::Stdio,
    ];

    /// The protocol's name in the decision log and in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Grpc => "grpc",
            Self::Http => "http",
            Self::ExtAuthz => "ext_authz",
            Self::ForwardAuth => "forward_auth",
            Self::ExtProc => "ext_proc",
            Self::ExtMcp => "ext_mcp",
            Self::RateLimit => "rate_limit",
            Self::Gateway => "mcp",
            Self::Stdio => "stdio",
        }
    }
}
