//! The ends of command and reply lines.

/// A line at the beginning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// Bytes of the line without its end.
    pub length: usize,
    /// Bytes of the line with its end.
    pub consumed: usize,
    /// Whether it ends with CRLF; otherwise a bare LF ended it.
    pub proper: bool,
}

/// The first line of `bytes`, or `None` when no LF has come yet.
///
/// A CR that no LF follows is a byte of the line like any other: whoever reads the line refuses it.
pub fn first_line(bytes: &[u8]) -> Option<Line> {
    let newline = memchr::memchr(b'\n', bytes)?;
    let proper = newline > 0 && bytes[newline - 1] == b'\r';
    Some(Line { length: newline - usize::from(proper), consumed: newline + 1, proper })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_ends_at_its_first_newline() {
        let line = |length, consumed, proper| Some(Line { length, consumed, proper });
        assert_eq!(first_line(b"QUIT\r\nQUIT\r\n"), line(4, 6, true));
        assert_eq!(first_line(b"QUIT\nx\r\n"), line(4, 5, false));
        assert_eq!(first_line(b"\r\n"), line(0, 2, true));
        assert_eq!(first_line(b"\n"), line(0, 1, false));
        assert_eq!(first_line(b"a\rb\r\r\n"), line(4, 6, true));
        assert_eq!(first_line(b"QUIT\r"), None);
        assert_eq!(first_line(b""), None);
    }
}
