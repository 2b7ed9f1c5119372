//! A real Redis, and nodes in this process.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, Instant};

use callgate_counters::lease::{
    Ask, BringError, Brought, BroughtCount, CountScopes, Counted, ScopeOfCount, Shared, SharedResetError,
    UnitsAsk, Verdict,
};
use callgate_counters::{
    CountKey, CountShape, Counters, Demand, Micros, Now, Refusal, ResetTarget, Sharing, SpecDigest, Window,
};
use callgate_shared::{Node, SharedConfig, SharedError, Worker};

/// Length of the leases of tests: so a new policy begins soon.
const LEASE: Duration = Duration::from_secs(1);
/// Long enough for a busy machine.
const BUDGET: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(20);

/// A server of its own, on a Unix socket.
pub(crate) struct Redis {
    folder: tempfile::TempDir,
    options: Vec<String>,
    process: Option<Child>,
}

impl Redis {
    pub(crate) fn start(options: &[&str]) -> Self {
        let mut redis = Self {
            folder: tempfile::tempdir().unwrap(),
            options: options.iter().map(|&option| option.to_owned()).collect(),
            process: None,
        };
        redis.restart();
        redis
    }

    pub(crate) fn restart(&mut self) {
        let folder = self.folder.path();
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--daemonize", "no"])
            .arg("--unixsocket")
            .arg(folder.join("socket"))
            .arg("--dir")
            .arg(folder)
            .args(&self.options)
            .stdout(Stdio::null())
            .spawn()
            .expect("redis-server, of the Debian package of that name");
        self.process = Some(process);
        assert!(
            until(|| self.run(&["PING"]).contains("PONG")),
            "redis-server does not answer"
        );
    }

    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().unwrap();
            process.wait().unwrap();
        }
    }

    pub(crate) fn run(&self, words: &[&str]) -> String {
        let output = Command::new("redis-cli")
            .arg("-s")
            .arg(self.folder.path().join("socket"))
            .args(words)
            .output()
            .expect("redis-cli, of the Debian package redis-tools");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn url(&self) -> String {
        format!(
            "unix://{}",
            Path::new(self.folder.path()).join("socket").display()
        )
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A node of this process.
pub(crate) struct One {
    counters: Arc<Counters>,
    shared: Arc<Shared>,
    began: Instant,
    fault: Arc<Mutex<Option<String>>>,
    /// Ends with the node.
    _worker: Worker,
}

struct Process {
    counters: Arc<Counters>,
    began: Instant,
    fault: Arc<Mutex<Option<String>>>,
}

impl Node for Process {
    fn counters(&self) -> &Counters {
        &self.counters
    }

    fn now(&self) -> Now {
        now(self.began)
    }

    fn store_changed(&self, fault: Option<&SharedError>) {
        *self.fault.lock().unwrap() = fault.map(ToString::to_string);
    }
}

fn now(began: Instant) -> Now {
    let unix = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap();
    let unix_us = i64::try_from(unix.as_micros()).unwrap();
    // Never 0, as no boot clock of a running process is.
    let boot_ns = u64::try_from(began.elapsed().as_nanos()).unwrap() + 1_000_000_000;
    Now {
        boot_ns,
        unix_offset_us: unix_us - (boot_ns / 1_000).cast_signed(),
    }
}

impl One {
    fn start(redis: &Redis, began: Instant, key: [u8; 16], ahead: Duration) -> Self {
        let counters = Arc::new(Counters::new(1_000, 1_000, &[1; 16]));
        let shared = Arc::new(Shared::new(key));
        counters.share(Arc::clone(&shared));
        shared.set_longest_ahead_us(u64::try_from(ahead.as_micros()).unwrap());
        let fault = Arc::new(Mutex::new(None));
        let config = SharedConfig {
            url: redis.url(),
            password: None,
            ca_pem: None,
            prefix: "callgate".to_owned(),
            lease: LEASE,
            recovery: None,
            budget: BUDGET,
        };
        let process = Process {
            counters: Arc::clone(&counters),
            began,
            fault: Arc::clone(&fault),
        };
        let worker = Worker::start(&config, Arc::clone(&shared), process).unwrap();
        Self {
            counters,
            shared,
            began,
            fault,
            _worker: worker,
        }
    }

    /// The reason why the store is not used.
    pub(crate) fn fault(&self) -> Option<String> {
        self.fault.lock().unwrap().clone()
    }

    /// Asks the store, as a call does that has too little here.
    pub(crate) fn ask(&self, demands: &[Demand]) -> Counted {
        self.ask_of(demands, CountScopes::default())
    }

    /// Asks the store for a count that was named while no reset was known.
    pub(crate) fn ask_named(&self, demand: &Demand, spec: SpecDigest) -> Counted {
        let counts = vec![ScopeOfCount {
            spec,
            ..ScopeOfCount::default()
        }];
        self.ask_of(
            std::slice::from_ref(demand),
            CountScopes {
                counts,
                ..CountScopes::default()
            },
        )
    }

    /// Resets the counts of a specification.
    pub(crate) fn reset(&self, spec: SpecDigest) -> Result<(), SharedResetError> {
        let target = ResetTarget {
            spec: Some(&spec),
            grant: None,
            tool: None,
        };
        self.shared.reset(&self.shared.policy("p"), &[target], PATIENCE)
    }

    /// Adds units to a count, each with its age in milliseconds.
    pub(crate) fn bring(
        &self,
        source: &str,
        demand: &Demand,
        ages_ms: &[u64],
    ) -> Result<Brought, BringError> {
        let window_us = match demand.shape.window {
            Window::Sliding { window_us } => window_us,
            Window::Calendar(_) => 0,
        };
        let left_us = |age_ms: &u64| window_us.saturating_sub(1_000 * age_ms);
        let units = ages_ms.iter().map(|age_ms| (left_us(age_ms), Micros::ONE));
        let count = BroughtCount {
            key: demand.key,
            shape: demand.shape,
            units: units.collect(),
        };
        self.shared
            .bring(&self.shared.policy("p"), source, vec![count], PATIENCE)
    }

    /// True if this node knows of a reset.
    pub(crate) fn knows_resets(&self) -> bool {
        self.shared.policy("p").resets.current().is_some()
    }

    fn ask_of(&self, demands: &[Demand], scopes: CountScopes) -> Counted {
        let (told, answer) = mpsc::channel();
        self.shared.ask(Ask::Units(UnitsAsk {
            policy: self.shared.policy("p"),
            owner: "g".into(),
            demands: demands.to_vec(),
            scopes,
            answer: Box::new(move |counted| {
                let _ = told.send(counted);
            }),
        }));
        answer.recv_timeout(PATIENCE).unwrap_or_default()
    }

    /// Decides as the engine does: from the share, else by asking.
    pub(crate) fn take(&self, wanted: &Demand) -> Option<Demand> {
        let policy = self.shared.policy("p");
        for attempt in 0..2 {
            let mut demands = [wanted.clone()];
            let is_strict = wanted.shape.sharing == Sharing::Strict;
            let mut counted = Counted::default();
            if is_strict || attempt > 0 {
                counted = self.ask(&demands);
                if counted.verdict != Verdict::Granted {
                    return None;
                }
                counted.apply(&mut demands, &[wanted.key]);
            }
            let end_us = policy.lease_end_us();
            let now = now(self.began);
            let taken = match self.counters.take(&mut demands, "g", now) {
                Ok(stamp_us) if is_strict || stamp_us <= end_us => {
                    counted.taken.spend();
                    let [demand] = demands;
                    return Some(demand);
                }
                taken => taken,
            };
            if taken.is_ok() {
                self.counters.give_back(&demands[0], now);
            } else {
                assert_eq!(taken, Err(Refusal::RateLimited));
            }
        }
        None
    }

    pub(crate) fn call(&self, wanted: &Demand) -> bool {
        self.take(wanted).is_some()
    }

    /// Takes units for somebody else, who may use them until then, and asks for them where the share has too few.
    pub(crate) fn take_ahead(&self, wanted: &Demand, units: u64, until_us: u64) -> bool {
        let (policy, now) = (self.shared.policy("p"), now(self.began));
        let mut demands = [wanted.clone()];
        demands[0].cost = Micros(units * Micros::ONE.0);
        let taken = self
            .counters
            .take_ahead(&mut demands, "g", now, until_us, Some(&policy));
        if taken.is_err() {
            self.shared.want_ahead(&policy, wanted, "g", demands[0].cost, now);
        }
        taken.is_ok()
    }

    pub(crate) fn give_back(&self, taken: &Demand) {
        self.counters.give_back(taken, now(self.began));
    }
}

/// Nodes that share a store.
pub(crate) struct Fleet {
    nodes: Vec<One>,
    began: Instant,
}

impl Fleet {
    /// Nodes whose policy is ready: the first epoch of a store begins with a pause.
    pub(crate) fn start(redis: &Redis, nodes: usize) -> Self {
        let fleet = Self::unready(redis, nodes);
        for node in &fleet.nodes {
            let probe = demand(999, 1_000, 1_000, Sharing::Strict);
            assert!(until(|| node.call(&probe)), "{:?}", node.fault());
        }
        fleet
    }

    pub(crate) fn unready(redis: &Redis, nodes: usize) -> Self {
        Self::lending(redis, nodes, Duration::ZERO, Instant::now())
    }

    /// Nodes that lend units to others, for at most so long after a lease.
    pub(crate) fn lending(redis: &Redis, nodes: usize, ahead: Duration, began: Instant) -> Self {
        let nodes = (0..nodes).map(|_| One::start(redis, began, [7; 16], ahead));
        Self {
            nodes: nodes.collect(),
            began,
        }
    }

    /// One node that names counts by another key.
    pub(crate) fn with_key(redis: &Redis, key: [u8; 16]) -> Self {
        let began = Instant::now();
        Self {
            nodes: vec![One::start(redis, began, key, Duration::ZERO)],
            began,
        }
    }

    pub(crate) fn node(&self, index: usize) -> &One {
        &self.nodes[index]
    }

    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Microseconds on the clock of all nodes.
    pub(crate) fn now_us(&self) -> u64 {
        now(self.began).look_us()
    }
}

/// One unit of a count.
pub(crate) fn demand(key: u128, window_ms: u64, max: u64, sharing: Sharing) -> Demand {
    let shape = CountShape {
        window: Window::Sliding {
            window_us: window_ms * 1_000,
        },
        max: Micros(max * Micros::ONE.0),
        whole_units: true,
        sharing,
    };
    Demand::new(CountKey(key), shape, Micros::ONE)
}

/// True once `condition` is, within a bounded time.
pub(crate) fn until(mut condition: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if condition() {
            return true;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    false
}

/// The most admissions that lie within one window for sure: each is known to be between two instants.
pub(crate) fn most_in_a_window(admitted: &[(u64, u64)], window_us: u64) -> usize {
    let mut ends: Vec<u64> = admitted.iter().map(|(_, after)| *after).collect();
    ends.sort_unstable();
    admitted
        .iter()
        .map(|(before, _)| {
            // Those that began at or after this one, and ended before a window from its beginning had passed.
            admitted
                .iter()
                .filter(|(other, after)| other >= before && *after < before + window_us)
                .count()
        })
        .max()
        .unwrap_or(0)
}
