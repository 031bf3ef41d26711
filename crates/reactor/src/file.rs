//! Files and directories.

use crate::descriptor::{DescriptorKey, Kind};
use crate::kernel::{Descriptor, Operation};
use crate::memory::{Part, Slab};
use crate::reactor::{Core, Reactor};
use crate::slot::Payload;
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;

/// How a file is opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenHow {
    /// For writing too.
    pub write: bool,
    /// Made if it does not exist.
    pub create: bool,
    /// An error if it does.
    pub exclusive: bool,
    /// O_DIRECT: memory, offsets and lengths are multiples of the device's block.
    pub direct: bool,
}

/// A call that may block for long, run on another thread.
#[derive(Debug)]
pub(crate) enum FileCall {
    /// Opens (close-on-exec); files are made with mode 0600.
    Open { path: PathBuf, how: OpenHow },
    /// The names in a directory, sorted.
    ReadDirectory { path: PathBuf },
    /// Makes a directory with mode 0700; one that exists is fine.
    MakeDirectory { path: PathBuf },
    /// fsync of a directory.
    SyncDirectory { path: PathBuf },
    /// Unlinks a file.
    Remove { path: PathBuf },
    /// Renames over whatever is there.
    Rename { from: PathBuf, to: PathBuf },
    /// Writes zeros from `from` to `to` and makes them and the length durable (fsync); leaves no
    /// pages in the cache, where direct writes would have to look for them.
    ZeroFill { file: Descriptor, from: u64, to: u64 },
    /// The length of a file.
    Length { file: Descriptor },
    /// Sets the length of a file.
    Truncate { file: Descriptor, length: u64 },
    /// flock(LOCK_EX | LOCK_NB): EWOULDBLOCK when somebody has it.
    Lock { file: Descriptor },
    /// statfs.
    FileSystem { path: PathBuf },
}

/// What a call answers.
#[derive(Debug)]
pub(crate) enum FileAnswer {
    Done,
    Opened(Descriptor),
    Names(Vec<String>),
    Length(u64),
    FileSystem(FileSystem),
}

/// The kind of a file system, as far as it matters to writing durably.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystemKind {
    /// ext4 (or ext2, ext3).
    Ext,
    /// XFS.
    Xfs,
    /// btrfs.
    Btrfs,
    /// tmpfs or ramfs: nothing is durable.
    Memory,
    /// NFS, CIFS, FUSE, overlay: durability is somebody else's promise.
    Foreign,
    /// Anything else; the number is statfs's `f_type`.
    Other(u64),
}

/// A file system: what it is and how full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileSystem {
    /// What it is.
    pub kind: FileSystemKind,
    /// Bytes in all.
    pub bytes: u64,
    /// Bytes that this process may still use.
    pub free: u64,
    /// Whether it is mounted read-only.
    pub read_only: bool,
}

/// Names an open file to the other reactors of its process.
#[derive(Clone, Copy, Debug)]
pub struct SharedFile(Descriptor);

/// An open file. Dropping it closes it, after its last operation.
pub struct File {
    core: Rc<Core>,
    key: DescriptorKey,
    descriptor: Descriptor,
}

impl Reactor {
    /// Opens a file.
    ///
    /// # Errors
    /// As open(2).
    pub async fn open(&self, path: &Path, how: OpenHow) -> io::Result<File> {
        let core = self.core();
        match call(&core, None, FileCall::Open { path: path.into(), how }).await? {
            FileAnswer::Opened(descriptor) => {
                let key = core.with_descriptors(|all| all.insert(descriptor, Kind::File));
                Ok(File { core, key, descriptor })
            }
            other => unexpected(&other),
        }
    }

    /// The names in a directory, sorted.
    ///
    /// # Errors
    /// As opendir and readdir.
    pub async fn read_directory(&self, path: &Path) -> io::Result<Vec<String>> {
        match call(&self.core(), None, FileCall::ReadDirectory { path: path.into() }).await? {
            FileAnswer::Names(names) => Ok(names),
            other => unexpected(&other),
        }
    }

    /// Makes a directory (mode 0700) unless there is one; durable after
    /// [`sync_directory`](Self::sync_directory) of its parent.
    ///
    /// # Errors
    /// As mkdir(2), but for EEXIST.
    pub async fn make_directory(&self, path: &Path) -> io::Result<()> {
        done(&call(&self.core(), None, FileCall::MakeDirectory { path: path.into() }).await?)
    }

    /// Makes the names in a directory durable.
    ///
    /// # Errors
    /// As fsync(2).
    pub async fn sync_directory(&self, path: &Path) -> io::Result<()> {
        done(&call(&self.core(), None, FileCall::SyncDirectory { path: path.into() }).await?)
    }

    /// Removes a file; durable after [`sync_directory`](Self::sync_directory).
    ///
    /// # Errors
    /// As unlink(2).
    pub async fn remove(&self, path: &Path) -> io::Result<()> {
        done(&call(&self.core(), None, FileCall::Remove { path: path.into() }).await?)
    }

    /// Renames a file; durable after [`sync_directory`](Self::sync_directory).
    ///
    /// # Errors
    /// As rename(2).
    pub async fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = FileCall::Rename { from: from.into(), to: to.into() };
        done(&call(&self.core(), None, rename).await?)
    }

    /// Keeps `file` open (and so its lock held) until the last write of this reactor's kernel has
    /// landed, even if the process is killed.
    ///
    /// # Errors
    /// As registering a file with the ring.
    pub fn hold(&self, file: SharedFile) -> io::Result<()> {
        self.core().with_kernel(|kernel| kernel.hold(file.0))
    }

    /// The file system that `path` lies on.
    ///
    /// # Errors
    /// As statfs(2).
    pub async fn file_system(&self, path: &Path) -> io::Result<FileSystem> {
        match call(&self.core(), None, FileCall::FileSystem { path: path.into() }).await? {
            FileAnswer::FileSystem(file_system) => Ok(file_system),
            other => unexpected(&other),
        }
    }
}

