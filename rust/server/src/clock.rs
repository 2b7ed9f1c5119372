//! The clocks that a server can run on.

use std::io;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use callgate_core::Now;
use callgate_counters::ClockReading;
use rustix::time::{ClockId, clock_gettime};

/// The source of a server's time; never a caller.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's clocks.
    System(SystemClock),
    /// A clock that is set by hand, for tests and simulation.
    Manual(ManualClock),
}

impl Clock {
    /// This instant.
    pub fn now(&self) -> Now {
        match self {
            Self::System(clock) => clock.now(),
            Self::Manual(clock) => clock.now(),
        }
    }

    /// The start of a measurement at an instant that this clock has just told: for the system's clock it costs no reading.
    pub(crate) fn started(&self, now: Now) -> Started {
        match self {
            Self::System(_) => Started::Boot(now.boot_ns),
            Self::Manual(_) => Started::Other(Instant::now()),
        }
    }

    /// The time that a measurement has taken so far; real time, whatever a clock that is set by hand says.
    pub(crate) fn since(&self, started: Started) -> Duration {
        match (self, started) {
            (Self::System(clock), Started::Boot(then_ns)) => {
                Duration::from_nanos(clock.boot_ns().saturating_sub(then_ns))
            }
            (_, Started::Other(then)) => then.elapsed(),
            (Self::Manual(_), Started::Boot(_)) => Duration::ZERO,
        }
    }

    /// This clock for counters in a file, whose stamps lie `shift_us` from the boot clock; a clock that is set by
    /// hand stays as it is.
    #[must_use]
    pub fn shifted(self, shift_us: i64) -> Self {
        match self {
            Self::System(clock) => Self::System(clock.shifted(shift_us)),
            manual @ Self::Manual(_) => manual,
        }
    }
}

/// The start of a measurement.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Started {
    /// Nanoseconds of the system's boot clock, shifted like all its times.
    Boot(u64),
    Other(Instant),
}

impl Default for Clock {
    fn default() -> Self {
        Self::System(SystemClock::new())
    }
}

/// Largest error of the offset in use before it is replaced, in microseconds.
///
/// The two clocks are read one after the other, so every sample of their distance differs a little. If each thread used
/// its own sample, two decisions could carry `decided_at_us` in the opposite order of their counters' stamps. So all
/// threads share one offset, and only a real change (a step of the wall clock, or slewing that has added up) replaces
/// it: far above the jitter of two reads, far below what a calendar window or a person notices.
const TOLERANCE_US: i64 = 500;

/// The offset is looked at again after this much time, in nanoseconds: a decision mostly costs one clock read.
const RECHECK_NS: u64 = 1_000_000;

/// A sample is believed if the boot clock moved less than this around it, in nanoseconds: else the thread was
/// interrupted between its reads, and the distance it saw is that much off.
const STEADY_NS: u64 = 100_000;

/// `CLOCK_BOOTTIME`, which never steps and goes on while the machine sleeps, and its distance from Unix time.
///
/// Clones share the distance.
#[derive(Clone, Debug)]
pub struct SystemClock {
    offset: Arc<Offset>,
    shift_us: i64,
}

#[derive(Debug)]
struct Offset {
    unix_us: AtomicI64,
    checked_boot_ns: AtomicU64,
}

impl SystemClock {
    /// Reads both clocks.
    pub fn new() -> Self {
        let boot_ns = read_ns(ClockId::Boottime);
        let unix_us = steady_sample().unwrap_or_else(rough_sample);
        Self {
            offset: Arc::new(Offset {
                unix_us: AtomicI64::new(unix_us),
                checked_boot_ns: AtomicU64::new(boot_ns),
            }),
            shift_us: 0,
        }
    }

    /// The same clock, `shift_us` from the boot clock and at the same Unix time: that on which counters in a file
    /// go on after a reboot.
    #[must_use]
    pub fn shifted(&self, shift_us: i64) -> Self {
        Self {
            offset: Arc::clone(&self.offset),
            shift_us,
        }
    }

    /// This instant: one read of the boot clock, and once in a millisecond one of the wall clock.
    pub fn now(&self) -> Now {
        let boot_ns = read_ns(ClockId::Boottime);
        // Relaxed, here and below: the offset is one value that publishes nothing else, and a thread that still sees
        // the one before is off by what the clocks themselves are off.
        let checked_boot_ns = self.offset.checked_boot_ns.load(Ordering::Relaxed);
        if boot_ns.saturating_sub(checked_boot_ns) >= RECHECK_NS {
            self.offset.checked_boot_ns.store(boot_ns, Ordering::Relaxed);
            self.recheck(boot_ns);
        }
        let offset_us = self.offset.unix_us.load(Ordering::Relaxed);
        Now {
            boot_ns: self.shifted_ns(boot_ns),
            unix_offset_us: offset_us.wrapping_sub(self.shift_us),
        }
    }

