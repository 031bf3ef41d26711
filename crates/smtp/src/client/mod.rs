//! The sending end.
//!
//! `session` holds the value and its loop, `exchange` the transaction under way with its two
//! cursors, `replies` the codec of replies.

mod exchange;
mod extensions;
mod options;
mod replies;
mod session;

pub use extensions::Extensions;
pub use options::ClientOptions;
pub use session::{ClientSession, ClientStep, Transaction, TransactionResult};
