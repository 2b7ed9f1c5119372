//! The wrapper between a client and a server that communicate over pipes. callgate is the enforcement point itself
//! here: it does not listen, and only the client at standard input can ask.

mod attributes;
mod judge;
mod responder;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use callgate_core::Engine;
use callgate_gateway::pins::{Endpoint, Mode, Server as PinnedServer};
use callgate_mcp::Methods;
use callgate_pipes::stdio::{WrapError, WrapSettings, wrap};
use tokio::runtime::Builder;
use tokio::sync::watch;

use crate::approvals::{ApprovalChannel, Approvals};
use crate::audit::{Audit, AuditConfig};
use crate::clock::Clock;
use crate::error::StartError;
use crate::events::Event;
use crate::freeze_file::FreezeWatch;
use crate::gate::Gate;
use crate::identity::Peps;
use crate::in_force::{GatewayError, Parts, Pinning};
use crate::phase::Phase;
use crate::{flush, upkeep};

use attributes::LineAttributes;
pub use attributes::WrapCaller;
use judge::LineJudge;

/// One for each direction; slow work moves to threads of its own.
const WORKERS: usize = 2;

/// The longest wait at the end for the decision log to be written.
const FLUSHING_TIME: Duration = Duration::from_secs(5);

/// The configuration of a wrapped server.
#[derive(Clone, Debug)]
pub struct WrapConfig {
    /// The name of the server.
    pub server: String,
    /// The caller at standard input.
    pub caller: WrapCaller,
    /// The methods of messages without a tool call that may pass.
    pub methods: Methods,
    /// Removes from lists the tools that the caller may never call, and not only the hidden ones.
    pub lists_allowed_only: bool,
    /// The command, and its bounds.
    pub settings: WrapSettings,
    /// The way to the store of approvals. `None`: calls that need an approval are denied.
    pub approvals: Option<ApprovalChannel>,
    /// The file of freezes, which is read again while the server runs. `None`: it has none.
    pub freeze_file: Option<PathBuf>,
    /// The decision log. `None`: decisions are not logged.
    pub audit: Option<AuditConfig>,
    /// The folder of the accepted tools of servers, created if it is missing, and the handling of tools that differ
    /// from them. `None`: nothing is pinned.
    pub pins: Option<(PathBuf, Mode)>,
    /// The time after the first complete list in which the lists of further variants are accepted;
    /// [`callgate_gateway::pins::FIRST_LISTS`] for `None`.
    pub first_lists: Option<Duration>,
    /// Time between two writes of the counters' file to disk, in milliseconds.
    pub flush_interval_ms: u64,
}

/// A server that is wrapped, or about to be.
#[derive(Debug)]
pub struct Wrap {
    gate: Arc<Gate>,
    config: WrapConfig,
    pinning: Option<(Pinning, PinnedServer)>,
    // Dropped last: it reads until the server has ended.
    _freezes: Option<FreezeWatch>,
}

impl Wrap {
    /// Opens the decision log and the accepted tools of the server; does not start the server yet.
    pub fn new(engine: Arc<Engine>, clock: Clock, config: WrapConfig) -> Result<Self, StartError> {
        let clock = clock.shifted(engine.store().clock_shift_us());
        let parts = Parts::new(Peps::anybody(), LineAttributes::config(config.methods.clone()));
        let mut gate = Gate::new(engine, clock, parts);
        gate.approvals = config.approvals.clone().map(Approvals::new);
        gate.audit = config
            .audit
            .as_ref()
            .map(|audit| Audit::start(audit, Arc::clone(&gate.events)))
            .transpose()?;
        let freezes = FreezeWatch::start(config.freeze_file.clone(), &gate.engine, &gate.events)?;
        let pinning = pinning(&gate, &config)?;
        Ok(Self {
            gate: Arc::new(gate),
            config,
            pinning,
            _freezes: freezes,
        })
    }

    /// Runs the server between this process's standard input and output until it has ended. Returns the exit code that
    /// a shell would return for it.
    pub fn run(&self) -> Result<i32, WrapError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("callgate-wrap")
            .enable_all()
            .build()?;
        let (phase, watching) = watch::channel(Phase::Serving);
        if self.gate.engine.store().is_durable() {
            let interval = Duration::from_millis(self.config.flush_interval_ms.max(1));
            runtime.spawn(flush::run(Arc::clone(&self.gate), watching.clone(), interval));
        }
        runtime.spawn(upkeep::run(Arc::clone(&self.gate), None, watching));
        let judge = LineJudge {
            gate: Arc::clone(&self.gate),
            attributes: LineAttributes::new(self.config.server.clone(), self.config.caller.clone()),
            lists_allowed_only: self.config.lists_allowed_only,
            server: self.config.server.clone(),
            pins: self.pinning.as_ref().map(|(_, pins)| pins.clone()),
            client: Mutex::default(),
        };
        let ended = runtime.block_on(wrap(self.config.settings.clone(), Arc::new(judge)));
        phase.send_replace(Phase::Closed);
        // A thread may still wait for input that nobody needs.
        runtime.shutdown_background();
        if let Some((pinning, _)) = &self.pinning {
            pinning.finish();
        }
        if let Some(audit) = &self.gate.audit {
            audit.finish(FLUSHING_TIME);
        }
        ended
    }

    /// Takes up to `max` events for the log, oldest first.
    pub fn drain_events(&self, max: usize) -> Vec<Event> {
        self.gate.events.drain(max)
    }
}

/// Opens the pins of the server's tools. A tool of another command counts as another tool.
fn pinning(gate: &Gate, config: &WrapConfig) -> Result<Option<(Pinning, PinnedServer)>, StartError> {
    let Some((folder, mode)) = config.pins.as_ref().filter(|(_, mode)| *mode != Mode::Off) else {
        return Ok(None);
    };
    let command = &config.settings.command;
    // The digest is computed over text: of a word that is not valid text, only the valid parts are compared.
    let program = command.program.to_string_lossy();
    let args: Vec<_> = command.args.iter().map(|word| word.to_string_lossy()).collect();
    let endpoint = Endpoint::command(&program, args.iter().map(|word| &**word));
    let pinning = Pinning::open(folder, &gate.events)?;
    if let Some(length) = config.first_lists {
        pinning.pins().set_first_lists(length);
    }
    let server = pinning.pins().server(&config.server, endpoint, *mode);
    let server = server.map_err(GatewayError::from)?;
    Ok(Some((pinning, server)))
}
