//! Decisions of a log, decided once more by another policy (`docs/replay.md`).
//!
//! A line has not everything that a policy reads. So a call has a set of possible answers ([`stages`]), and it is judged only
//! if all of them say the same of the change: see [`Judgement`].

mod checks;
mod judgement;
mod known;
mod line;
mod stages;
#[cfg(test)]
mod tests;
mod usage;
mod verdicts;

use hashbrown::HashMap;

use self::checks::PartialCall;
use self::judgement::Judged;
use self::line::{Line, LoggedCall, Paths};
use self::stages::{Answers, answers, shadowed_wants};
use self::usage::{Usage, Want, began_before};
use super::admission::AdmittedRequest;
use crate::compile::{CompiledLimit, CompiledPolicy};
use crate::grant::labels_digest;
use crate::json::Tape;
use crate::policy::{Catalogue, PolicyError, ast};
use crate::request::{DEFAULT_SERVER, MAX_ARGS_DEPTH};
use crate::state::{Policies, State};
use crate::{Now, Outcome};

pub use judgement::{Change, Judgement, Replayed};
pub use line::line_time_us;
pub use stages::Unknown;

/// Most approvals whose rules are remembered.
const MOST_APPROVALS: usize = 16_384;

/// Rules of denials that no policy made and that every policy leaves as they are.
const UNCHANGEABLE: [&str; 11] = [
    "(invalid request)",
    "(unknown server)",
    "(unknown grant)",
    "(grant revoked)",
    "(grant expired)",
    "(no policy)",
    "(frozen)",
    "(tool changed)",
    "(audit unavailable)",
    "(internal error)",
    "(decision point unavailable)",
];

/// Rules of denials of calls that another policy may allow, because it needs no approval or no count.
const UNREACHABLE: [&str; 4] = [
    "(approval store unavailable)",
    "(approval capacity)",
    "(counter store unavailable)",
    "(counter capacity)",
];

/// The choice of the lines that are decided once more, and what is known beside them.
#[derive(Clone, Debug, Default)]
pub struct ReplaySetup {
    /// The server whose calls are decided; `None` for all.
    pub server: Option<String>,
    /// The name of the policy whose decisions are decided once more; `None` for all.
    pub decided_by: Option<String>,
    /// The labels of grants, by the id of the grant.
    pub labels: HashMap<String, Vec<(String, String)>>,
    /// Random key of the identities of counts, so that callers cannot make two counts collide.
    pub hash_key: [u8; 16],
}

/// Decides calls of a log by another policy, one after the other, in the order of their times.
#[derive(Debug)]
pub struct Replay {
    state: State,
    setup: ReplaySetup,
    usage: Usage,
    paths: Paths,
    /// Rules for which people were asked, by the id of the approval.
    approvals: HashMap<String, String>,
    first_us: Option<u64>,
    tape: Tape,
    args_tape: Tape,
    args_json: String,
}

impl Replay {
    /// Prepares the policy.
    pub fn new(policy: ast::Policy, catalogue: Catalogue, setup: ReplaySetup) -> Result<Self, PolicyError> {
        Ok(Self {
            state: State::build(Policies::EveryServer(policy), catalogue)?,
            usage: Usage::new(&setup.hash_key),
            setup,
            paths: Paths::default(),
            approvals: HashMap::new(),
            first_us: None,
            tape: Tape::new(),
            args_tape: Tape::new(),
            args_json: String::new(),
        })
    }

    /// Returns whether a decision of the policy can depend on the category, the risk or the input schema of a tool.
    pub fn reads_catalogue(&self) -> bool {
        self.policy().is_some_and(CompiledPolicy::reads_catalogue)
    }

    /// Decides the call of one line. The lines come in the order of their times, but for a few milliseconds.
    pub fn decide(&mut self, line: &[u8]) -> Replayed {
        let mut tape = std::mem::take(&mut self.tape);
        let replayed = match line::read(&mut tape, line, &mut self.paths) {
            Err(fault) => Replayed::Malformed(fault),
            Ok(Line::Other(kind)) => Replayed::Skipped(format!("kind {kind}")),
            Ok(Line::Call(call)) => self.replay(*call),
        };
        self.tape = tape;
        replayed
    }

    fn replay(&mut self, call: LoggedCall<'_>) -> Replayed {
        if call.protocol == "rate_limit" {
            return Replayed::Skipped("rate limit service".to_owned());
        }
        let is_of = |wanted: &Option<String>, name: &str| wanted.as_ref().is_none_or(|wanted| wanted == name);
        let server = if call.server.text.is_empty() {
            DEFAULT_SERVER
        } else {
            call.server.text
        };
        if !is_of(&self.setup.server, server) {
            return Replayed::Skipped("other server".to_owned());
        }
        // Also of calls that are not decided once more: it is the time from which on the counts are known.
        self.first_us.get_or_insert(call.decided_at_us);
        // A policy that reads no arguments admits what another one denies because nobody has seen them.
        let is_of_policy = call.are_args_unseen && !call.policy.is_empty();
        if UNCHANGEABLE.contains(&call.rule) && !is_of_policy {
            return Replayed::Skipped(call.rule.to_owned());
        }
        if !is_of(&self.setup.decided_by, call.policy) {
            return Replayed::Skipped("other policy".to_owned());
        }
        self.note_approval(&call);
        let mut call = call;
        let mut json = std::mem::take(&mut self.args_json);
        let mut args_tape = std::mem::take(&mut self.args_tape);
        json.clear();
        let is_whole = call.are_args_unseen || (call.has_args && line::write_whole(&call.args, &mut json));
        if call.are_args_unseen {
            json.push_str("{}");
        }
        if is_whole {
            call.args.whole = args_tape.parse(json.as_bytes(), MAX_ARGS_DEPTH).ok();
        }
        let replayed = self.judge(&call, server);
        drop(call);
        self.args_json = json;
        self.args_tape = args_tape;
        replayed
    }

