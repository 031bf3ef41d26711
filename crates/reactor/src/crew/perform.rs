//! The calls themselves, each to its end, on whatever thread asks for them.

use crate::crew::CrewJob;
use crate::file::{FileAnswer, FileCall, FileSystem, FileSystemKind, OpenHow};
use crate::kernel::Descriptor;
use crate::memory::{Gather, Slab};
use rustix::fs::{FlockOperation, Mode, OFlags, StatVfsMountFlags};
use rustix::io::{Errno, ReadWriteFlags, retry_on_intr};
use std::io::IoSlice;
use std::num::NonZeroU64;
use std::os::fd::{BorrowedFd, FromRawFd, IntoRawFd, OwnedFd};
use std::path::Path;

/// Zeros are written in pieces of this many bytes, so that little memory is needed.
const ZEROS_BYTES: usize = 1 << 20;

/// Runs `job`; the result is the kernel's.
pub(super) fn perform(job: CrewJob) -> (i32, Option<Box<FileAnswer>>) {
    let outcome = match job {
        CrewJob::Call(call) => match perform_call(*call) {
            Ok(answer) => return (0, Some(Box::new(answer))),
            Err(error) => Err(error),
        },
        CrewJob::Read { file, offset, target, length } => {
            // SAFETY: `length` bytes at `target` are the operation's own until it completes.
            let target = unsafe { std::slice::from_raw_parts_mut(target, length) };
            retry_on_intr(|| rustix::io::pread(borrow(file), &mut *target, offset))
        }
        CrewJob::Write { file, offset, parts, durable } => {
            // SAFETY: the gather lives in the operation's slot until it completes.
            write_all(file, offset, unsafe { &*parts }, durable)
        }
        CrewJob::Sync { file } => retry_on_intr(|| rustix::fs::fdatasync(borrow(file))).map(|()| 0),
    };
    match outcome {
        Ok(count) => (i32::try_from(count).unwrap_or(i32::MAX), None),
        Err(error) => (-error.raw_os_error(), None),
    }
}

/// Closes what an answer that nobody will take has opened.
pub(super) fn forget(answer: Option<Box<FileAnswer>>) {
    if let Some(FileAnswer::Opened(descriptor)) = answer.as_deref() {
        // SAFETY: it was opened by `perform_call`, and nobody else has heard of it.
        drop(unsafe { OwnedFd::from_raw_fd(*descriptor) });
    }
}

fn borrow<'a>(descriptor: Descriptor) -> BorrowedFd<'a> {
    // SAFETY: a descriptor is closed only when no operation on it is queued or in flight.
    unsafe { BorrowedFd::borrow_raw(descriptor) }
}

/// Writes everything, with as many calls as it takes. An error after a part was written is the
/// operation's error: its caller wants all or the reason.
fn write_all(file: Descriptor, offset: u64, parts: &Gather, durable: bool) -> Result<usize, Errno> {
    let file = borrow(file);
    let mut slices: Vec<IoSlice<'_>> = parts.slices().map(IoSlice::new).collect();
    let mut left = slices.as_mut_slice();
    let mut written = 0;
    let mut flags = if durable { ReadWriteFlags::DSYNC } else { ReadWriteFlags::empty() };
    while !left.is_empty() {
        let at = offset + written as u64;
        match rustix::io::pwritev2(file, left, at, flags) {
            // No progress and no reason: the short count says so.
            Ok(0) => break,
            Ok(count) => {
                written += count;
                IoSlice::advance_slices(&mut left, count);
            }
            Err(Errno::INTR) => {}
            // A kernel or file system that knows no RWF_DSYNC: sync at the end instead.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) if !flags.is_empty() => {
                flags = ReadWriteFlags::empty();
            }
            Err(error) => return Err(error),
        }
    }
    if durable && flags.is_empty() {
        retry_on_intr(|| rustix::fs::fdatasync(file))?;
    }
    Ok(written)
}

fn perform_call(call: FileCall) -> Result<FileAnswer, Errno> {
    match call {
        FileCall::Open { path, how } => open(&path, how),
        FileCall::ReadDirectory { path } => read_directory(&path),
        FileCall::MakeDirectory { path } => make_directory(&path),
        FileCall::SyncDirectory { path } => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = retry_on_intr(|| rustix::fs::open(&path, flags, Mode::empty()))?;
            done(retry_on_intr(|| rustix::fs::fsync(&directory)))
        }
        FileCall::Remove { path } => done(rustix::fs::unlink(&path)),
        FileCall::Rename { from, to } => done(rustix::fs::rename(&from, &to)),
        FileCall::ZeroFill { file, from, to } => zero_fill(borrow(file), from, to),
        FileCall::Length { file } => {
            let length = rustix::fs::fstat(borrow(file))?.st_size;
            Ok(FileAnswer::Length(u64::try_from(length).unwrap_or(0)))
        }
        FileCall::Truncate { file, length } => {
            done(retry_on_intr(|| rustix::fs::ftruncate(borrow(file), length)))
        }
        FileCall::Lock { file } => {
            done(rustix::fs::flock(borrow(file), FlockOperation::NonBlockingLockExclusive))
        }
        FileCall::FileSystem { path } => file_system(&path),
    }
}

