//! The receiving end.
//!
//! `session` holds the value and its loop, `obey` what each command does, `answers` what follows
//! from verdicts and commits, `reception` a body on its way in, `state` the states.

mod answers;
mod hops;
mod legality;
mod obey;
mod options;
mod reception;
mod session;
mod state;
mod step;

pub use options::{ServerOptions, ServerPeer};
pub use session::ServerSession;
pub use step::{Accepted, CommitRefusal, Step};

#[cfg(test)]
mod noise;
