//! Waits for the keys of issuers.

use std::sync::Arc;

use http::request::Parts;

use super::caller::may_be_issued;
use super::request::token;
use crate::doors::http::HttpContext;
use crate::issuer_keys;

/// Waits for the key that a request's token is signed by, if that is not here and could come.
pub(super) async fn wait_for_key(context: &HttpContext, parts: &Parts) {
    let gateway = Arc::clone(&context.gate.configuration().parts.gateway);
    let Some(token) = token(parts) else {
        return;
    };
    if !may_be_issued(&gateway.issuers, token) {
        return;
    }
    let (Ok(issuer), Ok(entry)) = (gateway.issuers.of(token), gateway.at(parts.uri.path())) else {
        return;
    };
    let audience = gateway.audience(&entry.server);
    let Some(refresh) = issuer.missing(token, &audience, context.gate.clock.now()) else {
        return;
    };
    if let Some(refresh) = refresh {
        issuer_keys::run(&context.gate, issuer, refresh);
    }
    issuer.settled().await;
}