fn done(result: Result<(), Errno>) -> Result<FileAnswer, Errno> {
    result.map(|()| FileAnswer::Done)
}

fn open(path: &Path, how: OpenHow) -> Result<FileAnswer, Errno> {
    let mut flags = OFlags::CLOEXEC;
    flags |= if how.write { OFlags::RDWR } else { OFlags::RDONLY };
    flags.set(OFlags::CREATE, how.create);
    flags.set(OFlags::EXCL, how.exclusive);
    flags.set(OFlags::DIRECT, how.direct);
    let mode = Mode::RUSR | Mode::WUSR;
    let opened = retry_on_intr(|| rustix::fs::open(path, flags, mode))?;
    Ok(FileAnswer::Opened(opened.into_raw_fd()))
}

fn read_directory(path: &Path) -> Result<FileAnswer, Errno> {
    let errno = |error| Errno::from_io_error(&error).unwrap_or(Errno::IO);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(path).map_err(errno)? {
        // A name that is no UTF-8 is none of ours; it only has to be seen.
        names.push(entry.map_err(errno)?.file_name().to_string_lossy().into_owned());
    }
    names.sort_unstable();
    Ok(FileAnswer::Names(names))
}

fn make_directory(path: &Path) -> Result<FileAnswer, Errno> {
    match rustix::fs::mkdir(path, Mode::RWXU) {
        // Something else of that name is not fine.
        Err(Errno::EXIST) if path.is_dir() => Ok(FileAnswer::Done),
        result => done(result),
    }
}

fn zero_fill(file: BorrowedFd<'_>, from: u64, to: u64) -> Result<FileAnswer, Errno> {
    // A slab is aligned, so that a file opened for direct I/O takes it too.
    let mut zeros = Slab::new(ZEROS_BYTES);
    zeros.set_len(ZEROS_BYTES);
    let mut at = from;
    while at < to {
        let length = usize::try_from(to - at).unwrap_or(usize::MAX).min(ZEROS_BYTES);
        let piece = &zeros.as_slice()[..length];
        match retry_on_intr(|| rustix::io::pwrite(file, piece, at))? {
            0 => return Err(Errno::IO),
            count => at += count as u64,
        }
    }
    retry_on_intr(|| rustix::fs::fsync(file))?;
    if let Some(length) = NonZeroU64::new(to.saturating_sub(from)) {
        // Advice only: a file system that cannot follow it keeps its pages.
        let _ = rustix::fs::fadvise(file, from, Some(length), rustix::fs::Advice::DontNeed);
    }
    Ok(FileAnswer::Done)
}

fn file_system(path: &Path) -> Result<FileAnswer, Errno> {
    let kind = retry_on_intr(|| rustix::fs::statfs(path))?.f_type as u64;
    let state = retry_on_intr(|| rustix::fs::statvfs(path))?;
    Ok(FileAnswer::FileSystem(FileSystem {
        kind: kind_of(kind),
        bytes: state.f_blocks.saturating_mul(state.f_frsize),
        free: state.f_bavail.saturating_mul(state.f_frsize),
        read_only: state.f_flag.contains(StatVfsMountFlags::RDONLY),
    }))
}

/// The kinds that matter by their `f_type`: linux/magic.h and statfs(2).
fn kind_of(number: u64) -> FileSystemKind {
    match number {
        0xEF53 => FileSystemKind::Ext,
        0x5846_5342 => FileSystemKind::Xfs,
        0x9123_683E => FileSystemKind::Btrfs,
        // tmpfs, ramfs.
        0x0102_1994 | 0x8584_58F6 => FileSystemKind::Memory,
        // NFS, SMB, CIFS, SMB2, FUSE, overlayfs, 9P, Ceph.
        0x6969 | 0x517B | 0xFF53_4D42 | 0xFE53_4D42 | 0x6573_5546 | 0x794C_7630 | 0x0102_1997
        | 0x00C3_6400 => FileSystemKind::Foreign,
        other => FileSystemKind::Other(other),
    }
}
