//! What lies in the directory of a log, opened for reading only.

use crate::OpenError;
use crate::spool::SegmentId;
use crate::spool::layout::{BATCH_MAGIC, BLOCK, End, HeaderFound, SegmentHeader, VERSION};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// A file is read in pieces of this size, so that a bad sector costs little time.
const PIECE: usize = 1024 * 1024;

/// The longest header that is believed, in bytes: two million ends.
const HEADER_BYTES_MAX: usize = 1 << 26;

/// A segment whose header verifies.
pub(super) struct Segment {
    pub(super) id: SegmentId,
    pub(super) header: SegmentHeader,
    /// Where the first batch lies.
    pub(super) begin: usize,
    pub(super) file_bytes: u64,
    /// Where it ends, if a later header says so.
    pub(super) end: Option<End>,
}

/// Something else in the directory.
pub(super) struct Other {
    pub(super) name: String,
    pub(super) file_bytes: u64,
    pub(super) what: Strange,
}

/// What it is.
pub(super) enum Strange {
    /// A dead segment whose ground is used again.
    Spare,
    /// A segment without a header and without anything like a batch: never written to.
    Unfinished,
    /// A segment whose header does not verify, with batches behind it.
    Headless,
    /// A segment of another log or number: copied by hand.
    Misplaced,
    /// A segment of this version of the format, which is not ours.
    Version(u32),
    /// What the disk, or the permissions, said.
    Unreadable(io::Error),
    /// No name of ours.
    Foreign,
}

/// The files of one log.
#[derive(Default)]
pub(super) struct Files {
    pub(super) directory: PathBuf,
    /// In the order of their numbers.
    pub(super) segments: Vec<Segment>,
    pub(super) others: Vec<Other>,
}

/// Bytes of a file, and where the disk did not give them.
pub(super) struct Contents {
    /// What could not be read is zeros, which verify as nothing.
    pub(super) bytes: Vec<u8>,
    /// The blocks that could not be read, by offset.
    pub(super) unreadable: Vec<u32>,
}

impl Files {
    /// Looks at every file in the directory of log `log`.
    pub(super) fn of(directory: &Path, log: u16) -> Result<Self, OpenError> {
        let mut files = Self { directory: directory.into(), ..Self::default() };
        for name in names(directory)? {
            let path = directory.join(&name);
            let file_bytes = std::fs::symlink_metadata(&path).map_or(0, |found| found.len());
            let what = match parse_name(&name) {
                Some(id) => match look(&path, id, log) {
                    Ok((header, begin)) => {
                        let segment = Segment { id, header, begin, file_bytes, end: None };
                        files.segments.push(segment);
                        continue;
                    }
                    // The relay has deleted it since its name was read.
                    Err(Strange::Unreadable(error)) if error.kind() == io::ErrorKind::NotFound => {
                        continue;
                    }
                    Err(strange) => strange,
                },
                None if is_spare(&name) => Strange::Spare,
                None => Strange::Foreign,
            };
            files.others.push(Other { name, file_bytes, what });
        }
        files.segments.sort_by_key(|segment| segment.id);
        files.join_ends();
        Ok(files)
    }

    /// Tells each segment what later headers say of its end.
    fn join_ends(&mut self) {
        let headers = self.segments.iter().map(|segment| &segment.header);
        let ends: Vec<End> = headers.flat_map(|header| header.ends.iter().copied()).collect();
        for end in ends {
            if let Some(segment) = self.find_mut(end.segment)
                && segment.header.generation == end.generation
            {
                segment.end.get_or_insert(end);
            }
        }
    }

    fn find_mut(&mut self, id: SegmentId) -> Option<&mut Segment> {
        let index = self.segments.binary_search_by_key(&id, |segment| segment.id).ok()?;
        Some(&mut self.segments[index])
    }

    /// The segment of this number.
    pub(super) fn find(&self, id: SegmentId) -> Option<&Segment> {
        let index = self.segments.binary_search_by_key(&id, |segment| segment.id).ok()?;
        Some(&self.segments[index])
    }

    /// The last start of the log; zero when there was none.
    pub(super) fn last_start(&self) -> u32 {
        self.segments.iter().map(|segment| segment.header.start).max().unwrap_or(0)
    }

