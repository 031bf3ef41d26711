//! Messages that go out of a running relay into files, and back in.
//!
//! An export is one answer of frames ([`ExportFrame`]); each is asked of its shard only when the
//! one before has been taken, so that a slow reader costs no memory. An import is one request a
//! message: the words of its envelope on a line, then its bytes to the end of the request; each
//! piece is taken by the shard before the next is read. A request that ends early leaves nothing.

mod fetch;
mod frame;
mod serve;

pub use fetch::{export, import};
pub use frame::ExportFrame;
pub use serve::ImportPiece;
pub(crate) use serve::{carry_in, carry_out, serve_export, serve_import};
