//! Generates the messages and services with protox, which needs no installed `protoc`: ours and agentgateway's from
//! `proto/`, Envoy's from the files in the `envoy-types` package.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use prost::Message;
use prost_types::{DescriptorProto, FileDescriptorSet};

/// Import root, and the compiled files below it.
const ROOT: &str = "../../proto";
const FILES: [&str; 2] = [
    "callgate/decision/v1/decision.proto",
    "agentgateway/dev/ext_mcp/ext_mcp.proto",
];

/// Envoy's services that callgate answers.
const ENVOY_FILES: [&str; 4] = [
    "envoy/service/auth/v3/external_auth.proto",
    "envoy/service/ext_proc/v3/external_processor.proto",
    "envoy/service/rate_limit_quota/v3/rlqs.proto",
    "envoy/service/ratelimit/v3/rls.proto",
];
/// Import roots below the package's `proto` folder.
const ENVOY_ROOTS: [&str; 4] = ["data-plane-api", "googleapis", "protoc-gen-validate", "xds"];

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={ROOT}");
    println!("cargo:rerun-if-changed=../../Cargo.lock");
    let folder = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);

    let descriptors = protox::compile(FILES, [ROOT])?;
    fs::write(folder.join("descriptors.bin"), descriptors.encode_to_vec())?;
    tonic_prost_build::configure()
        // The arguments stay a slice of the buffer they arrived in.
        .bytes(".callgate.decision.v1.CheckRequest.args_json")
        // Messages from gateways stay a slice of the buffer, too.
        .bytes(".agentgateway.dev.ext_mcp.McpRequest.mcp_request")
        .bytes(".agentgateway.dev.ext_mcp.McpResponse.mcp_response")
        // Ordered, so that a decision never depends on a map's order; an empty one costs nothing.
        .btree_map(".callgate.decision.v1.CheckRequest.labels")
        .btree_map(".callgate.decision.v1.PeekRequest.labels")
        // The caller connects: the generated clients need no transport.
        .build_transport(false)
        .compile_fds(descriptors)?;

    let protos = package_folder("envoy-types")?.join("proto");
    let mut envoy = protox::compile(ENVOY_FILES, ENVOY_ROOTS.map(|root| protos.join(root)))?;
    keep_reachable(&mut envoy);
    tonic_prost_build::configure()
        .compile_well_known_types(true)
        .include_file("envoy.rs")
        // Ordered, as above; and a map of some header fields takes one allocation and no hashing.
        .btree_map(".")
        // Comments of others hold indented text, which rustdoc would compile as examples.
        .disable_comments(["."])
        .build_transport(false)
        .compile_fds(envoy)?;
    Ok(())
}

/// The folder of a package that `Cargo.toml` names under `cfg(callgate_protos)`: with that cfg, Cargo downloads it and
/// says where it is. No build has the cfg, so the package itself is never compiled.
fn package_folder(name: &str) -> Result<PathBuf, Box<dyn Error>> {
    let cargo = env::var_os("CARGO").ok_or("CARGO is not set")?;
    let output = Command::new(cargo)
        .args(["metadata", "--format-version=1", "--locked", "--filter-platform"])
        .arg(env::var_os("TARGET").ok_or("TARGET is not set")?)
        .env("CARGO_ENCODED_RUSTFLAGS", "--cfg\u{1f}callgate_protos")
        .output()?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr)).into());
    }
    // One key of JSON is read without a JSON library, which would have to be built for this alone.
    String::from_utf8(output.stdout)?
        .split("\"manifest_path\":\"")
        .filter_map(|rest| Path::new(rest.split('"').next()?).parent())
        .find(|folder| {
            let folder = folder.file_name().and_then(|folder| folder.to_str());
            folder
                .and_then(|folder| folder.strip_prefix(name))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        })
        .map(Path::to_owned)
        .ok_or_else(|| format!("cargo metadata does not name the package {name}").into())
}

/// Drops every message and enum that no call of the services carries.
fn keep_reachable(set: &mut FileDescriptorSet) {
    let references: BTreeMap<String, Vec<String>> = set
        .file
        .iter()
        .flat_map(|file| {
            let of_messages = file
                .message_type
                .iter()
                .map(|message| (message.name(), field_types(message)));
            let of_enums = file.enum_type.iter().map(|values| (values.name(), Vec::new()));
            let path = |name: &str| format!(".{}.{name}", file.package());
            of_messages
                .chain(of_enums)
                .map(move |(name, types)| (path(name), types))
        })
        .collect();
    let methods = set
        .file
        .iter()
        .flat_map(|file| &file.service)
        .flat_map(|service| &service.method);
    let mut found: Vec<String> = methods
        .flat_map(|method| [method.input_type(), method.output_type()])
        .map(str::to_owned)
        .collect();
    let mut reachable = BTreeSet::new();
    while let Some(path) = found.pop() {
        match references.get(&path) {
            Some(types) if reachable.insert(path.clone()) => found.extend_from_slice(types),
            Some(_) => {}
            // A nested type stays with the type that it is nested in.
            None => found.extend(path.rsplit_once('.').map(|(outer, _)| outer.to_owned())),
        }
    }
    for file in &mut set.file {
        let package = file.package().to_owned();
        let keep = |name: &str| reachable.contains(&format!(".{package}.{name}"));
        file.message_type.retain(|message| keep(message.name()));
        file.enum_type.retain(|values| keep(values.name()));
        // Its positions are those of the complete file.
        file.source_code_info = None;
    }
    set.file
        .retain(|file| !file.message_type.is_empty() || !file.enum_type.is_empty());
}

/// The types of a message's fields, and of those of the messages nested in it.
fn field_types(message: &DescriptorProto) -> Vec<String> {
    let own = message.field.iter().filter_map(|field| field.type_name.clone());
    own.chain(message.nested_type.iter().flat_map(field_types))
        .collect()
}
