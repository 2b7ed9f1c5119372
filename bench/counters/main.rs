//! `make bench-counters`: what taking a unit costs, beside a mutex around a map of logs and beside `governor`.
//!
//! Everybody is given the same ready-made 128-bit key and the same instant, and must have answered rightly before and
//! while it is timed. Rounds are interleaved; what is printed are medians of rounds, and medians of ratios of neighbours.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::panic, reason = "likewise")]

mod alone;
#[path = "../../rust/counters/benches/common/mod.rs"]
mod common;
mod limiters;
mod processes;
mod threads;

use alone::Subject;
use common::Options;
use limiters::{Governor, InFile, Limiter, Memory, MutexMap};

const ROUNDS: usize = 15;
const CALLS_PER_ROUND: u32 = 200_000;
const CALLS_PER_THREAD: u32 = 1_000_000;

type Rows = Vec<(String, Vec<(&'static str, f64)>)>;

fn main() {
    if processes::run_if_asked(
        &CONTESTANTS.map(|contestant| contestant.on_command),
        &threads::WORKS,
    ) {
        return;
    }
    let options = Options::read();
    limiters::check::<Memory>();
    limiters::check::<InFile>();
    limiters::check::<MutexMap>();
    limiters::check::<Governor>();
    let mut rows = Rows::new();
    one_thread(&options, &mut rows);
    two_threads(&options, &mut rows);
    options.write(&rows);
}

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn one_thread(options: &Options, rows: &mut Rows) {
    let (rounds, calls) = if options.quick {
        (3, 1_000)
    } else {
        (ROUNDS, CALLS_PER_ROUND)
    };
    println!("one thread, {rounds} rounds of {calls} calls");
    println!("{:<40} {:<32} {:>8} {:>9}", "", "", "ns", "callgate");
    for work in alone::WORKS {
        let mut subjects = Vec::new();
        add::<Memory>(options, work, &mut subjects);
        add::<InFile>(options, work, &mut subjects);
        add::<MutexMap>(options, work, &mut subjects);
        add::<Governor>(options, work, &mut subjects);
        for subject in &mut subjects {
            subject.warm(calls);
        }
        for _ in 0..rounds {
            for subject in &mut subjects {
                subject.round(calls);
            }
        }
        let first = subjects
            .first()
            .map(|subject| subject.rounds_ns.clone())
            .unwrap_or_default();
        for subject in &subjects {
            let ns = median(subject.rounds_ns.iter().copied());
            // Below 1: callgate takes less time.
            let ratio = median(
                first
                    .iter()
                    .zip(&subject.rounds_ns)
                    .map(|(ours, theirs)| ours / theirs),
            );
            println!(
                "{:<40} {:<32} {ns:>8.1} {ratio:>8.2}x",
                work.name, subject.limiter
            );
            rows.push((
                name(work.name, subject.limiter),
                vec![("ns", ns), ("callgate_ratio", ratio)],
            ));
        }
    }
}

fn add<L: Limiter + 'static>(options: &Options, work: alone::Work, subjects: &mut Vec<Subject>) {
    if name(work.name, L::NAME).contains(&options.only) {
        subjects.push(Subject::new::<L>(work));
    }
}

fn name(work: &str, limiter: &str) -> String {
    format!("{work}: {limiter}")
}

/// A limiter by its name, its rounds, and its part of a round of processes.
#[derive(Clone, Copy)]
struct Contestant {
    name: &'static str,
    round: fn(threads::Work, threads::Spread, u32) -> f64,
    on_command: processes::OnCommand,
}

impl Contestant {
    const fn of<L: Limiter>() -> Self {
        Self {
            name: L::NAME,
            round: threads::round::<L>,
            on_command: threads::round_on_command::<L>,
        }
    }
}

const CONTESTANTS: [Contestant; 4] = [
    Contestant::of::<Memory>(),
    Contestant::of::<InFile>(),
    Contestant::of::<MutexMap>(),
    Contestant::of::<Governor>(),
];

#[expect(clippy::print_stdout, reason = "a bench prints its table")]
fn two_threads(options: &Options, rows: &mut Rows) {
    if std::thread::available_parallelism().map_or(1, usize::from) < 2 {
        println!("\ntwo threads: not measured, there is one core");
        return;
    }
    let (rounds, calls) = if options.quick {
        (3, 1_024)
    } else {
        (ROUNDS, CALLS_PER_THREAD)
    };
    println!(
        "\ntwo cores, {rounds} rounds of {calls} calls each; millions of calls per second, all threads together"
    );
    println!(
        "{:<32} {:<32} {:>10} {:>16} {:>13} {:>14} {:>16} {:>16}",
        "",
        "",
        "one thread",
        "two, one counter",
        "two, one each",
        "two processes",
        "one counter/one",
        "each/processes"
    );
    for (number, work) in threads::WORKS.into_iter().enumerate() {
        let row = |contestant: Contestant| name(&format!("threads, {}", work.name), contestant.name);
        let is_meant = |contestant| row(contestant).contains(&options.only);
        let mut measured = vec![[const { Vec::new() }; 4]; CONTESTANTS.len()];
        for _ in 0..rounds {
            for (index, (rounds, contestant)) in measured.iter_mut().zip(CONTESTANTS).enumerate() {
                if !is_meant(contestant) {
                    continue;
                }
                let [alone, together, apart, processes] = rounds;
                for (spread, into) in threads::SPREADS.iter().zip([alone, together, apart]) {
                    into.push((contestant.round)(work, *spread, calls));
                }
                processes.push(processes::round(index, number, calls));
            }
        }
        for (rounds, contestant) in measured.iter().zip(CONTESTANTS) {
            if !is_meant(contestant) {
                continue;
            }
            let [alone, together, apart, processes] =
                rounds.each_ref().map(|rounds| median(rounds.iter().copied()));
            // Of neighbours: the machine is not as fast in every round.
            let ratio = |ours: usize, theirs: usize| {
                median(rounds[ours].iter().zip(&rounds[theirs]).map(|(a, b)| a / b))
            };
            let (beside_alone, beside_processes) = (ratio(1, 0), ratio(2, 3));
            println!(
                "{:<32} {:<32} {alone:>10.1} {together:>16.1} {apart:>13.1} {processes:>14.1} {beside_alone:>15.2}x \
                 {beside_processes:>15.2}x",
                work.name, contestant.name
            );
            rows.push((
                row(contestant),
                vec![
                    ("one_thread_millions_per_second", alone),
                    ("one_counter_millions_per_second", together),
                    ("one_counter_each_millions_per_second", apart),
                    ("two_processes_millions_per_second", processes),
                    ("one_counter_beside_one_thread", beside_alone),
                    ("one_counter_each_beside_two_processes", beside_processes),
                ],
            ));
        }
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}
