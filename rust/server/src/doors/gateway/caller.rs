//! The caller, as proven by a request.

use std::sync::Arc;

use callgate_core::grant::{TOKEN_PREFIX, Token};
use callgate_core::{Args, Caller, Decision, Now, Outcome, Request};
use callgate_gateway::oauth::{Issued, Issuer, Issuers, TokenError};
use callgate_mcp::reply as mcp;
use http::{HeaderValue, Response, StatusCode, header};
use tonic::body::Body;

use super::challenge::Challenge;
use super::request::token;
use super::{GATEWAY, answer};
use crate::in_force::Configuration;
use crate::ingress::Ingress;
use crate::protocol::Protocol;

/// The rule that denies a caller whom no grant and no issuer knows.
const UNKNOWN: &str = "(unknown grant)";

/// The seconds after which a client asks again if keys are not available.
const RETRY_S: HeaderValue = HeaderValue::from_static("30");

/// The caller, as proven by the request.
#[derive(Clone, Debug)]
pub(super) enum ProvenCaller {
    /// Any caller: nobody has to prove an identity.
    Anybody,
    /// The owner of the token that was sent, with the id of the grant if the token belongs to one.
    Grant(Option<String>),
    /// The caller whom the token of this issuer identifies.
    Issued(Arc<Issued>, Arc<Issuer>),
}

impl ProvenCaller {
    /// Returns true if callers have to prove who they are.
    pub(super) fn is_asked_for(configuration: &Configuration) -> bool {
        let Configuration { state, parts, .. } = configuration;
        state.grants().is_configured() || !parts.gateway.issuers.is_empty()
    }

    /// Identifies the caller of a server; the error is the answer to an unknown caller who has to be known.
    pub(super) fn of(challenge: &Challenge<'_>) -> Result<Self, Box<Response<Body>>> {
        let Challenge {
            context,
            configuration,
            ..
        } = *challenge;
        let gateway = &configuration.parts.gateway;
        let (grants, issuers) = (configuration.state.grants(), &gateway.issuers);
        if !Self::is_asked_for(configuration) {
            return Ok(Self::Anybody);
        }
        let Some(token) = token(challenge.parts) else {
            let whose = if issuers.is_empty() {
                "the token of a grant"
            } else {
                "a token"
            };
            let sent = if challenge.parts.headers.contains_key(header::AUTHORIZATION) {
                "what `authorization` says is no one token"
            } else {
                "no token was sent"
            };
            let message = format!("{sent}; send {whose} as `authorization: Bearer <token>`, once");
            let code = answer::code(StatusCode::UNAUTHORIZED);
            let body = context.gate.refuse(ingress(challenge), message, |decision| {
                mcp::denied_as(code, None, decision)
            });
            return Err(Box::new(challenge.unauthorized(body)));
        };
        if may_be_issued(issuers, token) {
            let refusal = |issuer, refused: TokenError| Box::new(refusal(challenge, issuer, &refused));
            let issuer = issuers.of(token).map_err(|refused| refusal(None, refused))?;
            return issuer
                .verify(
                    token,
                    &gateway.audience(challenge.server),
                    context.gate.clock.now(),
                )
                .map(|issued| Self::Issued(issued, Arc::clone(issuer)))
                .map_err(|refused| refusal(Some(issuer), refused));
        }
        let unix_us = context.gate.clock.now().unix_us();
        let grant = grants
            .by_token(Token::new(token))
            .filter(|token| !token.has_ended(unix_us))
            .and_then(|token| grants.get(token.grant()));
        Ok(Self::Grant(grant.map(|grant| grant.id().to_owned())))
    }

    /// Refuses a caller who must be known and is unknown at this server, whatever the request asks for.
    pub(super) fn check(&self, challenge: &Challenge<'_>) -> Result<(), Box<Response<Body>>> {
        let labels = self.labels();
        let caller = match self {
            Self::Anybody => return Ok(()),
            Self::Grant(_) => {
                let token = token(challenge.parts).unwrap_or_default();
                Caller::Token(Token::new(token))
            }
            issued @ Self::Issued(..) => issued.issued(&labels).unwrap_or(Caller::named("")),
        };
        let request = Request {
            caller,
            pep: GATEWAY,
            tool: "",
            server: challenge.server,
            session: None,
            args: Args::NONE,
            reserve: None,
            pins: None,
            unseen_member: None,
        };
        let gate = &challenge.context.gate;
        let configuration = challenge.configuration;
        let recognised = gate
            .engine
            .recognise(&configuration.state, &request, gate.clock.now());
        if recognised.outcome == Outcome::Allow || !is_nobody(&recognised, !self.is_proven()) {
            return Ok(());
        }
        Err(Box::new(gate.recognise(
            ingress(challenge),
            configuration,
            &request,
            |decision| {
                let code = answer::code(StatusCode::UNAUTHORIZED);
                challenge.unauthorized(mcp::denied_as(code, None, decision))
            },
        )))
    }

