//! Reports of failure to the sender (RFC 3464), in one record with the outcomes that they report.

use crate::schedule::MessageKey;
use crate::settle::Failed;
use crate::spool::{Change, NewMessage};
use crate::{Body, Queue};
use mail::{
    BodyKind, Envelope, Event, EventKind, FailedRecipient, FailureReport, Field, ForwardPath,
    MessageId, Origin, Protocol, ReversePath, UnixTime,
};

/// Bytes of a record that are left for everything but the original and the recipients.
const FIXED_BYTES: usize = 8 << 10;

/// The original, as far as it is returned.
struct Returned {
    envelope: Envelope,
    /// Without dot-stuffing.
    bytes: Vec<u8>,
    whole: bool,
}

impl Queue {
    /// Composes a report to the sender of a message and records it with the failures; the message
    /// stays as it is on disk until both are durable.
    pub(crate) fn report(&self, message: MessageKey, failed: Vec<Failed>) {
        let queue = self.clone();
        self.shared.reports.set(self.shared.reports.get() + 1);
        self.shared.reactor.spawn(async move {
            queue.write_reports(message, failed).await;
            queue.shared.reports.set(queue.shared.reports.get() - 1);
            queue.shared.reported.notify_all();
        });
    }

    /// One report, or several when they would not fit into one record.
    async fn write_reports(&self, message: MessageKey, failed: Vec<Failed>) {
        let (id, record_bytes_max) = {
            let id = self.shared.books.borrow().kept(message).id;
            (id, self.log_of(id).record_bytes_max())
        };
        let returned = self.returned(message, record_bytes_max / 4).await;
        // Stuffing at most doubles what is returned.
        let room = record_bytes_max.saturating_sub(FIXED_BYTES + 2 * returned.bytes.len());
        for group in groups(failed, room) {
            self.write_report(message, id, &returned, group).await;
        }
    }

    async fn write_report(
        &self,
        message: MessageKey,
        failed_id: MessageId,
        returned: &Returned,
        failed: Vec<Failed>,
    ) {
        let now = self.unix_time();
        let id = self.log_of(failed_id).next_id();
        let changes: Vec<(u32, Change)> =
            failed.iter().map(|(recipient, _)| (*recipient, Change::Bounced)).collect();
        let failed: Vec<FailedRecipient> = failed.into_iter().map(|(_, failed)| failed).collect();
        let composed = mail::compose_failure(&FailureReport {
            hostname: &self.shared.options.hostname,
            envelope: &returned.envelope,
            id,
            failed_id,
            failed: &failed,
            returned: &returned.bytes,
            whole: returned.whole,
            now,
        });
        let envelope = envelope_of_report(&returned.envelope.reverse_path, &composed, now);
        let (wire, stuffed_lines) = stuff(&composed);
        let report = NewMessage {
            id,
            envelope: &envelope,
            header: &wire,
            chunks: &[],
            body: &[],
            stuffed_lines,
            accepted: now,
            standings: &[],
        };
        let commit = if reactor::mutated("dsn-in-own-record") {
            drop(self.append(message, &changes, None));
            let log = self.log_of(failed_id).clone();
            log.drain().await;
            log.append_message(&report)
        } else {
            self.append(message, &changes, Some(&report))
        };
        // A failed log ends the process, and the next one tries the recipients again.
        let Ok(stored) = commit.stored().await else { return };
        self.shared.dsn_sent.set(self.shared.dsn_sent.get() + 1);
        let event = Event::new(EventKind::DsnSent).id(id);
        self.shared.journal.record(
            event
                .text(Field::To, format!("<{}>", returned.envelope.reverse_path))
                .number(Field::Recipients, failed.len() as u64)
                .text(Field::Reason, format!("reports the failure of {failed_id}")),
        );
        self.insert(id, now, &envelope, &[], stored);
    }

    /// Reads what is returned of a message. What the disk does not give is left out.
    async fn returned(&self, message: MessageKey, bytes_max: usize) -> Returned {
        let spare = {
            let books = self.shared.books.borrow();
            books.kept(message).envelope(books.schedule.accepted(message))
        };
        let nothing = |envelope| Returned { envelope, bytes: Vec::new(), whole: false };
        let Ok(mut loaded) = self.load_message(message).await else { return nothing(spare) };
        let limit = self.shared.options.return_bytes.min(bytes_max as u64);
        let envelope = (*loaded.envelope).clone();
        if loaded.bytes <= limit
            && let Some(bytes) = read_whole(&mut loaded.body).await
        {
            return Returned { envelope, bytes, whole: true };
        }
        // Again from the beginning: what was read of it may be damaged further down.
        let Ok(mut loaded) = self.load_message(message).await else { return nothing(envelope) };
        let bytes = read_header(&mut loaded.body, bytes_max).await;
        Returned { envelope, bytes, whole: false }
    }
}

/// All of a message without dot-stuffing; `None` when it cannot be read.
async fn read_whole(body: &mut Body) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while let Some(parts) = body.next().await.ok()? {
        parts.iter().for_each(|part| bytes.extend_from_slice(part.as_slice()));
    }
    Some(unstuff(&bytes))
}

