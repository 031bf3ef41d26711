//! The end of a message, found in bytes that come in any pieces.

use memchr::memmem::Finder;

/// What ends a message (RFC 5321 §4.1.1.4).
const TERMINATOR: &[u8; 5] = b"\r\n.\r\n";

/// Looks for the end of one message.
pub(super) struct BodyEnd {
    finder: Finder<'static>,
    /// How much of the terminator the bytes so far end with; these are held back.
    matched: usize,
    /// Of those, how many never came: the CRLF of the DATA command counts as the first of the
    /// terminator, so that a message may be empty.
    borrowed: usize,
}

impl BodyEnd {
    /// At the beginning of a message.
    pub(super) fn new() -> Self {
        Self { finder: Finder::new(TERMINATOR), matched: 2, borrowed: 2 }
    }

    /// At the beginning of the next message.
    pub(super) fn restart(&mut self) {
        self.matched = 2;
        self.borrowed = 2;
    }

    /// Takes bytes; what belongs to the message goes to `content`, in order. Once the terminator
    /// has come, gives how many of `bytes` it and what is before it take.
    pub(super) fn feed(&mut self, bytes: &[u8], mut content: impl FnMut(&[u8])) -> Option<usize> {
        let mut at = 0;
        // The seam: as long as bytes are held back, one at a time.
        while self.matched > 0 && at < bytes.len() {
            let byte = bytes[at];
            at += 1;
            if byte == TERMINATOR[self.matched] {
                self.matched += 1;
                if self.matched < TERMINATOR.len() {
                    continue;
                }
                content(&TERMINATOR[self.borrowed..2]);
                return Some(at);
            }
            content(&TERMINATOR[self.borrowed..self.matched]);
            self.borrowed = 0;
            // No end of the terminator is also its beginning, but for a CR.
            self.matched = usize::from(byte == TERMINATOR[0]);
            if self.matched == 0 {
                content(&[byte]);
            }
        }
        let rest = &bytes[at..];
        if rest.is_empty() {
            return None;
        }
        if let Some(found) = self.finder.find(rest) {
            content(&rest[..found + 2]);
            return Some(at + found + TERMINATOR.len());
        }
        self.matched = held_back(rest);
        content(&rest[..rest.len() - self.matched]);
        None
    }
}

/// How many bytes at the end of `bytes` may be the beginning of a terminator.
fn held_back(bytes: &[u8]) -> usize {
    (1..TERMINATOR.len()).rev().find(|held| bytes.ends_with(&TERMINATOR[..*held])).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Feeds `wire` in pieces of `step` bytes; gives the content and what the message took.
    fn read(wire: &[u8], step: usize) -> (Vec<u8>, Option<usize>) {
        let mut end = BodyEnd::new();
        let mut content = Vec::new();
        let mut before = 0;
        for piece in wire.chunks(step) {
            if let Some(taken) = end.feed(piece, |bytes| content.extend_from_slice(bytes)) {
                return (content, Some(before + taken));
            }
            before += piece.len();
        }
        (content, None)
    }

    #[test]
    fn every_cut_finds_the_same_end() {
        let wires: [(&[u8], &[u8]); 6] = [
            (b"a\r\n.\r\nMAIL", b"a\r\n"),
            (b".\r\nMAIL", b""),
            (b"\r\n.\r\n", b"\r\n"),
            (b"\r\r\n.\r\r\n.\rx\r\n..\r\n.\r\n", b"\r\r\n.\r\r\n.\rx\r\n..\r\n"),
            (b".\rx\r\n.\r\n", b".\rx\r\n"),
            (b"a\n.\n\r\n\r\n.\r\n", b"a\n.\n\r\n\r\n"),
        ];
        for (wire, content) in wires {
            for step in 1..=wire.len() {
                let (found, taken) = read(wire, step);
                assert_eq!(found, content, "{wire:?} by {step}");
                let behind = wire.len() - taken.expect("it has an end");
                assert!(wire[..wire.len() - behind].ends_with(b".\r\n"), "{wire:?} by {step}");
                assert!(behind == 0 || behind == 4, "{wire:?} by {step}");
            }
        }
    }

    #[test]
    fn nothing_else_ends_a_message() {
        for wire in [&b"a\n.\r\n"[..], b"a\r\n.\n", b"a\r.\r", b"x.\r\n"] {
            for step in 1..=wire.len() {
                assert_eq!(read(wire, step).1, None, "{wire:?} by {step}");
            }
        }
    }
}
