//! Both ends of an SMTP conversation as plain values.
//!
//! For: commands, replies, [`ServerSession`], [`ClientSession`], dot transparency, the catalogue of
//! replies. Never here: a clock, a socket, a file, `async`, randomness, and no decision about who
//! may send what: a session pauses with a question and is told the verdict.
//! Start reading at [`ServerSession`], then at [`Step`]; the client is its mirror.
#![forbid(unsafe_code)]

mod client;
mod command;
mod hangup;
mod reply;
mod server;
mod tally;
mod verb;

pub use client::{
    ClientOptions, ClientSession, ClientStep, Encryption, Extensions, Mechanisms, Transaction,
    TransactionResult,
};
pub use command::Introduction;
pub use hangup::Hangup;
pub use server::{
    Accepted, AuthReply, BareNewline, CommitRefusal, Disclosure, Exchange, Extension, ExtensionSet,
    HeaderFacts, ListenerKind, Notes, Privacy, ServerOptions, ServerPeer, ServerSession, StartTls,
    Step,
};
pub use verb::Verb;
