//! The relay in a simulated world: the same rooms, a seed for a fate, and a reckoning at the end.
//!
//! For: running server, queue and delivery unchanged, as tasks on simulated kernels, through
//! crashes, losses of power, failing disks and misbehaving peers, and proving what was promised:
//! what got its 250 arrives whole or is reported, and nothing arrives twice without a cause.
//! Never here: a way for the rooms to know that they are simulated.
//! Start reading at `run.rs`, then `checkers/mod.rs`, which says what is promised.
#![forbid(unsafe_code)]

mod checkers;
mod client;
mod journal;
mod ledger;
mod message;
mod mutations;
mod names;
mod next_hop;
mod plan;
mod relay;
mod run;
mod shard;
mod suffer;
mod yard;

pub use checkers::{Checker, Wrong};
pub use mutations::{MUTATIONS, Mutation, choose};
pub use run::{Report, run};
