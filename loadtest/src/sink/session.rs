//! One session of the sink: bytes in, replies out.

use super::body::BodyEnd;
use super::ledger::{Inspection, Ledger};
use super::rules::Refusal;
use crate::latency::Latency;
use rand::Rng;
use rand_pcg::Pcg64Mcg;
use reactor::Instant;

/// The longest command line, in bytes; RFC 5321 §4.5.3.1.4 says 512.
const LINE_MAX: usize = 8192;

/// What the sessions of a thread share.
pub(super) struct Desk {
    /// The reply to EHLO.
    pub(super) extensions: String,
    /// Recipients that are turned away.
    pub(super) refusals: Vec<Refusal>,
    /// The share of messages whose end of data gets no reply.
    pub(super) stall: f64,
    /// Chance from a seed.
    pub(super) chance: Pcg64Mcg,
}

impl Desk {
    /// Whether something of the share `share` happens now.
    fn happens(&mut self, share: f64) -> bool {
        share > 0.0 && (self.chance.next_u64() as f64) < share * (u64::MAX as f64)
    }
}

/// What came of some bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Fed {
    /// Messages that get their 250.
    pub(super) messages: u64,
    /// Their bytes.
    pub(super) bytes: u64,
    /// How the session goes on.
    pub(super) then: Then,
}

/// How a session goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Then {
    /// With the next bytes.
    #[default]
    Receive,
    /// Not at all: QUIT was said.
    Close,
    /// Not at all: the peer waits for a reply in vain.
    Stall,
}

/// Where verified messages are entered.
pub(super) struct Verifier<'a> {
    pub(super) ledger: &'a mut Ledger,
    pub(super) through: &'a mut Latency,
    pub(super) now: Instant,
}

/// A session. It checks nothing but that DATA has a recipient.
pub(super) struct Session {
    partial: Vec<u8>,
    recipients: u32,
    in_message: bool,
    body: BodyEnd,
    message_bytes: u64,
    inspection: Inspection,
}

impl Session {
    /// After the greeting.
    pub(super) fn new() -> Self {
        Self {
            partial: Vec::new(),
            recipients: 0,
            in_message: false,
            body: BodyEnd::new(),
            message_bytes: 0,
            inspection: Inspection::default(),
        }
    }

    /// Takes bytes in; replies are appended to `out`.
    pub(super) fn feed(
        &mut self,
        bytes: &[u8],
        desk: &mut Desk,
        mut verifier: Option<Verifier<'_>>,
        out: &mut Vec<u8>,
    ) -> Fed {
        let mut fed = Fed::default();
        let mut rest = bytes;
        while !rest.is_empty() && fed.then == Then::Receive {
            rest = if self.in_message {
                self.message(rest, desk, verifier.as_mut(), out, &mut fed)
            } else {
                self.command(rest, desk, out, &mut fed)
            };
        }
        fed
    }

