//! Bytes in, positions out: line ends, the terminator of a body, stray CR, LF and NUL.
//!
//! For: the few loops that touch every byte of a body. Never here: a word of mail beyond the shape
//! of a line, a copy of what was scanned, a list of positions.
//! Start reading at [`BodyScanner::scan`]; `tests/twin.rs` holds its naive twin.
#![forbid(unsafe_code)]

mod body;
mod line;

pub use body::{BodyScanner, Scanned, Stray, StrayByte};
pub use line::{Line, first_line};
