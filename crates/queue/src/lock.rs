//! The one lock of a spool.

use crate::OpenError;
use mail::{Event, EventKind, Field, Journal};
use reactor::{File, OpenHow, Reactor, SharedFile};
use std::path::Path;
use std::time::Duration;

/// How often a waiting relay tries again: short against what operators notice, long against the
/// cost of a try.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// `SPOOL/LOCK`, open and locked for this process. It must outlive every queue of the spool.
///
/// Every reactor that writes must [`hold`](Reactor::hold) it: the kernel then keeps it until the
/// last write of a killed process has landed, and no successor reads a segment before.
pub struct Lock {
    file: File,
}

impl Lock {
    /// Makes the spool's directory if need be and takes its lock. When another process has it,
    /// says so once and waits up to `patience`.
    ///
    /// # Errors
    /// [`OpenError::InUse`] after `patience`; otherwise what the disk said.
    pub async fn take(
        reactor: &Reactor,
        directory: &Path,
        journal: &Journal,
        patience: Duration,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::from_io(directory, error);
        reactor.make_directory(directory).await.map_err(failed)?;
        if let Some(parent) = directory.parent().filter(|parent| !parent.as_os_str().is_empty()) {
            // Where the parent may not be opened, the directory was made by somebody else.
            drop(reactor.sync_directory(parent).await);
        }
        let path = directory.join("LOCK");
        let how = OpenHow { write: true, create: true, ..OpenHow::default() };
        let file =
            reactor.open(&path, how).await.map_err(|error| OpenError::from_io(&path, error))?;
        let deadline = reactor.now() + patience;
        let mut said = false;
        while !file.try_lock().await.map_err(|error| OpenError::from_io(&path, error))? {
            if reactor.now() >= deadline {
                return Err(OpenError::InUse { path });
            }
            if !std::mem::replace(&mut said, true) {
                journal.record(
                    Event::new(EventKind::SpoolWarned)
                        .text(Field::File, path.display().to_string())
                        .fixed(Field::Reason, "in use, or the last writes of a dead process land")
                        .fixed(Field::Remedy, "waiting; stop the other process if it runs"),
                );
            }
            reactor.sleep((reactor.now() + TRY_EVERY).min(deadline)).await;
        }
        reactor.sync_directory(directory).await.map_err(failed)?;
        reactor.hold(file.shared()).map_err(|error| OpenError::from_io(&path, error))?;
        Ok(Self { file })
    }

    /// The lock's file, for the other reactors of this process to [`hold`](Reactor::hold).
    pub fn shared(&self) -> SharedFile {
        self.file.shared()
    }
}
