//! SMTP replies and enhanced status codes.

use std::borrow::Cow;
use std::fmt;

/// An enhanced status code (RFC 3463): class, subject, detail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct EnhancedStatus(pub u8, pub u16, pub u16);

impl fmt::Display for EnhancedStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl EnhancedStatus {
    /// Reads `4.2.2` at the beginning of `text`; `None` when there is none (RFC 2034 §4).
    pub fn parse_prefix(text: &str) -> Option<(Self, &str)> {
        let end = text.find(' ').unwrap_or(text.len());
        let mut parts = text[..end].split('.');
        let class = parts.next()?.parse().ok().filter(|c| [2, 4, 5].contains(c))?;
        let subject = parts.next()?.parse().ok().filter(|s| *s < 1000)?;
        let detail = parts.next()?.parse().ok().filter(|d| *d < 1000)?;
        if parts.next().is_some() {
            return None;
        }
        Some((Self(class, subject, detail), text[end..].trim_start_matches(' ')))
    }
}

/// A reply as RFC 5321 §4.2 has it: a code, perhaps an enhanced status, and text.
///
/// Lines of a multi-line reply are separated by `\n` in `text`; the enhanced status is not in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Three digits, 200 to 599.
    pub code: u16,
    /// The enhanced status, where the reply has one.
    pub status: Option<EnhancedStatus>,
    /// The text, lines separated by `\n`; no CR, no control bytes.
    pub text: Cow<'static, str>,
}

impl Reply {
    /// A reply of the catalogue.
    pub const fn fixed(code: u16, status: EnhancedStatus, text: &'static str) -> Self {
        Self { code, status: Some(status), text: Cow::Borrowed(text) }
    }

    /// A reply without an enhanced status (greeting, EHLO, 354).
    pub const fn plain(code: u16, text: Cow<'static, str>) -> Self {
        Self { code, status: None, text }
    }

    /// 2yz: done.
    pub fn is_positive(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4yz: not now.
    pub fn is_transient(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5yz: never.
    pub fn is_permanent(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced status, or the general one of its class (RFC 3463 §2: x.0.0).
    pub fn status_or_class(&self) -> EnhancedStatus {
        self.status.unwrap_or(EnhancedStatus((self.code / 100) as u8, 0, 0))
    }

    /// Appends the reply in wire form: `250-…CRLF` for all lines but the last.
    pub fn write_to(&self, out: &mut Vec<u8>) {
        let mut lines = self.text.split('\n').peekable();
        while let Some(line) = lines.next() {
            let mark = if lines.peek().is_some() { b'-' } else { b' ' };
            out.extend_from_slice(&[
                b'0' + (self.code / 100) as u8,
                b'0' + (self.code / 10 % 10) as u8,
                b'0' + (self.code % 10) as u8,
                mark,
            ]);
            if let Some(status) = self.status {
                out.extend_from_slice(status.to_string().as_bytes());
                out.push(b' ');
            }
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

/// The reply on one line, as log and `explain` show it: `250 2.0.0 Ok`.
impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.code)?;
        if let Some(status) = self.status {
            write!(f, " {status}")?;
        }
        if !self.text.is_empty() {
            write!(f, " {}", self.text.replace('\n', " / "))?;
        }
        Ok(())
    }
}
