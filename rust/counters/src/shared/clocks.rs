//! The clocks of the machine, for a process that may take a file over at any time.

use std::fmt;
use std::io;
use std::sync::Arc;

use crate::ClockReading;

/// A function that reads the machine's clocks.
#[derive(Clone)]
pub struct ReadClocks(Arc<dyn Fn() -> io::Result<ClockReading> + Send + Sync>);

impl ReadClocks {
    /// Takes the function.
    pub fn new(read: impl Fn() -> io::Result<ClockReading> + Send + Sync + 'static) -> Self {
        Self(Arc::new(read))
    }

    pub(super) fn read(&self) -> io::Result<ClockReading> {
        (self.0)()
    }
}

impl fmt::Debug for ReadClocks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ReadClocks")
    }
}
