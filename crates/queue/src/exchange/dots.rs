//! Dot-stuffing (RFC 5321 §4.5.2) taken away and put back, piece by piece. Pure.

/// Takes the stuffed dots away.
#[derive(Debug)]
pub(crate) struct Plain {
    at_line_start: bool,
}

/// Puts them back, and refuses what must not be in a message.
#[derive(Debug)]
pub(super) struct Stuffed {
    last: u8,
    line: u64,
    /// Lines that have got a dot.
    pub(super) stuffed_lines: u64,
}

impl Plain {
    pub(crate) fn new() -> Self {
        Self { at_line_start: true }
    }

    /// `bytes`, which follow those of the last call, without stuffed dots.
    pub(crate) fn take(&mut self, bytes: &[u8], plain: &mut Vec<u8>) {
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            let stuffed = self.at_line_start && line[0] == b'.';
            plain.extend_from_slice(&line[usize::from(stuffed)..]);
            self.at_line_start = line.ends_with(b"\n");
        }
    }
}

impl Stuffed {
    pub(super) fn new() -> Self {
        Self { last: b'\n', line: 1, stuffed_lines: 0 }
    }

    /// `bytes`, which follow those of the last call, in wire form.
    ///
    /// # Errors
    /// A NUL, a bare CR or a bare LF: no byte sequence may be one message here and two downstream.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<Vec<u8>, String> {
        let mut wire = Vec::with_capacity(bytes.len() + 16);
        for &byte in bytes {
            let wrong = match byte {
                0 => Some("has a NUL"),
                b'\n' if self.last != b'\r' => Some("ends with LF alone, not with CRLF"),
                _ if self.last == b'\r' && byte != b'\n' => Some("has a CR without LF"),
                _ => None,
            };
            if let Some(wrong) = wrong {
                return Err(format!("line {} {wrong}", self.line));
            }
            if byte == b'.' && self.last == b'\n' {
                wire.push(b'.');
                self.stuffed_lines += 1;
            }
            wire.push(byte);
            self.last = byte;
            self.line += u64::from(byte == b'\n');
        }
        Ok(wire)
    }

    /// What is missing at the end: the last line has its CRLF.
    ///
    /// # Errors
    /// A bare CR.
    pub(super) fn end(&self) -> Result<&'static [u8], String> {
        match self.last {
            b'\n' => Ok(b""),
            b'\r' => Err(format!("line {} has a CR without LF", self.line)),
            _ => Ok(b"\r\n"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn stuff(pieces: &[&[u8]]) -> Result<(Vec<u8>, u64), String> {
        let mut stuffed = Stuffed::new();
        let mut wire = Vec::new();
        for piece in pieces {
            wire.extend(stuffed.take(piece)?);
        }
        wire.extend_from_slice(stuffed.end()?);
        Ok((wire, stuffed.stuffed_lines))
    }

    fn unstuff(pieces: &[&[u8]]) -> Vec<u8> {
        let (mut plain, mut bytes) = (Plain::new(), Vec::new());
        pieces.iter().for_each(|piece| plain.take(piece, &mut bytes));
        bytes
    }

    #[test]
    fn dots_at_the_beginning_of_lines_are_doubled_and_halved() {
        let (wire, lines) = stuff(&[b".a\r\nb.\r\n..\r\n\r\n.\r\n"]).expect("good");
        assert_eq!(wire, b"..a\r\nb.\r\n...\r\n\r\n..\r\n");
        assert_eq!(lines, 3);
        assert_eq!(unstuff(&[&wire]), b".a\r\nb.\r\n..\r\n\r\n.\r\n");
    }

    #[test]
    fn what_must_not_be_in_a_message_is_refused_with_its_line() {
        for (bytes, word) in [
            (&b"a\r\nb\nc\r\n"[..], "line 2 ends with LF alone"),
            (b"a\rb\r\n", "line 1 has a CR"),
            (b"a\r\n\r\nb\0\r\n", "line 3 has a NUL"),
            (b"a\r", "line 1 has a CR"),
            (b"\n.\r\n", "line 1 ends with LF"),
        ] {
            let why = stuff(&[bytes]).expect_err(word);
            assert!(why.contains(word), "{why}");
        }
    }

    #[test]
    fn the_last_line_gets_its_end() {
        assert_eq!(stuff(&[b"a\r\nb"]).expect("good").0, b"a\r\nb\r\n");
        assert_eq!(stuff(&[]).expect("good").0, b"");
    }

    proptest! {
        #[test]
        fn what_is_stuffed_and_unstuffed_is_the_same_wherever_it_is_cut(
            lines in prop::collection::vec("[.a]{0,3}", 0..8),
            first in 0..20_usize,
            second in 0..20_usize,
        ) {
            let text: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
            let bytes = text.as_bytes();
            let cut = first.min(bytes.len());
            let (wire, stuffed) = stuff(&[&bytes[..cut], &bytes[cut..]]).expect("good");
            let dots = lines.iter().filter(|line| line.starts_with('.')).count() as u64;
            prop_assert_eq!(stuffed, dots);
            prop_assert_eq!(wire.len() as u64, bytes.len() as u64 + dots);
            let cut = second.min(wire.len());
            prop_assert_eq!(unstuff(&[&wire[..cut], &wire[cut..]]), bytes);
        }
    }
}
