//! The hostile requests of `tests/cases/hostile`; its README describes them.

use std::path::{Path, PathBuf};

use callgate_core::policy::{Catalogue, Format, Source};
use serde_json::Value;

const FILES: [&str; 6] = [
    "bodies",
    "envelope",
    "params",
    "headers",
    "arguments",
    "without_body",
];

/// One request, and the expected result.
#[derive(Debug)]
pub(crate) struct Case {
    /// The file's stem and the case's own name.
    pub(crate) name: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    /// `None` if the proxy forwards no body.
    pub(crate) body: Option<Vec<u8>>,
    pub(crate) expect: Value,
}

impl Case {
    /// Returns true if HTTP/1.1 can carry the case's header fields.
    pub(crate) fn can_be_sent(&self) -> bool {
        let is_sent = |byte: &u8| !matches!(byte, b'\r' | b'\n' | 0);
        self.headers.iter().all(|(_, value)| value.iter().all(is_sent))
    }

    pub(crate) fn is_refused(&self) -> bool {
        self.expect.get("refused").is_some()
    }

    /// Returns true if the request may be forwarded by the policy that allows every call.
    pub(crate) fn passes(&self) -> bool {
        self.expect.get("call").is_some() || self.expect["other"]["passes"] == true
    }
}

/// Every case of every file.
pub(crate) fn cases() -> Vec<Case> {
    FILES.iter().flat_map(|file| read(file)).collect()
}

/// The catalogue of the tools that the cases call.
pub(crate) fn catalogue() -> Catalogue {
    let bytes = std::fs::read(path("catalogue/tools")).unwrap();
    let source = Source {
        name: "tools.json",
        stem: "tools",
        format: Format::Json,
        bytes: &bytes,
    };
    Catalogue::parse(&source).unwrap_or_else(|error| panic!("{error}"))
}

fn path(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../../tests/cases/hostile/{file}.json"))
}

fn read(file: &str) -> Vec<Case> {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(path(file)).unwrap()).unwrap();
    let case = |case: &Value| Case {
        name: format!("{file}: {}", case["name"].as_str().unwrap()),
        headers: case["headers"]
            .as_array()
            .into_iter()
            .flatten()
            .map(|pair| (pair[0].as_str().unwrap().to_owned(), bytes(&pair[1])))
            .collect(),
        body: case.get("body").map(bytes),
        expect: case["expect"].clone(),
    };
    cases.iter().map(case).collect()
}

/// Returns the bytes of a text, or of the pieces of one.
pub(crate) fn bytes(value: &Value) -> Vec<u8> {
    match value {
        Value::Array(pieces) => pieces.iter().flat_map(bytes).collect(),
        Value::String(text) => text.clone().into_bytes(),
        piece => match piece["hex"].as_str() {
            Some(digits) => (0..digits.len())
                .step_by(2)
                .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).unwrap())
                .collect(),
            None => piece["repeat"]
                .as_str()
                .unwrap()
                .repeat(usize::try_from(piece["times"].as_u64().unwrap()).unwrap())
                .into_bytes(),
        },
    }
}