/// The header section of a message without dot-stuffing: as much as can be read, whole lines, at
/// most `limit` bytes.
pub(crate) async fn read_header(body: &mut Body, limit: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while bytes.len() <= limit && header_end(&bytes).is_none() {
        // What came before an error is good: each piece is checked by itself.
        let Ok(Some(parts)) = body.next().await else { break };
        parts.iter().for_each(|part| bytes.extend_from_slice(part.as_slice()));
    }
    bytes.truncate(header_end(&bytes).unwrap_or(bytes.len()));
    cut_at_line(&mut bytes, limit);
    unstuff(&bytes)
}

/// Splits failures so that each report stays within `room` bytes, but has one at least.
fn groups(failed: Vec<Failed>, room: usize) -> Vec<Vec<Failed>> {
    /// Field names and dates around each recipient.
    const AROUND: usize = 512;
    /// A report cuts each text after 900 bytes and a character.
    const TEXT_MAX: usize = 912;
    let mut groups: Vec<Vec<Failed>> = Vec::new();
    let mut left = 0;
    for one in failed {
        let reason = one.1.reason.to_string().len().min(TEXT_MAX);
        let host = one.1.host.as_ref().map_or(0, |host| host.len().min(TEXT_MAX));
        let cost = AROUND + 2 * reason + host + 2 * one.1.recipient.to_string().len();
        match groups.last_mut() {
            Some(group) if cost <= left => group.push(one),
            Some(_) | None => {
                left = room;
                groups.push(vec![one]);
            }
        }
        left = left.saturating_sub(cost);
    }
    groups
}

fn envelope_of_report(to: &ReversePath, composed: &[u8], now: UnixTime) -> Envelope {
    let recipient = match to {
        ReversePath::Mailbox(mailbox) => ForwardPath::Mailbox(mailbox.clone()),
        ReversePath::Null => panic!("a report to nobody"),
    };
    let body = if composed.is_ascii() { BodyKind::SevenBit } else { BodyKind::EightBitMime };
    Envelope {
        reverse_path: ReversePath::Null,
        recipients: vec![recipient],
        body,
        utf8: false,
        request: None,
        origin: Origin {
            client: None,
            hello: "".into(),
            listener: "".into(),
            rule: "dsn".into(),
            protocol: Protocol::Local,
            arrived: now,
            ..Origin::default()
        },
    }
}

/// Where the header section ends: behind its last line, before the empty one.
fn header_end(bytes: &[u8]) -> Option<usize> {
    if bytes.starts_with(b"\r\n") {
        return Some(0);
    }
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 2)
}

/// Cuts after the last whole line within `limit` bytes.
fn cut_at_line(bytes: &mut Vec<u8>, limit: usize) {
    if bytes.len() > limit {
        let end = bytes[..limit].windows(2).rposition(|two| two == b"\r\n").map_or(0, |at| at + 2);
        bytes.truncate(end);
    }
}

/// Doubles the dot at the beginning of each line that has one (RFC 5321 §4.5.2), and counts them.
fn stuff(bytes: &[u8]) -> (Vec<u8>, u64) {
    let mut stuffed = Vec::with_capacity(bytes.len() + 16);
    let mut lines = 0;
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        if line.first() == Some(&b'.') {
            stuffed.push(b'.');
            lines += 1;
        }
        stuffed.extend_from_slice(line);
    }
    (stuffed, lines)
}

/// The inverse of [`stuff`].
fn unstuff(bytes: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(bytes.len());
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        plain.extend_from_slice(line.strip_prefix(b".").unwrap_or(line));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::Reason;

    #[test]
    fn stuffing_doubles_leading_dots_and_unstuffing_takes_them_away() {
        let plain = b".a\r\nb.\r\n..\r\n\r\n.\r\n";
        let (stuffed, lines) = stuff(plain);
        assert_eq!(stuffed, b"..a\r\nb.\r\n...\r\n\r\n..\r\n");
        assert_eq!(lines, 3);
        assert_eq!(unstuff(&stuffed), plain);
    }

    #[test]
    fn the_header_section_ends_before_the_empty_line() {
        assert_eq!(header_end(b"A: b\r\nC: d\r\n\r\nbody"), Some(12));
        assert_eq!(header_end(b"\r\nbody"), Some(0));
        assert_eq!(header_end(b"A: b\r\n"), None);
    }

    #[test]
    fn a_cut_leaves_whole_lines() {
        let mut bytes = b"A: b\r\nC: d\r\n".to_vec();
        cut_at_line(&mut bytes, 8);
        assert_eq!(bytes, b"A: b\r\n");
    }

    #[test]
    fn failures_that_do_not_fit_into_one_record_are_reported_in_several() {
        let failed = |index| {
            let one = FailedRecipient {
                recipient: ForwardPath::Postmaster,
                reason: Reason::Network("x".repeat(10_000)),
                host: None,
                last_attempt: UnixTime(0),
            };
            (index, one)
        };
        let groups = groups((0..10).map(failed).collect(), 8000);
        let sizes: Vec<usize> = groups.iter().map(Vec::len).collect();
        assert_eq!(sizes, [3, 3, 3, 1]);
    }
}
