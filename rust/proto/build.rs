//! Generates the messages and services from `proto/` with protox, which needs no installed `protoc`.

use std::error::Error;
use std::path::PathBuf;
use std::{env, fs};

use prost::Message;

/// Import root, and the compiled files below it.
const ROOT: &str = "../../proto";
const FILES: [&str; 2] = [
    "callgate/decision/v1/decision.proto",
    "agentgateway/dev/ext_mcp/ext_mcp.proto",
];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    let descriptors = protox::compile(FILES, [ROOT])?;
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // The arguments stay a slice of the buffer they arrived in.
        .bytes(".callgate.decision.v1.CheckRequest.args_json")
        // Messages from gateways stay a slice of the buffer, too.
        .bytes(".agentgateway.dev.ext_mcp.McpRequest.mcp_request")
        .bytes(".agentgateway.dev.ext_mcp.McpResponse.mcp_response")
        // Ordered, so that a decision never depends on a map's order; an empty one costs nothing.
        .btree_map(".callgate.decision.v1.CheckRequest.labels")
        // The caller connects: the generated clients need no transport.
        .build_transport(false)
        .compile_fds(descriptors)?;
    Ok(())
}
