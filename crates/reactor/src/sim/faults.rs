//! What goes wrong in a world, as one table.
//!
//! Numbers are probabilities per opportunity; `≤ x` means that a swarm's world has the fault with
//! probability 0.4, and then with an even chance up to x. Nothing of this is in
//! [`Faults::none`] but the constant times, and `–` means never.
//!
//! | fault | the real thing | field | mild | swarm |
//! |---|---|---|---|---|
//! | **network** | | | | |
//! | delay | a segment takes its time | `latency` | ≤ 20 ms | ≤ 100 ms |
//! | heavy tail | it was sent again: doubled a few times | `latency_tail` | – | ≤ 0.1 |
//! | stall | it is held up, those behind it too | `stall` | – | ≤ 0.005 |
//! | | for so long | `stall_time` | – | ≤ 20 min |
//! | reset | something between resets both, at any byte | `reset` | – | ≤ 0.01 |
//! | eaten data | a reset takes along what was not read | `reset_discards` | – | ≤ 1 |
//! | refusal | nobody listens, it seems | `connect_refused` | – | ≤ 0.2 |
//! | black hole | no answer; ETIMEDOUT after 127 s | `connect_black_hole` | – | ≤ 0.05 |
//! | one-way hole | from a connect on one way is cut | `hole` | – | ≤ 0.02 |
//! | | for so long | `hole_time` | – | ≤ 20 min |
//! | small window | few bytes until the peer reads | `window_bytes` | 64 KiB | 64 B – 128 KiB |
//! | **kernel** | | | | |
//! | short send | fewer bytes than fit, down to one | `short_send` | 0.3 | ≤ 0.5 |
//! | short receive | fewer bytes than are there, down to one | `short_receive` | 0.3 | ≤ 0.5 |
//! | multishot end | a receive or accept ends with what it brings | `multishot_end` | 0.2 | ≤ 0.5 |
//! | few buffers | there are so many a group | `buffers` | 8 | 2 – 128 |
//! | no buffer | ENOBUFS though there are some | `no_buffers` | 0.05 | ≤ 0.2 |
//! | full queue | completions find no room, multishots end | `queue_entries` | 64 | 4 – 512 |
//! | few a visit | a visit brings only some completions | `partial_enter` | 0.2 | ≤ 0.5 |
//! | late end | completions and cancellations come late | `completion_delay` | ≤ 0.5 ms | ≤ 2 ms |
//! | lost race | a cancellation's target completes first | `cancel_races` | 0.5 | ≤ 1 |
//! | | or its own end comes before its target's | likewise | 0.5 | ≤ 1 |
//! | interruption | accept: EINTR, EAGAIN, ECONNABORTED | `interrupted` | – | ≤ 0.02 |
//! | no descriptor | EMFILE on accept, socket, open, once | `no_descriptors` | – | ≤ 0.05 |
//! | shortage | EMFILE, ENFILE or ENOMEM on these | `shortage` | – | ≤ 0.002 |
//! | | on the host, for so long | `shortage_time` | – | ≤ 5 s |
//! | reuse | a closed number is given at once again | always | | |
//! | **disk** | | | | |
//! | slow disk | an operation takes its time | `write_time` | ≤ 5 ms | ≤ 30 ms |
//! | | some take very long | `slow_write` | – | ≤ 0.02 |
//! | | namely | `slow_time` | – | ≤ 40 s |
//! | hang | a write hangs, then lands or fails | `hang` | – | ≤ 0.0005 |
//! | | for so long | `hang_time` | – | 1 – 5 min |
//! | | and fails so often | `hang_fails` | – | 0.5 |
//! | no FUA | volatile cache: durable is landed, then flushed | `without_fua` | yes | 0.5 |
//! | failing write | EIO, once | `write_fails` | – | ≤ 0.001 |
//! | | so often it has landed all the same | `lands_anyway` | – | 0.5 |
//! | full disk | ENOSPC, once; some of it may have landed | `no_space` | – | ≤ 0.01 |
//! | over quota | EDQUOT, likewise | `over_quota` | – | ≤ 0.01 |
//! | short write | part of it is written | `short_write` | – | ≤ 0.001 |
//! | failing read | EIO, once | `read_fails` | – | ≤ 0.002 |
//! | short read | pages before a bad one, without O_DIRECT | `short_read` | – | – |
//! | failing sync | EIO, dirty pages show and will be lost | `sync_fails` | – | ≤ 0.002 |
//! | failing open | EIO, once | `open_fails` | – | ≤ 0.001 |
//! | failing rename | EIO, once | `rename_fails` | – | ≤ 0.001 |
//! | failing unlink | EIO, once | `remove_fails` | – | ≤ 0.001 |
//! | failing fsync | EIO, once, of a directory | `directory_sync_fails` | – | ≤ 0.001 |
//! | broken disk | EIO, from a write on, for all calls | `disk_breaks` | – | – |
//! | misdirection | a write lands elsewhere in its file | `misdirected` | – | – |
//! | late write | a dead process's, whole or its beginning | `late_write` | 0.5 | ≤ 1 |
//! | | after so long; held files stay open | `late_time` | ≤ 4 s | ≤ 4 s |
//!
//! Those that are nowhere by profile are for callers who know which promises survive them.
//!
//! Not by probability but by call:
//! - [`Process::kill`](super::Process::kill), and the loss of power: un-synced bytes are lost,
//!   kept, mixed by page or torn at 512 bytes, in each file in its own way, and so un-synced
//!   writes are reordered; un-synced names, renames and unlinks are lost or kept likewise. A file
//!   system in memory is empty afterwards.
//! - [`Host::ail`](super::Host::ail): errors at a place, by path, range and kind of call, once, a
//!   few times, for a time or for ever.
//! - [`Host::fill_disk`](super::Host::fill_disk) and [`Host::set_quota`](super::Host::set_quota):
//!   ENOSPC and EDQUOT by fill level.
//! - [`Host::vanish_disk`](super::Host::vanish_disk): a mount that is gone.
//! - [`Host::rot`](super::Host::rot): flipped bits in bytes that were durable.
//! - [`World::cut`](super::World::cut) and [`World::partition`](super::World::partition): hosts
//!   that do not reach each other, one way or both.
//! - [`Host::step_clock`](super::Host::step_clock),
//!   [`Host::step_clock_back`](super::Host::step_clock_back) and
//!   [`Host::set_clock`](super::Host::set_clock): steps both ways, a wrong clock at boot.

