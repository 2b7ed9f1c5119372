//! The calls of a simulation, run once more by a real Redis: are its answers the same, and how long does it take?

use std::fmt::{self, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use callgate_shared::steps::{DECLARE, SCRIPT};
use redis::{Connection, RedisError, Script, Value};

use crate::scenario::{NodeSkew, Scenario};
use crate::world::{Kept, World};
use crate::{SimulationError, suite};

/// A replay that failed.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The simulation failed.
    #[error(transparent)]
    Simulation(#[from] SimulationError),
    /// The server cannot be started or does not answer.
    #[error("redis-server, of the Debian package of that name: {0}")]
    Server(String),
    /// The server has an error.
    #[error("redis-server: {0}")]
    Redis(#[from] RedisError),
    /// Redis answers otherwise than the simulation.
    #[error("call {place} was answered with {real} by Redis and with {simulated} here: {call}")]
    Different {
        /// Number of the call.
        place: usize,
        /// Its keys and arguments.
        call: String,
        /// The answer of Redis.
        real: String,
        /// The answer of the simulation.
        simulated: String,
    },
}

/// A server of its own, on a Unix socket, which ends with this value.
pub struct RealServer {
    process: Child,
    connection: Connection,
}

impl RealServer {
    /// Starts a server with its files in `folder`.
    pub fn start(folder: &Path) -> Result<Self, ReplayError> {
        let socket = folder.join("socket");
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--daemonize", "no", "--unixsocket"])
            .arg(&socket)
            .arg("--dir")
            .arg(folder)
            .stdout(Stdio::null())
            .spawn()
            .map_err(|error| ReplayError::Server(error.to_string()))?;
        let mut process = Started(Some(process));
        let client = redis::Client::open(format!("unix://{}", socket.display()))?;
        for _ in 0..1_000 {
            if let Ok(connection) = client.get_connection()
                && let Some(process) = process.0.take()
            {
                return Ok(Self { process, connection });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(ReplayError::Server("does not answer".to_owned()))
    }

    /// Runs the calls one after the other, each at its simulated time, and compares the answers.
    pub fn replay(&mut self, calls: &[Kept]) -> Result<(), ReplayError> {
        let (script, declare) = (Script::new(&timed(SCRIPT)), Script::new(&timed(DECLARE)));
        for (place, kept) in calls.iter().enumerate() {
            let script = if kept.call.is_declaration {
                &declare
            } else {
                &script
            };
            let mut invocation = script.prepare_invoke();
            for key in &kept.call.keys {
                invocation.key(key);
            }
            for arg in &kept.call.args {
                invocation.arg(arg);
            }
            invocation.arg(kept.now_us);
            let real: Value = invocation.invoke(&mut self.connection)?;
            if real != kept.answer {
                return Err(ReplayError::Different {
                    place,
                    call: format!("{:?} {:?}", kept.call.keys, kept.call.args),
                    real: format!("{real:?}"),
                    simulated: format!("{:?}", kept.answer),
                });
            }
        }
        Ok(())
    }

    /// Microseconds of the server's processor for each script call so far.
    pub fn call_us(&mut self) -> Result<f64, ReplayError> {
        let text: String = redis::cmd("INFO")
            .arg("commandstats")
            .query(&mut self.connection)?;
        let usec = text
            .lines()
            .find_map(|line| line.strip_prefix("cmdstat_evalsha:"))
            .and_then(|line| {
                line.split(',')
                    .find_map(|field| field.strip_prefix("usec_per_call="))
            })
            .and_then(|usec| usec.parse().ok());
        usec.ok_or_else(|| ReplayError::Server("`INFO commandstats` has no `evalsha`".to_owned()))
    }
}

/// A process that ends with this value, unless it is taken.
struct Started(Option<Child>);

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(process) = &mut self.0 {
            end(process);
        }
    }
}

impl fmt::Debug for RealServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RealServer")
            .field("process", &self.process)
            .finish_non_exhaustive()
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        end(&mut self.process);
    }
}

fn end(process: &mut Child) {
    // It may have ended by itself.
    let _ = process.kill();
    let _ = process.wait();
}

/// The script with the time as its last argument.
fn timed(script: &str) -> String {
    let clock = "local clock = tonumber(table.remove(ARGV))\n\
                 local function time_of_call() return {math.floor(clock / 1000000), clock % 1000000} end\n";
    format!(
        "{clock}{}",
        script.replace("redis.call('TIME')", "time_of_call()")
    )
}

/// The calls of a short run.
pub fn calls(scenario: Scenario) -> Result<Vec<Kept>, SimulationError> {
    let mut world = World::new(scenario)?;
    world.keep_calls();
    Ok(world.run()?.1)
}

/// Measures the time that Redis takes for script calls of few and of many nodes.
pub fn measure() -> Result<String, ReplayError> {
    let mut text =
        String::from("| nodes | calls | commands/call | Redis, us/call |\n| --- | --- | --- | --- |\n");
    for nodes in [4, 16, 100] {
        let scenario = Scenario {
            node_skew: NodeSkew::Zipf(1.0),
            warm_us: 10_000_000,
            measured_us: 5_000_000,
            ..suite::base("replay", nodes, 4e3)
        };
        let calls = calls(scenario)?;
        let folder = std::env::temp_dir().join(format!("callgate-replay-{}-{nodes}", std::process::id()));
        std::fs::create_dir_all(&folder).map_err(|error| ReplayError::Server(error.to_string()))?;
        let mut server = RealServer::start(&folder)?;
        server.replay(&calls)?;
        let commands: u64 = calls.iter().map(|kept| kept.commands).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts below 2^53")]
        let per_call = commands as f64 / calls.len().max(1) as f64;
        // Writing to a string never fails.
        let _ = writeln!(
            text,
            "| {nodes} | {} | {per_call:.1} | {:.1} |",
            calls.len(),
            server.call_us()?
        );
        drop(server);
        // What is left there is of no use, and of no harm.
        let _ = std::fs::remove_dir_all(&folder);
    }
    Ok(text)
}
