//! Lists that differ by client.

mod files;
mod first_lists;
mod reviewing;
mod sharing;
mod time;

use std::fs;
use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

const NOW: u64 = 1_800_000_000;
const DAY_S: u64 = 24 * 3600;

const OLD: &str = "2025-11-25";
const NEW: &str = "2026-07-28";
const RICH: &str = "2026-07-28+elicitation+sampling";

/// A folder of pins whose clock a test sets.
struct Timed {
    place: Place,
    now: Arc<AtomicU64>,
}

impl Timed {
    fn new() -> Self {
        Self::at(
            tempfile::tempdir().expect("a folder"),
            Arc::new(AtomicU64::new(NOW)),
        )
    }

    fn at(folder: TempDir, now: Arc<AtomicU64>) -> Self {
        let clock = WallClock::manual(Arc::clone(&now));
        let pins = Arc::new(Pins::open_at(&folder.path().join("pins"), clock).expect("a folder"));
        Self {
            place: Place { folder, pins },
            now,
        }
    }

    /// Another process at the folder, with the same clock.
    fn opened_again(&self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::os::unix::fs::symlink(self.place.path(), folder.path().join("pins")).expect("a link");
        Self::at(folder, Arc::clone(&self.now))
    }

    fn server(&self) -> Server {
        self.place.server()
    }

    fn go_to(&self, after_s: u64) {
        self.now.store(NOW + after_s, Ordering::SeqCst);
    }
}

fn variant(text: &str) -> Variant {
    Variant::parse(text).expect(text)
}

/// A whole list, as clients of a variant are shown it.
fn show(server: &Server, to: &str, tools: &[String]) -> Observation {
    observe_as(server, &variant(to), PageRef::FromStart, &answer(tools, None))
}

fn record(server: &Server, to: &str, tools: &[String]) -> Observation {
    server
        .observe_whole(&variant(to), &mut Tape::new(), answer(tools, None).as_bytes())
        .expect("a list")
}

fn few() -> Vec<String> {
    vec![tool("a", "one"), tool("b", "two")]
}

fn more() -> Vec<String> {
    let further = (0..11).map(|n| tool(&format!("more{n}"), "further"));
    few().into_iter().chain(further).collect()
}
