//! Errors that a caller orders: which calls on which files fail, how, how often, for how long.
//!
//! A pure structure: times arrive as arguments.

use super::disk::Errno;
use crate::time::Instant;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// A kind of call on a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// Reading from a file.
    Read,
    /// Writing to a file; filling it with zeros too.
    Write,
    /// fdatasync of a file.
    Sync,
    /// Opening or making a file.
    Open,
    /// Renaming; the path is that of the old name.
    Rename,
    /// Unlinking.
    Remove,
    /// Reading a directory, or asking for the file system.
    List,
    /// Making a directory.
    MakeDirectory,
    /// fsync of a directory.
    SyncDirectory,
    /// Asking for the length of a file, or setting it.
    Length,
}

/// Something wrong with a disk: calls that it fits fail.
#[derive(Clone, Debug)]
pub struct Ailment {
    /// Which calls; none: all of them.
    pub calls: Vec<Call>,
    /// A part of the path. Empty: every path, and files without a name too.
    pub path: String,
    /// The bytes of a file that cannot be read or written; other calls do not ask.
    pub bytes: Range<u64>,
    /// The errno that they fail with.
    pub error: i32,
    /// How many calls it strikes; then it is gone.
    pub times: u64,
    /// For how long.
    pub lasts: Duration,
}

impl Default for Ailment {
    /// EIO for ever, for everything.
    fn default() -> Self {
        Self {
            calls: Vec::new(),
            path: String::new(),
            bytes: 0..u64::MAX,
            error: libc::EIO,
            times: u64::MAX,
            lasts: Duration::MAX,
        }
    }
}

/// All ailments of a disk.
#[derive(Default)]
pub(super) struct Ailments {
    all: Vec<(Ailment, Instant)>,
}

impl Ailments {
    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn add(&mut self, ailment: Ailment, now: Instant) {
        // As long as the clock goes, which is what for ever means.
        let until = now + ailment.lasts;
        self.all.push((ailment, until));
    }

    pub(super) fn clear(&mut self) {
        self.all.clear();
    }

    /// What a call fails with, if it does.
    pub(super) fn strike(
        &mut self,
        now: Instant,
        call: Call,
        path: Option<&Path>,
        bytes: &Range<u64>,
    ) -> Option<Errno> {
        self.all.retain(|(ailment, until)| *until > now && ailment.times > 0);
        let fits = |(ailment, _): &&mut (Ailment, Instant)| ailment.fits(call, path, bytes);
        let (ailment, _) = self.all.iter_mut().find(fits)?;
        ailment.times -= 1;
        Some(ailment.error)
    }
}

impl Ailment {
    fn fits(&self, call: Call, path: Option<&Path>, bytes: &Range<u64>) -> bool {
        let in_path = self.path.is_empty()
            || path.is_some_and(|path| path.to_string_lossy().contains(&self.path));
        let in_bytes = !matches!(call, Call::Read | Call::Write)
            || (self.bytes.start < bytes.end && bytes.start < self.bytes.end);
        (self.calls.is_empty() || self.calls.contains(&call)) && in_path && in_bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strike(ailments: &mut Ailments, at: u64, call: Call, path: &str, from: u64) -> bool {
        let bytes = from..from + 512;
        ailments.strike(Instant(at), call, Some(Path::new(path)), &bytes) == Some(libc::EIO)
    }

    #[test]
    fn an_ailment_strikes_its_calls_paths_and_bytes_only() {
        let mut ailments = Ailments::default();
        let ailment = Ailment {
            calls: vec![Call::Read, Call::Open],
            path: "seg".to_owned(),
            bytes: 4096..8192,
            ..Ailment::default()
        };
        ailments.add(ailment, Instant(0));
        assert!(strike(&mut ailments, 1, Call::Read, "/var/seg1", 8000));
        assert!(strike(&mut ailments, 1, Call::Open, "/var/seg1", 0));
        assert!(!strike(&mut ailments, 1, Call::Read, "/var/seg1", 8192));
        assert!(!strike(&mut ailments, 1, Call::Read, "/var/seg1", 3584));
        assert!(!strike(&mut ailments, 1, Call::Read, "/var/log", 5000));
        assert!(!strike(&mut ailments, 1, Call::Write, "/var/seg1", 5000));
    }

    #[test]
    fn an_ailment_ends_after_its_times_and_after_its_time() {
        let mut ailments = Ailments::default();
        ailments.add(Ailment { times: 2, ..Ailment::default() }, Instant(0));
        let struck = (0..4).filter(|_| strike(&mut ailments, 1, Call::Sync, "/x", 0)).count();
        assert_eq!(struck, 2);
        let lasts = Duration::from_nanos(10);
        ailments.add(Ailment { lasts, ..Ailment::default() }, Instant(5));
        assert!(strike(&mut ailments, 14, Call::Sync, "/x", 0));
        assert!(!strike(&mut ailments, 15, Call::Sync, "/x", 0));
    }
}
