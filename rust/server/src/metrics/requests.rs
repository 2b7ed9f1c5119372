//! Requests by protocol and status.

use std::sync::atomic::AtomicU64;

use http::StatusCode;
use tonic::Code;

use super::labels::count;
use super::parts::Parts;

/// Requests to one door with one result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestCount {
    /// `grpc`, `http`, or `mcp` for the gateway.
    pub protocol: &'static str,
    /// Name of the gRPC status (`OK`, `RESOURCE_EXHAUSTED`) or the HTTP status (`200`); `(other)` for those that hardly any
    /// server behind the gateway answers with.
    pub code: &'static str,
    /// The number.
    pub count: u64,
}

/// Names of the gRPC statuses, by number.
const GRPC: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The statuses that the HTTP door answers with; anything else would be counted as the last.
const HTTP: [(u16, &str); 12] = [
    (200, "200"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (408, "408"),
    (413, "413"),
    (415, "415"),
    (429, "429"),
    (503, "503"),
    (500, "500"),
];

/// The statuses that the gateway and servers behind it answer with; whatever else a server invents is the last.
const MCP: [(u16, &str); 25] = [
    (200, "200"),
    (202, "202"),
    (204, "204"),
    (400, "400"),
    (401, "401"),
    (403, "403"),
    (404, "404"),
    (405, "405"),
    (406, "406"),
    (408, "408"),
    (409, "409"),
    (410, "410"),
    (413, "413"),
    (415, "415"),
    (421, "421"),
    (422, "422"),
    (429, "429"),
    (431, "431"),
    (500, "500"),
    (501, "501"),
    (502, "502"),
    (503, "503"),
    (504, "504"),
    (529, "529"),
    (0, "(other)"),
];

/// Parts of the counts.
const PARTS: usize = 16;

#[derive(Debug, Default)]
pub(super) struct Requests(Parts<Counts, PARTS>);

#[derive(Debug, Default)]
struct Counts {
    grpc: [AtomicU64; GRPC.len()],
    http: [AtomicU64; HTTP.len()],
    mcp: [AtomicU64; MCP.len()],
}

impl Requests {
    pub(super) fn grpc(&self, code: Code) {
        let code = usize::try_from(i32::from(code)).ok();
        let cell = code.and_then(|code| self.0.own()?.grpc.get(code));
        if let Some(cell) = cell {
            count(cell);
        }
    }

    pub(super) fn http(&self, status: StatusCode) {
        if let Some(counts) = self.0.own() {
            count_status(&HTTP, &counts.http, status);
        }
    }

    pub(super) fn mcp(&self, status: StatusCode) {
        if let Some(counts) = self.0.own() {
            count_status(&MCP, &counts.mcp, status);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<RequestCount> {
        let grpc = (0..).zip(GRPC).map(|(index, code)| {
            let count = self.0.sum(|counts| counts.grpc.get(index));
            ("grpc", code, count)
        });
        let http = (0..).zip(HTTP).map(|(index, (_, code))| {
            let count = self.0.sum(|counts| counts.http.get(index));
            ("http", code, count)
        });
        let mcp = (0..).zip(MCP).map(|(index, (_, code))| {
            let count = self.0.sum(|counts| counts.mcp.get(index));
            ("mcp", code, count)
        });
        grpc.chain(http)
            .chain(mcp)
            .map(|(protocol, code, count)| RequestCount {
                protocol,
                code,
                count,
            })
            .filter(|request| request.count > 0)
            .collect()
    }
}

/// Adds one to the cell of this status, else to the last.
fn count_status(known: &[(u16, &str)], cells: &[AtomicU64], status: StatusCode) {
    let index = known.iter().position(|&(known, _)| known == status.as_u16());
    let cell = index.and_then(|index| cells.get(index));
    if let Some(cell) = cell.or(cells.last()) {
        count(cell);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_have_their_names() {
        let requests = Requests::default();
        requests.grpc(Code::Ok);
        requests.grpc(Code::ResourceExhausted);
        requests.grpc(Code::Unauthenticated);
        requests.http(StatusCode::TOO_MANY_REQUESTS);
        requests.http(StatusCode::TOO_MANY_REQUESTS);
        requests.mcp(StatusCode::ACCEPTED);
        requests.mcp(StatusCode::IM_A_TEAPOT);
        let seen: Vec<_> = requests
            .snapshot()
            .into_iter()
            .map(|one| (one.protocol, one.code, one.count))
            .collect();
        assert_eq!(
            seen,
            [
                ("grpc", "OK", 1),
                ("grpc", "RESOURCE_EXHAUSTED", 1),
                ("grpc", "UNAUTHENTICATED", 1),
                ("http", "429", 2),
                ("mcp", "202", 1),
                ("mcp", "(other)", 1)
            ]
        );
    }
}
