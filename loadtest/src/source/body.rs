//! Bodies: built once, sent many times.

use reactor::{Slab, SlabSlice};
use std::rc::Rc;

/// Characters of a line, as base64 has them (RFC 2045 §6.8).
const LINE: usize = 76;

/// A line with its CRLF.
const STRIDE: usize = LINE + 2;

/// How many different bodies there are: each begins a line further into the same text.
const BODIES: usize = 64;

/// 64 bodies of one size: lines of 76 characters that look like base64, the last one as long as is
/// left. No line begins with a dot, so nothing is ever stuffed.
pub(super) struct Bodies {
    text: Rc<Slab>,
    /// Bytes of whole lines that a body takes from the text.
    whole: usize,
    /// The last line, with its CRLF.
    tail: Vec<u8>,
    checksums: Vec<u32>,
}

impl Bodies {
    /// Bodies of `size` bytes, CRLFs included; a size of 1 is 2, as a body ends with CRLF.
    pub(super) fn new(size: usize) -> Self {
        let size = if size == 1 { 2 } else { size };
        let mut lines = size / STRIDE;
        // One byte is no line: the last one takes it.
        if size % STRIDE == 1 {
            lines -= 1;
        }
        let whole = lines * STRIDE;
        let mut letters = Letters(0x9e37_79b9_7f4a_7c15);
        let mut text = Slab::new(whole + BODIES * STRIDE);
        for _ in 0..lines + BODIES {
            let mut line = letters.line(LINE);
            line.extend_from_slice(b"\r\n");
            text.append(&line);
        }
        let mut tail = Vec::new();
        if size > whole {
            tail = letters.line(size - whole - 2);
            tail.extend_from_slice(b"\r\n");
        }
        let sum = |body| {
            let from = body * STRIDE;
            let crc = crc32c::crc32c(&text.as_slice()[from..from + whole]);
            crc32c::crc32c_append(crc, &tail)
        };
        let checksums = (0..BODIES).map(sum).collect();
        Self { text: Rc::new(text), whole, tail, checksums }
    }

    /// The whole lines of message `number`.
    pub(super) fn lines(&self, number: u64) -> SlabSlice {
        let from = Self::body(number) * STRIDE;
        SlabSlice::new(Rc::clone(&self.text), from..from + self.whole)
    }

    /// What follows the whole lines.
    pub(super) fn tail(&self) -> &[u8] {
        &self.tail
    }

    /// CRC32C of the body of message `number`.
    pub(super) fn checksum(&self, number: u64) -> u32 {
        self.checksums[Self::body(number)]
    }

    fn body(number: u64) -> usize {
        (number % BODIES as u64) as usize
    }
}

/// Letters without end, always the same (xorshift64).
struct Letters(u64);

impl Letters {
    fn line(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next()).collect()
    }

    fn next(&mut self) -> u8 {
        const ALPHABET: &[u8; 64] =
            b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ALPHABET[(self.0 >> 58) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whole(bodies: &Bodies, number: u64) -> Vec<u8> {
        [bodies.lines(number).as_slice(), bodies.tail()].concat()
    }

    #[test]
    fn a_body_has_its_size_and_its_checksum_and_ends_a_line() {
        for size in [0, 2, 3, 76, 77, 78, 79, 80, 155, 156, 157, 158, 4096, 100_000] {
            let bodies = Bodies::new(size);
            let body = whole(&bodies, 5);
            assert_eq!(body.len(), size);
            assert_eq!(bodies.checksum(5), crc32c::crc32c(&body));
            assert!(size == 0 || body.ends_with(b"\r\n"), "{size}");
            let bare = body.split(|byte| *byte == b'\n').any(|line| {
                let ends = line.strip_suffix(b"\r").unwrap_or(line);
                ends.contains(&b'\r') || ends.starts_with(b".")
            });
            assert!(!bare, "{size}");
        }
    }

    #[test]
    fn neighbours_differ() {
        let bodies = Bodies::new(4096);
        assert_ne!(whole(&bodies, 1), whole(&bodies, 2));
        assert_eq!(whole(&bodies, 1), whole(&bodies, 65));
    }
}
