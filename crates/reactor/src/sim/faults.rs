//! What goes wrong in a world, as one table.
//!
//! | fault | what the world does | field |
//! |---|---|---|
//! | delay | bytes take their time from host to host | `latency` |
//! | stall | bytes are held up for long, those behind them too | `stall`, `stall_time` |
//! | reset | both ends of a connection get a reset while bytes are sent | `reset` |
//! | eaten data | a reset takes along what has arrived and nobody has read | `reset_discards` |
//! | refusal | nobody listens, it seems | `connect_refused` |
//! | black hole | a connection attempt is never answered | `connect_black_hole` |
//! | short send | fewer bytes are taken than fit | `short_send` |
//! | piecemeal receive | fewer bytes come than have arrived | `short_receive` |
//! | small window | the peer takes few bytes before it must be read | `window_bytes` |
//! | multishot end | a receive or accept ends with what it brings | `multishot_end` |
//! | few buffers | receives end with ENOBUFS | `buffers`, `no_buffers` |
//! | no descriptors | EMFILE on accept, socket and open | `no_descriptors` |
//! | late completion | completions, and cancellations too, come later | `completion_delay` |
//! | full queue | a visit to the kernel brings only some completions | `partial_enter` |
//! | slow disk | writes take long, sometimes very long | `write_time`, `slow_write`, `slow_time` |
//! | no FUA | durable means landed, then flushed | `without_fua` |
//! | failing write | EIO, once; it may have landed all the same | `write_fails`, `lands_anyway` |
//! | broken disk | EIO, from now on, for all reads, writes and syncs | `disk_breaks` |
//! | full disk | ENOSPC, once; some of it may have landed | `no_space` |
//! | short write | part of it is written | `short_write` |
//! | failing read | EIO, once | `read_fails` |
//! | failing sync | EIO, and what was not durable will never be | `sync_fails` |
//! | late write | a dead process's write lands after the restart | `late_write`, `late_time` |
//!
//! Not by probability but by call: the death of a process, the loss of power (un-synced bytes are
//! lost, kept or torn at 512 bytes; un-synced names likewise), steps of the wall clock, a disk
//! that others fill.

use super::chance::Chance;
use std::ops::Range;
use std::time::Duration;

/// Probabilities are per opportunity, from 0 to 1; the table above says what each does.
#[derive(Clone, Debug)]
#[allow(missing_docs, reason = "the table above is the documentation")]
pub struct Faults {
    pub latency: Range<Duration>,
    pub stall: f64,
    pub stall_time: Range<Duration>,
    pub reset: f64,
    pub reset_discards: f64,
    pub connect_refused: f64,
    pub connect_black_hole: f64,
    pub short_send: f64,
    pub short_receive: f64,
    pub window_bytes: usize,
    pub multishot_end: f64,
    pub buffers: u16,
    pub no_buffers: f64,
    pub no_descriptors: f64,
    pub completion_delay: Range<Duration>,
    pub partial_enter: f64,
    pub write_time: Range<Duration>,
    pub slow_write: f64,
    pub slow_time: Range<Duration>,
    pub without_fua: bool,
    pub write_fails: f64,
    pub lands_anyway: f64,
    pub disk_breaks: f64,
    pub no_space: f64,
    pub short_write: f64,
    pub read_fails: f64,
    pub sync_fails: f64,
    pub late_write: f64,
    pub late_time: Range<Duration>,
}

const fn micros(from: u64, to: u64) -> Range<Duration> {
    Duration::from_micros(from)..Duration::from_micros(to)
}

const fn seconds(from: u64, to: u64) -> Range<Duration> {
    Duration::from_secs(from)..Duration::from_secs(to)
}

impl Faults {
    /// A world in which nothing goes wrong, and in which things take constant, short times.
    pub fn none() -> Self {
        Self {
            latency: micros(50, 50),
            stall: 0.0,
            stall_time: seconds(1, 1),
            reset: 0.0,
            reset_discards: 0.0,
            connect_refused: 0.0,
            connect_black_hole: 0.0,
            short_send: 0.0,
            short_receive: 0.0,
            window_bytes: 256 * 1024,
            multishot_end: 0.0,
            buffers: 256,
            no_buffers: 0.0,
            no_descriptors: 0.0,
            completion_delay: micros(1, 1),
            partial_enter: 0.0,
            write_time: micros(100, 100),
            slow_write: 0.0,
            slow_time: seconds(1, 1),
            without_fua: false,
            write_fails: 0.0,
            lands_anyway: 0.5,
            disk_breaks: 0.0,
            no_space: 0.0,
            short_write: 0.0,
            read_fails: 0.0,
            sync_fails: 0.0,
            late_write: 0.0,
            late_time: seconds(0, 4),
        }
    }

    /// What every program must bear without a word: delays, pieces, few buffers, races. Nothing
    /// fails.
    pub fn mild() -> Self {
        Self {
            latency: micros(50, 20_000),
            short_send: 0.3,
            short_receive: 0.3,
            window_bytes: 64 * 1024,
            multishot_end: 0.2,
            buffers: 8,
            no_buffers: 0.05,
            completion_delay: micros(0, 500),
            partial_enter: 0.2,
            write_time: micros(20, 5_000),
            without_fua: true,
            late_write: 0.5,
            ..Self::none()
        }
    }

    /// Some of everything: each fault is absent or present, rare or frequent, by the seed. A swarm
    /// of such worlds reaches corners that one world with all faults never would.
    ///
    /// A broken disk is not among them: the caller decides whether its promises survive that.
    pub fn swarm(seed: u64) -> Self {
        // Not the world's own stream, so that drawing the faults does not shift it.
        let mut chance = Chance::new(seed ^ 0x5eed_fa17);
        let mut pick = |most: f64| {
            if chance.hits(0.4) { most * (1 + chance.below(100)) as f64 / 100.0 } else { 0.0 }
        };
        let mut faults = Self {
            stall: pick(0.005),
            stall_time: seconds(1, 1200),
            reset: pick(0.01),
            reset_discards: pick(1.0),
            connect_refused: pick(0.2),
            connect_black_hole: pick(0.05),
            short_send: pick(0.5),
            short_receive: pick(0.5),
            multishot_end: pick(0.5),
            no_buffers: pick(0.2),
            no_descriptors: pick(0.05),
            partial_enter: pick(0.5),
            slow_write: pick(0.02),
            slow_time: seconds(1, 40),
            write_fails: pick(0.001),
            no_space: pick(0.01),
            short_write: pick(0.001),
            read_fails: pick(0.002),
            sync_fails: pick(0.002),
            late_write: pick(1.0),
            ..Self::mild()
        };
        faults.latency = micros(20, 50 + chance.below(100_000));
        faults.completion_delay = micros(0, 1 + chance.below(2_000));
        faults.write_time = micros(10, 20 + chance.below(30_000));
        faults.window_bytes = 1024 << chance.below(8);
        faults.buffers = 2 << chance.below(7);
        faults.without_fua = chance.hits(0.5);
        faults
    }
}
