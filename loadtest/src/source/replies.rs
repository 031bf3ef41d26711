//! Replies, counted by line.

use std::collections::VecDeque;
use std::fmt;

/// The longest reply line that is waited for, in bytes; RFC 5321 §4.5.3.1.5 says 512.
const LINE_MAX: usize = 4096;

/// A reply: its code, and the text if it refuses something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The code.
    pub(crate) code: u16,
    /// The last line, when the code is 400 or more; else empty.
    pub(crate) text: String,
}

impl Reply {
    /// 2yz.
    pub(crate) fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }
}

/// What the peer said is no reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NoReply(String);

impl fmt::Display for NoReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "no reply of SMTP: {:?}", self.0)
    }
}

/// Reads replies from bytes that come in any pieces.
#[derive(Default)]
pub(crate) struct Replies {
    /// The beginning of a line whose end has not come.
    partial: Vec<u8>,
    /// A line said PIPELINING (RFC 2920).
    pub(crate) pipelining: bool,
}

impl Replies {
    /// Takes bytes in; whole replies go to `into`.
    pub(crate) fn feed(&mut self, bytes: &[u8], into: &mut VecDeque<Reply>) -> Result<(), NoReply> {
        let mut rest = bytes;
        while let Some(end) = memchr::memchr(b'\n', rest) {
            let (line, behind) = rest.split_at(end + 1);
            rest = behind;
            if self.partial.is_empty() {
                self.line(line, into)?;
            } else {
                let mut whole = std::mem::take(&mut self.partial);
                whole.extend_from_slice(line);
                self.line(&whole, into)?;
            }
        }
        self.partial.extend_from_slice(rest);
        if self.partial.len() > LINE_MAX {
            return Err(NoReply(String::from_utf8_lossy(&self.partial[..80]).into_owned()));
        }
        Ok(())
    }

    /// RFC 5321 §4.2: three digits, then `-` on every line but the last.
    fn line(&mut self, line: &[u8], into: &mut VecDeque<Reply>) -> Result<(), NoReply> {
        let line = line.trim_ascii_end();
        let text = || String::from_utf8_lossy(line).into_owned();
        let code = line.get(..3).filter(|digits| digits.iter().all(u8::is_ascii_digit));
        let Some(code) = code else { return Err(NoReply(text())) };
        let code = code.iter().fold(0, |code, digit| code * 10 + u16::from(digit - b'0'));
        let keyword = line.get(4..).unwrap_or_default();
        self.pipelining |= keyword.eq_ignore_ascii_case(b"PIPELINING");
        if line.get(3) != Some(&b'-') {
            let text = if code >= 400 { text() } else { String::new() };
            into.push_back(Reply { code, text });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WIRE: &[u8] = b"220 x\r\n250-x\r\n250-PIPELINING\r\n250 SIZE\r\n354\r\n550 5.1.1 no\r\n";

    #[test]
    fn all_at_once_and_one_byte_at_a_time_agree() {
        let mut whole = VecDeque::new();
        let mut replies = Replies::default();
        replies.feed(WIRE, &mut whole).unwrap();
        assert!(replies.pipelining);
        let codes: Vec<u16> = whole.iter().map(|reply| reply.code).collect();
        assert_eq!(codes, [220, 250, 354, 550]);
        assert_eq!(whole[3].text, "550 5.1.1 no");
        let mut pieces = VecDeque::new();
        let mut replies = Replies::default();
        WIRE.chunks(1).for_each(|byte| replies.feed(byte, &mut pieces).unwrap());
        assert_eq!(pieces, whole);
    }

    #[test]
    fn what_is_no_reply_is_an_error() {
        let mut into = VecDeque::new();
        assert!(Replies::default().feed(b"hello\r\n", &mut into).is_err());
        assert!(Replies::default().feed(&[b'2'; 5000], &mut into).is_err());
    }
}
