//! What `spool check` found, as plain values.

use mail::MessageId;
use std::path::PathBuf;

/// What was found of one log.
#[derive(Debug)]
pub struct LogReport {
    /// Its number.
    pub number: u16,
    /// Its directory.
    pub directory: PathBuf,
    /// Every file in it: segments in the order of their numbers, then the others by name.
    pub files: Vec<FileReport>,
    /// Messages that are not over.
    pub live_messages: u64,
    /// Recipients of these that have not finished.
    pub live_recipients: u64,
}

/// What was found of one file in the directory of a log.
#[derive(Debug)]
pub struct FileReport {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: FileKind,
    /// How often the log had been started when it was made; 0 where no header says so.
    pub start: u32,
    /// Its length in bytes.
    pub file_bytes: u64,
    /// Batches that belong to the log.
    pub batches: u64,
    /// Records in them that verify.
    pub records: u64,
    /// Messages that are not over and have their record here.
    pub live_messages: u64,
    /// Bytes of records, bodies and chunks of messages that are not over.
    pub live_bytes: u64,
    /// All other bytes that were written here, but for the header.
    pub dead_bytes: u64,
    /// Batches of the torn tail: written by a process that died before anybody was promised what is
    /// in them.
    pub torn_batches: u64,
    /// Where the torn tail begins, in bytes from the start of the file.
    pub torn_at: Option<u64>,
    /// What does not verify, by offset.
    pub damage: Vec<Damage>,
}

/// What a file is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A segment that ends with a seal.
    Sealed,
    /// A segment without a seal, whose end a later header gives.
    Ended,
    /// A segment of the last start without either.
    Open,
    /// Ground that is kept to be used again; nothing in it is read.
    Spare,
    /// Never finished, and never written to.
    Unfinished,
    /// Its header does not verify, and batches lie behind it: damage.
    Headless,
    /// A segment of another log or of another number, copied here by hand: damage.
    Misplaced,
    /// A segment of this version of the format, which is not ours.
    Version(u32),
    /// It cannot be read; the kernel's word for it.
    Unreadable(String),
    /// Somebody else's.
    Foreign,
}

/// One thing that does not verify.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// Where, in bytes from the start of the file.
    pub offset: u64,
    /// What is wrong.
    pub reason: &'static str,
    /// What it costs.
    pub cost: Cost,
    /// Whether the disk did not give it, rather than gave something else.
    pub unreadable: bool,
}

/// What damage costs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cost {
    /// Nothing: what is hit is over, or belongs to no message.
    Nothing,
    /// This message cannot be read whole.
    Message(MessageId),
    /// A record that names this id, as far as what is hit can be believed.
    Perhaps(MessageId),
    /// Nobody can say.
    Unknown,
}

impl FileReport {
    pub(super) fn new(name: String, kind: FileKind, file_bytes: u64) -> Self {
        Self {
            name,
            kind,
            start: 0,
            file_bytes,
            batches: 0,
            records: 0,
            live_messages: 0,
            live_bytes: 0,
            dead_bytes: 0,
            torn_batches: 0,
            torn_at: None,
            damage: Vec::new(),
        }
    }

    /// Whether something in it is not as it was written.
    pub fn is_damaged(&self) -> bool {
        matches!(self.kind, FileKind::Headless | FileKind::Misplaced) || !self.damage.is_empty()
    }

    /// Whether the disk, or the permissions, kept something of it back.
    pub fn is_unreadable(&self) -> bool {
        let kept = matches!(self.kind, FileKind::Unreadable(_));
        kept || self.damage.iter().any(|damage| damage.unreadable)
    }
}
