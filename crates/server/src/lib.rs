//! The receiving corridor: from a connection to a durable message.
//!
//! For: accepting, admission, gathering facts, and driving a `ServerSession`, step by step.
//! Never here: the grammar of SMTP (`smtp`), who may relay (`policy`), how bytes become durable
//! (`queue`), or anything about delivery.
//! Start reading at `converse.rs`, then [`Server`].
#![forbid(unsafe_code)]

mod accept;
mod authenticate;
mod census;
mod compose;
mod converse;
mod counters;
mod door;
mod facts;
mod secure;
mod server;

pub use census::{CensusMessage, Totals};
pub use counters::{Counters, SessionCount};
pub use door::{Encryption, ListenerOptions};
pub use server::{Options, Server, Start};

#[cfg(test)]
mod tests;