    /// Returns true if the issuer's token has expired since it was accepted.
    pub(super) fn has_expired(&self, now: Now) -> bool {
        matches!(self, Self::Issued(issued, _) if now.unix_us() >= issued.expires_at_us)
    }

    /// Returns the id of the caller's grant.
    pub(super) fn grant(&self) -> Option<&str> {
        match self {
            Self::Anybody => None,
            Self::Grant(grant) => grant.as_deref(),
            Self::Issued(issued, _) => Some(&issued.grant),
        }
    }

    /// Returns true if an issuer vouches for the caller, with or without a grant of that id.
    pub(super) const fn is_proven(&self) -> bool {
        matches!(self, Self::Issued(..))
    }

    /// The labels that an issuer's token gives its caller.
    pub(super) fn labels(&self) -> Vec<(&str, &str)> {
        let Self::Issued(issued, _) = self else {
            return Vec::new();
        };
        let labels = issued.labels.iter();
        labels
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect()
    }

    /// Returns the caller whom an issuer's token identifies, with these labels.
    pub(super) fn issued<'c>(&'c self, labels: &'c [(&'c str, &'c str)]) -> Option<Caller<'c>> {
        match self {
            Self::Issued(issued, _) => Some(Caller::Issued {
                grant: &issued.grant,
                labels,
            }),
            Self::Anybody | Self::Grant(_) => None,
        }
    }
}

/// The rules that deny an unknown caller.
const NOBODY: [&str; 3] = [UNKNOWN, "(grant revoked)", "(grant expired)"];

/// Returns true if a decision denies an unknown caller. `needs_token`: a caller without a grant is unknown.
pub(super) fn is_nobody(decision: &Decision<'_>, needs_token: bool) -> bool {
    needs_token && decision.grant_index.is_none() || NOBODY.contains(&decision.rule.as_ref())
}

/// The ingress of a request that is refused before its message is read.
fn ingress(challenge: &Challenge<'_>) -> Ingress {
    let gate = &challenge.context.gate;
    gate.ingress(Protocol::Gateway, &challenge.parts.headers)
}

/// Returns true if a token can be an issuer's: tokens of grants have a prefix of their own.
pub(super) fn may_be_issued(issuers: &Issuers, token: &str) -> bool {
    !issuers.is_empty() && !token.starts_with(TOKEN_PREFIX)
}

/// Makes the answer to a caller whose token is not accepted (RFC 6750 section 3.1); `issuer` is the issuer of the
/// token, if it is known.
fn refusal(challenge: &Challenge<'_>, issuer: Option<&Issuer>, refused: &TokenError) -> Response<Body> {
    let nobody = Request {
        caller: Caller::named(""),
        pep: GATEWAY,
        tool: "",
        server: challenge.server,
        session: None,
        args: Args::NONE,
        reserve: None,
        pins: None,
        unseen_member: None,
    };
    let (status, error) = match refused {
        TokenError::NoKeys => (StatusCode::SERVICE_UNAVAILABLE, ""),
        TokenError::Scope(_) => (StatusCode::FORBIDDEN, "insufficient_scope"),
        _ => (StatusCode::UNAUTHORIZED, "invalid_token"),
    };
    let message = refused.to_string();
    let body = challenge.context.gate.deny(
        ingress(challenge),
        challenge.configuration,
        &nobody,
        UNKNOWN,
        message.clone(),
        |decision| mcp::denied_as(answer::code(status), None, decision),
    );
    if status == StatusCode::SERVICE_UNAVAILABLE {
        // The token may be valid: after an `invalid_token` its client would discard it.
        let mut response = answer::json(status, body);
        response.headers_mut().insert(header::RETRY_AFTER, RETRY_S);
        return response;
    }
    let first = format!("error=\"{error}\", error_description=\"{message}\", ");
    challenge.answer(status, &first, issuer, body)
}