    /// Takes bytes of a message; gives what is behind it.
    fn message<'a>(
        &mut self,
        bytes: &'a [u8],
        desk: &mut Desk,
        verifier: Option<&mut Verifier<'_>>,
        out: &mut Vec<u8>,
        fed: &mut Fed,
    ) -> &'a [u8] {
        let inspection = &mut self.inspection;
        let verifies = verifier.is_some();
        let message_bytes = &mut self.message_bytes;
        let end = self.body.feed(bytes, |content| {
            *message_bytes += content.len() as u64;
            if verifies {
                inspection.feed(content);
            }
        });
        let Some(end) = end else { return &[] };
        self.in_message = false;
        self.recipients = 0;
        self.body.restart();
        let size = std::mem::take(&mut self.message_bytes);
        let (stamp, checksum) = self.inspection.finish();
        if desk.happens(desk.stall) {
            fed.then = Then::Stall;
            return &[];
        }
        if let Some(verifier) = verifier {
            verifier.ledger.enter(stamp.as_ref(), checksum);
            if let Some(stamp) = stamp {
                verifier.through.record(verifier.now.since(stamp.sent));
            }
        }
        fed.messages += 1;
        fed.bytes += size;
        out.extend_from_slice(b"250 2.0.0 Ok\r\n");
        &bytes[end..]
    }

    /// Takes one command line, or its beginning; gives what is behind it.
    fn command<'a>(
        &mut self,
        bytes: &'a [u8],
        desk: &mut Desk,
        out: &mut Vec<u8>,
        fed: &mut Fed,
    ) -> &'a [u8] {
        let Some(end) = memchr::memchr(b'\n', bytes) else {
            self.partial.extend_from_slice(bytes);
            if self.partial.len() > LINE_MAX {
                out.extend_from_slice(b"500 5.5.2 Line too long\r\n");
                fed.then = Then::Close;
            }
            return &[];
        };
        let (line, rest) = bytes.split_at(end + 1);
        if self.partial.is_empty() {
            fed.then = self.answer(line, desk, out);
        } else {
            self.partial.extend_from_slice(line);
            let whole = std::mem::take(&mut self.partial);
            fed.then = self.answer(&whole, desk, out);
        }
        rest
    }

    fn answer(&mut self, line: &[u8], desk: &mut Desk, out: &mut Vec<u8>) -> Then {
        let mut verb = [0; 4];
        let length = line.len().min(4);
        verb[..length].copy_from_slice(&line[..length]);
        verb.make_ascii_uppercase();
        let reply: &[u8] = match &verb {
            b"MAIL" | b"RSET" => {
                self.recipients = 0;
                b"250 2.0.0 Ok\r\n"
            }
            b"RCPT" => return self.recipient(desk, out),
            b"DATA" if self.recipients == 0 => b"554 5.5.1 No valid recipients\r\n",
            b"DATA" => {
                self.in_message = true;
                b"354 Go on\r\n"
            }
            b"EHLO" => desk.extensions.as_bytes(),
            b"HELO" => b"250 sink.ringpost.test\r\n",
            b"NOOP" => b"250 2.0.0 Ok\r\n",
            b"QUIT" => {
                out.extend_from_slice(b"221 2.0.0 Bye\r\n");
                return Then::Close;
            }
            _ => b"500 5.5.2 What?\r\n",
        };
        out.extend_from_slice(reply);
        Then::Receive
    }

    fn recipient(&mut self, desk: &mut Desk, out: &mut Vec<u8>) -> Then {
        for number in 0..desk.refusals.len() {
            if desk.happens(desk.refusals[number].share) {
                out.extend_from_slice(desk.refusals[number].reply.as_bytes());
                out.extend_from_slice(b"\r\n");
                return Then::Receive;
            }
        }
        self.recipients += 1;
        out.extend_from_slice(b"250 2.1.5 Ok\r\n");
        Then::Receive
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn desk(refusals: &[(f64, &str)], stall: f64) -> Desk {
        let refusals = refusals
            .iter()
            .map(|(share, reply)| Refusal { share: *share, reply: (*reply).to_owned() });
        Desk {
            extensions: "250 sink\r\n".into(),
            refusals: refusals.collect(),
            stall,
            chance: Pcg64Mcg::new(1),
        }
    }

    const WIRE: &[u8] =
        b"EHLO x\r\nmail FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nS: x\r\n\r\nbody\r\n\
        .\r\nMAIL FROM:<a@b>\r\nDATA\r\nRSET\r\nQUIT\r\n";

    #[test]
    fn all_at_once_and_one_byte_at_a_time_agree() {
        for step in 1..=WIRE.len() {
            let (mut session, mut desk) = (Session::new(), desk(&[], 0.0));
            let mut out = Vec::new();
            let mut then = Then::Receive;
            let (mut messages, mut bytes) = (0, 0);
            for piece in WIRE.chunks(step) {
                let fed = session.feed(piece, &mut desk, None, &mut out);
                messages += fed.messages;
                bytes += fed.bytes;
                then = fed.then;
            }
            assert_eq!((messages, bytes, then), (1, 14, Then::Close), "by {step}");
            let codes: Vec<&str> =
                std::str::from_utf8(&out).unwrap().lines().map(|line| &line[..3]).collect();
            assert_eq!(codes, ["250", "250", "250", "354", "250", "250", "554", "250", "221"]);
        }
    }

    #[test]
    fn a_refused_recipient_leaves_nothing_to_send_to() {
        let mut out = Vec::new();
        let mut desk = desk(&[(1.0, "450 4.2.0 later")], 0.0);
        let fed = Session::new().feed(b"RCPT TO:<c@d>\r\nDATA\r\n", &mut desk, None, &mut out);
        assert_eq!(fed.messages, 0);
        assert!(out.starts_with(b"450 4.2.0 later\r\n554 "), "{out:?}");
    }

    #[test]
    fn a_stalled_message_gets_no_reply_and_does_not_count() {
        let mut out = Vec::new();
        let mut desk = desk(&[], 1.0);
        let wire = b"RCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n";
        let fed = Session::new().feed(wire, &mut desk, None, &mut out);
        assert_eq!(fed, Fed { messages: 0, bytes: 0, then: Then::Stall });
        assert!(out.ends_with(b"354 Go on\r\n"), "{out:?}");
    }
}
