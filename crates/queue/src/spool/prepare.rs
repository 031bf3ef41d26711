//! Segments made: filled with zeros, or out of a spare; durable before they are used.
//!
//! Creating, filling with zeros, the header, and the sync of file and directory are all over before
//! the writer may use a segment.
//!
//! # Spares
//! On ground that was filled with zeros a dead segment is not deleted but becomes a *spare*,
//! `spare-XXXXXXXX`, whose blocks are written again without touching the file system's own
//! structures. Each step is durable before the next one begins:
//! 1. the dead segment is renamed to a spare, and the directory synced. From here on the segment
//!    has gone, and whoever waited for that may go too. A crash before: the rename is lost or not;
//!    the segment is whole or gone, as with a deletion.
//! 2. the new header, with another generation, is written over the spare's first blocks, and the
//!    file synced. A crash: it is a spare, whatever lies in it. Nothing of a spare is ever read.
//! 3. the spare is renamed to `segment-NEXT`, and the directory synced. A crash: the rename is
//!    lost, and it is a spare; or it is a segment whose header is durable, and which holds nothing,
//!    since no batch of an earlier generation verifies in it.
//! 4. batches are written.
//!
//! A file is never renamed back: where step 3 fails, nobody knows which name is the durable one,
//! and a header for another number under a name that came back would look like damage. It is
//! removed.

use super::SegmentId;
use super::layout::{BLOCK, End, Generation, SegmentHeader};
use super::plan::{FIRST_SEGMENT_BYTES, Plan};
use reactor::{File, OpenHow, Part, Reactor, Slab, SlabSlice};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

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

/// Names a spare within its log: `spare-XXXXXXXX` in hexadecimal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct SpareId(pub(super) u32);

/// ENOSPC or EDQUOT.
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Whether it may be over in a moment: no room, or ENOMEM, ENFILE, EMFILE. Nothing is lost by
/// trying again.
pub(super) fn passes(error: &io::Error) -> bool {
    is_full(error) || matches!(error.raw_os_error(), Some(12 | 23 | 24))
}

/// The path of a segment.
pub(super) fn path_of(directory: &Path, segment: SegmentId) -> PathBuf {
    directory.join(segment.to_string())
}

/// The path of a spare.
pub(super) fn path_of_spare(directory: &Path, spare: SpareId) -> PathBuf {
    directory.join(spare.to_string())
}

/// Makes the first segment of a start: out of a spare when there is one, which takes two small
/// writes and works on a full disk too, else a small one.
pub(super) async fn make(
    reactor: &Reactor,
    directory: &Path,
    plan: &Plan,
    wanted: &Wanted,
) -> io::Result<Fresh> {
    if plan.durable_writes {
        for spare in spares(reactor, directory).await? {
            if is_whole(reactor, directory, plan, spare).await? {
                return renew(reactor, directory, plan, spare, wanted).await.map_err(Lost::error);
            }
        }
    }
    let bytes = FIRST_SEGMENT_BYTES.min(plan.segment_bytes);
    make_anew(reactor, directory, plan, wanted, bytes).await
}

/// Makes a segment of `bytes` (with a header of one block) in `directory`, durably. A failed one
/// leaves nothing behind that recovery would take for a segment; its number is not used again.
pub(super) async fn make_anew(
    reactor: &Reactor,
    directory: &Path,
    plan: &Plan,
    wanted: &Wanted,
    bytes: u32,
) -> io::Result<Fresh> {
    let path = path_of(directory, wanted.segment);
    let made = fill(reactor, directory, &path, plan, wanted, bytes).await;
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
    bytes: u32,
) -> io::Result<Fresh> {
    let how = OpenHow { write: true, create: true, exclusive: true, direct: plan.direct };
    let file = reactor.open(path, how).await?;
    let header = header(reactor, wanted);
    let end = bytes - BLOCK as u32 + header.bytes() as u32;
    if plan.durable_writes {
        file.zero_fill(0, u64::from(end)).await?;
    }
    // The header comes last: who finds one finds a finished segment.
    write_header(&file, &header, plan).await?;
    reactor.sync_directory(directory).await?;
    Ok(fresh(&header, file, end))
}

fn header(reactor: &Reactor, wanted: &Wanted) -> SegmentHeader {
    let same = reactor::mutated("generation-not-checked");
    SegmentHeader {
        generation: Generation(if same { 1 } else { reactor.entropy() }),
        log: wanted.log,
        start: wanted.start,
        segment: wanted.segment,
        ends: wanted.ends.clone(),
    }
}

