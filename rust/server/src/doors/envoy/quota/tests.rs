//! Envoys as they are, on a clock that is set by hand: late messages, late timers, streams that break, and every use noted.

use std::collections::VecDeque;
use std::sync::Arc;

use callgate_core::Now;
use callgate_core::engine::QuotaCounts;
use callgate_counters::{CountKey, CountShape, Counters, Demand, Micros, Sharing, Window};

use super::bucket::{Action, Bucket, Desk};
use super::interest::Interests;
use super::lease::Terms;
use super::named::{BucketName, Verdict, unnamed};
use crate::limits::Limits;

const SECOND_US: u64 = 1_000_000;
const STEP_US: u64 = 50_000;
const REPORT_US: u64 = 5 * SECOND_US;
/// Messages and timers are late by less than this.
const LATE_US: u64 = 2 * SECOND_US;

const TERMS: Terms = Terms {
    ttl_s: 15,
    margin_us: LATE_US,
};

/// Numbers that look random, and are the same in each run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound.max(1)
    }
}

/// The only count of a limit.
fn one(max: u64, window_s: u64) -> Vec<Demand> {
    let shape = CountShape {
        window: Window::Sliding {
            window_us: window_s * SECOND_US,
        },
        max: Micros(max * SECOND_US),
        whole_units: true,
        sharing: Sharing::Local,
    };
    vec![Demand::new(CountKey(u128::from(max)), shape, Micros(1_000_000))]
}

/// Counts that no other node shares.
fn local(demands: &[Demand]) -> QuotaCounts {
    QuotaCounts {
        demands: demands.to_vec(),
        policy: None,
    }
}

/// An Envoy with one bucket, and its side of a stream. Messages arrive in order, each as late as the margin allows.
struct Envoy {
    server: Bucket,
    tokens: Option<(Action, u64)>,
    ends_us: u64,
    allowed: u64,
    denied: u64,
    report_us: u64,
    assigned: VecDeque<(u64, Action)>,
    reported: VecDeque<(u64, u64, u64)>,
}

impl Envoy {
    fn new(report_us: u64) -> Self {
        Self {
            server: Bucket::default(),
            tokens: None,
            ends_us: 0,
            allowed: 0,
            denied: 0,
            report_us,
            assigned: VecDeque::new(),
            reported: VecDeque::new(),
        }
    }

    /// One request; true if it is admitted.
    fn request(&mut self, now_us: u64) -> bool {
        let has_token = now_us < self.ends_us;
        match &mut self.tokens {
            Some((_, tokens)) if has_token && *tokens > 0 => {
                *tokens -= 1;
                self.allowed += 1;
                true
            }
            _ => {
                self.denied += 1;
                false
            }
        }
    }

    fn hear(&mut self, action: Action, now_us: u64, late_us: u64) {
        self.ends_us = now_us + TERMS.ttl_us() + late_us;
        let (Action::Tokens { tokens, serial } | Action::Extend { tokens, serial }) = action else {
            self.tokens = None;
            return;
        };
        let bucket = Action::Tokens { tokens, serial };
        let is_same = self.tokens.is_some_and(|(known, _)| known == bucket);
        if !is_same {
            self.tokens = Some((bucket, tokens));
        }
    }

    /// One step of both sides.
    fn step(&mut self, desk: Desk<'_>, verdict: &Verdict, chance: &mut Chance) {
        let now_us = desk.now.look_us();
        if now_us >= self.ends_us {
            self.tokens = None;
        }
        if now_us >= self.report_us {
            let arrives_us = now_us + chance.below(LATE_US - STEP_US);
            self.reported.push_back((arrives_us, self.allowed, self.denied));
            (self.allowed, self.denied, self.report_us) = (0, 0, now_us + REPORT_US);
        }
        while let Some((arrives_us, allowed, denied)) = self.reported.front().copied()
            && arrives_us <= now_us
        {
            self.reported.pop_front();
            self.server.report(allowed, denied, desk);
            let planned = self.server.plan(verdict, "g", desk, true);
            self.send(planned, now_us, chance);
        }
        if now_us.is_multiple_of(SECOND_US) {
            let planned = self.server.plan(verdict, "g", desk, false);
            self.send(planned, now_us, chance);
        }
        while let Some((arrives_us, action)) = self.assigned.front().copied()
            && arrives_us <= now_us
        {
            self.assigned.pop_front();
            let late_us = chance.below(LATE_US / 2);
            self.hear(action, now_us, late_us);
        }
    }

