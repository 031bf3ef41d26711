//! The relay in a simulated world: the same rooms, a seed for a fate, and a reckoning at the end.
//!
//! For: running server, queue and delivery unchanged, as tasks on simulated kernels, through
//! crashes, losses of power, failing disks and misbehaving peers, and proving what was promised:
//! what got its 250 arrives whole or is reported, and nothing arrives twice without a cause.
//! Never here: a way for the rooms to know that they are simulated.
//! Start reading at `run.rs`, then `ledger.rs`, which judges.
#![forbid(unsafe_code)]

mod client;
mod ledger;
mod message;
mod next_hop;
mod plan;
mod relay;
mod run;
mod shard;
mod yard;

pub use run::{Report, run};
