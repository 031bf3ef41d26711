//! Segments made ahead, and segments deleted.
//!
//! Creating, filling with zeros, the header, and the sync of file and directory are all over before
//! the writer may use a segment. When none is ready, batches wait: that is the back-pressure.

use super::SegmentId;
use super::layout::{BLOCK, End, Generation, SegmentHeader};
use super::log::Shared;
use super::plan::Plan;
use super::segments::Segment;
use mail::{Event, EventKind, Field};
use reactor::{File, Instant, OpenHow, Part, Reactor, Slab, SlabSlice};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::Duration;

/// How long a full disk is left alone.
const TRY_AGAIN: Duration = Duration::from_secs(1);

/// A segment that can be written to.
pub(super) struct Fresh {
    pub(super) id: SegmentId,
    pub(super) generation: Generation,
    pub(super) file: Rc<File>,
    /// Where its first batch goes.
    pub(super) begin: u32,
    /// Bytes of the file.
    pub(super) end: u32,
}

/// What a new segment is to be.
pub(super) struct Wanted {
    pub(super) log: u16,
    pub(super) start: u32,
    pub(super) segment: SegmentId,
    pub(super) ends: Vec<End>,
}

/// ENOSPC or EDQUOT.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// The path of a segment.
pub(super) fn path_of(directory: &Path, segment: SegmentId) -> PathBuf {
    directory.join(segment.to_string())
}

/// Makes a segment in `directory`, durably. A failed one leaves nothing behind that recovery would
/// take for a segment; its number is not used again.
pub(super) async fn make(
    reactor: &Reactor,
    directory: &Path,
    plan: &Plan,
    wanted: &Wanted,
) -> io::Result<Fresh> {
    let path = path_of(directory, wanted.segment);
    let made = fill(reactor, directory, &path, plan, wanted).await;
    if made.is_err() {
        // On a full disk it is in the way; if this fails too, the next start removes it.
        drop(reactor.remove(&path).await);
    }
    made
}

async fn fill(
    reactor: &Reactor,
    directory: &Path,
    path: &Path,
    plan: &Plan,
    wanted: &Wanted,
) -> io::Result<Fresh> {
    let how = OpenHow { write: true, create: true, exclusive: true, direct: plan.direct };
    let file = reactor.open(path, how).await?;
    let header = SegmentHeader {
        generation: Generation(reactor.entropy()),
        log: wanted.log,
        start: wanted.start,
        segment: wanted.segment,
        ends: wanted.ends.clone(),
    };
    let begin = header.bytes() as u32;
    let end = plan.segment_bytes - BLOCK as u32 + begin;
    if plan.durable_writes {
        file.zero_fill(0, u64::from(end)).await?;
    }
    // The header comes last: who finds one finds a finished segment.
    let mut slab = Slab::new(header.bytes());
    slab.append(&header.encode());
    let parts = vec![Part::Slice(SlabSlice::new(Rc::new(slab), 0..header.bytes()))];
    file.write(parts, 0, plan.durable_writes).await?;
    file.sync().await?;
    reactor.sync_directory(directory).await?;
    Ok(Fresh { id: wanted.segment, generation: header.generation, file: Rc::new(file), begin, end })
}

impl Shared {
    /// The preparer's task: keeps one segment ready.
    pub(super) async fn prepare_on(self: Rc<Self>) {
        loop {
            let wanted = {
                let writer = self.writer.borrow();
                !writer.failed && writer.ready.is_none()
            };
            if !wanted {
                self.prepare.wait(Instant::NEVER).await;
                continue;
            }
            if self.writer.borrow().full {
                self.reactor.sleep(self.reactor.now() + TRY_AGAIN).await;
            }
            self.prepare_one().await;
        }
    }

    async fn prepare_one(&self) {
        let ends = std::mem::take(&mut self.writer.borrow_mut().ends);
        let wanted = Wanted {
            log: self.number,
            start: self.start,
            segment: SegmentId(self.next_segment.replace(self.next_segment.get() + 1)),
            ends,
        };
        match make(&self.reactor, &self.directory, &self.plan, &wanted).await {
            Ok(fresh) => self.adopt(fresh, wanted.ends),
            Err(error) => {
                self.writer.borrow_mut().ends.extend(wanted.ends);
                self.not_made(&error);
            }
        }
        self.write.notify_one();
    }

    fn adopt(&self, fresh: Fresh, ends: Vec<End>) {
        let needs = ends.iter().map(|end| end.segment).collect();
        let segment = Segment::new(fresh.generation, u64::from(fresh.end));
        self.segments.insert(fresh.id, segment.writing(Rc::clone(&fresh.file), needs));
        let mut writer = self.writer.borrow_mut();
        // A retreat in the meantime has left ends that this header does not have.
        if writer.ends.is_empty() {
            writer.full = false;
            writer.ready = Some(fresh);
            if let Some(left) = writer.left.take() {
                self.segments.close(left);
            }
        } else {
            writer.ends.extend(ends);
            self.segments.close(fresh.id);
        }
    }

    fn not_made(&self, error: &io::Error) {
        // ENFILE, EMFILE and ENOMEM pass, as a full disk may; nothing is lost by trying again.
        let passes = matches!(error.raw_os_error(), Some(12 | 23 | 24));
        if !passes && !is_full(error) {
            self.poison(EventKind::SpoolFailed, error);
            return;
        }
        let before = std::mem::replace(&mut self.writer.borrow_mut().full, true);
        if !before {
            self.say_full();
        }
    }

    /// The sweeper's task: deletes dead segments. A removal is durable before the segments that
    /// waited for it are looked at.
    pub(super) async fn sweep_on(self: Rc<Self>) {
        loop {
            let dead = self.segments.take_dead();
            if dead.is_empty() {
                self.segments.sweep.wait(Instant::NEVER).await;
                continue;
            }
            match self.delete(&dead).await {
                Ok(()) => self.segments.gone(&dead),
                Err(error) => self.journal.record(
                    Event::new(EventKind::SpoolWarned)
                        .text(Field::File, self.directory.display().to_string())
                        .text(Field::Reason, format!("a dead segment stays: {error}"))
                        .fixed(Field::Remedy, "it is removed at the next start"),
                ),
            }
        }
    }

    async fn delete(&self, dead: &[SegmentId]) -> io::Result<()> {
        for id in dead {
            match self.reactor.remove(&path_of(&self.directory, *id)).await {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Ok(()) | Err(_) => {}
            }
        }
        self.reactor.sync_directory(&self.directory).await
    }
}
