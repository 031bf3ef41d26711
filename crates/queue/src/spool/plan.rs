//! How a log is written: the plan follows the file system.

use super::stored::HotBudget;
use reactor::{FileSystem, FileSystemKind};
use std::time::Duration;

/// What the façade says about a log.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    /// How many logs share the file system: the segment size follows.
    pub logs: usize,
    /// Bytes of a segment, instead of what the file system suggests (tests). At least
    /// [`SEGMENT_BYTES_MIN`].
    pub segment_bytes: Option<u32>,
    /// What hot bodies may keep.
    pub hot: HotBudget,
}

/// A batch of the largest size, a record of the longest, header and seal fit into this.
pub(crate) const SEGMENT_BYTES_MIN: u32 = 512 * 1024;

/// Larger ones would save nothing more, and are filled with zeros before they are used.
const SEGMENT_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// Below this a segment is mostly header, seal and unfinished batch.
const SEGMENT_BYTES_USUAL_MIN: u64 = 1024 * 1024;

/// The start waits for its first segment, which is filled with zeros: this many bytes keep that
/// under a tenth of a second on a slow disk.
pub(super) const FIRST_SEGMENT_BYTES: u32 = 4 * 1024 * 1024;

/// Segments of a log that messages never get: one for outcomes, one as compaction's target.
pub(super) const RESERVE: usize = 2;

/// Spares of a log at most; further dead segments are deleted.
pub(super) const SPARES_MAX: usize = RESERVE + 2;

/// How writes are made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// O_DIRECT, for reading too: a file is read the way it is written.
    pub(super) direct: bool,
    /// Every write is durable by itself (RWF_DSYNC) on zero-filled ground; otherwise files grow and
    /// a write is followed by fdatasync.
    pub(super) durable_writes: bool,
    /// Writes at a time.
    pub(super) in_flight_max: usize,
    /// Bytes of a segment with a header of one block.
    pub(super) segment_bytes: u32,
    /// Where files grow: the free bytes of the file system that messages leave alone.
    pub(super) reserve_bytes: u64,
    /// Whether a 250 survives a crash of the machine.
    pub(super) durable: bool,
}

/// Outcomes wait this long for a batch to ride in.
pub(super) const QUIET_WAIT: Duration = Duration::from_millis(2);

/// A batch of this many bytes is written without waiting for more.
pub(super) const RIPE_BYTES: usize = 64 * 1024;

/// A write in flight for longer than this is a stall.
pub(super) const STALL: Duration = Duration::from_secs(30);

impl Plan {
    /// The plan for `file_system`, shared by `logs` logs.
    ///
    /// It asks for the kind, not whether O_DIRECT is refused: btrfs accepts it and writes 73 KB for
    /// each 4 KiB.
    pub(super) fn of(file_system: &FileSystem, options: &Options) -> Self {
        let in_place = match file_system.kind {
            FileSystemKind::Ext | FileSystemKind::Xfs => true,
            FileSystemKind::Btrfs
            | FileSystemKind::Memory
            | FileSystemKind::Foreign
            | FileSystemKind::Other(_) => false,
        };
        let durable = match file_system.kind {
            FileSystemKind::Memory | FileSystemKind::Foreign => false,
            FileSystemKind::Ext
            | FileSystemKind::Xfs
            | FileSystemKind::Btrfs
            | FileSystemKind::Other(_) => true,
        };
        let logs = options.logs.max(1) as u64;
        let share = file_system.bytes / (logs * 16);
        let usual = share.clamp(SEGMENT_BYTES_USUAL_MIN, SEGMENT_BYTES_MAX) as u32;
        let segment_bytes = options.segment_bytes.unwrap_or(usual).max(SEGMENT_BYTES_MIN);
        let segment_bytes = segment_bytes / 4096 * 4096;
        let plan = Self {
            direct: true,
            durable_writes: true,
            in_flight_max: 4,
            segment_bytes,
            reserve_bytes: RESERVE as u64 * u64::from(segment_bytes) * logs,
            durable,
        };
        if in_place { plan } else { plan.appending() }
    }

    /// The plan for files that cannot be written in place: one write at a time, then fdatasync.
    pub(super) fn appending(self) -> Self {
        Self { direct: false, durable_writes: false, in_flight_max: 1, ..self }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment_bytes(bytes: u64, logs: usize) -> u32 {
        let kind = FileSystemKind::Ext;
        let file_system = FileSystem { kind, bytes, free: bytes, read_only: false };
        let options = Options { logs, segment_bytes: None, hot: HotBudget::new(0) };
        Plan::of(&file_system, &options).segment_bytes
    }

    #[test]
    fn segments_have_a_sixteenth_of_a_logs_share_between_1_and_64_mib() {
        assert_eq!(segment_bytes(32 << 20, 1), 2 << 20);
        assert_eq!(segment_bytes(32 << 20, 8), 1 << 20);
        assert_eq!(segment_bytes(8 << 30, 32), 16 << 20);
        assert_eq!(segment_bytes(4 << 40, 64), 64 << 20);
    }
}
