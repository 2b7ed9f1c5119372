//! Generated code of callgate's network APIs, and of those of others that it answers, and nothing else.
//!
//! The sources are the `.proto` files under `proto/`; their comments are the documentation of these items.

/// The descriptors of every API here, as an encoded `google.protobuf.FileDescriptorSet`, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// The decision API.
pub mod decision {
    /// Its first version.
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

/// agentgateway's questions about MCP messages: package `agentgateway.dev.ext_mcp`.
#[expect(
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::pedantic,
    reason = "generated code follows the generator's habits, not ours"
)]
pub mod ext_mcp {
    include!(concat!(env!("OUT_DIR"), "/agentgateway.dev.ext_mcp.rs"));
}