    fn send(&mut self, action: Option<Action>, now_us: u64, chance: &mut Chance) {
        if let Some(action) = action {
            if action == Action::Abandon {
                self.server = Bucket::default();
            }
            // The other half is that of the timer, and a step is that of this test.
            let late_us = chance.below(LATE_US / 2 - STEP_US);
            self.assigned.push_back((now_us + late_us, action));
        }
    }

    /// The stream breaks, and Envoy opens another one with its next report.
    fn break_off(&mut self) {
        self.server = Bucket::default();
        self.assigned.clear();
        self.reported.clear();
    }
}

/// The load of one Envoy: requests in a hundred steps, while it is on.
type Load = fn(u64) -> u64;

struct Run {
    uses: Vec<Vec<u64>>,
    others: Vec<u64>,
}

struct Setting<'s> {
    one: &'s [Demand],
    terms: Terms,
    loads: &'s [Load],
    seconds: u64,
    /// Another door takes a unit in one of so many steps.
    other_every: u64,
    /// A stream breaks in one of so many steps.
    breaks_every: u64,
}

fn run(setting: &Setting<'_>, seed: u64) -> Run {
    let mut chance = Chance(seed * 7_919 + 1);
    let counters = Counters::new(16, 16, &[3; 16]);
    let interests = Arc::new(Interests::default());
    let verdict: Verdict = Ok(local(setting.one));
    let mut envoys: Vec<Envoy> = (0..setting.loads.len())
        .map(|index| Envoy::new(SECOND_US + chance.below(REPORT_US) + index as u64))
        .collect();
    let mut run = Run {
        uses: vec![Vec::new(); envoys.len()],
        others: Vec::new(),
    };
    for step in 1..setting.seconds * SECOND_US / STEP_US {
        let now_us = step * STEP_US;
        let desk = Desk {
            counters: &counters,
            interests: &interests,
            terms: setting.terms,
            now: Now::from_unix_us(now_us),
        };
        for (index, envoy) in envoys.iter_mut().enumerate() {
            envoy.step(desk, &verdict, &mut chance);
            let load = setting.loads[index](now_us / SECOND_US);
            let requests = load / 100 + u64::from(chance.below(100) < load % 100);
            for _ in 0..requests {
                if envoy.request(now_us) {
                    run.uses[index].push(now_us);
                }
            }
            if setting.breaks_every > 0 && chance.below(setting.breaks_every) == 0 {
                envoy.break_off();
            }
        }
        if setting.other_every > 0
            && chance.below(setting.other_every) == 0
            && counters.take(&mut setting.one.to_vec(), "g", desk.now).is_ok()
        {
            run.others.push(now_us);
        }
    }
    run
}

/// The most uses in any interval of one window, over all Envoys and the other door.
fn most_in_a_window(run: &Run, window_us: u64) -> u64 {
    let mut all: Vec<u64> = run.uses.iter().flatten().chain(&run.others).copied().collect();
    all.sort_unstable();
    let mut first = 0;
    let mut most = 0;
    for last in 0..all.len() {
        while all[last] - all[first] >= window_us {
            first += 1;
        }
        most = most.max(last + 1 - first);
    }
    most as u64
}

const STEADY: Load = |_| 25;
const HOT: Load = |_| 300;
const RARE: Load = |_| 1;
const BURSTS: Load = |second| if second % 40 < 4 { 200 } else { 0 };

