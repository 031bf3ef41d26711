//! What threads share is built of these, so that a model checker can stand in for the machine.
//!
//! The model runs in a target directory of its own, as the flag rebuilds everything:
//! `RUSTFLAGS="--cfg loom" cargo test --release -p reactor --lib model --target-dir DIR`.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering, fence},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Mutex,
    atomic::{AtomicBool, Ordering, fence},
};
