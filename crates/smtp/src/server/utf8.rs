//! Whether bytes that come in pieces are UTF-8.

/// A watch that is fed text in any pieces.
#[derive(Clone, Debug, Default)]
pub(super) struct Utf8Watch {
    /// The beginning of a character whose rest has not come yet: three bytes at most.
    held: Vec<u8>,
    broken: bool,
}

impl Utf8Watch {
    pub(super) fn feed(&mut self, bytes: &[u8]) {
        if self.broken || (self.held.is_empty() && bytes.is_ascii()) {
            return;
        }
        self.held.extend_from_slice(bytes);
        match std::str::from_utf8(&self.held) {
            Ok(_) => self.held.clear(),
            Err(error) if error.error_len().is_none() => {
                self.held.drain(..error.valid_up_to());
            }
            Err(_) => {
                self.broken = true;
                self.held = Vec::new();
            }
        }
    }

    /// The room of its buffer.
    pub(super) fn buffer_bytes(&self) -> usize {
        self.held.capacity()
    }

    /// Whether something so far is not UTF-8.
    pub(super) fn is_broken(&self) -> bool {
        self.broken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_judged_the_same_in_any_pieces() {
        let cases: [(&[u8], bool); 6] = [
            ("aäß€𝄞z".as_bytes(), false),
            (b"\xff", true),
            (b"a\xc3b", true),
            (b"\xe2\x82", false),
            (b"\xed\xa0\x80", true),
            (b"\xc0\x80", true),
        ];
        for (text, broken) in cases {
            for size in 1..=text.len() {
                let mut watch = Utf8Watch::default();
                text.chunks(size).for_each(|piece| watch.feed(piece));
                assert_eq!(watch.is_broken(), broken, "{text:?} by {size}");
            }
        }
    }
}
