//! The sending end.
//!
//! `session` holds the value and its loop, `answers` what follows from each reply, `exchange` the
//! transaction under way with its two cursors, `replies` the codec of replies.

mod answers;
mod exchange;
mod extensions;
mod options;
mod replies;
mod session;
mod step;

pub use extensions::{Extensions, Mechanisms};
pub use options::{ClientOptions, Encryption};
pub use session::ClientSession;
pub use step::{ClientStep, Transaction, TransactionResult};

#[cfg(test)]
mod noise;
