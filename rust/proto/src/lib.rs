//! Generated code of callgate's network APIs, and of third-party APIs that callgate serves.
//!
//! The sources are the `.proto` files under `proto/`; their comments are the documentation of these items.

/// The descriptors of all APIs in this crate, as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The decision API.
pub mod decision {
    /// Version 1.
    #[expect(
        clippy::allow_attributes,
        clippy::allow_attributes_without_reason,
        clippy::pedantic,
        reason = "generated code follows the generator's habits, not ours"
    )]
    pub mod v1 {
        include!(concat!(env!("OUT_DIR"), "/callgate.decision.v1.rs"));
    }
}

/// agentgateway's API for MCP messages: package `agentgateway.dev.ext_mcp`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated code follows the generator's habits, not ours"
)]
pub mod ext_mcp {
    include!(concat!(env!("OUT_DIR"), "/agentgateway.dev.ext_mcp.rs"));
}

/// The messages of Envoy's services that callgate answers (`ext_authz`, `ext_proc`, rate limits, quotas), and of Google's
/// packages that they use.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    missing_docs,
    reason = "generated code follows the generator's habits, not ours; Envoy's own pages document its messages"
)]
pub mod pb {
    include!(concat!(env!("OUT_DIR"), "/envoy.rs"));
}
