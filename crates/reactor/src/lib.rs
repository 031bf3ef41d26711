//! The basement: the one place that touches the kernel.
//!
//! For: a single-threaded executor, timers, receive leases, sockets, files, channels, clock and
//! entropy, over three kernels chosen at run time: `ring` (io_uring), `poll` (epoll) and `sim`
//! (a virtual world from a seed).
//! Never here: a mail word. Nothing in this crate knows what the bytes mean.
//! Start reading at [`Reactor`], then `kernel.rs`, the seam below which the three kernels differ.
//!
//! # How it works
//! An asynchronous call fills a *slot* and submits an operation to the kernel. [`Reactor::turn`]
//! runs ready tasks from one queue, then enters the kernel once. Completions never run code: they
//! fill slots and make tasks ready. Order is a function of completions alone.

mod backend;
mod bind;
mod channel;
mod crew;
mod descriptor;
mod executor;
mod file;
mod kernel;
mod memory;
mod mutation;
mod poll;
mod reactor;
mod ring;
mod signal;
pub mod sim;
mod slot;
mod stream;
mod sync;
mod system;
mod thread;
mod time;
mod timer;

pub use backend::Fallback;
pub use bind::bind;
pub use channel::{Receiver, Sender, channel};
pub use file::{File, FileSystem, FileSystemKind, OpenHow, SharedFile};
pub use memory::{Part, Slab, SlabSlice};
#[cfg(feature = "mutations")]
pub use mutation::mutate;
pub use mutation::mutated;
pub use reactor::{Backend, Counters, Options, Reactor};
pub use signal::Signal;
pub use stream::{Hangup, Interrupter, Lease, Listener, Stream};
pub use system::random;
pub use thread::{allowed_cpus, raise_descriptor_limit, start_thread};
pub use time::Instant;
