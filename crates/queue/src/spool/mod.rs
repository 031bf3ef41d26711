//! The spool: bytes on disk. It knows nothing of when a message is due.
//!
//! Constraints, then format (`docs/SPOOL.md`, byte for byte), then operation:
//! - What is durable stays: a commit is answered when its own write and every earlier one of its
//!   log are on stable storage. No block is written twice in a generation, nothing is appended to a
//!   segment found at start.
//! - A [`Log`] is one directory `log-NN` with one writer; messages are named by log, start count
//!   and sequence, so the number of shards may change between runs.
//! - What a crash leaves is told apart by position: a bad batch at or below the highest
//!   `durable_through` is damage, above it the torn tail.
//!
//! Start reading at [`Log`] (what the façade calls), then `writer.rs` (group commit), `batch.rs`
//! and `layout.rs` (bytes), `scan.rs` and `recovery.rs` (how they are read again).
//!
//! # How the façade uses it
//! ```text
//! let id = log.next_id();                                    // when a draft begins
//! let chunk = log.append_chunk(id, &bytes).chunk().await?;   // 96 KiB at a time
//! let stored = log.append_message(&message).stored().await?; // durable: say 250, keep `stored`
//! let opened = log.load(stored.position).await?;             // or `stored.hot`, without the disk
//! log.append_outcomes(&outcomes, None, Finished::No);        // rides along within 2 ms
//! log.append_outcomes(&last, Some(&dsn), Finished::Yes(stored)).stored().await
//! ```

mod batch;
mod codec;
mod compact;
mod fate;
mod fold;
pub mod inspect;
mod layout;
mod log;
mod plan;
mod pool;
mod prepare;
mod record;
mod recovery;
mod scan;
mod segments;
mod stored;
mod survey;
mod tail;
mod writer;

pub(crate) use compact::{Immovable, Lifted, Tomb};
pub(crate) use fate::Commit;
pub(crate) use log::{Log, SegmentId};
pub(crate) use plan::Options;
pub(crate) use record::{Change, Extent, NewMessage, Outcomes, Standing};
pub(crate) use recovery::Recovered;
pub(crate) use stored::{Chunk, Finished, HotBudget, Opened, Piece, Pin, Stored};

#[cfg(test)]
mod tests;
