//! A message's bytes, read back.

use crate::LoadError;
use crate::spool::{Log, Opened, Piece, Pin};
use mail::Envelope;
use reactor::Part;
use std::rc::Rc;

/// Bytes that are read from disk at a time, about.
const READ_BYTES: u64 = 256 << 10;

/// A message ready to be sent.
pub struct Loaded {
    /// Its envelope.
    pub envelope: Rc<Envelope>,
    /// Header block and body in wire form, in bytes.
    pub bytes: u64,
    /// Lines that begin with a stuffed dot.
    pub stuffed_lines: u64,
    /// Its bytes.
    pub body: Body,
}

/// The bytes of a message in wire form, piece by piece.
pub struct Body {
    log: Log,
    header: Option<Part>,
    pieces: std::vec::IntoIter<Piece>,
    /// Keeps the segments on disk for as long as they are read.
    _pins: Vec<Pin>,
}

impl Loaded {
    pub(crate) fn new(log: Log, opened: Opened, pins: Vec<Pin>) -> Self {
        let Opened { envelope, header, pieces, stuffed_lines, size, .. } = opened;
        let body = Body { log, header: Some(header), pieces: pieces.into_iter(), _pins: pins };
        Self { envelope, bytes: size, stuffed_lines, body }
    }
}

impl Body {
    /// The next parts, up to 256 KiB, checked; `None` at the end. The header block comes first; a
    /// body in memory comes whole, without a disk access.
    ///
    /// # Errors
    /// As [`LoadError`] says; the message must not be ended then.
    pub async fn next(&mut self) -> Result<Option<Vec<Part>>, LoadError> {
        let mut parts: Vec<Part> = self.header.take().into_iter().collect();
        let mut read = 0;
        loop {
            match self.pieces.as_slice().first() {
                None => break,
                Some(Piece::Memory(slice)) => parts.push(Part::Slice(slice.clone())),
                Some(Piece::Disk(extent)) => {
                    let extent = *extent;
                    if read > 0 && read + u64::from(extent.bytes) > READ_BYTES {
                        break;
                    }
                    parts.push(Part::Slice(self.log.read(extent).await?));
                    read += u64::from(extent.bytes);
                }
            }
            self.pieces.next();
        }
        Ok((!parts.is_empty()).then_some(parts))
    }
}
