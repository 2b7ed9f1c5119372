//! The sentences of `docs/policy.md` that the shared cases leave open.

mod args;
mod at_max;
mod conditions;
mod explain;
mod freezes;
mod grants;
mod issued;
mod limits;
mod listing;
mod managed_grants;
mod messages;
mod peek;
mod pins;
mod properties;
mod questions;
mod quota;
mod requests;
mod resets;
mod seen;
mod servers;
mod shadow;
mod steps;
mod store;
mod waits;

use crate::engine::Policies;
use crate::policy::{Catalogue, Format, Source, ast, parse};
use crate::{Args, Caller, Decision, Engine, EngineConfig, Now, Pep, Request, Scratch, State};

/// An engine with buffers, and a clock that stands still until it is set.
struct Desk {
    engine: Engine,
    scratch: Scratch,
    now: Now,
}

fn source<'a>(name: &'a str, text: &'a str) -> Source<'a> {
    Source {
        name,
        stem: "policy",
        format: Format::Json,
        bytes: text.as_bytes(),
    }
}

pub(super) fn policy(text: &str) -> ast::Policy {
    parse(&source("<policy>", text)).unwrap_or_else(|error| panic!("{error} in {text}"))
}

pub(super) fn catalogue(text: &str) -> Catalogue {
    Catalogue::parse(&source("<catalogue>", text)).unwrap_or_else(|error| panic!("{error} in {text}"))
}

fn config() -> EngineConfig {
    EngineConfig {
        counter_capacity: 1_024,
        counters_per_grant: 512,
        reservation_ttl_ms: 30_000,
        reservations: callgate_counters::ReservationLimits::in_all(16),
        hash_key: [3; 16],
    }
}

impl Desk {
    fn of(state: State, config: EngineConfig) -> Self {
        Self {
            engine: Engine::new(state, config),
            scratch: Scratch::default(),
            now: Now::from_unix_us(0),
        }
    }

    /// One policy for every server, from its text.
    fn new(text: &str) -> Self {
        Self::with_catalogue(text, Catalogue::default())
    }

    fn with_catalogue(text: &str, catalogue: Catalogue) -> Self {
        Self::of(
            State::build(Policies::EveryServer(policy(text)), catalogue).unwrap(),
            config(),
        )
    }

    /// Rules for tool `x` under default allow.
    fn rules(rules: &str) -> Self {
        Self::new(&format!(
            r#"{{"version": "1", "default": "allow", "tools": {{"x": {rules}}}}}"#
        ))
    }

    fn at_ms(&mut self, ms: u64) -> &mut Self {
        self.now = Now::from_unix_us(ms * 1_000);
        self
    }

    fn decide(&mut self, request: &Request<'_>) -> Decision<'static> {
        let snapshot = self.engine.snapshot();
        self.engine
            .decide(&snapshot, request, self.now, &mut self.scratch)
            .into_owned()
    }

    /// Tool `x` with these arguments.
    fn ask(&mut self, args: &str) -> Decision<'static> {
        self.decide(&request("x", args))
    }

    /// `outcome rule` of tool `x` with these arguments.
    fn answer(&mut self, args: &str) -> String {
        brief(&self.ask(args))
    }
}

fn request<'a>(tool: &'a str, args: &'a str) -> Request<'a> {
    Request {
        caller: Caller::named("g1"),
        pep: Pep::UNNAMED,
        tool,
        server: "srv",
        session: None,
        args: Args::Json(args.as_bytes()),
        reserve: None,
        pins: None,
        unseen_member: None,
    }
}

/// `outcome rule`, and the shadow's behind a bar.
fn brief(decision: &Decision<'_>) -> String {
    let shadow = decision.shadow.as_ref();
    let shadow = shadow
        .map(|shadow| format!(" | {} {}", shadow.outcome, shadow.rule))
        .unwrap_or_default();
    format!("{} {}{shadow}", decision.outcome, decision.rule)
}