async fn write_header(file: &File, header: &SegmentHeader, plan: &Plan) -> io::Result<()> {
    let mut slab = Slab::new(header.bytes());
    slab.append(&header.encode());
    let parts = vec![Part::Slice(SlabSlice::new(Rc::new(slab), 0..header.bytes()))];
    file.write(parts, 0, plan.durable_writes).await?;
    file.sync().await
}

fn fresh(header: &SegmentHeader, file: File, end: u32) -> Fresh {
    let begin = header.bytes() as u32;
    let SegmentHeader { segment: id, generation, .. } = *header;
    Fresh { id, generation, file: Rc::new(file), begin, end }
}

/// Why a spare did not become a segment.
pub(super) enum Lost {
    /// It is a spare as before.
    Not(io::Error),
    /// It has gone.
    Gone(io::Error),
}

impl Lost {
    fn error(self) -> io::Error {
        let (Self::Not(error) | Self::Gone(error)) = self;
        error
    }
}

/// Makes a segment out of a spare, durably.
pub(super) async fn renew(
    reactor: &Reactor,
    directory: &Path,
    plan: &Plan,
    spare: SpareId,
    wanted: &Wanted,
) -> Result<Fresh, Lost> {
    let (from, to) = (path_of_spare(directory, spare), path_of(directory, wanted.segment));
    let header = header(reactor, wanted);
    let file = head(reactor, &from, plan, &header).await.map_err(Lost::Not)?;
    let named = match reactor.rename(&from, &to).await {
        Ok(()) => reactor.sync_directory(directory).await,
        Err(error) => Err(error),
    };
    if let Err(error) = named {
        drop(reactor.remove(&from).await);
        drop(reactor.remove(&to).await);
        return Err(Lost::Gone(error));
    }
    Ok(fresh(&header, file, plan.segment_bytes))
}

/// Writes the header of a segment over the first blocks of the spare at `path`.
async fn head(
    reactor: &Reactor,
    path: &Path,
    plan: &Plan,
    header: &SegmentHeader,
) -> io::Result<File> {
    let how = OpenHow { write: true, direct: plan.direct, ..OpenHow::default() };
    let file = reactor.open(path, how).await?;
    write_header(&file, header, plan).await?;
    Ok(file)
}

/// Makes a spare, durably; a failed one leaves nothing behind.
pub(super) async fn make_spare(
    reactor: &Reactor,
    directory: &Path,
    plan: &Plan,
    spare: SpareId,
) -> io::Result<()> {
    let path = path_of_spare(directory, spare);
    let made = fill_spare(reactor, directory, &path, plan).await;
    if made.is_err() {
        drop(reactor.remove(&path).await);
    }
    made
}

async fn fill_spare(
    reactor: &Reactor,
    directory: &Path,
    path: &Path,
    plan: &Plan,
) -> io::Result<()> {
    let how = OpenHow { write: true, create: true, exclusive: true, direct: plan.direct };
    let file = reactor.open(path, how).await?;
    file.zero_fill(0, u64::from(plan.segment_bytes)).await?;
    reactor.sync_directory(directory).await
}

/// The spares in a directory, in order.
pub(super) async fn spares(reactor: &Reactor, directory: &Path) -> io::Result<Vec<SpareId>> {
    let names = reactor.read_directory(directory).await?;
    Ok(names.iter().filter_map(|name| SpareId::parse(name)).collect())
}

/// Whether a spare has the length that the plan wants; one whose zeros were never finished has not.
pub(super) async fn is_whole(
    reactor: &Reactor,
    directory: &Path,
    plan: &Plan,
    spare: SpareId,
) -> io::Result<bool> {
    let how = OpenHow { direct: plan.direct, ..OpenHow::default() };
    let file = reactor.open(&path_of_spare(directory, spare), how).await?;
    Ok(file.length().await? == u64::from(plan.segment_bytes))
}

impl SpareId {
    /// `spare-0000002a` is 42.
    fn parse(name: &str) -> Option<Self> {
        let digits = name.strip_prefix("spare-").filter(|digits| digits.len() == 8)?;
        let number = u32::from_str_radix(digits, 16).ok()?;
        // Only the name that we would give it.
        Some(Self(number)).filter(|id| id.to_string() == name)
    }
}

impl fmt::Display for SpareId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "spare-{:08x}", self.0)
    }
}