    fn boot_ns(&self) -> u64 {
        self.shifted_ns(read_ns(ClockId::Boottime))
    }

    const fn shifted_ns(&self, boot_ns: u64) -> u64 {
        boot_ns.saturating_add_signed(self.shift_us.saturating_mul(1_000))
    }

    #[cold]
    fn recheck(&self, boot_ns: u64) {
        let known = self.offset.unix_us.load(Ordering::Relaxed);
        if is_near(distance_us(read_ns(ClockId::Realtime), boot_ns), known) {
            return;
        }
        if let Some(sample) = steady_sample()
            && !is_near(sample, known)
        {
            // Relaxed, as above. Of two threads that see the same step one wins, and both use its sample.
            let _ = self
                .offset
                .unix_us
                .compare_exchange(known, sample, Ordering::Relaxed, Ordering::Relaxed);
        }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Reads the machine's clocks for counters in a file.
pub fn read_clocks() -> io::Result<ClockReading> {
    static BOOT_ID: OnceLock<[u8; 16]> = OnceLock::new();
    let boot_id = match BOOT_ID.get() {
        Some(boot_id) => *boot_id,
        None => *BOOT_ID.get_or_init({
            // A time namespace may set the boot clock forward, under the kernel's id: that is another clock.
            let offset_ns = read_boot_offset_ns()?;
            let boot_id = (read_boot_id()? ^ offset_ns.cast_unsigned()).to_be_bytes();
            move || boot_id
        }),
    };
    Ok(ClockReading {
        boot_id,
        boot_us: read_ns(ClockId::Boottime) / 1_000,
        unix_us: read_ns(ClockId::Realtime) / 1_000,
    })
}

/// Without the id a restart and a reboot look alike, and windows would refill: so it is an error.
fn read_boot_id() -> io::Result<u128> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(PATH)?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16)
        .ok()
        .filter(|_| digits.len() == 32);
    id.ok_or_else(|| io::Error::other(format!("`{PATH}` holds no boot id")))
}

