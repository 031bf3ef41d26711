//! Reads what lies in the directory of a log.

use super::SegmentId;
use super::layout::{BATCH_MAGIC, BLOCK, End, HeaderFound, SegmentHeader, VERSION};
use super::plan::Plan;
use super::prepare::path_of;
use crate::OpenError;
use reactor::{File, OpenHow, Reactor, Slab};
use std::io;
use std::path::Path;

/// Segments are read in pieces of this size.
const PIECE: usize = 1024 * 1024;

/// A segment that was found.
pub(super) struct Found {
    pub(super) id: SegmentId,
    pub(super) header: SegmentHeader,
    /// Where the first batch lies.
    pub(super) begin: usize,
    pub(super) file_bytes: u64,
    /// Where it ends, if a later header says so.
    pub(super) end: Option<End>,
}

/// What lies in the directory.
#[derive(Default)]
pub(super) struct Survey {
    /// In the order of their numbers.
    pub(super) segments: Vec<Found>,
    /// Segments whose header does not verify, though batches lie behind it, and their lengths.
    pub(super) headless: Vec<(SegmentId, u64)>,
    /// The highest number in use; zero: none.
    pub(super) highest: u32,
}

impl Survey {
    /// Looks at the headers of all segments in `directory`, and removes segments that were never
    /// finished.
    pub(super) async fn of(
        reactor: &Reactor,
        directory: &Path,
        log: u16,
        plan: &Plan,
    ) -> Result<Self, OpenError> {
        let failed = |error| OpenError::from_io(directory, error);
        let mut survey = Self::default();
        for name in reactor.read_directory(directory).await.map_err(failed)? {
            let Some(id) = parse_name(&name) else { continue };
            survey.highest = survey.highest.max(id.0);
            let path = path_of(directory, id);
            let at_path = |error| OpenError::from_io(&path, error);
            let file = open(reactor, &path, plan).await.map_err(at_path)?;
            let file_bytes = file.length().await.map_err(at_path)?;
            match find_header(&file, file_bytes).await {
                HeaderFound::Whole(header, begin) if header.segment == id && header.log == log => {
                    survey.segments.push(Found { id, header, begin, file_bytes, end: None });
                }
                HeaderFound::Version(found) if found > VERSION => {
                    return Err(OpenError::TooNew { found, known: VERSION });
                }
                HeaderFound::Version(found) => {
                    return Err(OpenError::TooOld { found, known: VERSION });
                }
                HeaderFound::Whole(..) | HeaderFound::Longer(_) | HeaderFound::None => {
                    let contents = read_contents(&file, file_bytes).await;
                    if looks_written(&contents) {
                        survey.headless.push((id, file_bytes));
                    } else {
                        // A batch is written only after the header is durable: nothing is lost.
                        reactor.remove(&path).await.map_err(at_path)?;
                    }
                }
            }
        }
        survey.segments.sort_by_key(|found| found.id);
        survey.join_ends();
        Ok(survey)
    }

    /// Tells each segment what later headers say of its end.
    fn join_ends(&mut self) {
        let ends: Vec<End> =
            self.segments.iter().flat_map(|found| found.header.ends.iter().copied()).collect();
        for end in ends {
            let index = self.segments.binary_search_by_key(&end.segment, |found| found.id);
            let Ok(index) = index else { continue };
            let found = &mut self.segments[index];
            if found.header.generation == end.generation {
                // An end is final: all headers that name it say the same.
                found.end.get_or_insert(end);
            }
        }
    }

    /// The last start of the log; zero when there was none.
    pub(super) fn last_start(&self) -> u32 {
        self.segments.iter().map(|found| found.header.start).max().unwrap_or(0)
    }

    /// The start count to go on with. Each start has made a segment, so that even where a header is
    /// lost the count is no higher than the highest number.
    pub(super) fn next_start(&self) -> u32 {
        if self.headless.is_empty() { self.last_start() + 1 } else { self.highest + 1 }
    }
}

/// The highest start count in the headers of the segments in `directory` that verify; zero: none.
pub(super) async fn last_start(reactor: &Reactor, directory: &Path) -> io::Result<u32> {
    let mut last = 0;
    for name in reactor.read_directory(directory).await? {
        let Some(id) = parse_name(&name) else { continue };
        let file = reactor.open(&path_of(directory, id), OpenHow::default()).await?;
        let found = find_header(&file, file.length().await?).await;
        if let HeaderFound::Whole(header, _) = found {
            last = last.max(header.start);
        }
    }
    Ok(last)
}

