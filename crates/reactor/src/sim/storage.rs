//! Operations on files but writes: when they take effect, and when they complete.

use super::ailment::Call;
use super::disk::{Disk, Errno};
use super::names::FileId;
use super::process::{InFlight, Open};
use super::state::{Event, HostId, KernelId, OpenFile, OpenId, State};
use crate::file::{FileAnswer, FileCall, OpenHow};
use crate::kernel::{Descriptor, Token};
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// What a read loses from a bad place on.
const PAGE: u64 = 4096;

/// Operations on files that take effect at the moment that they complete.
pub(super) enum DiskCall {
    Read { open: OpenId, offset: u64, target: *mut u8, length: usize },
    Sync { open: OpenId },
    Call(Box<FileCall>),
}

impl State {
    fn disk(&mut self, kernel: KernelId) -> &mut Disk {
        let process = self.kernels[kernel.0].process;
        let host = self.processes[process.0].host;
        &mut self.hosts[host.0].disk
    }

    pub(super) fn open_file(
        &self,
        kernel: KernelId,
        descriptor: Descriptor,
    ) -> Result<OpenId, Errno> {
        match self.lookup(kernel, descriptor)? {
            Open::File(open) => Ok(open),
            Open::Socket(_) | Open::Listener(_) => Err(libc::EBADF),
        }
    }

    /// Takes a read, sync or call in.
    pub(super) fn submit_call(
        &mut self,
        kernel: KernelId,
        token: Token,
        call: impl FnOnce(&Self) -> Result<DiskCall, Errno>,
    ) {
        match call(self) {
            Err(errno) => {
                self.note(kernel, token, InFlight::Bound);
                self.complete_later(kernel, token, -errno);
            }
            Ok(call) => {
                self.note(kernel, token, InFlight::Disk(call));
                let delay = self.disk_time();
                self.after(delay, Event::Disk { kernel, token });
            }
        }
    }

    pub(super) fn read_call(
        &self,
        kernel: KernelId,
        file: Descriptor,
        offset: u64,
        (target, length): (*mut u8, usize),
    ) -> Result<DiskCall, Errno> {
        let open = self.open_file(kernel, file)?;
        self.check_alignment(open, offset, target as usize, length)?;
        Ok(DiskCall::Read { open, offset, target, length })
    }

    pub(super) fn sync_call(&self, kernel: KernelId, file: Descriptor) -> Result<DiskCall, Errno> {
        Ok(DiskCall::Sync { open: self.open_file(kernel, file)? })
    }

    pub(super) fn disk_time(&mut self) -> Duration {
        let mut time = self.chance.time(&self.faults.write_time);
        if self.chance.hits(self.faults.slow_write) {
            time += self.chance.time(&self.faults.slow_time);
        }
        time
    }

    /// O_DIRECT wants memory, offset and length in whole blocks.
    pub(super) fn check_alignment(
        &self,
        open: OpenId,
        offset: u64,
        memory: usize,
        length: usize,
    ) -> Result<(), Errno> {
        let open = &self.open_files[&open];
        let block = self.hosts[open.host.0].disk.block;
        let fits = [offset, memory as u64, length as u64].iter().all(|n| n % block == 0);
        if !open.how.direct || fits { Ok(()) } else { Err(libc::EINVAL) }
    }

    /// A call of a dead process: a thread may have been in the middle of it.
    pub(super) fn orphan_call(&mut self, kernel: KernelId, call: DiskCall) {
        if let DiskCall::Call(call) = call
            && !matches!(*call, FileCall::Open { .. } | FileCall::Lock { .. })
            && self.chance.hits(0.5)
        {
            // Nobody hears of the result.
            drop(self.answer_call(kernel, &call));
        }
    }

    /// Carries out a read, sync or call.
    pub(super) fn carry_out(&mut self, kernel: KernelId, token: Token) {
        let Some(InFlight::Disk(call)) = self.kernels[kernel.0].operations.remove(&token) else {
            return;
        };
        match call {
            DiskCall::Read { open, offset, target, length } => {
                self.carry_out_read(kernel, token, open, offset, (target, length));
            }
            DiskCall::Sync { open } => {
                let result = self.carry_out_sync(open);
                self.complete(kernel, token, result, None);
            }
            DiskCall::Call(call) => match self.answer_call(kernel, &call) {
                Ok(answer) => self.complete(kernel, token, 0, Some(Box::new(answer))),
                Err(errno) => self.complete(kernel, token, -errno, None),
            },
        }
    }

    fn carry_out_read(
        &mut self,
        kernel: KernelId,
        token: Token,
        open: OpenId,
        offset: u64,
        (target, length): (*mut u8, usize),
    ) {
        let bytes = offset..offset.saturating_add(length as u64);
        let refused = self.refuses_file(open, Call::Read, bytes);
        if refused.is_some() || self.chance.hits(self.faults.read_fails) {
            return self.complete(kernel, token, -refused.unwrap_or(libc::EIO), None);
        }
        let OpenFile { host, file, how, .. } = self.open_files[&open];
        let mut length = length;
        if !how.direct && length as u64 > PAGE && self.chance.hits(self.faults.short_read) {
            // The bad page is the second or a later one: a bad first one is a failing read.
            length =
                (PAGE * (1 + self.chance.below(length as u64 / PAGE))).min(length as u64) as usize;
        }
        let disk = &mut self.hosts[host.0].disk;
        // SAFETY: the operation's memory has room for the length that it asked for, and nobody else
        // touches it until its last completion, which follows. The kernel is alive, or this
        // operation would be gone, so the slot that owns the memory is too.
        let place = unsafe { std::slice::from_raw_parts_mut(target.cast(), length) };
        let count = disk.file(file).content.read_into(offset, place);
        self.complete(kernel, token, count as i32, None);
    }

