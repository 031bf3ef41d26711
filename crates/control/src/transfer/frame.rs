//! The frames of an export, and their bytes: a line of JSON, behind which the bytes of a message
//! stand as they are.

use crate::portable;
use queue::ExportStep;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The longest line that is believed: an envelope of many recipients with long reasons.
const LINE_BYTES_MAX: usize = 64 << 20;

/// More bytes than a frame ever has.
const PIECE_BYTES_MAX: u64 = 16 << 20;

/// What an export says next: a message is a `Message`, any number of `Bytes`, then `Whole`; or
/// `Broken` in place of what cannot be read of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExportFrame {
    /// A message begins: the words of its envelope.
    Message(Value),
    /// Bytes of it, without dot-stuffing.
    Bytes(Vec<u8>),
    /// It ends.
    Whole,
    /// It cannot be read; the next one follows.
    Broken {
        /// Which.
        id: String,
        /// Why.
        reason: String,
    },
    /// All messages have been told.
    Over,
    /// The export cannot go on; why.
    Failed(String),
}

/// The line of a frame.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Line {
    Message(Value),
    Bytes(u64),
    Whole,
    Broken { id: String, reason: String },
    Over,
    Failed(String),
}

impl From<ExportStep> for ExportFrame {
    fn from(step: ExportStep) -> Self {
        match step {
            ExportStep::Message(message) => Self::Message(portable::write(&message)),
            ExportStep::Bytes(bytes) => Self::Bytes(bytes),
            ExportStep::Whole => Self::Whole,
            ExportStep::Broken { id, reason } => Self::Broken { id: id.to_string(), reason },
            ExportStep::Over => Self::Over,
        }
    }
}

impl ExportFrame {
    /// The frame as it travels.
    pub(super) fn encode(self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let line = match self {
            Self::Message(words) => Line::Message(words),
            Self::Bytes(piece) => {
                bytes = piece;
                Line::Bytes(bytes.len() as u64)
            }
            Self::Whole => Line::Whole,
            Self::Broken { id, reason } => Line::Broken { id, reason },
            Self::Over => Line::Over,
            Self::Failed(why) => Line::Failed(why),
        };
        let mut encoded = serde_json::to_vec(&line).expect("words of ours are JSON");
        encoded.push(b'\n');
        encoded.append(&mut bytes);
        encoded
    }
}

/// Takes frames out of the bytes of an answer, wherever these are cut.
#[derive(Default)]
pub(super) struct Frames {
    bytes: Vec<u8>,
}

impl Frames {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// The next frame, once it is there whole.
    ///
    /// # Errors
    /// What is no frame.
    pub(super) fn next(&mut self) -> Result<Option<ExportFrame>, String> {
        let Some(end) = self.bytes.iter().position(|byte| *byte == b'\n') else {
            let long = self.bytes.len() > LINE_BYTES_MAX;
            return if long { Err("a line without an end".into()) } else { Ok(None) };
        };
        let line: Line = serde_json::from_slice(&self.bytes[..end])
            .map_err(|error| format!("not a frame: {error}"))?;
        let mut taken = end + 1;
        let frame = match line {
            Line::Bytes(count) if count > PIECE_BYTES_MAX => {
                return Err(format!("a piece of {count} bytes"));
            }
            Line::Bytes(count) => {
                taken += count as usize;
                let Some(piece) = self.bytes.get(end + 1..taken) else { return Ok(None) };
                ExportFrame::Bytes(piece.to_vec())
            }
            Line::Message(words) => ExportFrame::Message(words),
            Line::Whole => ExportFrame::Whole,
            Line::Broken { id, reason } => ExportFrame::Broken { id, reason },
            Line::Over => ExportFrame::Over,
            Line::Failed(why) => ExportFrame::Failed(why),
        };
        self.bytes.drain(..taken);
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn frames_come_back_wherever_their_bytes_are_cut() {
        let frames = [
            ExportFrame::Message(json!({ "id": "x", "from": "a\nb" })),
            ExportFrame::Bytes(b"{\"over\"\r\n\n".to_vec()),
            ExportFrame::Bytes(Vec::new()),
            ExportFrame::Whole,
            ExportFrame::Broken { id: "y".into(), reason: "damaged".into() },
            ExportFrame::Failed("shard 1".into()),
            ExportFrame::Over,
        ];
        let bytes: Vec<u8> = frames.iter().cloned().flat_map(ExportFrame::encode).collect();
        for size in 1..=bytes.len() {
            let (mut reader, mut found) = (Frames::default(), Vec::new());
            for piece in bytes.chunks(size) {
                reader.push(piece);
                while let Some(frame) = reader.next().expect("frames") {
                    found.push(frame);
                }
            }
            assert_eq!(found, frames, "pieces of {size}");
        }
    }

    #[test]
    fn what_is_no_frame_is_refused() {
        for bytes in [&b"{}\n"[..], b"hello\n", b"{\"bytes\":99999999999}\n"] {
            let mut reader = Frames::default();
            reader.push(bytes);
            assert!(reader.next().is_err(), "{bytes:?}");
        }
    }
}
