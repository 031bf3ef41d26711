//! The control plane: what happens beside the mail path, on one thread of its own.
//!
//! For: the admin API and its client, metrics, the resolver, signals, the drain, systemd, the log.
//! Never here: a decision about a message, a byte of one, anything that a shard waits for but the
//! answer of a name server.
//! Start reading at [`Plane`]; what a shard does for it is in [`order`](obey).
#![forbid(unsafe_code)]

mod auth;
pub mod client;
mod clock;
mod digest;
mod fan;
mod feed;
mod filter;
mod health;
mod http;
mod log;
mod lookups;
mod meters;
mod options;
mod order;
mod plane;
pub mod portable;
mod resolver;
mod sockets;
mod status;
mod systemd;
pub mod transfer;
mod view;
mod warnings;
mod watch;

pub use auth::{Accounts, Doorman, Exchanges, Source, exchanges};
pub use filter::FilterWords;
pub use log::{Format, Log, Target};
pub use lookups::{Lookups, Questions, lookups};
pub use options::{About, Options};
pub use order::{Action, Answer, Order, Parts, Snapshot, Window, obey, publish};
pub use plane::{Apply, Ended, Plane, Reload, ShardLink};
pub use sockets::{BindError, Sockets, bind};
pub use watch::{Kind as WatchKind, Renew, Renewed, Watch};