    fn carry_out_sync(&mut self, open: OpenId) -> i32 {
        let fails = self.chance.hits(self.faults.sync_fails).then_some(libc::EIO);
        let refused = self.refuses_file(open, Call::Sync, 0..u64::MAX).or(fails);
        let OpenFile { host, file, .. } = self.open_files[&open];
        let content = &mut self.hosts[host.0].disk.file(file).content;
        match refused {
            Some(errno) => {
                content.fail_sync();
                -errno
            }
            None => {
                content.sync();
                0
            }
        }
    }

    /// Why a call on an open file fails now, if it does.
    fn refuses_file(&mut self, open: OpenId, call: Call, bytes: Range<u64>) -> Option<Errno> {
        let OpenFile { host, file, stale, .. } = self.open_files[&open];
        if stale {
            return Some(libc::EIO);
        }
        self.hosts[host.0].disk.refuses_file(self.now, call, file, bytes)
    }

    /// Fails when a call on a path does.
    fn check_path(&mut self, kernel: KernelId, call: Call, path: &Path) -> Result<(), Errno> {
        let fails = match call {
            Call::Open => self.faults.open_fails,
            Call::Rename => self.faults.rename_fails,
            Call::Remove => self.faults.remove_fails,
            Call::SyncDirectory => self.faults.directory_sync_fails,
            Call::Read | Call::Write | Call::Sync | Call::List => 0.0,
            Call::MakeDirectory | Call::Length => 0.0,
        };
        let now = self.now;
        let refused = self.disk(kernel).refuses_path(now, call, path);
        let fails = self.chance.hits(fails).then_some(libc::EIO);
        refused.or(fails).map_or(Ok(()), Err)
    }

    fn answer_call(&mut self, kernel: KernelId, call: &FileCall) -> Result<FileAnswer, Errno> {
        let done = |()| FileAnswer::Done;
        match call {
            FileCall::Open { path, how } => {
                self.check_path(kernel, Call::Open, path)?;
                self.open(kernel, path, *how)
            }
            FileCall::ReadDirectory { path } => {
                self.check_path(kernel, Call::List, path)?;
                self.disk(kernel).read_directory(path).map(FileAnswer::Names)
            }
            FileCall::MakeDirectory { path } => {
                self.check_path(kernel, Call::MakeDirectory, path)?;
                self.disk(kernel).make_directory(path).map(done)
            }
            FileCall::SyncDirectory { path } => {
                self.check_path(kernel, Call::SyncDirectory, path)?;
                self.disk(kernel).sync_directory(path).map(done)
            }
            FileCall::Remove { path } => {
                self.check_path(kernel, Call::Remove, path)?;
                self.disk(kernel).remove(path).map(done)
            }
            FileCall::Rename { from, to } => {
                self.check_path(kernel, Call::Rename, from)?;
                self.disk(kernel).rename(from, to).map(done)
            }
            FileCall::FileSystem { path } => {
                self.check_path(kernel, Call::List, path)?;
                Ok(FileAnswer::FileSystem(self.disk(kernel).file_system()))
            }
            FileCall::ZeroFill { file, from, to } => {
                self.zero_fill(kernel, *file, *from, *to).map(done)
            }
            FileCall::Length { file } => {
                let (host, file) = self.place(kernel, *file)?;
                let length = self.hosts[host.0].disk.file(file).content.length();
                Ok(FileAnswer::Length(length))
            }
            FileCall::Truncate { file, length } => {
                let (host, file) = self.place(kernel, *file)?;
                self.hosts[host.0].disk.file(file).content.truncate(*length);
                Ok(FileAnswer::Done)
            }
            FileCall::Lock { file } => {
                let open = self.open_file(kernel, *file)?;
                let (host, file) = self.place(kernel, *file)?;
                self.hosts[host.0].disk.lock(file, open).map(done)
            }
        }
    }

    /// The file behind a descriptor, if calls about its length work.
    fn place(&mut self, kernel: KernelId, file: Descriptor) -> Result<(HostId, FileId), Errno> {
        let open = self.open_file(kernel, file)?;
        if let Some(errno) = self.refuses_file(open, Call::Length, 0..u64::MAX) {
            return Err(errno);
        }
        let OpenFile { host, file, .. } = self.open_files[&open];
        Ok((host, file))
    }

    fn open(&mut self, kernel: KernelId, path: &Path, how: OpenHow) -> Result<FileAnswer, Errno> {
        let process = self.kernels[kernel.0].process;
        if let Some(errno) = self.lacks_descriptors(process) {
            return Err(errno);
        }
        let file = self.disk(kernel).open(path, how)?;
        let host = self.processes[process.0].host;
        let id = OpenId(self.number());
        self.open_files.insert(id, OpenFile { host, file, how, stale: false, holders: 1 });
        Ok(FileAnswer::Opened(self.install(process, Open::File(id))))
    }

    /// Writes zeros, as much as there is room for.
    fn zero_fill(
        &mut self,
        kernel: KernelId,
        file: Descriptor,
        from: u64,
        to: u64,
    ) -> Result<(), Errno> {
        let open = self.open_file(kernel, file)?;
        if let Some(errno) = self.refuses_file(open, Call::Write, from..to) {
            return Err(errno);
        }
        let OpenFile { host, file, .. } = self.open_files[&open];
        let length = self.hosts[host.0].disk.file(file).content.length();
        let full = self.full(host, to.saturating_sub(length));
        let free = self.hosts[host.0].disk.free();
        let content = &mut self.hosts[host.0].disk.file(file).content;
        if let Some(errno) = full {
            content.zero(from, to.min(length.max(from) + free / 2));
            return Err(errno);
        }
        content.zero(from, to);
        content.sync();
        Ok(())
    }
}
