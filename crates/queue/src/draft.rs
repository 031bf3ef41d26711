//! A body that is being received.

use crate::CommitError;
use mail::MessageId;

/// A body that is being received: at most 96 KiB of it are in memory, the rest lies in the spool
/// already. Dropping it forgets it.
pub struct Draft {}

/// What appending came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a full draft needs room before more is appended"]
pub struct Appended {
    full: bool,
}

impl Appended {
    /// Whether [`Draft::room`] must be made before more is appended.
    pub fn is_full(self) -> bool {
        self.full
    }
}

impl Draft {
    /// The id that the message will have.
    pub fn id(&self) -> MessageId {
        unimplemented!()
    }

    /// Copies `bytes`, which are in wire form, behind what is there.
    pub fn append(&mut self, bytes: &[u8]) -> Appended {
        let _ = bytes;
        Appended { full: false }
    }

    /// Moves what is in memory to the spool, durably.
    ///
    /// # Errors
    /// As [`CommitError`] says; the draft is of no use then.
    pub async fn room(&mut self) -> Result<(), CommitError> {
        unimplemented!()
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        unimplemented!()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The draft; a fresh one with a new id is left in its place.
    #[must_use]
    pub fn take(&mut self) -> Self {
        unimplemented!()
    }

    /// Forgets all bytes and takes a new id.
    pub fn clear(&mut self) {
        let _ = self.take();
    }
}