impl File {
    /// Writes all of `parts` at `offset`, and with `durable` waits until they are on stable
    /// storage (RWF_DSYNC). There is no deadline, and dropping the future does not stop the write
    /// (of up to 1024 parts).
    ///
    /// # Errors
    /// As pwritev2(2). A short write is a failed one, and the rest is asked why: it is how a file
    /// that grows meets a full disk or a quota, so that it is `StorageFull` when the rest gives no
    /// other reason. Nothing is known of the range then.
    pub async fn write(&self, mut parts: Vec<Part>, offset: u64, durable: bool) -> io::Result<()> {
        let total: usize = parts.iter().map(|part| part.as_slice().len()).sum();
        let mut written = 0;
        let mut short = false;
        // Once, unless there are more parts than one call takes, or a write was short.
        while written < total {
            let gather = self.core.gather(parts, written);
            let wanted = gather.len();
            let offset = offset + written as u64;
            let file = self.descriptor;
            let pending =
                self.core.ask_for_good(Some(self.key), Payload::Parts(gather), |payload| {
                    let Payload::Parts(gather) = payload else { unreachable!("given above") };
                    Operation::Write { file, offset, parts: &raw const **gather, durable }
                });
            let landed = pending.await;
            let landed_bytes = landed.result? as usize;
            if landed_bytes == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            short |= landed_bytes != wanted;
            let Payload::Parts(gather) = landed.payload else { unreachable!("given above") };
            parts = self.core.ungather(gather);
            written += landed_bytes;
        }
        if short { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// Reads up to `length` bytes at `offset` into `slab` (its old bytes are forgotten); fewer at
    /// the end of the file. Panics when `length` is over the slab's capacity.
    ///
    /// # Errors
    /// As pread(2).
    pub async fn read(&self, mut slab: Slab, offset: u64, length: usize) -> io::Result<Slab> {
        assert!(length <= slab.capacity(), "a read beyond its slab");
        slab.clear();
        let file = self.descriptor;
        let memory = Payload::Memory(slab);
        let pending = self.core.ask_for_good(Some(self.key), memory, |payload| {
            let Payload::Memory(slab) = payload else { unreachable!("given above") };
            Operation::Read { file, offset, target: slab.as_mut_ptr(), length }
        });
        let landed = pending.await;
        let read = landed.result?;
        let Payload::Memory(mut slab) = landed.payload else { unreachable!("given above") };
        slab.set_read(read as usize);
        Ok(slab)
    }

    /// Makes what was written durable (fdatasync).
    ///
    /// # Errors
    /// As fdatasync(2); what was written since the last success may be lost then, for good.
    pub async fn sync(&self) -> io::Result<()> {
        let file = self.descriptor;
        let sync = |_: &mut Payload| Operation::Sync { file };
        self.core.ask_for_good(Some(self.key), Payload::Nothing, sync).await.result?;
        Ok(())
    }

    /// Writes zeros from `from` to `to` and makes them and the new length durable.
    ///
    /// # Errors
    /// As write(2) and fsync(2).
    pub async fn zero_fill(&self, from: u64, to: u64) -> io::Result<()> {
        let fill = FileCall::ZeroFill { file: self.descriptor, from, to };
        done(&call(&self.core, Some(self.key), fill).await?)
    }

    /// The length in bytes.
    ///
    /// # Errors
    /// As fstat(2).
    pub async fn length(&self) -> io::Result<u64> {
        let length = FileCall::Length { file: self.descriptor };
        match call(&self.core, Some(self.key), length).await? {
            FileAnswer::Length(length) => Ok(length),
            other => unexpected(&other),
        }
    }

    /// Sets the length in bytes; durable after [`sync`](Self::sync).
    ///
    /// # Errors
    /// As ftruncate(2).
    pub async fn truncate(&self, length: u64) -> io::Result<()> {
        let truncate = FileCall::Truncate { file: self.descriptor, length };
        done(&call(&self.core, Some(self.key), truncate).await?)
    }

    /// Takes the exclusive lock of this file, for as long as it is open; `false` when somebody
    /// else has it.
    ///
    /// # Errors
    /// As flock(2).
    pub async fn try_lock(&self) -> io::Result<bool> {
        let lock = FileCall::Lock { file: self.descriptor };
        match call(&self.core, Some(self.key), lock).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// A name for this file that other reactors of the process can [`hold`](Reactor::hold). The
    /// file must stay open until they have.
    pub fn shared(&self) -> SharedFile {
        SharedFile(self.descriptor)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        self.core.close(self.key);
    }
}

async fn call(
    core: &Rc<Core>,
    key: Option<DescriptorKey>,
    call: FileCall,
) -> io::Result<FileAnswer> {
    let operation = |_: &mut Payload| Operation::Call(Box::new(call));
    let landed = core.ask_for_good(key, Payload::Nothing, operation).await;
    landed.result?;
    Ok(*landed.answer.expect("a call that succeeds has an answer"))
}

fn done(answer: &FileAnswer) -> io::Result<()> {
    match answer {
        FileAnswer::Done => Ok(()),
        other => unexpected(other),
    }
}

fn unexpected<T>(answer: &FileAnswer) -> T {
    panic!("the kernel answered another call: {answer:?}")
}
