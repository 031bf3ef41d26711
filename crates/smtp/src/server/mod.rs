//! The receiving end.
//!
//! `session` holds the value and what is done to it, `course` its loop, `obey` what each command
//! does, `answers` what follows from verdicts and commits, `state` the states. A body on its way
//! in is `reception`'s, with `rewriter` for the slow way and `header` for what stands in front.
//! `chunks`, `auth`, `secure` and `introduce` are the extensions that need more than a line.

mod answers;
mod auth;
mod chunks;
mod course;
mod extensions;
mod header;
mod introduce;
mod legality;
mod obey;
mod offer;
mod options;
mod pace;
mod peer;
mod privacy;
mod reception;
mod rewriter;
mod secure;
mod session;
mod state;
mod step;
mod utf8;

pub use extensions::{Extension, ExtensionSet};
pub use header::HeaderFacts;
pub use options::{BareNewline, Disclosure, ServerOptions};
pub use peer::{ListenerKind, ServerPeer, StartTls};
pub use privacy::Privacy;
pub use session::ServerSession;
pub use step::{Accepted, AuthReply, CommitRefusal, Exchange, Notes, Step};

#[cfg(test)]
mod noise;
