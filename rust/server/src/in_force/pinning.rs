//! The pins of servers behind the gateway, kept in step with their files.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use callgate_gateway::pins::{Keeper, Notice, Pins, PinsError};

use super::GatewayError;
use crate::events::{Events, Level};

/// Pins, and the thread that writes them.
#[derive(Debug)]
pub(crate) struct Pinning {
    pins: Arc<Pins>,
    keeper: Mutex<Option<Keeper>>,
}

impl Pinning {
    /// The pins of `this`; where there are none yet, those of the folder, if one is named. Another folder than the first
    /// is not looked at. Not to be called twice at once.
    pub(crate) fn opened<'p>(
        this: &'p OnceLock<Self>,
        folder: Option<&Path>,
        events: &Arc<Events>,
    ) -> Result<Option<&'p Pins>, GatewayError> {
        if let (None, Some(folder)) = (this.get(), folder) {
            let _ = this.set(Self::open(folder, events)?);
        }
        Ok(this.get().map(Self::pins))
    }

    /// Opens the folder, and makes it where it is not there. What fails later is logged.
    pub(crate) fn open(folder: &Path, events: &Arc<Events>) -> Result<Self, GatewayError> {
        let pins = Arc::new(Pins::open(folder)?);
        let failures = Arc::clone(events);
        let report = move |error: &PinsError| {
            let error = error.to_string();
            failures.push(
                Level::Error,
                "pins_failed",
                vec![("error", error.as_str().into())],
            );
        };
        let notices = Arc::clone(events);
        let tell = move |notice: &Notice| {
            let (event, server) = match notice {
                Notice::WrittenAgain { server } => ("pins_written_again", server),
                Notice::Unfinished { server } => ("first_list_unfinished", server),
            };
            notices.push(Level::Warning, event, vec![("server", server.as_str().into())]);
        };
        let keeper = Keeper::start(Arc::clone(&pins), report, tell).map_err(GatewayError::Threads)?;
        Ok(Self {
            pins,
            keeper: Mutex::new(Some(keeper)),
        })
    }

    pub(crate) fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Writes what was listed last, and ends the thread.
    pub(crate) fn finish(&self) {
        drop(self.keeper.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}
