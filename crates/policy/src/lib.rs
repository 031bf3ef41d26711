//! Facts in, verdict out: who may connect, begin a message, and send to whom.
//!
//! For: the relay rule, admission, per-client limits, and the relay's test of itself.
//! Never here: a clock, a socket, a file, `async`, randomness. Facts and times arrive as arguments,
//! so a test is a table. Nothing here knows how a session is spoken.
//! Start reading at [`Policy::decide`].
#![forbid(unsafe_code)]

mod client;
mod domains;
mod limiter;
mod options;
mod policy;
mod self_test;

pub use client::{ClientKey, Networks};
pub use domains::DomainPattern;
pub use limiter::RateLimiter;
pub use options::{Options, Rate};
pub use policy::{Admission, Facts, Policy, Proof, Sender};
