//! `make bench-counters`: what taking a unit costs, beside a mutex around a map of logs and beside `governor`.
//!
//! Everybody is given the same ready-made 128-bit key and the same instant, and must have answered rightly before and
//! while it is timed. Rounds are interleaved; what is printed are medians of rounds, and medians of ratios of neighbours.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::panic, reason = "likewise")]
#![expect(clippy::cast_precision_loss, reason = "counts of nanoseconds and calls")]

mod alone;
#[path = "../../rust/counters/benches/common/mod.rs"]
mod common;
mod limiters;
mod threads;

use alone::Subject;
use common::Options;
use limiters::{Governor, InFile, Limiter, Memory, MutexMap};

const ROUNDS: usize = 15;
const CALLS_PER_ROUND: u32 = 200_000;
const CALLS_PER_THREAD: u32 = 1_000_000;

type Rows = Vec<(String, Vec<(&'static str, f64)>)>;

fn main() {
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

/// A limiter's name, and its rounds.
type Contestant = (&'static str, fn(threads::Work, threads::Spread, u32) -> f64);

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
    if !options.only.is_empty() {
        return;
    }
    let contestants: [Contestant; 4] = [
        (Memory::NAME, threads::round::<Memory>),
        (InFile::NAME, threads::round::<InFile>),
        (MutexMap::NAME, threads::round::<MutexMap>),
        (Governor::NAME, threads::round::<Governor>),
    ];
    println!(
        "\nthreads, {rounds} rounds of {calls} calls each; millions of calls per second, all threads together"
    );
    println!(
        "{:<40} {:<32} {:>9} {:>13} {:>17}",
        "", "", "one thread", "two, one counter", "two, one each"
    );
    for work in threads::WORKS {
        let mut measured = vec![[const { Vec::new() }; 3]; contestants.len()];
        for _ in 0..rounds {
            for (contestant, (_, round)) in measured.iter_mut().zip(contestants) {
                for (spread, into) in threads::SPREADS.iter().zip(contestant) {
                    into.push(round(work, *spread, calls));
                }
            }
        }
        for (contestant, (limiter, _)) in measured.iter().zip(contestants) {
            let [alone, together, apart] = contestant.each_ref().map(|rounds| median(rounds.iter().copied()));
            println!(
                "{:<40} {limiter:<32} {alone:>9.1} {together:>13.1} {apart:>17.1}",
                work.name
            );
            rows.push((
                name(&format!("threads, {}", work.name), limiter),
                vec![
                    ("one_thread_millions_per_second", alone),
                    ("one_counter_millions_per_second", together),
                    ("one_counter_each_millions_per_second", apart),
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
