//! Destinations that an operator leaves alone, over restarts: `SPOOL/state/suspended`.
//!
//! Every shard knows them; the first one writes them down. The file is replaced whole: written
//! beside, synced, renamed, and the directory synced. There are only ever a few names in it.

use crate::schedule::DecodeError;
use crate::{Destinations, OpenError, Queue, Suspended};
use mail::{Event, EventKind, Field, NextHop};
use reactor::{Instant, OpenHow, Part, Reactor, Signal, Slab};
use std::cell::Cell;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// The newest format of the file that this version reads.
const FORMAT_KNOWN: u32 = 1;

/// No list of destinations is longer, in bytes: who has more suspends all but some.
const FILE_BYTES_MAX: u64 = 16 << 20;

/// The writing down of what is suspended: one write at a time, the last one wins.
#[derive(Clone)]
pub(crate) struct Register {
    changes: Rc<Cell<u64>>,
    /// Changes that are in the file.
    written: Rc<Cell<u64>>,
    writing: Rc<Cell<bool>>,
    /// A write has ended.
    ended: Signal,
}

impl Register {
    fn new(reactor: &Reactor) -> Self {
        Self {
            changes: Rc::default(),
            written: Rc::default(),
            writing: Rc::default(),
            ended: Signal::new(reactor),
        }
    }
}

impl Queue {
    /// Hands out nothing for these destinations from now on, until they are resumed; what is in
    /// flight comes to its end. Tell all shards: the first one answers once it is durable.
    ///
    /// # Errors
    /// `InvalidInput` when it is no name; else what the disk said: it holds then, but perhaps not
    /// after a restart.
    pub async fn suspend(&self, which: &Destinations) -> io::Result<()> {
        check(which)?;
        let now = self.unix_time();
        self.shared.books.borrow_mut().schedule.suspend(which, now);
        self.write_suspended().await
    }

    /// Hands out again what waits for these destinations. Tell all shards, as for
    /// [`suspend`](Self::suspend).
    ///
    /// # Errors
    /// As for [`suspend`](Self::suspend).
    pub async fn resume(&self, which: &Destinations) -> io::Result<()> {
        check(which)?;
        let now = self.unix_time();
        self.shared.books.borrow_mut().schedule.resume(which, now);
        self.wake();
        self.write_suspended().await
    }

    /// Whether nothing is handed out for `hop`.
    pub fn is_suspended(&self, hop: &NextHop) -> bool {
        self.shared.books.borrow().schedule.suspended().covers(hop)
    }

    /// All that is suspended.
    pub fn suspended(&self) -> Suspended {
        self.shared.books.borrow().schedule.suspended().clone()
    }

    /// Reads what was suspended when the last process ended, before anything is handed out.
    pub(crate) async fn recall_suspended(&self) -> Result<(), OpenError> {
        let path = self.state_directory().join("suspended");
        let text = match read_file(&self.shared.reactor, &path).await {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(OpenError::from_io(&path, error)),
        };
        match Suspended::decode(&String::from_utf8_lossy(&text)) {
            Ok(suspended) => {
                let now = self.unix_time();
                self.shared.books.borrow_mut().schedule.set_suspended(suspended, now);
                Ok(())
            }
            Err(DecodeError::TooNew(found)) => {
                Err(OpenError::TooNew { found, known: FORMAT_KNOWN })
            }
            Err(DecodeError::Unreadable) => {
                self.shared.journal.record(
                    Event::new(EventKind::SpoolWarned)
                        .text(Field::File, path.display().to_string())
                        .fixed(Field::Reason, "it cannot be read: no destination is suspended")
                        .fixed(Field::Remedy, "suspend again what must not be tried"),
                );
                Ok(())
            }
        }
    }

    fn state_directory(&self) -> PathBuf {
        self.shared.options.directory.join("state")
    }

    fn register(&self) -> Register {
        let mut books = self.shared.books.borrow_mut();
        books.register.get_or_insert_with(|| Register::new(&self.shared.reactor)).clone()
    }

    /// Returns once the file says what is so now, or something later.
    async fn write_suspended(&self) -> io::Result<()> {
        if self.own_log().number() != 0 {
            return Ok(());
        }
        let register = self.register();
        let change = register.changes.get() + 1;
        register.changes.set(change);
        while register.writing.get() {
            register.ended.wait(Instant::NEVER).await;
        }
        if register.written.get() >= change {
            return Ok(());
        }
        register.writing.set(true);
        let queue = self.clone();
        let result = Rc::new(Cell::new(None));
        let place = Rc::clone(&result);
        let ours = register.clone();
        // Whoever asked may leave: the write comes to its end all the same.
        self.shared.reactor.spawn(async move {
            let covered = ours.changes.get();
            let text = queue.suspended().encode();
            let written = queue.replace_suspended(text).await;
            if written.is_ok() {
                ours.written.set(covered);
            }
            place.set(Some(written));
            ours.writing.set(false);
            ours.ended.notify_all();
        });
        loop {
            if let Some(written) = result.take() {
                return written;
            }
            register.ended.wait(Instant::NEVER).await;
        }
    }

    async fn replace_suspended(&self, text: String) -> io::Result<()> {
        let reactor = &self.shared.reactor;
        let directory = self.state_directory();
        reactor.make_directory(&directory).await?;
        reactor.sync_directory(&self.shared.options.directory).await?;
        let (path, beside) = (directory.join("suspended"), directory.join("suspended.new"));
        let how = OpenHow { write: true, create: true, ..OpenHow::default() };
        let file = reactor.open(&beside, how).await?;
        // What a killed process has left there may be longer.
        file.truncate(0).await?;
        file.write(vec![Part::Bytes(text.into_bytes())], 0, false).await?;
        file.sync().await?;
        reactor.rename(&beside, &path).await?;
        reactor.sync_directory(&directory).await
    }
}

/// A name stands on a line of its own in the file.
fn check(which: &Destinations) -> io::Result<()> {
    match which {
        Destinations::Named(name) if name.is_empty() || name.contains(char::is_control) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no name of a destination"))
        }
        Destinations::Named(_) | Destinations::All => Ok(()),
    }
}

async fn read_file(reactor: &Reactor, path: &Path) -> io::Result<Vec<u8>> {
    let file = reactor.open(path, OpenHow::default()).await?;
    let bytes = file.length().await?;
    if bytes > FILE_BYTES_MAX {
        return Err(io::ErrorKind::FileTooLarge.into());
    }
    let length = usize::try_from(bytes).expect("16 MiB at most");
    let slab = file.read(Slab::new(length.max(1)), 0, length).await?;
    Ok(slab.as_slice().to_vec())
}
