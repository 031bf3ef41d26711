//! The bytes of numbers and texts: little-endian, lengths first.
//!
//! Reading is bounded: any bytes at all give a value or [`Malformed`], never a panic, and nothing
//! is allocated for a count that the bytes cannot hold.

use std::fmt::{self, Write as _};

/// The bytes are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// Appends to a record.
pub(super) struct Encoder<'a> {
    out: &'a mut Vec<u8>,
}

impl<'a> Encoder<'a> {
    pub(super) fn new(out: &'a mut Vec<u8>) -> Self {
        Self { out }
    }

    pub(super) fn u8(&mut self, value: u8) {
        self.out.push(value);
    }

    pub(super) fn u16(&mut self, value: u16) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    pub(super) fn u128(&mut self, value: u128) {
        self.out.extend_from_slice(&value.to_le_bytes());
    }

    /// A count; ours are far below four thousand million.
    pub(super) fn count(&mut self, count: usize) {
        self.u32(u32::try_from(count).expect("a count within a record fits 32 bits"));
    }

    pub(super) fn raw(&mut self, bytes: &[u8]) {
        self.out.extend_from_slice(bytes);
    }

    /// A text of at most `bytes_max` bytes (at most 65,535); what is longer is cut between
    /// characters.
    pub(super) fn text(&mut self, text: &str, bytes_max: usize) {
        let mut end = text.len().min(bytes_max).min(usize::from(u16::MAX));
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        self.u16(end as u16);
        self.raw(&text.as_bytes()[..end]);
    }

    /// What `value` shows, without a text in between.
    pub(super) fn shown(&mut self, value: &impl fmt::Display) {
        let at = self.out.len();
        self.u16(0);
        write!(Shown(self.out), "{value}").expect("writing to memory cannot fail");
        let length = u16::try_from(self.out.len() - at - 2).expect("addresses are short");
        self.out[at..at + 2].copy_from_slice(&length.to_le_bytes());
    }
}

struct Shown<'a>(&'a mut Vec<u8>);

impl fmt::Write for Shown<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

/// Reads a record from its beginning.
#[derive(Clone)]
pub(super) struct Decoder<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    pub(super) fn raw(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let end = self.at.checked_add(length).ok_or(Malformed)?;
        let bytes = self.bytes.get(self.at..end).ok_or(Malformed)?;
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let bytes = self.raw(N)?;
        Ok(bytes.try_into().expect("just N bytes"))
    }

    pub(super) fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    pub(super) fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    pub(super) fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    pub(super) fn u128(&mut self) -> Result<u128, Malformed> {
        Ok(u128::from_le_bytes(self.array()?))
    }

    /// A count of things that take at least `bytes_each` bytes each.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, Malformed> {
        let count = self.u32()? as usize;
        let room = (self.bytes.len() - self.at) / bytes_each.max(1);
        if count <= room { Ok(count) } else { Err(Malformed) }
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        let length = usize::from(self.u16()?);
        std::str::from_utf8(self.raw(length)?).map_err(|_| Malformed)
    }

    /// Checks that nothing is left.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_texts_are_read_as_they_were_written() {
        let mut bytes = Vec::new();
        let mut out = Encoder::new(&mut bytes);
        out.u8(1);
        out.u16(2);
        out.u32(3);
        out.u64(4);
        out.u128(5 << 100);
        out.text("grüße", 100);
        out.shown(&17);
        let mut decoder = Decoder::new(&bytes);
        assert_eq!(decoder.u8(), Ok(1));
        assert_eq!(decoder.u16(), Ok(2));
        assert_eq!(decoder.u32(), Ok(3));
        assert_eq!(decoder.u64(), Ok(4));
        assert_eq!(decoder.u128(), Ok(5 << 100));
        assert_eq!(decoder.text(), Ok("grüße"));
        assert_eq!(decoder.text(), Ok("17"));
        assert_eq!(decoder.end(), Ok(()));
    }

    #[test]
    fn a_long_text_is_cut_between_characters() {
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes).text("aüü", 4);
        assert_eq!(Decoder::new(&bytes).text(), Ok("aü"));
    }

    #[test]
    fn a_count_beyond_the_bytes_is_refused_before_anything_is_allocated() {
        let bytes = u32::MAX.to_le_bytes();
        assert_eq!(Decoder::new(&bytes).count(16), Err(Malformed));
    }
}