mod profiles;

use std::ops::Range;
use std::time::Duration;

/// Probabilities are per opportunity, from 0 to 1; the table above says what each does.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Faults {
    pub latency: Range<Duration>,
    pub latency_tail: f64,
    pub stall: f64,
    pub stall_time: Range<Duration>,
    pub reset: f64,
    pub reset_discards: f64,
    pub connect_refused: f64,
    pub connect_black_hole: f64,
    pub hole: f64,
    pub hole_time: Range<Duration>,
    pub window_bytes: usize,
    pub short_send: f64,
    pub short_receive: f64,
    pub multishot_end: f64,
    pub buffers: u16,
    pub no_buffers: f64,
    pub queue_entries: usize,
    pub partial_enter: f64,
    pub completion_delay: Range<Duration>,
    pub cancel_races: f64,
    pub interrupted: f64,
    pub no_descriptors: f64,
    pub shortage: f64,
    pub shortage_time: Range<Duration>,
    pub write_time: Range<Duration>,
    pub slow_write: f64,
    pub slow_time: Range<Duration>,
    pub hang: f64,
    pub hang_time: Range<Duration>,
    pub hang_fails: f64,
    pub without_fua: bool,
    pub write_fails: f64,
    pub lands_anyway: f64,
    pub disk_breaks: f64,
    pub no_space: f64,
    pub over_quota: f64,
    pub short_write: f64,
    pub read_fails: f64,
    pub short_read: f64,
    pub sync_fails: f64,
    pub open_fails: f64,
    pub rename_fails: f64,
    pub remove_fails: f64,
    pub directory_sync_fails: f64,
    pub misdirected: f64,
    pub late_write: f64,
    pub late_time: Range<Duration>,
}
