//! The relay, assembled: configuration, threads, sockets and commands.
//!
//! For: putting the rooms together, in the order in which a relay starts, and the command line.
//! Never here: what a room decides.
//! Start reading at [`serve`], which reads like a table of contents.
#![forbid(unsafe_code)]

pub mod check;
pub mod cli;
pub mod exchange;
pub mod exit;
mod folder;
mod import;
pub mod operate;
mod proofs;
mod records;
pub mod relay;
pub mod serve;
mod shard;
mod show;
pub mod spool;
mod startup;
