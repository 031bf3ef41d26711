//! The bytes of a transaction.

use super::Options;
use super::body::Bodies;
use crate::stamp::Stamp;
use reactor::{Instant, Part};
use std::io::Write;

/// Writes envelopes and messages of one run into reused memory.
pub(super) struct Letters {
    run: u64,
    from: String,
    /// The forward-path around the message number, if it has a `%d`.
    to: (String, Option<String>),
    recipients: usize,
    /// `From`, `Subject` and `Date` of all messages.
    header: Vec<u8>,
    bodies: Bodies,
}

impl Letters {
    /// The letters that `options` ask for, of the run `run`; `date` is RFC 5322's.
    pub(super) fn new(options: &Options, run: u64, date: &str) -> Self {
        let header = format!(
            "From: <{}>\r\nTo: undisclosed-recipients:;\r\nSubject: load\r\nDate: {date}\r\n",
            options.from
        );
        let to = match options.to.split_once("%d") {
            Some((before, after)) => (before.to_owned(), Some(after.to_owned())),
            None => (options.to.clone(), None),
        };
        Self {
            run,
            from: options.from.clone(),
            to,
            recipients: options.recipients,
            header: header.into_bytes(),
            bodies: Bodies::new(options.size),
        }
    }

    /// How many RCPT commands an envelope has.
    pub(super) fn recipients(&self) -> usize {
        self.recipients
    }

    /// Appends the MAIL command.
    pub(super) fn mail(&self, out: &mut Vec<u8>) {
        for piece in ["MAIL FROM:<", &self.from, ">\r\n"] {
            out.extend_from_slice(piece.as_bytes());
        }
    }

    /// Appends the RCPT command of one recipient; all but the first have `+INDEX` in their
    /// local-part.
    pub(super) fn recipient(&self, number: u64, index: usize, out: &mut Vec<u8>) {
        out.extend_from_slice(b"RCPT TO:<");
        let path = out.len();
        out.extend_from_slice(self.to.0.as_bytes());
        if let Some(after) = &self.to.1 {
            write!(out, "{number}{after}").expect("a vector takes everything");
        }
        if index > 0 {
            let at = out[path..].iter().position(|byte| *byte == b'@').map(|at| path + at);
            let at = at.unwrap_or(out.len());
            out.splice(at..at, format!("+{index}").into_bytes());
        }
        out.extend_from_slice(b">\r\n");
    }

    /// Appends MAIL, all RCPTs and DATA (RFC 2920 §3.1: DATA is the last of its group).
    pub(super) fn envelope(&self, number: u64, out: &mut Vec<u8>) {
        self.mail(out);
        (0..self.recipients).for_each(|index| self.recipient(number, index, out));
        out.extend_from_slice(b"DATA\r\n");
    }

    /// The message `number` with its end of data, and the envelope of the message `next` behind it.
    /// `spare` is memory to reuse: what [`compose`](Self::compose) gave before.
    pub(super) fn compose(
        &self,
        number: u64,
        sent: Instant,
        next: Option<u64>,
        mut spare: Vec<Part>,
    ) -> Vec<Part> {
        let mut buffers = spare.drain(..).filter_map(|part| match part {
            Part::Bytes(mut bytes) => {
                bytes.clear();
                Some(bytes)
            }
            Part::Slice(_) | Part::Fixed(_) => None,
        });
        let mut head = buffers.next().unwrap_or_default();
        let mut rest = buffers.next().unwrap_or_default();
        drop(buffers);
        let checksum = self.bodies.checksum(number);
        head.extend_from_slice(&self.header);
        write!(head, "Message-ID: <{number}.{:x}@load.ringpost.test>\r\n", self.run)
            .expect("a vector takes everything");
        Stamp { run: self.run, number, sent, checksum }.write_to(&mut head);
        head.extend_from_slice(b"\r\n");
        rest.extend_from_slice(self.bodies.tail());
        rest.extend_from_slice(b".\r\n");
        if let Some(next) = next {
            self.envelope(next, &mut rest);
        }
        spare.extend([
            Part::Bytes(head),
            Part::Slice(self.bodies.lines(number)),
            Part::Bytes(rest),
        ]);
        spare
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(to: &str, recipients: usize) -> Letters {
        let options =
            Options { to: to.into(), recipients, ..Options::to("127.0.0.1:1".parse().unwrap()) };
        Letters::new(&options, 1, "Thu, 1 Jan 1970 00:00:00 +0000")
    }

    #[test]
    fn every_recipient_has_an_address_of_its_own() {
        let mut out = Vec::new();
        letters("u%d@d.test", 2).envelope(7, &mut out);
        let text = String::from_utf8(out).unwrap();
        assert!(
            text.ends_with("RCPT TO:<u7@d.test>\r\nRCPT TO:<u7+1@d.test>\r\nDATA\r\n"),
            "{text}"
        );
        let mut out = Vec::new();
        letters("u@d.test", 1).envelope(7, &mut out);
        assert!(out.ends_with(b"RCPT TO:<u@d.test>\r\nDATA\r\n"));
    }

    #[test]
    fn a_message_composed_in_used_memory_is_the_same() {
        let letters = letters("u@d.test", 1);
        let bytes = |parts: &[Part]| -> Vec<u8> {
            parts.iter().flat_map(|part| part.as_slice().to_vec()).collect()
        };
        let fresh = letters.compose(3, Instant(1), Some(4), Vec::new());
        let used = letters.compose(9, Instant(1), None, Vec::new());
        let again = letters.compose(3, Instant(1), Some(4), used);
        assert_eq!(bytes(&fresh), bytes(&again));
        assert!(bytes(&fresh).windows(5).any(|five| five == b"\r\n.\r\n"));
    }
}
