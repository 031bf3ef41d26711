//! Why a conversation ended from outside.

/// What a corridor tells a session when the wire has no more to give.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hangup {
    /// The peer closed its side.
    Closed,
    /// The connection was reset, or a send failed.
    Reset,
    /// The deadline that the session had asked for has passed.
    TimedOut,
    /// We are shutting down and wait no longer.
    Shutdown,
}

impl Hangup {
    /// What happened, for a log line or a reason: `connection reset`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Closed => "connection closed by peer",
            Self::Reset => "connection reset",
            Self::TimedOut => "timed out",
            Self::Shutdown => "interrupted by our shutdown",
        }
    }
}
