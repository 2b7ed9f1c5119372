//! `make bench-counters`: counters in a file beside the same counters in memory, and how fast a million open.
//!
//! The rounds are interleaved, so that a change of the machine's speed meets both. The file is made in the working
//! directory, which is on a disk; the system's temporary folder may itself be memory.

#![expect(clippy::expect_used, reason = "a bench that cannot be set up stops")]
#![expect(clippy::print_stdout, reason = "a bench tells what it found")]
#![expect(clippy::panic, reason = "likewise")]

#[path = "common/mod.rs"]
mod common;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use callgate_counters::{ClockReading, CountKey, CountShape, Counters, Demand, Micros, Now, Window};
use common::Options;

const ROUNDS: u64 = 20;
const CALLS_PER_ROUND: u64 = 200_000;
const MILLION: u64 = 1_000_000;

type Row = (String, Vec<(&'static str, f64)>);

fn reading(boot_us: u64) -> ClockReading {
    ClockReading {
        boot_id: [1; 16],
        boot_us,
        unix_us: 1_800_000_000_000_000 + boot_us,
    }
}

fn at(boot_us: u64) -> Now {
    Now {
        boot_ns: boot_us * 1_000,
        unix_offset_us: 1_800_000_000_000_000,
    }
}

fn demand(number: u64, max: u64) -> Demand {
    let shape = CountShape {
        window: Window::Sliding {
            window_us: 3_600_000_000,
        },
        max: Micros(max * Micros::ONE.0),
        whole_units: true,
        sharing: callgate_counters::Sharing::Local,
    };
    // Well-mixed identities, as hashing gives them.
    let key = (u128::from(number) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    Demand::new(CountKey(key), shape, Micros::ONE)
}

fn open(path: &Path, boot_us: u64) -> Counters {
    Counters::open(path, 4_000_000, 4_000_000, &[9; 16], || Ok(reading(boot_us))).expect("the file opens")
}

/// Nanoseconds per admitted unit, on counts drawn at random among `counts`.
fn takes(counters: &Counters, counts: u64, max: u64, round: u64) -> f64 {
    let mut random = 0x9E37_79B9_7F4A_7C15 ^ round;
    // Each round an hour later, so that every unit is free again and all are admitted.
    let now = at(3_600_000_001 * (round + 1));
    let started = Instant::now();
    for _ in 0..CALLS_PER_ROUND {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let mut demands = [demand(random % counts, max)];
        let taken = counters.take(&mut demands, "g", now);
        assert!(taken.is_ok(), "{taken:?}");
        black_box(&demands);
    }
    nanoseconds(started.elapsed()) / nanoseconds(Duration::from_nanos(CALLS_PER_ROUND))
}

fn nanoseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e9
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn compare(path: &Path, name: &str, counts: u64, max: u64, rounds: u64) -> Row {
    let _ = std::fs::remove_file(path);
    let (memory, file) = (Counters::new(4_000_000, 4_000_000, &[9; 16]), open(path, 1));
    for counters in [&memory, &file] {
        for number in 0..counts {
            let made = counters.take(&mut [demand(number, max)], "g", at(1));
            assert!(made.is_ok(), "{made:?}");
        }
    }
    let (mut in_memory, mut in_file) = (Vec::new(), Vec::new());
    for round in 0..rounds {
        in_memory.push(takes(&memory, counts, max, round));
        in_file.push(takes(&file, counts, max, round));
    }
    let (in_memory, in_file) = (median(in_memory), median(in_file));
    println!(
        "{name:<44}{in_memory:>9.1} ns{in_file:>9.1} ns{:>8.2}",
        in_file / in_memory
    );
    let values = vec![
        ("memory_ns", in_memory),
        ("file_ns", in_file),
        ("file_beside_memory", in_file / in_memory),
    ];
    (format!("one unit taken, {name}"), values)
}

fn opening(path: &Path, counts: u64, close: bool) -> Row {
    let _ = std::fs::remove_file(path);
    let counters = open(path, 1);
    for number in 0..counts {
        let made = counters.take(&mut [demand(number, 30)], "g", at(1));
        assert!(made.is_ok(), "{made:?}");
    }
    let killed = path.with_extension("killed");
    let opened = if close {
        drop(counters);
        path
    } else {
        counters.flush(&reading(2)).expect("the disk takes it");
        std::fs::copy(path, &killed).expect("the file can be copied");
        drop(counters);
        &killed
    };
    let started = Instant::now();
    let counters = open(opened, 2);
    let took = started.elapsed();
    assert_eq!(counters.len() as u64, counts);
    let how = if close { "closed" } else { "as a kill leaves them" };
    let name = format!("open {counts} counters, {how}");
    let ms = took.as_secs_f64() * 1e3;
    println!("{name:<44}{ms:>9.0} ms");
    drop(counters);
    let _ = std::fs::remove_file(killed);
    (name, vec![("ms", ms)])
}

fn main() {
    let options = Options::read();
    let folder = tempfile::TempDir::with_prefix_in(".bench-", ".").expect("there is room for a folder");
    let path = folder.path().join("counters");
    let (many, rounds) = if options.quick {
        (20_000, 2)
    } else {
        (MILLION, ROUNDS)
    };
    println!(
        "{:<44}{:>12}{:>12}{:>8}",
        "one unit taken, one thread, median", "memory", "file", "ratio"
    );
    let rows = [
        compare(&path, "10,000 counts of 256", 10_000, 256, rounds),
        compare(&path, "a million counts of 30", many, 30, rounds),
        compare(&path, "10,000 counts of a million", 10_000, 1_000_000, rounds),
        opening(&path, many, true),
        opening(&path, many, false),
    ];
    options.write(&rows);
}
