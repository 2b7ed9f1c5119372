//! Replies to requests that a server will not answer.

use callgate_mcp::{Id, reply};

use crate::id::RequestId;

pub(crate) use reply::UPSTREAM_FAILED;

/// A reply that says so, without framing; `None` for an id that is not known.
pub(crate) fn failed(id: Option<&RequestId>, code: i64, message: &str) -> String {
    let json = id.map(RequestId::json);
    reply::failed_request(json.as_deref().and_then(Id::from_json), code, message)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_is_one_line_of_json() {
        let id = RequestId::Text("a\"\n".to_owned());
        assert_eq!(
            failed(Some(&id), UPSTREAM_FAILED, "the \"server\"\nended"),
            r#"{"jsonrpc":"2.0","id":"a\"\n","error":{"code":502,"message":"the \"server\"\nended"}}"#
        );
        assert!(failed(None, 1, "").contains(r#""id":null"#));
    }
}