/// `segment-0000002a` is 42.
fn parse_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_prefix("segment-").filter(|digits| digits.len() == 8)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    // Only the name that we would give it.
    Some(SegmentId(number)).filter(|id| id.to_string() == name)
}

pub(super) async fn open(reactor: &Reactor, path: &Path, plan: &Plan) -> io::Result<File> {
    reactor.open(path, OpenHow { direct: plan.direct, ..OpenHow::default() }).await
}

async fn find_header(file: &File, file_bytes: u64) -> HeaderFound {
    let found = SegmentHeader::find(&read_contents(file, file_bytes.min(BLOCK as u64)).await.bytes);
    match found {
        HeaderFound::Longer(bytes) if bytes as u64 <= file_bytes => {
            SegmentHeader::find(&read_contents(file, bytes as u64).await.bytes)
        }
        found => found,
    }
}

/// Whether something like a batch lies at some block boundary, or may lie there.
fn looks_written(contents: &Contents) -> bool {
    let batch = contents.bytes.chunks(BLOCK).any(|block| block.starts_with(BATCH_MAGIC));
    batch || !contents.unreadable.is_empty()
}

/// Bytes of a segment, and where the disk did not give them.
pub(super) struct Contents {
    /// What could not be read is zeros, which verify as nothing.
    pub(super) bytes: Vec<u8>,
    /// The blocks that could not be read, by offset.
    pub(super) unreadable: Vec<u32>,
}

/// How often a block is tried before it counts as lost.
const TRIES: u32 = 5;

/// The first `length` bytes of a file, in pieces, and block by block where a piece fails: a bad
/// sector costs what lies on it, and nothing else.
pub(super) async fn read_contents(file: &File, length: u64) -> Contents {
    let length = usize::try_from(length).expect("a segment fits the memory");
    let mut contents = Contents { bytes: Vec::with_capacity(length), unreadable: Vec::new() };
    while contents.bytes.len() < length {
        let end = length.min(contents.bytes.len() + PIECE);
        if read_up_to(file, end, PIECE, &mut contents.bytes).await {
            continue;
        }
        while contents.bytes.len() < end {
            read_block(file, end, &mut contents).await;
        }
    }
    contents
}

/// The bytes from `from`, a block boundary, to `to`, if the disk gives all of them.
pub(super) async fn read_range(file: &File, from: u64, to: u64) -> Option<Vec<u8>> {
    let length = usize::try_from(to - from).expect("a segment fits the memory");
    let mut bytes = Vec::with_capacity(length);
    while bytes.len() < length {
        let asked = (length - bytes.len()).min(PIECE);
        let at = from + bytes.len() as u64;
        let mut read = None;
        for _ in 0..TRIES {
            let slab = file.read(Slab::new(asked), at, asked.next_multiple_of(BLOCK)).await;
            read = slab.ok().filter(|slab| slab.len() >= asked);
            if read.is_some() {
                break;
            }
        }
        bytes.extend_from_slice(&read?.as_slice()[..asked]);
    }
    Some(bytes)
}

/// Whether the disk gives the first block of a segment, which is there always.
pub(super) async fn gives_first_block(file: &File) -> bool {
    read_up_to(file, BLOCK, BLOCK, &mut Vec::new()).await
}

/// Appends the next block, or zeros.
async fn read_block(file: &File, end: usize, contents: &mut Contents) {
    let at = contents.bytes.len();
    let end = end.min(at + BLOCK);
    for _ in 0..TRIES {
        if read_up_to(file, end, BLOCK, &mut contents.bytes).await {
            return;
        }
    }
    contents.bytes.resize(end, 0);
    contents.unreadable.push(u32::try_from(at).expect("segments are far below 4 GiB"));
}

/// Appends the bytes of `file` from where `bytes` end up to `end`, at most `capacity` of them;
/// `false`, and nothing is appended, when they do not all come.
async fn read_up_to(file: &File, end: usize, capacity: usize, bytes: &mut Vec<u8>) -> bool {
    let wanted = end - bytes.len();
    let asked = wanted.next_multiple_of(BLOCK);
    let Ok(slab) = file.read(Slab::new(capacity), bytes.len() as u64, asked).await else {
        return false;
    };
    let whole = slab.len() >= wanted;
    if whole {
        bytes.extend_from_slice(&slab.as_slice()[..wanted]);
    }
    whole
}
