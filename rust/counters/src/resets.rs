//! Resets: counts that begin anew before their units have expired.
//!
//! A reset changes the identity of the counts that it names, because its number becomes a part of their keys. Later calls
//! find new counts; the old ones are out of reach and expire like any others. So a reset moves no unit of a count that it
//! does not name, a call that is being decided meanwhile takes either from the old count or from the new one, and a
//! reservation is rolled back where its units were taken. Counts in a file have their resets in its header.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;

use crate::Now;
use crate::file::{Durable, RESET_LINES, ResetLine, StoreError};
use crate::reset_names::{MOST_RESETS as CAPACITY, ResetTarget, Resets, Target};

/// Resets that are written before those that they replace are removed.
const WRITTEN_AT_ONCE: usize = RESET_LINES - CAPACITY;

/// A reset that was not made.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// Too many resets are in force.
    #[error(
        "{CAPACITY} resets are in force, which is the most; a reset without `--grant` or `--tool` replaces those of the \
         same limits, and a restart forgets those of grants without live counters"
    )]
    Full,
    /// The target names neither a specification nor a grant.
    #[error("a reset names no counts; expected a limit or a grant")]
    Unnamed,
    /// Several processes may share the counters.
    #[error(
        "several processes may share these counters, so none of them resets a count; end all of them, and reset it in an \
         engine that has the counters to itself"
    )]
    Shared,
    /// The file of the counters could not be written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One reset, and its place in the file.
#[derive(Clone, Copy, Debug)]
struct Record {
    target: Target,
    number: u64,
    line: usize,
}

impl Record {
    fn to_line(self, made_unix_us: u64) -> ResetLine {
        let [low, high] = halves(u128::from_le_bytes(self.target.spec));
        let words = [
            low,
            high,
            self.target.grant,
            self.target.tool,
            self.number,
            made_unix_us,
            0,
        ];
        ResetLine {
            line: self.line,
            words,
        }
    }

    fn of_line(ResetLine { line, words }: &ResetLine) -> Self {
        let [low, high, grant, tool, number, ..] = *words;
        Self {
            target: Target {
                spec: (u128::from(high) << 64 | u128::from(low)).to_le_bytes(),
                grant,
                tool,
            },
            number,
            line: *line,
        }
    }
}

/// The resets of a store.
#[derive(Debug)]
pub(crate) struct ResetTable {
    /// False as long as there is no reset: then a call reads nothing else here.
    any: AtomicBool,
    current: ArcSwap<Resets>,
    records: Mutex<Vec<Record>>,
    key: [u8; 16],
}

impl ResetTable {
    /// No resets yet; names are hashed with `key`, as the owners of cells are.
    pub(crate) fn new(key: &[u8; 16]) -> Self {
        Self::with_lines(key, &[])
    }

    /// The resets of these lines of a file.
    pub(crate) fn with_lines(key: &[u8; 16], lines: &[ResetLine]) -> Self {
        let table = Self {
            any: AtomicBool::new(false),
            current: ArcSwap::from_pointee(Resets::new(key, [])),
            records: Mutex::new(lines.iter().map(Record::of_line).collect()),
            key: *key,
        };
        table.publish(&table.lock());
        table
    }

    /// The resets in force, `None` if there are none.
    #[inline]
    pub(crate) fn current(&self) -> Option<Arc<Resets>> {
        // Acquire: pairs with `publish`, so a call that begins after a reset sees it.
        self.any.load(Ordering::Acquire).then(|| self.current.load_full())
    }

    /// Returns the number of resets in force.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The resets in force, in the order of their lines. The times at which they were made are not among the words.
    pub(crate) fn lines(&self) -> Vec<ResetLine> {
        let mut lines: Vec<ResetLine> = self.lock().iter().map(|record| record.to_line(0)).collect();
        lines.sort_unstable_by_key(|line| line.line);
        lines
    }

