//! The relay as a process among real peers: what a user sees of it, and nothing of its inside.
//!
//! Peers are Postfix's `smtp-source`, `swaks`, and a sink and a client of our own that keep what
//! they saw. Every test runs with io_uring and with epoll, on ports of its own, in a directory of
//! its own. Start reading at [`relay::Site`].
#![forbid(unsafe_code)]

mod busy;
mod crash;
#[expect(dead_code, reason = "settings are read one by one here")]
#[path = "../../../smtp/tests/sessions/dialogue.rs"]
mod dialogue;
mod dialogues;
mod disk;
mod flow;
mod limits;
mod log;
mod noise;
mod operate;
mod peers;
mod queue;
mod relay;
mod reports;
mod secured;
mod sink;
mod spool;
mod startup;
mod strangers;
mod wait;