    /// The files that could not be opened, and those of another version.
    pub(super) fn unreadable(&self) -> Vec<OpenError> {
        let error = |other: &Other| match &other.what {
            Strange::Version(found) => Some(wrong_version(*found)),
            Strange::Unreadable(error) => {
                let error = io::Error::new(error.kind(), error.to_string());
                Some(OpenError::from_io(&self.directory.join(&other.name), error))
            }
            Strange::Spare
            | Strange::Unfinished
            | Strange::Headless
            | Strange::Misplaced
            | Strange::Foreign => None,
        };
        self.others.iter().filter_map(error).collect()
    }

    /// Where a segment lies.
    pub(super) fn path_of(&self, id: SegmentId) -> PathBuf {
        self.directory.join(id.to_string())
    }
}

/// The error for a segment of another version.
fn wrong_version(found: u32) -> OpenError {
    let known = VERSION;
    if found > known {
        OpenError::TooNew { found, known }
    } else {
        OpenError::TooOld { found, known }
    }
}

/// The names in a directory, sorted.
pub(super) fn names(directory: &Path) -> Result<Vec<String>, OpenError> {
    let failed = |error| OpenError::from_io(directory, error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(directory).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(names)
}

/// `segment-0000002a` is 42.
fn parse_name(name: &str) -> Option<SegmentId> {
    let digits = name.strip_prefix("segment-").filter(|digits| digits.len() == 8)?;
    let number = u32::from_str_radix(digits, 16).ok()?;
    // Only the name that we would give it.
    Some(SegmentId(number)).filter(|id| id.to_string() == name)
}

fn is_spare(name: &str) -> bool {
    let digits = name.strip_prefix("spare-");
    digits.is_some_and(|digits| digits.len() == 8 && u32::from_str_radix(digits, 16).is_ok())
}

/// The header of a segment and its length, or what is wrong with the file.
fn look(path: &Path, id: SegmentId, log: u16) -> Result<(SegmentHeader, usize), Strange> {
    let file = File::open(path).map_err(Strange::Unreadable)?;
    let length = file.metadata().map_err(Strange::Unreadable)?.len();
    let mut found = SegmentHeader::find(&read_some(&file, length.min(BLOCK as u64)).bytes);
    if let HeaderFound::Longer(bytes) = found
        && bytes as u64 <= length
        && bytes <= HEADER_BYTES_MAX
    {
        found = SegmentHeader::find(&read_some(&file, bytes as u64).bytes);
    }
    match found {
        HeaderFound::Whole(header, begin) if header.segment == id && header.log == log => {
            Ok((header, begin))
        }
        HeaderFound::Whole(..) => Err(Strange::Misplaced),
        HeaderFound::Version(version) => Err(Strange::Version(version)),
        HeaderFound::Longer(_) | HeaderFound::None => {
            let contents = read_some(&file, length);
            let written = contents.bytes.chunks(BLOCK).any(|block| block.starts_with(BATCH_MAGIC));
            let written = written || !contents.unreadable.is_empty();
            Err(if written { Strange::Headless } else { Strange::Unfinished })
        }
    }
}

/// All of a file.
pub(super) fn read(path: &Path) -> io::Result<Contents> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    Ok(read_some(&file, length))
}

/// `bytes` of a file at `offset`; `None` when they are not all there.
pub(super) fn read_at(path: &Path, offset: u32, bytes: u32) -> io::Result<Option<Vec<u8>>> {
    let file = File::open(path)?;
    if u64::from(offset) + u64::from(bytes) > file.metadata()?.len() {
        return Ok(None);
    }
    let mut read = vec![0; bytes as usize];
    file.read_exact_at(&mut read, offset.into())?;
    Ok(Some(read))
}

/// The first `length` bytes of a file: in pieces, and block by block where a piece fails.
fn read_some(file: &File, length: u64) -> Contents {
    let mut contents = Contents { bytes: vec![0; length as usize], unreadable: Vec::new() };
    for (number, piece) in contents.bytes.chunks_mut(PIECE).enumerate() {
        let at = (number * PIECE) as u64;
        if file.read_exact_at(piece, at).is_ok() {
            continue;
        }
        for (number, block) in piece.chunks_mut(BLOCK).enumerate() {
            let at = at + (number * BLOCK) as u64;
            if file.read_exact_at(block, at).is_err() {
                block.fill(0);
                contents.unreadable.push(at as u32);
            }
        }
    }
    contents
}
