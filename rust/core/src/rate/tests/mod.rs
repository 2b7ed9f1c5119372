//! Rate limits from the file to the answer.

mod counting;
mod documents;
mod matching;

use crate::engine::{Policies, Setup};
use crate::policy::{Catalogue, Format, Source};
use crate::rate::{Descriptor, Domain, Override, RateAnswer, RateRequest, RateStatus, Unit, parse};
use crate::{Engine, EngineConfig, Now, State};

/// 2023-11-14T22:13:00Z: the first second of a minute, not of an hour.
const START_US: u64 = 1_699_999_980_000_000;

/// A domain from YAML.
fn read(text: &str) -> Result<Domain, String> {
    let source = Source {
        name: "limits.yaml",
        stem: "limits",
        format: Format::Yaml,
        bytes: text.as_bytes(),
    };
    parse(&source).map_err(|error| error.to_string())
}

/// An engine with one domain, `d`, and a clock.
struct Rig {
    engine: Engine,
    now_us: u64,
}

impl Rig {
    fn new(descriptors: &str) -> Self {
        Self::of(&format!("domain: d\n{descriptors}"))
    }

    fn of(text: &str) -> Self {
        Self::sized(text, 1_000)
    }

    fn sized(text: &str, counters_per_grant: usize) -> Self {
        let config = EngineConfig {
            counter_capacity: 10_000,
            counters_per_grant,
            reservation_ttl_ms: 1_000,
            reservations: callgate_counters::ReservationLimits::in_all(10),
            hash_key: [3; 16],
        };
        Self {
            engine: Engine::new(state(text), config),
            now_us: START_US,
        }
    }

    fn after(&mut self, seconds: u64) -> &mut Self {
        self.now_us += seconds * 1_000_000;
        self
    }

    /// Requests descriptors, written as `key=value,key=value`, with one hit each.
    fn ask(&self, descriptors: &[&str]) -> AnswerView {
        let descriptors: Vec<_> = descriptors.iter().map(|text| descriptor(text)).collect();
        self.ask_all(&descriptors, 0)
    }

    fn hits(&self, text: &str, hits: u64) -> AnswerView {
        let hits = Some(hits);
        self.ask_all(
            &[Descriptor {
                hits,
                ..descriptor(text)
            }],
            0,
        )
    }

    fn overridden(&self, text: &str, requests_per_unit: u32, unit: Unit) -> AnswerView {
        let limit = Some(Override {
            requests_per_unit,
            unit,
        });
        self.ask_all(
            &[Descriptor {
                limit,
                ..descriptor(text)
            }],
            0,
        )
    }

    fn ask_all(&self, descriptors: &[Descriptor<'_>], hits: u32) -> AnswerView {
        let state = self.engine.snapshot();
        let request = RateRequest {
            domain: "d",
            descriptors,
            hits,
        };
        let answer = self
            .engine
            .rate_limit(&state, request, Now::from_unix_us(self.now_us));
        AnswerView::of(&answer.unwrap())
    }

    /// The number of one-hit requests before the first refusal.
    fn passing(&self, text: &str) -> usize {
        (0..1_000).take_while(|_| !self.ask(&[text]).over).count()
    }
}

/// An answer without its lifetimes.
#[derive(Debug)]
struct AnswerView {
    over: bool,
    error: Option<crate::rate::RateError>,
    statuses: Vec<Status>,
}

#[derive(Debug, PartialEq, Eq)]
struct Status {
    over: bool,
    shadow: bool,
    limit: Option<(u32, Unit)>,
    name: String,
    remaining: u32,
    reset_s: Option<u64>,
}

impl AnswerView {
    fn of(answer: &RateAnswer<'_>) -> Self {
        Self {
            over: answer.over_limit,
            error: answer.error,
            statuses: answer.statuses.iter().map(Status::of).collect(),
        }
    }

    fn remaining(&self) -> Vec<u32> {
        self.statuses.iter().map(|status| status.remaining).collect()
    }

    fn overs(&self) -> Vec<bool> {
        self.statuses.iter().map(|status| status.over).collect()
    }
}

impl Status {
    fn of(status: &RateStatus<'_>) -> Self {
        Self {
            over: status.over_limit,
            shadow: status.shadow_over_limit,
            limit: status.limit.map(|limit| (limit.requests_per_unit, limit.unit)),
            name: status.limit.map_or(String::new(), |limit| limit.name.to_owned()),
            remaining: status.remaining,
            reset_s: status.reset_after_us.map(|us| us.div_ceil(1_000_000)),
        }
    }
}

fn descriptor(text: &str) -> Descriptor<'_> {
    let entries = text
        .split(',')
        .filter(|entry| !entry.is_empty())
        .map(|entry| entry.split_once('=').unwrap());
    Descriptor {
        entries: entries.collect(),
        ..Descriptor::default()
    }
}

fn state(text: &str) -> State {
    let setup = Setup {
        rate_limits: vec![read(text).unwrap()],
        ..Setup::default()
    };
    State::configure(setup, Catalogue::default()).unwrap()
}

#[test]
fn a_state_of_policies_alone_knows_no_domain() {
    let policy = crate::policy::parse(&Source {
        name: "p",
        stem: "p",
        format: Format::Json,
        bytes: br#"{"version":"1","default":"deny"}"#,
    });
    let state = State::build(Policies::EveryServer(policy.unwrap()), Catalogue::default()).unwrap();
    assert!(state.rate_limits().names().is_empty());
}