#[test]
fn no_window_holds_more_than_max_whatever_is_late_or_lost() {
    let mut used = 0;
    for (max, window_s) in [(1, 20), (3, 10), (10, 60), (40, 30), (300, 60)] {
        let limit = one(max, window_s);
        for seed in 1..=12 {
            let setting = Setting {
                one: &limit,
                terms: TERMS,
                loads: &[HOT, STEADY, BURSTS],
                seconds: 300,
                other_every: if seed % 2 == 0 { 60 } else { 0 },
                breaks_every: if seed % 3 == 0 { 300 } else { 0 },
            };
            let run = run(&setting, seed);
            let most = most_in_a_window(&run, window_s * SECOND_US);
            assert!(most <= max, "{most} of {max} in {window_s} s, seed {seed}");
            used += run.uses.iter().map(Vec::len).sum::<usize>();
        }
    }
    assert!(used > 5_000, "{used}");
}

/// The most uses in a window where an assignment and Envoy's timer are as late as may be, the stream breaks before any report,
/// and another door takes each unit as soon as it is free.
fn most_of_a_late_assignment(terms: Terms, max: u64, window_s: u64) -> u64 {
    let counters = Counters::new(16, 16, &[3; 16]);
    let interests = Arc::new(Interests::default());
    let one = one(max, window_s);
    let desk = |now_us| Desk {
        counters: &counters,
        interests: &interests,
        terms,
        now: Now::from_unix_us(now_us),
    };
    let sent_us = 100 * SECOND_US;
    let mut envoy = Envoy::new(0);
    envoy.server.report(0, 1, desk(sent_us));
    let action = envoy.server.plan(&Ok(local(&one)), "g", desk(sent_us), true);
    envoy.break_off();
    envoy.hear(action.unwrap(), sent_us + LATE_US / 2, LATE_US / 2 - STEP_US);
    let mut run = Run {
        uses: vec![Vec::new()],
        others: Vec::new(),
    };
    let end_us = envoy.ends_us + 2 * window_s * SECOND_US;
    for now_us in (sent_us..end_us).step_by(usize::try_from(STEP_US).unwrap()) {
        // At the last moment.
        while now_us + STEP_US >= envoy.ends_us && envoy.request(now_us) {
            run.uses[0].push(now_us);
        }
        while counters.take(&mut one.clone(), "g", desk(now_us).now).is_ok() {
            run.others.push(now_us);
        }
    }
    assert!(!run.uses[0].is_empty(), "tokens are used");
    most_in_a_window(&run, window_s * SECOND_US)
}

#[test]
fn the_margin_covers_what_is_late_and_none_does_not() {
    for (max, window_s) in [(16, 60), (300, 10)] {
        assert_eq!(most_of_a_late_assignment(TERMS, max, window_s), max);
        let without = Terms {
            margin_us: 0,
            ..TERMS
        };
        assert!(most_of_a_late_assignment(without, max, window_s) > max);
    }
}

#[test]
fn the_margin_of_these_tests_is_that_of_a_callgate_that_is_not_told_otherwise() {
    assert_eq!(Terms::of(&Limits::default()), TERMS);
}

#[test]
fn uses_in_one_window_are_added_up() {
    let run = Run {
        uses: vec![vec![1, 12, 30], vec![9]],
        others: vec![10, 19],
    };
    // 9, 10, 12: not 19, which is a whole window after 9.
    assert_eq!(most_in_a_window(&run, 10), 3);
    assert_eq!(most_in_a_window(&run, 11), 4);
    assert_eq!(most_in_a_window(&run, 100), 6);
}

#[test]
fn the_units_of_a_limit_are_used_and_shared() {
    let limit = one(60, 60);
    let setting = Setting {
        one: &limit,
        terms: TERMS,
        loads: &[HOT],
        seconds: 1_200,
        other_every: 0,
        breaks_every: 0,
    };
    let alone = run(&setting, 5).uses[0].len();
    assert!(alone > 800, "{alone} of 1200");

    let together = run(
        &Setting {
            loads: &[HOT, HOT, RARE],
            ..setting
        },
        6,
    );
    let used: Vec<usize> = together.uses.iter().map(Vec::len).collect();
    assert!(used[0] > 150 && used[1] > 150, "{used:?}");
    // About one request each five seconds.
    assert!(used[2] > 60, "{used:?}");
}

