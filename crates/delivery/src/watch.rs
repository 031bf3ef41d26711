//! Until when a session may wait.
//!
//! Each wait has a deadline of its own. A reply has one as a whole, so that a peer which sends it
//! byte by byte gains nothing, and all waits of a transaction before its end of data have one
//! together: the sum of theirs. Pure: times and bytes arrive as arguments.

use crate::Options;
use reactor::Instant;
use std::time::Duration;

/// Bytes of a body that are sent in one block, at least, but for the last.
const BLOCK_BYTES_MIN: u64 = 64 << 10;

/// The reply to DATA (RFC 5321 §4.5.3.2.4: 2 minutes).
const DATA_GO: Duration = Duration::from_secs(120);

/// The deadlines of a session.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Since when the reply is awaited that has not come.
    reply_since: Instant,
    /// When all waits have been long enough; never, once the end of data is out.
    over_at: Instant,
    ends: ReplyEnds,
}

impl Watch {
    /// A session begins: greeting, EHLO and perhaps HELO.
    pub(crate) fn new(now: Instant, options: &Options) -> Self {
        let over_at = now + options.greeting_timeout + options.command_timeout * 4;
        Self { reply_since: now, over_at, ends: ReplyEnds::default() }
    }

    /// A transaction begins.
    pub(crate) fn begin(&mut self, now: Instant, recipients: usize, bytes: u64, all: &Options) {
        // RSET and MAIL, and each is sent and answered.
        let commands = u32::try_from(recipients).unwrap_or(u32::MAX).saturating_add(2);
        let blocks = u32::try_from(bytes / BLOCK_BYTES_MIN).unwrap_or(u32::MAX).saturating_add(2);
        let envelope = all.command_timeout.saturating_mul(2).saturating_mul(commands);
        let body = all.data_timeout.saturating_mul(blocks);
        self.over_at = now + envelope + DATA_GO + body;
        self.reply_since = now;
    }

    /// No transaction is under way: waits are as long as they are.
    pub(crate) fn rest(&mut self) {
        self.over_at = Instant::NEVER;
    }

    /// Something has gone that will be answered.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.reply_since = now;
    }

    /// The end of data has gone: its reply is awaited whatever happens.
    pub(crate) fn ended(&mut self, now: Instant) {
        self.reply_since = now;
        self.over_at = Instant::NEVER;
    }

    /// Bytes have come.
    pub(crate) fn heard(&mut self, now: Instant, bytes: &[u8]) {
        if self.ends.take_in(bytes) {
            self.reply_since = now;
        }
    }

    /// Until when the next bytes of a reply may come, when the whole may take `within`.
    pub(crate) fn reply_by(&self, within: Duration) -> Instant {
        (self.reply_since + within).min(self.over_at)
    }

    /// Until when something may be sent that may take `within`.
    pub(crate) fn send_by(&self, now: Instant, within: Duration) -> Instant {
        (now + within).min(self.over_at)
    }
}

/// Finds where replies end (RFC 5321 §4.2.1): at the end of a line without a hyphen behind its
/// code.
#[derive(Debug, Default)]
struct ReplyEnds {
    /// Bytes of the line so far.
    column: usize,
    /// Whether the line says that more follow.
    goes_on: bool,
}

impl ReplyEnds {
    /// Takes in what came next; whether a reply has ended in it.
    fn take_in(&mut self, bytes: &[u8]) -> bool {
        let mut ended = false;
        for byte in bytes {
            if *byte == b'\n' {
                ended |= !self.goes_on;
                *self = Self::default();
                continue;
            }
            self.goes_on |= self.column == 3 && *byte == b'-';
            self.column += 1;
        }
        ended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_reply_ends_with_a_line_that_says_so_however_it_comes() {
        let text = b"250-a\r\n250-b-\r\n250 c\r\n";
        assert!(ReplyEnds::default().take_in(text));
        let mut ends = ReplyEnds::default();
        let ended: Vec<bool> = text.iter().map(|byte| ends.take_in(&[*byte])).collect();
        assert_eq!(ended.iter().position(|ended| *ended), Some(text.len() - 1));
        assert!(ReplyEnds::default().take_in(b"250\n"));
        assert!(!ReplyEnds::default().take_in(b"250-\n250"));
    }

    #[test]
    fn a_peer_that_trickles_gets_no_more_time_for_a_reply_than_others() {
        let options = Options::default();
        let mut watch = Watch::new(at(0), &options);
        watch.begin(at(100), 1, 1000, &options);
        watch.sent(at(100));
        for (second, byte) in (100..400).zip(b"250-".iter().chain(std::iter::repeat(&b'x'))) {
            watch.heard(at(second), &[*byte]);
            assert_eq!(watch.reply_by(Duration::from_secs(300)), at(400));
        }
        watch.heard(at(400), b"\n");
        assert_eq!(watch.reply_by(Duration::from_secs(300)), at(400));
        watch.heard(at(401), b"250 ok\r\n");
        assert_eq!(watch.reply_by(Duration::from_secs(300)), at(701));
    }

    #[test]
    fn all_waits_together_end_with_their_sum_but_not_the_last_reply() {
        let options = Options::default();
        let mut watch = Watch::new(at(0), &options);
        watch.begin(at(0), 2, 1 << 20, &options);
        // Four commands, sent and answered, 5 minutes each; 354 2; 18 blocks, 3 each.
        let sum = 4 * 2 * 300 + 120 + 18 * 180;
        watch.sent(at(sum - 10));
        assert_eq!(watch.reply_by(Duration::from_secs(300)), at(sum));
        assert_eq!(watch.send_by(at(sum - 10), Duration::from_secs(300)), at(sum));
        watch.ended(at(sum - 10));
        assert_eq!(watch.reply_by(Duration::from_secs(600)), at(sum + 590));
    }
}
