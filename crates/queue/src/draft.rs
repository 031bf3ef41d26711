//! A body that is being received.

use crate::CommitError;
use crate::spool::{Chunk, Log};
use mail::MessageId;

/// Bytes of a draft that are held in memory at most, and of a message in one record.
pub(crate) const HELD_BYTES: usize = 96 << 10;

/// From here on a draft is full: one more receive buffer (16 KiB) still fits.
const FULL_BYTES: usize = 80 << 10;

/// A body that is being received: at most 96 KiB of it are in memory, the rest lies in the spool
/// already. Dropping it forgets it.
pub struct Draft {
    log: Log,
    id: MessageId,
    /// What is in the spool, in order.
    chunks: Vec<Chunk>,
    /// What is not.
    rest: Vec<u8>,
    /// Bytes of the chunks.
    streamed: u64,
}

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
    pub(crate) fn new(log: Log) -> Self {
        let id = log.next_id();
        Self { log, id, chunks: Vec::new(), rest: Vec::new(), streamed: 0 }
    }

    /// The id that the message will have.
    pub fn id(&self) -> MessageId {
        self.id
    }

    /// Copies `bytes`, which are in wire form, behind what is there.
    pub fn append(&mut self, bytes: &[u8]) -> Appended {
        self.rest.extend_from_slice(bytes);
        Appended { full: self.rest.len() >= FULL_BYTES }
    }

    /// Moves what is in memory to the spool, durably.
    ///
    /// # Errors
    /// As [`CommitError`] says; the draft is of no use then.
    pub async fn room(&mut self) -> Result<(), CommitError> {
        let rest = std::mem::take(&mut self.rest);
        for piece in rest.chunks(HELD_BYTES) {
            let chunk = self.log.append_chunk(self.id, piece).chunk().await?;
            self.chunks.push(chunk);
            self.streamed += piece.len() as u64;
        }
        Ok(())
    }

    /// Bytes so far.
    pub fn len(&self) -> u64 {
        self.streamed + self.rest.len() as u64
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The draft; a fresh one with a new id is left in its place.
    #[must_use]
    pub fn take(&mut self) -> Self {
        let fresh = Self::new(self.log.clone());
        std::mem::replace(self, fresh)
    }

    /// Forgets all bytes and takes a new id.
    pub fn clear(&mut self) {
        drop(self.take());
    }

    /// Bytes in memory.
    pub(crate) fn held(&self) -> usize {
        self.rest.len()
    }

    pub(crate) fn chunks(&self) -> &[Chunk] {
        &self.chunks
    }

    pub(crate) fn rest(&self) -> &[u8] {
        &self.rest
    }
}