#[test]
fn one_token_goes_from_envoy_to_envoy() {
    let limit = one(1, 30);
    let setting = Setting {
        one: &limit,
        terms: TERMS,
        loads: &[HOT, HOT],
        seconds: 1_800,
        other_every: 0,
        breaks_every: 0,
    };
    let used: Vec<usize> = run(&setting, 3).uses.iter().map(Vec::len).collect();
    assert!(used.iter().all(|used| *used >= 3), "{used:?}");
}

/// One bucket without an Envoy, and the counters that it draws on.
struct Bench {
    counters: Counters,
    interests: Arc<Interests>,
    bucket: Bucket,
    one: Vec<Demand>,
}

impl Bench {
    fn new(max: u64) -> Self {
        Self {
            counters: Counters::new(16, 16, &[3; 16]),
            interests: Arc::default(),
            bucket: Bucket::default(),
            one: one(max, 60),
        }
    }

    fn desk(&self, second: u64) -> Desk<'_> {
        Desk {
            counters: &self.counters,
            interests: &self.interests,
            terms: TERMS,
            now: Now::from_unix_us(second * SECOND_US),
        }
    }

    /// A report at this second, and the answer.
    fn report(&mut self, second: u64, allowed: u64, denied: u64) -> Option<Action> {
        let verdict: Verdict = Ok(local(&self.one));
        self.answer(second, Some((allowed, denied)), &verdict)
    }

    fn answer(&mut self, second: u64, report: Option<(u64, u64)>, verdict: &Verdict) -> Option<Action> {
        let desk = Desk {
            counters: &self.counters,
            interests: &self.interests,
            terms: TERMS,
            now: Now::from_unix_us(second * SECOND_US),
        };
        if let Some((allowed, denied)) = report {
            self.bucket.report(allowed, denied, desk);
        }
        self.bucket.plan(verdict, "g", desk, report.is_some())
    }

    fn free(&self, second: u64) -> u64 {
        super::lease::available(&self.counters, &self.one, self.desk(second).now)
    }
}

fn tokens(action: Option<Action>) -> u64 {
    match action {
        Some(Action::Tokens { tokens, .. }) => tokens,
        other => panic!("no tokens: {other:?}"),
    }
}

#[test]
fn tokens_are_taken_extended_and_given_back() {
    let mut bench = Bench::new(16);
    let leased = tokens(bench.report(100, 0, 1));
    assert_eq!(leased, 6, "half of what may be had, at first");
    assert_eq!(bench.free(100), 10);
    assert_eq!(
        bench.report(105, 0, 0),
        None,
        "it may be mistaken for that of another stream"
    );
    // Three are used: they come back a window later, and nothing else does.
    assert_eq!(tokens(bench.report(110, 3, 0)), 8);
    let (used, leased) = (bench.bucket.numbers.used, bench.bucket.numbers.leased);
    assert_eq!(used, 3);
    assert_eq!(bench.free(111), 16 - leased);
    // The stream goes on without requests: what was not used is there again.
    let mut extended = 0;
    for second in (115..=240).step_by(5) {
        let action = bench.report(second, 0, 0);
        extended += u32::from(matches!(action, Some(Action::Extend { .. })));
    }
    assert!(extended > 3, "{extended}");
    assert_eq!(bench.free(240), 16);
    assert_eq!(bench.bucket.numbers.returned + 3, bench.bucket.numbers.leased);
    assert_eq!(bench.report(245, 0, 0), Some(Action::Abandon), "it is forgotten");
}