    fn judge(&mut self, call: &LoggedCall<'_>, server: &str) -> Replayed {
        let now = Now::from_unix_us(call.decided_at_us);
        let mut request = AdmittedRequest::of_names(call.grant.text, call.tool.text, server);
        request.session = Some(call.session.text).filter(|session| !session.is_empty());
        let labels = self.labels(call);
        let partial = PartialCall {
            line: call,
            args: &call.args,
            request: &request,
            facts: self.state.facts().of(server, call.tool.text),
            labels: labels.as_deref(),
            now,
        };
        let Some(policy) = self.policy() else {
            return Replayed::Malformed("there is no policy".to_owned());
        };
        let mut answers = answers(&partial, policy, &self.usage, &self.setup.hash_key);
        if let Some(name) = call.uncertain_name() {
            answers.reasons = vec![Unknown::Name(name)];
            answers.is_anybody = true;
        }
        let judged = judgement::of(call, &answers, &self.approvals, || {
            self.may_be_earlier(policy, &answers, call, now)
        });
        let shadowed = shadowed_wants(&partial, policy, &self.usage, &self.setup.hash_key, &answers);
        let Answers { wants, .. } = answers;
        self.take(call, &judged, &wants, shadowed);
        if UNREACHABLE.contains(&call.rule) {
            return Replayed::Skipped(call.rule.to_owned());
        }
        Replayed::Decided(judged.judgement)
    }

    /// Takes the units of a call. Of counts that only limits in shadow meet, there are those that an allowed call surely takes and
    /// those that it may take.
    fn take(
        &mut self,
        call: &LoggedCall<'_>,
        judged: &Judged,
        wants: &[Want],
        (shadowed, perhaps_shadowed): (Vec<Want>, Vec<Want>),
    ) {
        let now = Now::from_unix_us(call.decided_at_us);
        let all = || wants.iter().chain(&shadowed).chain(&perhaps_shadowed);
        if call.uncertain_name().is_some() {
            for want in all() {
                self.usage.take_somewhere(want, now);
            }
        } else if judged.is_allowed && !UNREACHABLE.contains(&call.rule) {
            self.usage
                .take(wants.iter().chain(&shadowed), call.grant.text, now);
            self.usage.take_perhaps(&perhaps_shadowed, now);
        } else if judged.may_be_allowed {
            self.usage.take_perhaps(all(), now);
        }
    }

    /// Returns whether a call that a limit refused may have met units from before the log began, and the policy has this limit
    /// as well.
    fn may_be_earlier(
        &self,
        policy: &CompiledPolicy,
        answers: &Answers<'_>,
        call: &LoggedCall<'_>,
        now: Now,
    ) -> bool {
        let Some(first_us) = self.first_us else {
            return false;
        };
        let limits = answers.wants.iter().filter_map(|want| policy.limit(want.limit));
        let own = |limit: &&CompiledLimit| {
            limit.rule == call.rule && !call.had_lower_max(&limit.counter, limit.shape.max)
        };
        limits
            .into_iter()
            .filter(own)
            .any(|limit| began_before(limit.shape.window, first_us, now.unix_us()))
    }

    /// The labels of the caller, if the log shows that it had these.
    fn labels(&self, call: &LoggedCall<'_>) -> Option<Vec<(String, String)>> {
        let logged = call.labels.digest()?;
        if logged.is_empty() {
            return Some(Vec::new());
        }
        let labels = self
            .setup
            .labels
            .get(call.grant.text)
            .filter(|_| call.grant.is_whole)?;
        let pairs = labels.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let digest = labels_digest(call.grant.text, pairs)?;
        (logged == format!("{digest:016x}")).then(|| labels.clone())
    }

    /// Remembers for which rule people were asked.
    fn note_approval(&mut self, call: &LoggedCall<'_>) {
        if call.outcome != Outcome::ApprovalRequired || call.approval.is_empty() {
            return;
        }
        if self.approvals.len() >= MOST_APPROVALS {
            self.approvals.clear();
        }
        self.approvals
            .insert(call.approval.to_owned(), call.rule.to_owned());
    }

    fn policy(&self) -> Option<&CompiledPolicy> {
        self.state.compiled_policies().first()
    }
}

impl LoggedCall<'_> {
    /// The name that may not be the call's own, of those by which entries and counts are found.
    fn uncertain_name(&self) -> Option<&'static str> {
        let names = [
            ("server", self.server),
            ("grant", self.grant),
            ("tool", self.tool),
        ];
        names
            .into_iter()
            .find_map(|(name, logged)| (!logged.is_whole).then_some(name))
    }
}