/// Offset of this time namespace to the boot clock; 0 outside of namespaces, or if the kernel knows none.
fn read_boot_offset_ns() -> io::Result<i128> {
    const PATH: &str = "/proc/self/timens_offsets";
    match std::fs::read_to_string(PATH) {
        Ok(text) => boot_offset_ns(&text)
            .ok_or_else(|| io::Error::other(format!("`{PATH}` holds no offset of the boot clock"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(error),
    }
}

/// Reads lines of a clock, seconds and nanoseconds; older kernels give clocks by number.
fn boot_offset_ns(text: &str) -> Option<i128> {
    text.lines().find_map(|line| {
        let mut fields = line.split_whitespace();
        let clock = fields.next()?;
        let seconds: i128 = fields.next()?.parse().ok()?;
        let nanoseconds: i128 = fields.next()?.parse().ok()?;
        matches!(clock, "boottime" | "7").then_some(seconds * 1_000_000_000 + nanoseconds)
    })
}

const fn is_near(sample: i64, known: i64) -> bool {
    sample.abs_diff(known) <= TOLERANCE_US.unsigned_abs()
}

/// Unix time minus boot time in microseconds, if the thread was not interrupted while it looked.
fn steady_sample() -> Option<i64> {
    const ATTEMPTS: usize = 8;
    (0..ATTEMPTS).find_map(|_| {
        let before = read_ns(ClockId::Boottime);
        let unix = read_ns(ClockId::Realtime);
        let width = read_ns(ClockId::Boottime).saturating_sub(before);
        (width < STEADY_NS).then(|| distance_us(unix, before + width / 2))
    })
}

fn rough_sample() -> i64 {
    distance_us(read_ns(ClockId::Realtime), read_ns(ClockId::Boottime))
}

const fn distance_us(unix_ns: u64, boot_ns: u64) -> i64 {
    (unix_ns / 1_000)
        .cast_signed()
        .wrapping_sub((boot_ns / 1_000).cast_signed())
}

/// One read, without a system call where the kernel offers that. A wall clock before 1970 reads as 1970.
fn read_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
    seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds)
}

/// A clock that stands still until it is told otherwise: boot time and Unix time are the same. Clones are one clock.
#[derive(Clone, Debug, Default)]
pub struct ManualClock {
    unix_us: Arc<AtomicU64>,
}

impl ManualClock {
    /// Stands at `unix_us` microseconds since 1970.
    pub fn new(unix_us: u64) -> Self {
        Self {
            unix_us: Arc::new(AtomicU64::new(unix_us)),
        }
    }

    /// Puts it at `unix_us` microseconds since 1970, also backwards.
    pub fn set_us(&self, unix_us: u64) {
        // Release, with the acquire in `now_us`: who sees the new time also sees what its setter did before.
        self.unix_us.store(unix_us, Ordering::Release);
    }

    /// Moves it forward by `by_us` microseconds.
    pub fn advance_us(&self, by_us: u64) {
        // Release, as in `set_us`.
        self.unix_us.fetch_add(by_us, Ordering::Release);
    }

    /// Microseconds since 1970.
    pub fn now_us(&self) -> u64 {
        // Acquire, as in `set_us`.
        self.unix_us.load(Ordering::Acquire)
    }

    /// This instant.
    pub fn now(&self) -> Now {
        Now::from_unix_us(self.now_us())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_clock_follows_unix_time() {
        let clock = SystemClock::new();
        let before = read_ns(ClockId::Realtime) / 1_000;
        let now = clock.now().unix_us();
        let after = read_ns(ClockId::Realtime) / 1_000;
        let slack = 2 * TOLERANCE_US.unsigned_abs();
        assert!(
            now + slack >= before && now <= after + slack,
            "{before} {now} {after}"
        );
    }

    #[test]
    fn a_wrong_offset_is_corrected_and_a_near_one_is_kept() {
        let clock = SystemClock::new();
        let right = clock.offset.unix_us.load(Ordering::Relaxed);
        clock
            .offset
            .unix_us
            .store(right + 3_600_000_000, Ordering::Relaxed);
        clock.recheck(read_ns(ClockId::Boottime));
        assert!(is_near(clock.offset.unix_us.load(Ordering::Relaxed), right));

        let near = clock.offset.unix_us.load(Ordering::Relaxed) + TOLERANCE_US / 5;
        clock.offset.unix_us.store(near, Ordering::Relaxed);
        clock.recheck(read_ns(ClockId::Boottime));
        assert_eq!(clock.offset.unix_us.load(Ordering::Relaxed), near);
    }

    #[test]
    fn threads_agree_on_the_order_of_instants() {
        let clock = SystemClock::new();
        let seen = std::thread::scope(|scope| {
            let readers: Vec<_> = (0..4)
                .map(|_| scope.spawn(|| (0..10_000).map(|_| clock.now()).collect::<Vec<_>>()))
                .collect();
            readers
                .into_iter()
                .flat_map(|reader| reader.join().unwrap())
                .collect::<Vec<_>>()
        });
        let offset = seen[0].unix_offset_us;
        assert!(
            seen.iter().all(|now| now.unix_offset_us == offset),
            "one offset for every thread"
        );
    }

    #[test]
    fn a_shifted_clock_shows_the_same_unix_time() {
        // Back by no more than the machine has been up.
        for shift_us in [86_400_000_000, -1_000] {
            let clock = SystemClock::new();
            let shifted = clock.shifted(shift_us);
            let (before, after) = (clock.now(), shifted.now());
            assert!(after.look_us() >= before.look_us().saturating_add_signed(shift_us));
            assert_eq!(after.unix_offset_us, before.unix_offset_us - shift_us);
        }
    }

    #[test]
    fn readings_are_of_one_boot() {
        let (first, second) = (read_clocks().unwrap(), read_clocks().unwrap());
        assert_eq!(first.boot_id, second.boot_id);
        assert_ne!(first.boot_id, [0; 16]);
        assert!(first.boot_us <= second.boot_us);
    }

    #[test]
    fn offsets_of_time_namespaces_are_read() {
        let text = "monotonic           5         0\nboottime       -100000   7\n";
        assert_eq!(boot_offset_ns(text), Some(-100_000 * 1_000_000_000 + 7));
        assert_eq!(boot_offset_ns("1 5 0\n7 3 0\n"), Some(3_000_000_000));
        assert_eq!(boot_offset_ns("monotonic 0 0"), None);
        assert!(read_boot_offset_ns().is_ok());
    }

    #[test]
    fn a_manual_clock_is_shared_by_its_clones() {
        let clock = ManualClock::new(5);
        let other = Clock::Manual(clock.clone());
        clock.advance_us(10);
        assert_eq!(other.now(), Now::from_unix_us(15));
        clock.set_us(3);
        assert_eq!(other.now(), Now::from_unix_us(3));
    }
}