#[test]
fn a_stream_that_ends_leaves_its_tokens_counted_until_their_end() {
    let mut bench = Bench::new(16);
    let leased = tokens(bench.report(100, 0, 1));
    bench.bucket = Bucket::default();
    let end = 100 + 15 + 2;
    assert_eq!(bench.free(end + 59), 16 - leased);
    assert_eq!(bench.free(end + 60), 16);
}

#[test]
fn a_new_verdict_replaces_tokens_at_once() {
    let mut bench = Bench::new(16);
    tokens(bench.report(100, 0, 1));
    let denied: Verdict = Err(unnamed("frozen".to_owned()));
    assert_eq!(bench.answer(101, None, &denied), Some(Action::DenyAll));
    assert_eq!(bench.bucket.news(&denied).unwrap().message, "frozen");
    assert_eq!(bench.bucket.news(&denied), None, "it is logged once");
    assert_eq!(
        bench.answer(102, None, &denied),
        None,
        "told once between reports"
    );
    assert_eq!(bench.answer(105, Some((0, 4)), &denied), Some(Action::DenyAll));
    let unlimited: Verdict = Ok(local(&[]));
    assert_eq!(bench.answer(106, None, &unlimited), Some(Action::AllowAll));
    let limited: Verdict = Ok(local(&bench.one));
    assert!(tokens(bench.answer(107, None, &limited)) > 0);
    // Other counts than before, of which nothing is left.
    let other = one(7, 60);
    let mut all = other.clone();
    all[0].cost = Micros(7_000_000);
    bench.counters.take(&mut all, "g", bench.desk(107).now).unwrap();
    assert_eq!(bench.answer(108, None, &Ok(local(&other))), Some(Action::DenyAll));
    assert_eq!(
        bench.interests.len(),
        1,
        "the counts of before are not its own any more"
    );
}

#[test]
fn requests_without_tokens_are_counted_as_far_as_they_can_be() {
    let mut bench = Bench::new(16);
    tokens(bench.report(100, 0, 1));
    for second in [105, 110] {
        bench.report(second, 0, 1);
    }
    let before = bench.free(110);
    bench.report(115, 1_000_000, 0);
    assert!(bench.bucket.numbers.unexpected > 900_000);
    assert!(before > 0 && bench.free(115) == 0, "nothing is left for anybody");
}

#[test]
fn a_lease_is_not_extended_when_envoy_may_have_dropped_it() {
    let mut bench = Bench::new(16);
    let first = tokens(bench.report(100, 0, 1));
    // An extension could arrive after the end: Envoy would fill the bucket anew.
    let later = bench.report(114, 0, 1);
    assert!(tokens(later) > 0);
    assert!(bench.free(114) <= 16 - first, "the tokens of before still count");
}

#[test]
fn an_envoy_that_is_not_heard_gets_nothing_more() {
    let mut bench = Bench::new(16);
    tokens(bench.report(100, 0, 1));
    let verdict: Verdict = Ok(local(&bench.one));
    for second in 101..200 {
        assert_eq!(
            bench.answer(second, None, &verdict).filter(|_| second > 115),
            None
        );
    }
}

#[test]
fn ids_of_buckets_name_a_call() {
    let id = |pairs: &[(&str, &str)]| {
        let pairs = pairs
            .iter()
            .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
        BucketName::of(&pairs.collect())
    };
    let name = id(&[("grant", "g"), ("tool", "=?base64?ZHJvcA==?="), ("server", "s")]).unwrap();
    assert_eq!((&*name.grant, &*name.server, &*name.tool), ("g", "s", "drop"));
    assert_eq!(id(&[("grant", "g"), ("tool", "t")]).unwrap().server, "");
    for (pairs, fault) in [
        (
            &[("grant", "g"), ("tool", "t"), ("path", "/")][..],
            "the key `path`",
        ),
        (&[("tool", "t")][..], "no `grant`"),
        (&[("grant", "g"), ("tool", "")][..], "no `tool`"),
    ] {
        assert!(id(pairs).unwrap_err().contains(fault), "{fault}");
    }
}
