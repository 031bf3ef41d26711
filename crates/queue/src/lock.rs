//! The one lock of a spool, and the count of its starts.
//!
//! The count lies in the lock's file, outside all logs: ids are made of it, and they must not come
//! again when a log has gone with its directory.

use crate::OpenError;
use crate::spool::Log;
use mail::{Event, EventKind, Field, Journal};
use reactor::{File, OpenHow, Part, Reactor, SharedFile, Slab};
use std::io;
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
    start: u32,
}

/// What every shard is told by the one that took the lock.
#[derive(Clone, Copy, Debug)]
pub struct Tenure {
    /// The lock's file, for every reactor that writes to [`hold`](Reactor::hold).
    pub file: SharedFile,
    /// The number of this start of the spool, from 1; durable, and never given out twice.
    pub start: u32,
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
        let last =
            match read_count(&file).await.map_err(|error| OpenError::from_io(&path, error))? {
                Some(last) => last,
                // A first start, or a spool that was copied without its lock.
                None => Log::last_start(reactor, directory).await?,
            };
        let start = last + 1;
        let written = write_count(&file, start).await;
        written.map_err(|error| OpenError::from_io(&path, error))?;
        Ok(Self { file, start })
    }

    /// What the other shards of this process are told.
    pub fn shared(&self) -> Tenure {
        Tenure { file: self.file.shared(), start: self.start }
    }
}

/// Each count has a block of its own, one after the other by turns: one that is torn leaves the
/// count before it.
const SLOT: usize = 4096;

const SLOTS: usize = 2;

const MAGIC: &[u8; 8] = b"RINGLOCK";

/// Bytes of a count: magic, the count u32, checksum u32 of these.
const COUNT: usize = 16;

fn encode(start: u32) -> Vec<u8> {
    let mut slot = Vec::with_capacity(SLOT);
    slot.extend_from_slice(MAGIC);
    slot.extend_from_slice(&start.to_le_bytes());
    slot.extend_from_slice(&crc32c::crc32c(&slot).to_le_bytes());
    slot.resize(SLOT, 0);
    slot
}

fn decode(slot: &[u8]) -> Option<u32> {
    let count = slot.get(..COUNT)?;
    let start = u32::from_le_bytes(count[8..12].try_into().expect("four bytes"));
    (count == &encode(start)[..COUNT]).then_some(start)
}

/// The highest count in the file.
async fn read_count(file: &File) -> io::Result<Option<u32>> {
    let read = file.read(Slab::new(SLOTS * SLOT), 0, SLOTS * SLOT).await?;
    Ok(read.as_slice().chunks(SLOT).filter_map(decode).max())
}

async fn write_count(file: &File, start: u32) -> io::Result<()> {
    let slot = start as usize % SLOTS;
    if file.length().await? < (SLOTS * SLOT) as u64 {
        // Both blocks are allocated at once, so that no later start needs room.
        file.write(vec![Part::Bytes(vec![0; SLOTS * SLOT])], 0, false).await?;
    }
    file.write(vec![Part::Bytes(encode(start))], (slot * SLOT) as u64, false).await?;
    file.sync().await
}

#[cfg(test)]
mod tests {
    use super::*;
    use reactor::sim::{Faults, World};
    use std::cell::RefCell;
    use std::rc::Rc;

    #[test]
    fn a_count_is_read_as_it_was_written_and_a_torn_one_is_none() {
        let slot = encode(7);
        assert_eq!(decode(&slot), Some(7));
        for at in 0..COUNT {
            let mut torn = slot.clone();
            torn[at] ^= 1;
            assert_eq!(decode(&torn), None, "byte {at}");
        }
        assert_eq!(decode(&[]), None);
    }

    /// Takes the lock in a process of its own, which is killed then.
    fn take(world: &World, host: &reactor::sim::Host, lose_power: bool) -> u32 {
        let process = host.start();
        let reactor = process.reactor();
        let taken = Rc::new(RefCell::new(None));
        let place = Rc::clone(&taken);
        reactor.clone().spawn(async move {
            let journal = Journal::silent();
            let patience = Duration::from_secs(60);
            let lock = Lock::take(&reactor, Path::new("/spool"), &journal, patience).await;
            *place.borrow_mut() = Some(lock.expect("the spool is free"));
        });
        assert!(world.run(|| taken.borrow().is_some(), Duration::from_secs(600)));
        let start = taken.borrow().as_ref().expect("just seen").shared().start;
        if lose_power {
            host.lose_power()
        } else {
            process.kill()
        }
        drop(taken.take());
        start
    }

    #[test]
    fn no_start_has_the_count_of_another() {
        let world = World::new(3, Faults::mild());
        let host = world.host("192.0.2.1".parse().expect("an address"));
        let mut last = 0;
        for round in 0..20 {
            let start = take(&world, &host, round % 2 == 0);
            assert!(start > last, "{start} after {last}");
            last = start;
        }
        world.end();
    }
}
