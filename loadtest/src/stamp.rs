//! What the source writes into each message, so that the sink can tell whether it came whole.

use reactor::Instant;
use std::io::Write;
use std::str::FromStr;

/// The largest message number: the sink keeps a bit for each.
pub const NUMBER_MAX: u64 = 1 << 30;

/// The header fields that number a message and seal its body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// Which run of a source.
    pub run: u64,
    /// Which message of the run, at most [`NUMBER_MAX`].
    pub number: u64,
    /// When it was sent, by the monotonic clock of this machine.
    pub sent: Instant,
    /// CRC32C of the body, from behind the empty line to its last CRLF.
    pub checksum: u32,
}

impl Stamp {
    /// Appends the four header fields.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let Self { run, number, sent, checksum } = self;
        write!(
            out,
            "X-Ringpost-Run: {run:016x}\r\nX-Ringpost-Message: {number}\r\n\
             X-Ringpost-Sent: {}\r\nX-Ringpost-Checksum: {checksum:08x}\r\n",
            sent.0
        )
        .expect("a vector takes everything");
    }

    /// Finds the fields in a header; `None` when one is missing or not as written.
    pub fn read(header: &[u8]) -> Option<Self> {
        let (mut run, mut number, mut sent, mut checksum) = (None, None, None, None);
        let mut rest = header;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let line = &rest[..end];
            rest = &rest[end + 1..];
            let Some(field) = line.strip_prefix(b"X-Ringpost-") else { continue };
            let (name, value) = std::str::from_utf8(field).ok()?.split_once(": ")?;
            let value = value.trim_end();
            match name {
                "Run" => run = u64::from_str_radix(value, 16).ok(),
                "Message" => number = u64::from_str(value).ok(),
                "Sent" => sent = u64::from_str(value).ok().map(Instant),
                "Checksum" => checksum = u32::from_str_radix(value, 16).ok(),
                _ => {}
            }
        }
        let number = number.filter(|number| *number <= NUMBER_MAX)?;
        Some(Self { run: run?, number, sent: sent?, checksum: checksum? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_among_other_fields() {
        let stamp = Stamp { run: 0xabc, number: 7, sent: Instant(99), checksum: 0xdead };
        let mut header = b"Received: from x\r\n\tby y\r\n".to_vec();
        stamp.write_to(&mut header);
        header.extend_from_slice(b"Subject: s\r\n\r\n");
        assert_eq!(Stamp::read(&header), Some(stamp));
    }

    #[test]
    fn a_header_that_lacks_a_field_has_no_stamp() {
        let stamp = Stamp { run: 1, number: 2, sent: Instant(3), checksum: 4 };
        let mut header = Vec::new();
        stamp.write_to(&mut header);
        let text = String::from_utf8(header).unwrap();
        for missing in ["Run", "Message", "Sent", "Checksum"] {
            let broken = text.replace(missing, "Other");
            assert_eq!(Stamp::read(broken.as_bytes()), None, "{missing}");
        }
    }
}
