//! `Replay`: decisions of a log, decided once more by another policy.

use std::sync::{Mutex, PoisonError};

use callgate_core::Outcome;
use callgate_core::replay::{self, Change, Judgement, ReplaySetup, Replayed, Unknown};
use pyo3::prelude::*;

use crate::error::Error;
use crate::load;

/// Ids of grants with their labels.
type GrantLabels = Vec<(String, Vec<(String, String)>)>;

/// An outcome and its rule pointer.
type Answer = (&'static str, String);

/// Decides the calls of a decision log by another policy, in the order of their times; calls no tool.
///
/// Args:
///     file: Name of the policy's file, for messages and for the policy's name.
///     policy: The policy, as JSON or YAML by the name of its file.
///     catalogue: Facts about tools, as `Engine` takes them.
///     labels: The labels of grants, by the id of the grant, for lines that have a digest of labels.
///     server: The server whose calls are decided; None for all.
///     decided_by: The name of the policy whose decisions are decided once more; None for all.
///     hash_key: 16 random bytes, by which callers cannot make two counts collide.
///
/// Raises:
///     PolicyError: The policy or the catalogue has a fault.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct Replay {
    replay: Mutex<replay::Replay>,
}

/// One line of a log, as `Replay.decide` judges it.
#[pyclass(frozen, module = "callgate._callgate")]
pub(crate) struct ReplayedLine {
    replayed: Replayed,
}

#[pymethods]
impl Replay {
    #[new]
    #[pyo3(signature = (file, policy, *, hash_key, catalogue = None, labels = None, server = None, decided_by = None))]
    fn py_new(
        file: &str,
        policy: &[u8],
        hash_key: [u8; 16],
        catalogue: Option<&Bound<'_, PyAny>>,
        labels: Option<GrantLabels>,
        server: Option<String>,
        decided_by: Option<String>,
    ) -> PyResult<Self> {
        let policy = load::policy_of(file, policy)?;
        let catalogue = load::catalogue(catalogue)?;
        let setup = ReplaySetup {
            server,
            decided_by,
            labels: labels.unwrap_or_default().into_iter().collect(),
            hash_key,
        };
        let replay = replay::Replay::new(policy, catalogue, setup).map_err(Error::Policy)?;
        Ok(Self {
            replay: Mutex::new(replay),
        })
    }

    /// True if a decision of the policy can depend on the category, the risk or the input schema of a tool.
    #[getter]
    fn reads_catalogue(&self) -> bool {
        self.lock().reads_catalogue()
    }

    /// Decides the call of one line, given without its end.
    fn decide(&self, line: &[u8]) -> ReplayedLine {
        ReplayedLine {
            replayed: self.lock().decide(line),
        }
    }

    /// The time of a line in Unix microseconds; None if it has none.
    #[staticmethod]
    fn time_us(line: &[u8]) -> Option<u64> {
        replay::line_time_us(line)
    }
}

impl Replay {
    fn lock(&self) -> std::sync::MutexGuard<'_, replay::Replay> {
        // A panic while it was held is one of a test.
        self.replay.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ReplayedLine {
    const fn judgement(&self) -> Option<&Judgement> {
        match &self.replayed {
            Replayed::Decided(judgement) => Some(judgement),
            Replayed::Skipped(_) | Replayed::Malformed(_) => None,
        }
    }

    fn name(&self, name: impl Fn(&Judgement) -> &str) -> &str {
        self.judgement().map_or("", name)
    }
}

#[pymethods]
impl ReplayedLine {
    /// ``decided``, ``skipped`` (no policy decides it) or ``malformed``.
    #[getter]
    const fn kind(&self) -> &'static str {
        match &self.replayed {
            Replayed::Decided(_) => "decided",
            Replayed::Skipped(_) => "skipped",
            Replayed::Malformed(_) => "malformed",
        }
    }
    /// The kind of a line that is skipped, or the fault of one that is malformed; else empty.
    #[getter]
    fn note(&self) -> &str {
        match &self.replayed {
            Replayed::Decided(_) => "",
            Replayed::Skipped(note) | Replayed::Malformed(note) => note,
        }
    }
    /// ``same``, ``permissive``, ``stricter`` or ``other``; None if the call cannot be judged.
    #[getter]
    fn change(&self) -> Option<&'static str> {
        Some(self.judgement()?.change?.as_str())
    }
    /// True if the outcome stays, and the rule is another one for sure.
    #[getter]
    fn has_other_rule(&self) -> bool {
        self.judgement().is_some_and(|judgement| {
            let rules = judgement.new.iter().map(|(_, rule)| rule);
            judgement.change == Some(Change::Same)
                && !judgement.was_approved
                && !rules.clone().any(|rule| *rule == judgement.old.1)
        })
    }
    /// Unix microseconds of the decision; 0 if there is none.
    #[getter]
    fn decided_at_us(&self) -> u64 {
        self.judgement().map_or(0, |judgement| judgement.decided_at_us)
    }
    /// Name of the server.
    #[getter]
    fn server(&self) -> &str {
        self.name(|judgement| &judgement.server)
    }
    /// Id of the grant.
    #[getter]
    fn grant(&self) -> &str {
        self.name(|judgement| &judgement.grant)
    }
    /// Name of the tool.
    #[getter]
    fn tool(&self) -> &str {
        self.name(|judgement| &judgement.tool)
    }
    /// Name of the policy that decided.
    #[getter]
    fn policy(&self) -> &str {
        self.name(|judgement| &judgement.policy)
    }
    /// Outcome and rule pointer in the log.
    #[getter]
    fn old(&self) -> Option<Answer> {
        self.judgement().map(|judgement| answer(&judgement.old))
    }
    /// Every possible outcome under the new policy, each with its rule pointer.
    #[getter]
    fn answers(&self) -> Vec<Answer> {
        let answers = self.judgement().map_or(&[][..], |judgement| &judgement.new);
        answers.iter().map(answer).collect()
    }
    /// True if a person had approved the call.
    #[getter]
    fn was_approved(&self) -> bool {
        self.judgement().is_some_and(|judgement| judgement.was_approved)
    }
    /// True if the log has the new answer as that of full enforcement, because the rule was in shadow.
    #[getter]
    fn was_announced(&self) -> bool {
        self.judgement().is_some_and(|judgement| judgement.was_announced)
    }
    /// The reasons for which a call cannot be judged, each a kind and a path, a rule or a name.
    ///
    /// The kinds are ``not logged`` (path), ``schema``, ``counts``, ``earlier``, ``approval`` (rules) and ``name``.
    #[getter]
    fn reasons(&self) -> Vec<(&'static str, String)> {
        let reasons = self.judgement().map_or(&[][..], |judgement| &judgement.reasons);
        reasons.iter().map(reason).collect()
    }
    fn __repr__(&self) -> String {
        let note = match self.judgement() {
            Some(judgement) => judgement.change.map_or("unknown", Change::as_str),
            None => self.note(),
        };
        format!("<ReplayedLine {}: {note}>", self.kind())
    }
}

fn answer((outcome, rule): &(Outcome, String)) -> Answer {
    (outcome.as_str(), rule.clone())
}

fn reason(reason: &Unknown) -> (&'static str, String) {
    match reason {
        Unknown::NotLogged(path) => ("not logged", path.clone()),
        Unknown::Schema(rule) => ("schema", rule.clone()),
        Unknown::Counts(rule) => ("counts", rule.clone()),
        Unknown::Earlier(rule) => ("earlier", rule.clone()),
        Unknown::Approval(rule) => ("approval", rule.clone()),
        Unknown::Name(name) => ("name", (*name).to_owned()),
    }
}