    /// Makes resets; they are on disk when it returns. After an error some of them may be in force.
    pub(crate) fn reset(
        &self,
        targets: &[ResetTarget<'_>],
        durable: Option<&Durable>,
        now: Now,
    ) -> Result<(), ResetError> {
        if targets
            .iter()
            .any(|target| target.spec.is_none() && target.grant.is_none())
        {
            return Err(ResetError::Unnamed);
        }
        let targets: Vec<Target> = targets.iter().map(|target| self.target(target)).collect();
        let mut records = self.lock();
        let kept = records
            .iter()
            .filter(|record| !targets.iter().any(|target| target.covers(&record.target)));
        if kept.count() + targets.len() > CAPACITY {
            return Err(ResetError::Full);
        }
        let latest = records.iter().map(|record| record.number).max().unwrap_or(0);
        // A number is never used twice, also if later ones were forgotten.
        let number = now.unix_us().max(latest + 1);
        for targets in freeing_first(&targets, &records).chunks(WRITTEN_AT_ONCE) {
            let free = (0..RESET_LINES).filter(|line| !records.iter().any(|record| record.line == *line));
            let new: Vec<Record> = targets
                .iter()
                .zip(free)
                .map(|(target, line)| Record {
                    target: *target,
                    number,
                    line,
                })
                .collect();
            if new.len() < targets.len() {
                return Err(ResetError::Full);
            }
            if let Some(durable) = durable {
                let lines: Vec<ResetLine> = new.iter().map(|record| record.to_line(now.unix_us())).collect();
                durable.write_resets(&lines)?;
            }
            let covered = |record: &Record| targets.iter().any(|target| target.covers(&record.target));
            if let Some(durable) = durable {
                // Where they come back after a power failure, the later ones have the greater numbers.
                let covered = records.iter().filter(|record| covered(record));
                durable.clear_resets(covered.map(|record| record.line));
            }
            records.retain(|record| !covered(record));
            records.extend(new);
            self.publish(&records);
        }
        Ok(())
    }

    /// Forgets the resets that later ones have replaced, which a kill can leave behind, and those of grants for which
    /// `is_live` is false: no count of theirs has units. For a store that no call uses yet.
    pub(crate) fn forget(&self, durable: &Durable, is_live: impl Fn(u64) -> bool) {
        let mut records = self.lock();
        let (kept, forgotten) = kept_and_forgotten(&records, is_live);
        durable.clear_resets(forgotten.iter().map(|record| record.line));
        *records = kept;
        self.publish(&records);
    }

    fn target(&self, target: &ResetTarget<'_>) -> Target {
        Target::new(&self.key, target)
    }

    fn publish(&self, records: &[Record]) {
        let resets = records.iter().map(|record| (record.target, record.number));
        let resets = Resets::new(&self.key, resets);
        let is_any = !resets.is_empty();
        self.current.store(Arc::new(resets));
        // Release: pairs with `current`.
        self.any.store(is_any, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Record>> {
        // A panic while it was held leaves records of which each is whole.
        self.records.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Divides records into those in force and those that [`ResetTable::forget`] removes.
fn kept_and_forgotten(every: &[Record], is_live: impl Fn(u64) -> bool) -> (Vec<Record>, Vec<Record>) {
    let is_replaced = |record: &Record| {
        let mut later = every.iter().filter(|other| other.number > record.number);
        later.any(|other| other.target.covers(&record.target))
    };
    every.iter().copied().partition(|record| {
        (record.target.grant == 0 || is_live(record.target.grant)) && !is_replaced(record)
    })
}

/// The targets, those first that each replace a record: then there is always a free line for the next one.
fn freeing_first(targets: &[Target], records: &[Record]) -> Vec<Target> {
    let mut covered = vec![false; records.len()];
    let (mut ordered, mut others) = (Vec::with_capacity(targets.len()), Vec::new());
    for target in targets {
        let mut frees = false;
        for (record, covered) in records.iter().zip(&mut covered) {
            if !*covered && target.covers(&record.target) {
                (*covered, frees) = (true, true);
            }
        }
        let list = if frees { &mut ordered } else { &mut others };
        list.push(*target);
    }
    ordered.append(&mut others);
    ordered
}

#[expect(clippy::cast_possible_truncation, reason = "the halves are meant")]
const fn halves(value: u128) -> [u64; 2] {
    [value as u64, (value >> 64) as u64]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SpecDigest;

    const NOW: Now = Now::from_unix_us(7);

    fn target<'a>(
        spec: Option<&'a SpecDigest>,
        grant: Option<&'a str>,
        tool: Option<&'a str>,
    ) -> ResetTarget<'a> {
        ResetTarget { spec, grant, tool }
    }

    #[test]
    fn a_reset_changes_the_counts_that_it_names_alone() {
        let table = ResetTable::new(&[5; 16]);
        assert!(table.current().is_none());
        let (one, other) = ([1; 16], [2; 16]);
        table
            .reset(&[target(Some(&one), Some("g"), None)], None, NOW)
            .unwrap();
        let resets = table.current().unwrap();
        let first = resets.number(&one, Some("g"), None);
        assert!(first > 0);
        assert_eq!(
            resets.number(&one, Some("g"), Some("t")),
            first,
            "of any tool, if it is kept by tool"
        );
        for (spec, grant) in [(&one, None), (&one, Some("h")), (&other, Some("g"))] {
            assert_eq!(resets.number(spec, grant, None), 0);
        }
        table.reset(&[target(None, Some("g"), None)], None, NOW).unwrap();
        let resets = table.current().unwrap();
        let second = resets.number(&other, Some("g"), None);
        assert!(second > first, "though the clock stands still");
        assert_eq!(resets.number(&one, Some("g"), None), second);
        assert_eq!(
            resets.number(&one, None, None),
            0,
            "counts of all grants are another's"
        );
        assert_eq!(table.len(), 1, "the wider one replaces the first");
    }

    #[test]
    fn replaced_resets_and_those_of_grants_without_counts_are_forgotten() {
        let table = ResetTable::new(&[5; 16]);
        let spec = [1; 16];
        let record = |spec, grant, number| Record {
            target: table.target(&target(spec, grant, None)),
            number,
            line: 0,
        };
        let first = record(Some(&spec), Some("g"), 1);
        let wider = record(None, Some("g"), 2);
        let narrower = record(Some(&spec), Some("g"), 3);
        let idle = record(Some(&spec), Some("h"), 4);
        let of_all = record(Some(&spec), None, 1);
        let g = first.target.grant;
        let numbers = |records: &[Record]| records.iter().map(|record| record.number).collect::<Vec<_>>();
        let (kept, forgotten) = kept_and_forgotten(&[first, wider, narrower, idle], |grant| grant == g);
        assert_eq!((numbers(&kept), numbers(&forgotten)), (vec![2, 3], vec![1, 4]));
        let (kept, forgotten) = kept_and_forgotten(&[of_all], |_| false);
        assert_eq!((kept.len(), forgotten.len()), (1, 0), "no grant owns it");
    }

    #[test]
    fn there_is_a_greatest_number_and_wider_resets_make_room() {
        let table = ResetTable::new(&[5; 16]);
        let spec = [3; 16];
        let names: Vec<String> = (0..=CAPACITY).map(|number| format!("g{number}")).collect();
        for name in &names[..CAPACITY] {
            table
                .reset(&[target(Some(&spec), Some(name), None)], None, NOW)
                .unwrap();
        }
        let last = [target(Some(&spec), Some(&names[CAPACITY]), None)];
        assert!(matches!(table.reset(&last, None, NOW), Err(ResetError::Full)));
        table
            .reset(&[target(Some(&spec), Some("g7"), None)], None, NOW)
            .unwrap();
        assert_eq!(table.len(), CAPACITY, "one of the same counts is replaced");
        table
            .reset(&[target(Some(&spec), None, None)], None, NOW)
            .unwrap();
        assert_eq!(table.len(), 1);
        table.reset(&last, None, NOW).unwrap();
        assert!(matches!(
            table.reset(&[target(None, None, Some("t"))], None, NOW),
            Err(ResetError::Unnamed)
        ));
    }

    #[test]
    fn a_reset_of_many_limits_replaces_the_most_that_may_be_in_force() {
        let table = ResetTable::new(&[5; 16]);
        let specs: Vec<SpecDigest> = (0..40).map(|number| [number + 1; 16]).collect();
        let names: Vec<String> = (0..CAPACITY).map(|number| format!("g{number}")).collect();
        for name in &names {
            table
                .reset(&[target(specs.last(), Some(name), None)], None, NOW)
                .unwrap();
        }
        assert_eq!(table.len(), CAPACITY);
        let earlier = table.current().unwrap().number(&specs[39], Some("g7"), None);
        let all: Vec<_> = specs.iter().map(|spec| target(Some(spec), None, None)).collect();
        table.reset(&all, None, NOW).unwrap();
        let resets = table.current().unwrap();
        for spec in &specs {
            assert!(resets.number(spec, Some("g7"), None) > earlier);
        }
        assert_eq!(table.len(), specs.len());
    }
}
