//! The freezes of an engine, swapped while calls are decided.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, Guard};

use super::{Freeze, Freezes};

/// The origin of freezes. Those of all origins hold together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreezeSource {
    /// The file in the state folder.
    File,
    /// The program that has the engine.
    Program,
}

impl FreezeSource {
    /// The word for programs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Program => "program",
        }
    }
}

/// Freezes by origin, and all of them compiled.
#[derive(Debug, Default)]
pub(crate) struct FreezeSwitch {
    is_any: AtomicBool,
    compiled: ArcSwap<Freezes>,
    // Held while the others are changed, so that they always belong to what it guards.
    freezes: Mutex<Origins>,
}

#[derive(Debug, Default)]
struct Origins {
    file: Vec<Freeze>,
    program: Vec<Freeze>,
}

impl FreezeSwitch {
    /// The compiled freezes; `None` if there are none.
    pub(crate) fn load(&self) -> Option<Guard<Arc<Freezes>>> {
        // Acquire: whoever sees that there are some sees them too.
        self.is_any.load(Ordering::Acquire).then(|| self.compiled.load())
    }

    /// Changes the freezes of one origin; they are in force for every call that begins after the return.
    pub(crate) fn change<R>(&self, source: FreezeSource, change: impl FnOnce(&mut Vec<Freeze>) -> R) -> R {
        let mut origins = self.lock();
        let result = change(match source {
            FreezeSource::File => &mut origins.file,
            FreezeSource::Program => &mut origins.program,
        });
        let compiled = Freezes::new(origins.file.iter().chain(&origins.program));
        let is_any = !compiled.is_empty();
        self.compiled.store(Arc::new(compiled));
        // Release: the store above comes first for whoever reads this.
        self.is_any.store(is_any, Ordering::Release);
        result
    }

    /// All freezes, also those that have ended.
    pub(crate) fn list(&self) -> Vec<(FreezeSource, Freeze)> {
        let origins = self.lock();
        let of = |source, freezes: &[Freeze]| -> Vec<(FreezeSource, Freeze)> {
            freezes.iter().map(|freeze| (source, freeze.clone())).collect()
        };
        [
            of(FreezeSource::File, &origins.file),
            of(FreezeSource::Program, &origins.program),
        ]
        .concat()
    }

    /// A panic while it is held leaves lists that are whole, at worst not yet compiled.
    fn lock(&self) -> MutexGuard<'_, Origins> {
        self.freezes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
