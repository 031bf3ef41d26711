//! A body on its way in.

use super::hops::HopCounter;
use super::options::ServerOptions;
use super::state::Transaction;
use crate::reply;
use mail::Reply;
use scan::{BodyScanner, Scanned};
use std::time::Duration;

/// How long a peer may be silent behind a dot line that ended otherwise than with CRLF: it most
/// likely waits for its reply, and would wait for ever.
const FALSE_END_SILENCE: Duration = Duration::from_secs(10);

/// The rate of a body is not judged before this much waiting.
const RATE_GRACE: Duration = Duration::from_secs(30);

/// The state between 354 and the end of data.
pub(super) struct Reception {
    pub(super) transaction: Transaction,
    scanner: BodyScanner,
    hops: HopCounter,
    refusal: Option<Refusal>,
    /// Whether the corridor has been told to throw the draft away.
    discarded: bool,
    /// Whether the terminator has come, or we want no more.
    over: bool,
    /// How long we have waited for bytes of this body in all.
    waited: Duration,
}

/// Why a body that is still coming will be refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Refusal {
    BareByte,
    TooBig,
    LongLine,
    Hops,
}

/// What was made of a chunk.
pub(super) struct Taken {
    /// Bytes of the chunk that go into the draft: from its beginning.
    pub(super) body: usize,
    /// Bytes of the chunk that are used up.
    pub(super) consumed: usize,
}

impl Reception {
    pub(super) fn new(transaction: Transaction) -> Self {
        Self {
            transaction,
            scanner: BodyScanner::new(),
            hops: HopCounter::new(),
            refusal: None,
            discarded: false,
            over: false,
            waited: Duration::ZERO,
        }
    }

    /// Takes what belongs to the body out of `chunk`, and judges it.
    pub(super) fn take(&mut self, chunk: &[u8], options: &ServerOptions) -> Taken {
        let (body, consumed, ended) = match self.scanner.scan(chunk) {
            Scanned::More { body } => (body, body, false),
            Scanned::End { body, consumed } => (body, consumed, true),
        };
        self.hops.feed(&chunk[..body]);
        self.judge(options);
        self.over = ended || self.is_overrun(options);
        let body = if self.refusal.is_some() { 0 } else { body };
        Taken { body, consumed }
    }

    /// What is wrong by now. The order is one of weight, not of time, so that a body gets the same
    /// reply however it was cut. A stray byte comes first: only it says that the end is disputed.
    fn judge(&mut self, options: &ServerOptions) {
        self.refusal = if self.scanner.stray().is_some() {
            Some(Refusal::BareByte)
        } else if self.hops.hops() > options.hops {
            Some(Refusal::Hops)
        } else if self.size() > options.message_bytes {
            Some(Refusal::TooBig)
        } else if options.line_bytes.is_some_and(|most| self.scanner.longest_line() > most) {
            Some(Refusal::LongLine)
        } else {
            None
        };
    }

    /// The size of the message as RFC 1870 §5 counts it: without the dots of transparency.
    fn size(&self) -> u64 {
        self.scanner.bytes() - self.scanner.stuffed_lines()
    }

    /// A refused body is read to its end, so that its sender hears why, but not for ever.
    fn is_overrun(&self, options: &ServerOptions) -> bool {
        self.refusal.is_some() && self.scanner.bytes() > options.message_bytes.saturating_mul(2)
    }

    /// Whether no more of the body will be read.
    pub(super) fn is_over(&self) -> bool {
        self.over
    }

    /// Whether the draft has become worthless, and nobody was told. True once.
    pub(super) fn must_discard(&mut self) -> bool {
        let must = self.refusal.is_some() && !self.discarded;
        self.discarded |= must;
        must
    }

    /// Whether there is a draft to throw away when the session ends now.
    pub(super) fn has_draft(&self) -> bool {
        !self.discarded
    }

    /// The reply to a body that is over, and whether the session may go on behind it. `None`: the
    /// body is good.
    pub(super) fn refusal(&self, options: &ServerOptions) -> Option<(Reply, bool)> {
        let (reply, goes_on) = match self.refusal? {
            // Who disputes where a message ends may take what follows for anything.
            Refusal::BareByte => (reply::BARE_BYTE, false),
            Refusal::TooBig => (reply::TOO_BIG, true),
            Refusal::LongLine => (reply::LONG_TEXT_LINE, true),
            Refusal::Hops => (reply::TOO_MANY_HOPS, true),
        };
        Some((reply, goes_on && !self.is_overrun(options)))
    }

    /// The reply to silence.
    pub(super) fn timed_out(&self) -> Reply {
        if self.scanner.has_false_end() { reply::BARE_BYTE } else { reply::TIMED_OUT }
    }

    /// Wire bytes so far, and how many lines were stuffed.
    pub(super) fn count(&self) -> (u64, u64) {
        (self.scanner.bytes(), self.scanner.stuffed_lines())
    }

    pub(super) fn waited(&mut self, elapsed: Duration) {
        self.waited = self.waited.saturating_add(elapsed);
    }

    /// Whether the bytes so far came too slowly. Judged when bytes have come, since silence has a
    /// limit of its own.
    pub(super) fn is_too_slow(&self, options: &ServerOptions) -> bool {
        let due = u128::from(options.data_rate) * self.waited.as_millis() / 1000;
        self.waited > RATE_GRACE && u128::from(self.scanner.bytes()) < due
    }

    /// How long to wait for the next bytes.
    pub(super) fn patience(&self, options: &ServerOptions) -> Duration {
        let silence = if self.scanner.has_false_end() {
            options.data_timeout.min(FALSE_END_SILENCE)
        } else {
            options.data_timeout
        };
        silence.min(options.data_total.saturating_sub(self.waited))
    }
}
