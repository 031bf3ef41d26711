//! Decides when each queued recipient is tried again.

/// The state of a message or a recipient.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It is tried now, is due, or has not been tried yet.
    Active,
    /// It waits for its next attempt.
    Deferred,
    /// An operator holds it.
    Held,
}
