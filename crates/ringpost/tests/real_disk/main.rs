//! The relay on real file systems that lose power, fill up, move and vanish.
//!
//! Each test has file systems of its own, in image files under target, mounted by loop devices.
//! That takes root; [`ground::ready`] says where it cannot be had. Everything random comes from a
//! seed that a failure prints. `REAL_DISK_SEED=N` chooses it, `REAL_DISK_ROUNDS=N` how many cuts of
//! each kind are made on each file system. Start reading at [`power`], then [`stage::Stage`].
#![forbid(unsafe_code)]

mod block;
mod chance;
mod full;
mod ground;
mod killed;
mod load;
mod moved;
mod plans;
mod power;
mod stage;
mod vanished;
mod verify;

#[expect(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../end_to_end/peers.rs"]
mod peers;
#[expect(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../end_to_end/relay.rs"]
mod relay;
#[expect(dead_code, reason = "the end-to-end tests need more of it")]
#[path = "../end_to_end/sink.rs"]
mod sink;
#[path = "../end_to_end/wait.rs"]
mod wait;
