//! Message ids.

use std::fmt;
use std::str::FromStr;

/// Names one accepted message for ever: 16 characters of `[0-9a-z]`, never reused.
///
/// It packs which log accepted the message (10 bits), how often that log had been started (28
/// bits) and a count within that start (44 bits). The start count is durable before the first id
/// of a start is given out, so a crash cannot repeat one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageId {
    start: u32,
    log: u16,
    sequence: u64,
}

impl MessageId {
    /// Logs are numbered below this.
    pub const LOGS: u16 = 1 << 10;
    /// Starts of one log are numbered below this.
    pub const STARTS: u32 = 1 << 28;
    /// Messages of one start are numbered below this.
    pub const SEQUENCES: u64 = 1 << 44;

    /// The id of message `sequence` of the `start`th start of `log`. Panics outside the bounds.
    pub fn new(log: u16, start: u32, sequence: u64) -> Self {
        assert!(log < Self::LOGS && start < Self::STARTS && sequence < Self::SEQUENCES);
        Self { start, log, sequence }
    }

    /// The log that accepted the message.
    pub fn log(self) -> u16 {
        self.log
    }

    /// The start count of that log at the time.
    pub fn start(self) -> u32 {
        self.start
    }

    /// The count within that start.
    pub fn sequence(self) -> u64 {
        self.sequence
    }

    /// The id as one number, for the spool: `log << 72 | start << 44 | sequence`.
    pub fn to_bits(self) -> u128 {
        u128::from(self.log) << 72 | u128::from(self.start) << 44 | u128::from(self.sequence)
    }

    /// The inverse of [`to_bits`](Self::to_bits); `None` when a bit above the 82nd is set.
    pub fn from_bits(bits: u128) -> Option<Self> {
        if bits >> 82 != 0 {
            return None;
        }
        Some(Self {
            log: (bits >> 72) as u16,
            start: (bits >> 44) as u32 & (Self::STARTS - 1),
            sequence: bits as u64 & (Self::SEQUENCES - 1),
        })
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
        let mut text = [b'0'; 16];
        let mut rest = self.to_bits();
        for digit in text.iter_mut().rev() {
            *digit = DIGITS[(rest % 36) as usize];
            rest /= 36;
        }
        f.write_str(std::str::from_utf8(&text).expect("base 36 is ASCII"))
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A text that is no message id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAnId;

impl fmt::Display for NotAnId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a message id is 16 characters of 0-9 and a-z")
    }
}

impl FromStr for MessageId {
    type Err = NotAnId;

    fn from_str(text: &str) -> Result<Self, NotAnId> {
        if text.len() != 16 {
            return Err(NotAnId);
        }
        let mut bits = 0u128;
        for byte in text.bytes() {
            let digit = match byte {
                b'0'..=b'9' => byte - b'0',
                b'a'..=b'z' => byte - b'a' + 10,
                _ => return Err(NotAnId),
            };
            bits = bits * 36 + u128::from(digit);
        }
        Self::from_bits(bits).ok_or(NotAnId)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_its_text_and_its_bits() {
        for id in [
            MessageId::new(0, 0, 0),
            MessageId::new(7, 12, 345),
            MessageId::new(MessageId::LOGS - 1, MessageId::STARTS - 1, MessageId::SEQUENCES - 1),
        ] {
            assert_eq!(id.to_string().len(), 16);
            assert_eq!(id.to_string().parse(), Ok(id));
            assert_eq!(MessageId::from_bits(id.to_bits()), Some(id));
        }
        assert_eq!("zzzzzzzzzzzzzzzz".parse::<MessageId>(), Err(NotAnId));
        assert_eq!("short".parse::<MessageId>(), Err(NotAnId));
    }
}
