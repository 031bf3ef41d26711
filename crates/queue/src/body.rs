//! A message's bytes, read back.

use crate::LoadError;
use mail::Envelope;
use reactor::Part;
use std::rc::Rc;

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
pub struct Body {}

impl Body {
    /// The next parts, up to 256 KiB, checked; `None` at the end. The header block comes first; a
    /// body in memory comes whole, without a disk access.
    ///
    /// # Errors
    /// As [`LoadError`] says; the message must not be ended then.
    pub async fn next(&mut self) -> Result<Option<Vec<Part>>, LoadError> {
        unimplemented!()
    }
}
