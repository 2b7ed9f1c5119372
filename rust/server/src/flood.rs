//! The floods of frames that end a connection.

/// A kind of HTTP/2 frames of which a client sent too many.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flood {
    Resets,
    ControlFrames,
}

impl Flood {
    /// Every kind, in the order of their numbers.
    pub(crate) const ALL: [Self; 2] = [Self::Resets, Self::ControlFrames];

    /// The kind's name in the log and in metrics.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Resets => "resets",
            Self::ControlFrames => "control_frames",
        }
    }
}
