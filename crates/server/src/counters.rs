//! What the metrics say about receiving: plain numbers of one shard.

use smtp::Verb;
use std::collections::BTreeMap;
use std::time::Duration;

/// Samples that are kept between two collections; more are counted but not sampled.
const SAMPLES_MAX: usize = 65_536;

/// The sessions of one listener.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCount {
    /// Open now.
    pub open: u64,
    /// Opened so far.
    pub total: u64,
    /// Ended so far: in the clear, over TLS 1.2, over TLS 1.3.
    pub ended: [u64; 3],
    /// Messages accepted so far.
    pub messages: u64,
}

/// The numbers of one shard since its start, but for the samples, which are taken away with each
/// collection.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Counters {
    /// By listener name.
    pub sessions: BTreeMap<Box<str>, SessionCount>,
    /// Turned away at the door, by listener and reason.
    pub sessions_refused: BTreeMap<(Box<str>, &'static str), u64>,
    /// Replies by verb and code.
    pub replies: BTreeMap<(Verb, u16), u64>,
    /// Recipients accepted with their messages.
    pub recipients: u64,
    /// Bytes of accepted messages, as received.
    pub bytes: u64,
    /// Refusals by stage and rule.
    pub refused: BTreeMap<(&'static str, Box<str>), u64>,
    /// Handshakes, by version or `failed`.
    pub tls: BTreeMap<Box<str>, u64>,
    /// Authentications, by mechanism and result.
    pub auth: BTreeMap<(&'static str, &'static str), u64>,
    /// Bare CR and LF that were replaced.
    pub bare_newlines_normalised: u64,
    /// Messages refused for a bare CR, LF or NUL.
    pub bare_newlines_refused: u64,
    /// Seconds from end of data to 250, since the last collection.
    pub accept_seconds: Vec<f32>,
}

impl Counters {
    pub(crate) fn sample_accept(&mut self, took: Duration) {
        if self.accept_seconds.len() < SAMPLES_MAX {
            self.accept_seconds.push(took.as_secs_f32());
        }
    }

    /// The count of a listener that is known, since it was given to `listen`.
    pub(crate) fn listener(&mut self, name: &str) -> &mut SessionCount {
        self.sessions.get_mut(name).expect("every session comes by a known listener")
    }
}
