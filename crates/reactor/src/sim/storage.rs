//! Operations on files: when they take effect, and when they complete.

use super::disk::{Disk, Errno};
use super::process::{Death, InFlight, Open};
use super::state::{Event, HostId, KernelId, OpenFile, OpenId, State, WriteId};
use crate::file::{FileAnswer, FileCall, OpenHow};
use crate::kernel::{Descriptor, Token};
use std::time::Duration;

/// Operations on files that take effect at the moment that they complete.
pub(super) enum DiskCall {
    Read { open: OpenId, offset: u64, target: *mut u8, length: usize },
    Sync { open: OpenId },
    Call(Box<FileCall>),
}

/// A write between its submission and its end.
pub(super) struct WriteInFlight {
    kernel: KernelId,
    token: Token,
    open: OpenId,
    offset: u64,
    /// What lands, which a failure may have cut.
    bytes: Vec<u8>,
    durable: bool,
    result: i32,
    landed: bool,
}

impl State {
    fn disk(&mut self, kernel: KernelId) -> &mut Disk {
        let process = self.kernels[kernel.0].process;
        let host = self.processes[process.0].host;
        &mut self.hosts[host.0].disk
    }

    fn open_file(&self, kernel: KernelId, descriptor: Descriptor) -> Result<OpenId, Errno> {
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

    fn disk_time(&mut self) -> Duration {
        let mut time = self.chance.time(&self.faults.write_time);
        if self.chance.hits(self.faults.slow_write) {
            time += self.chance.time(&self.faults.slow_time);
        }
        time
    }

    /// O_DIRECT wants memory, offset and length in whole blocks.
    fn check_alignment(
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

    /// Takes a write in: `vectors` are its bytes and where they lie in memory.
    pub(super) fn submit_write(
        &mut self,
        kernel: KernelId,
        token: Token,
        file: Descriptor,
        (offset, durable): (u64, bool),
        vectors: &[&[u8]],
    ) {
        self.note(kernel, token, InFlight::Bound);
        let open = match self.writable(kernel, file, offset, vectors) {
            Ok(open) => open,
            Err(errno) => return self.complete_later(kernel, token, -errno),
        };
        let mut bytes = vectors.concat();
        let result = self.write_result(open, offset, &mut bytes);
        let id = WriteId(self.number());
        self.trace.mix_bytes(&bytes);
        let numbers = [id.0 as i64, offset as i64, bytes.len() as i64, result.into()];
        self.trace.event(self.now, "write", &numbers);
        self.open_files.get_mut(&open).expect("a descriptor holds it").holders += 1;
        self.kernels[kernel.0].writes_in_flight += 1;
        let landed = false;
        let write = WriteInFlight { kernel, token, open, offset, bytes, durable, result, landed };
        self.writes.insert(id, write);
        let lands = self.disk_time();
        self.after(lands, Event::WriteLands { write: id });
        let flush = durable && self.faults.without_fua;
        let more = if flush { self.disk_time() } else { self.completion_delay() };
        self.after(lands + more, Event::WriteEnds { write: id });
    }

    fn writable(
        &self,
        kernel: KernelId,
        file: Descriptor,
        offset: u64,
        vectors: &[&[u8]],
    ) -> Result<OpenId, Errno> {
        let open = self.open_file(kernel, file)?;
        if !self.open_files[&open].how.write {
            return Err(libc::EBADF);
        }
        for vector in vectors {
            self.check_alignment(open, offset, vector.as_ptr() as usize, vector.len())?;
        }
        Ok(open)
    }

    /// Decides what becomes of a write; `bytes` are cut to what will land.
    fn write_result(&mut self, open: OpenId, offset: u64, bytes: &mut Vec<u8>) -> i32 {
        let length = bytes.len();
        let OpenFile { host, file, .. } = self.open_files[&open];
        if self.chance.hits(self.faults.disk_breaks) {
            self.hosts[host.0].disk.broken = true;
        }
        let disk = &mut self.hosts[host.0].disk;
        let grows = (offset + length as u64).saturating_sub(disk.file(file).content.length());
        let full = grows > disk.free();
        if disk.broken || self.chance.hits(self.faults.write_fails) {
            if !self.chance.hits(self.faults.lands_anyway) {
                bytes.clear();
            }
            return -libc::EIO;
        }
        if full || self.chance.hits(self.faults.no_space) {
            // A disk that is really full takes nothing; one that was for a moment may have.
            let landed = if full { 0 } else { self.chance.below(length as u64 + 1) };
            bytes.truncate(landed as usize);
            return -libc::ENOSPC;
        }
        if self.chance.hits(self.faults.short_write) {
            bytes.truncate(self.chance.below(length as u64) as usize);
        }
        bytes.len() as i32
    }

    /// The bytes of a write reach the device (or the page cache).
    pub(super) fn write_lands(&mut self, id: WriteId) {
        let Some(write) = self.writes.get_mut(&id) else { return };
        if std::mem::replace(&mut write.landed, true) || write.bytes.is_empty() {
            return;
        }
        let OpenFile { host, file, .. } = self.open_files[&write.open];
        let content = &mut self.hosts[host.0].disk.file(file).content;
        content.write(write.offset, &write.bytes);
        self.trace.event(self.now, "lands", &[id.0 as i64]);
    }

    /// A write is done.
    pub(super) fn write_ends(&mut self, id: WriteId) {
        let Some(write) = self.writes.remove(&id) else { return };
        let OpenFile { host, file, .. } = self.open_files[&write.open];
        if write.durable && write.result >= 0 {
            let end = write.offset + write.bytes.len() as u64;
            self.hosts[host.0].disk.file(file).content.harden(write.offset, end);
        }
        self.retire_write(write);
    }

    fn retire_write(&mut self, write: WriteInFlight) {
        self.release_open(write.open);
        self.kernels[write.kernel.0].writes_in_flight -= 1;
        self.complete(write.kernel, write.token, write.result, None);
        self.release_held_if_landed(write.kernel);
    }

    /// The writes of a dead kernel: each vanishes, or lands later, all or its beginning.
    pub(super) fn orphan_writes(&mut self, kernel: KernelId, death: Death) {
        let of_kernel =
            |(id, write): (&WriteId, &WriteInFlight)| (write.kernel == kernel).then_some(*id);
        let ids: Vec<WriteId> = self.writes.iter().filter_map(of_kernel).collect();
        for id in ids {
            if death == Death::PowerLost {
                self.interrupt_write(id);
            } else if self.chance.hits(self.faults.late_write) {
                self.delay_write(id);
            } else if !self.writes[&id].landed {
                let write = self.writes.remove(&id).expect("just seen");
                self.retire_write(write);
            }
        }
    }

    /// Power goes during a write: what has landed is the disk's to lose; what has not may be on
    /// its way.
    fn interrupt_write(&mut self, id: WriteId) {
        if self.chance.hits(0.5) {
            self.write_lands(id);
        }
        let write = self.writes.remove(&id).expect("just seen");
        self.retire_write(write);
    }

    /// A write goes on without its process, under a new number: the old events find nothing.
    fn delay_write(&mut self, id: WriteId) {
        let mut write = self.writes.remove(&id).expect("just seen");
        if !write.landed && self.chance.hits(0.25) {
            let sectors = write.bytes.len() as u64 / 512;
            write.bytes.truncate(512 * self.chance.below(sectors + 1) as usize);
        }
        let late = WriteId(self.number());
        self.trace.event(self.now, "late", &[id.0 as i64, late.0 as i64]);
        self.writes.insert(late, write);
        let delay = self.chance.time(&self.faults.late_time);
        self.after(delay, Event::WriteLands { write: late });
        self.after(delay, Event::WriteEnds { write: late });
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
        let OpenFile { host, file, .. } = self.open_files[&open];
        let disk = &mut self.hosts[host.0].disk;
        if disk.broken || self.chance.hits(self.faults.read_fails) {
            return self.complete(kernel, token, -libc::EIO, None);
        }
        // SAFETY: the operation's memory has room for the length that it asked for, and nobody else
        // touches it until its last completion, which follows. The kernel is alive, or this
        // operation would be gone, so the slot that owns the memory is too.
        let place = unsafe { std::slice::from_raw_parts_mut(target.cast(), length) };
        let count = disk.file(file).content.read_into(offset, place);
        self.complete(kernel, token, count as i32, None);
    }

    fn carry_out_sync(&mut self, open: OpenId) -> i32 {
        let OpenFile { host, file, .. } = self.open_files[&open];
        let fails = self.chance.hits(self.faults.sync_fails);
        let disk = &mut self.hosts[host.0].disk;
        if disk.broken || fails {
            disk.file(file).content.fail_sync();
            return -libc::EIO;
        }
        disk.file(file).content.sync();
        0
    }

    fn answer_call(&mut self, kernel: KernelId, call: &FileCall) -> Result<FileAnswer, Errno> {
        if self.disk(kernel).broken {
            return Err(libc::EIO);
        }
        let done = |()| FileAnswer::Done;
        match call {
            FileCall::Open { path, how } => self.open(kernel, path, *how),
            FileCall::ReadDirectory { path } => {
                self.disk(kernel).read_directory(path).map(FileAnswer::Names)
            }
            FileCall::MakeDirectory { path } => self.disk(kernel).make_directory(path).map(done),
            FileCall::SyncDirectory { path } => self.disk(kernel).sync_directory(path).map(done),
            FileCall::Remove { path } => self.disk(kernel).remove(path).map(done),
            FileCall::Rename { from, to } => self.disk(kernel).rename(from, to).map(done),
            FileCall::ZeroFill { file, from, to } => {
                self.zero_fill(kernel, *file, *from, *to).map(done)
            }
            FileCall::Length { file } => {
                let (host, file, _) = self.place(kernel, *file)?;
                let length = self.hosts[host.0].disk.file(file).content.length();
                Ok(FileAnswer::Length(length))
            }
            FileCall::Truncate { file, length } => {
                let (host, file, _) = self.place(kernel, *file)?;
                self.hosts[host.0].disk.file(file).content.truncate(*length);
                Ok(FileAnswer::Done)
            }
            FileCall::Lock { file } => {
                let (host, file, open) = self.place(kernel, *file)?;
                self.hosts[host.0].disk.lock(file, open).map(done)
            }
            FileCall::FileSystem { .. } => {
                Ok(FileAnswer::FileSystem(self.disk(kernel).file_system()))
            }
        }
    }

    fn place(
        &self,
        kernel: KernelId,
        file: Descriptor,
    ) -> Result<(HostId, super::names::FileId, OpenId), Errno> {
        let open = self.open_file(kernel, file)?;
        let OpenFile { host, file, .. } = self.open_files[&open];
        Ok((host, file, open))
    }

    fn open(
        &mut self,
        kernel: KernelId,
        path: &std::path::Path,
        how: OpenHow,
    ) -> Result<FileAnswer, Errno> {
        let process = self.kernels[kernel.0].process;
        if self.is_out_of_descriptors(process) {
            return Err(libc::EMFILE);
        }
        let file = self.disk(kernel).open(path, how)?;
        let host = self.processes[process.0].host;
        let id = OpenId(self.number());
        self.open_files.insert(id, OpenFile { host, file, how, holders: 1 });
        Ok(FileAnswer::Opened(self.install(process, Open::File(id))))
    }

    fn zero_fill(
        &mut self,
        kernel: KernelId,
        file: Descriptor,
        from: u64,
        to: u64,
    ) -> Result<(), Errno> {
        let (host, file, _) = self.place(kernel, file)?;
        let disk = &mut self.hosts[host.0].disk;
        let free = disk.free();
        let content = &mut disk.file(file).content;
        if to.saturating_sub(content.length()) > free {
            return Err(libc::ENOSPC);
        }
        content.zero(from, to);
        content.sync();
        Ok(())
    }

    /// Power goes on a host: late writes of the dead too are interrupted.
    pub(super) fn lose_power(&mut self, host: HostId) {
        let open_files = &self.open_files;
        let on_host = |(id, write): (&WriteId, &WriteInFlight)| {
            (open_files[&write.open].host == host).then_some(*id)
        };
        let ids: Vec<WriteId> = self.writes.iter().filter_map(on_host).collect();
        for id in ids {
            self.interrupt_write(id);
        }
        self.trace.event(self.now, "power", &[host.0 as i64]);
        self.hosts[host.0].disk.lose_power(&mut self.chance);
    }
}
