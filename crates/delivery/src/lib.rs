//! The delivering corridor: from a due message to what became of it.
//!
//! For: routes, the order of MX hosts, how many sessions a destination bears, and driving a
//! `ClientSession`, step by step. Never here: the grammar of SMTP (`smtp`), when a message is tried
//! again and who is told (`queue`), DNS (`lookup`), or anything about receiving.
//! Start reading at `attempt.rs`, then [`Delivery`]; `destination.rs` and `mx.rs` are pure.
#![forbid(unsafe_code)]

mod attempt;
mod counters;
mod delivery;
mod destination;
mod dispatch;
mod encrypt;
mod home;
mod idle;
mod mx;
mod options;
mod place;
mod post;
mod reach;
mod report;
mod route;
mod routes;
mod shard;
mod stint;
mod talk;
mod watch;

pub use counters::{Counters, DestinationView, STAGES};
pub use delivery::{Delivery, Start};
pub use home::HomeMessage;
pub use options::Options;
pub use route::{Extension, IpVersion, Login, Pattern, Route, RouteError, TlsWord, Via};
pub use routes::{ResolvedRoute, Routes, Target};
