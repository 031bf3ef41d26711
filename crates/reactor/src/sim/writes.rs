//! Writes: what lands of them, when, and what the caller hears.
//!
//! A write has two events: it lands (in the page cache or on the device), then it ends (as durable
//! as it was asked to be). Both happen without its process too.

use super::ailment::Call;
use super::disk::Errno;
use super::process::{Death, InFlight};
use super::rot::Misdirected;
use super::state::{Event, HostId, KernelId, OpenFile, OpenId, State, WriteId};
use crate::kernel::{Descriptor, Token};

/// Misdirected writes hit whole pages.
const PAGE: u64 = 4096;

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

impl WriteInFlight {
    /// The kernel and open file that it came by.
    pub(super) fn way(&self) -> (KernelId, OpenId) {
        (self.kernel, self.open)
    }
}

impl State {
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
        let mut result = self.write_result(open, offset, &mut bytes);
        let mut lands = self.disk_time();
        if self.chance.hits(self.faults.hang) {
            lands += self.chance.time(&self.faults.hang_time);
            if self.chance.hits(self.faults.hang_fails) {
                self.fail_write(&mut bytes);
                result = -libc::EIO;
            }
        }
        let id = WriteId(self.number());
        self.trace.mix_bytes(&bytes);
        let numbers = [id.0 as i64, offset as i64, bytes.len() as i64, result.into()];
        self.trace.event(self.now, "write", &numbers);
        self.open_files.get_mut(&open).expect("a descriptor holds it").holders += 1;
        self.kernels[kernel.0].writes_in_flight += 1;
        let landed = false;
        let write = WriteInFlight { kernel, token, open, offset, bytes, durable, result, landed };
        self.writes.insert(id, write);
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
        let length = bytes.len() as u64;
        let OpenFile { host, file, stale, .. } = self.open_files[&open];
        let disk = &mut self.hosts[host.0].disk;
        if self.chance.hits(self.faults.disk_breaks) {
            disk.broken = true;
        }
        if stale || disk.vanished.is_some() {
            bytes.clear();
            return -libc::EIO;
        }
        let refused = disk.refuses_file(self.now, Call::Write, file, offset..offset + length);
        if let Some(errno) = refused {
            self.fail_write(bytes);
            return -errno;
        }
        if self.chance.hits(self.faults.write_fails) {
            self.fail_write(bytes);
            return -libc::EIO;
        }
        let grows = (offset + length).saturating_sub(disk.file(file).content.length());
        if let Some(errno) = self.full(host, grows) {
            // A disk that is really full takes nothing; one that was for a moment may have.
            let really = self.hosts[host.0].disk.lacks_room(grows).is_some();
            let landed = if really { 0 } else { self.chance.below(length + 1) };
            bytes.truncate(landed as usize);
            return -errno;
        }
        if self.chance.hits(self.faults.short_write) {
            bytes.truncate(self.chance.below(length) as usize);
        }
        bytes.len() as i32
    }

    /// A write that fails may have landed all the same.
    fn fail_write(&mut self, bytes: &mut Vec<u8>) {
        if !self.chance.hits(self.faults.lands_anyway) {
            bytes.clear();
        }
    }

    /// Why there is no room for so many more bytes, by fill level or by chance.
    pub(super) fn full(&mut self, host: HostId, grows: u64) -> Option<Errno> {
        let lacks = self.hosts[host.0].disk.lacks_room(grows);
        if lacks.is_some() || self.chance.hits(self.faults.no_space) {
            return lacks.or(Some(libc::ENOSPC));
        }
        self.chance.hits(self.faults.over_quota).then_some(libc::EDQUOT)
    }

    /// The bytes of a write reach the device (or the page cache).
    pub(super) fn write_lands(&mut self, id: WriteId) {
        let Some(write) = self.writes.get_mut(&id) else { return };
        if std::mem::replace(&mut write.landed, true) || write.bytes.is_empty() {
            return;
        }
        let OpenFile { host, file, .. } = self.open_files[&write.open];
        let disk = &mut self.hosts[host.0].disk;
        let content = &mut disk.file(file).content;
        let pages = content.length() / PAGE;
        if write.result > 0 && pages > 1 && self.chance.hits(self.faults.misdirected) {
            let (meant, length) = (write.offset, write.bytes.len() as u64);
            write.offset = PAGE * self.chance.below(pages);
            let landed = write.offset..write.offset + length;
            content.write(landed.start, &write.bytes);
            let path = disk.path_of(file);
            disk.misdirected.push(Misdirected { path, meant: meant..meant + length, landed });
        } else {
            content.write(write.offset, &write.bytes);
        }
        self.trace.event(self.now, "lands", &[id.0 as i64, write.offset as i64]);
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

    fn writes_on(&self, host: HostId) -> Vec<WriteId> {
        let on_host = |(id, write): (&WriteId, &WriteInFlight)| {
            (self.open_files[&write.open].host == host).then_some(*id)
        };
        self.writes.iter().filter_map(on_host).collect()
    }

    /// Power goes on a host: late writes of the dead too are interrupted.
    pub(super) fn lose_power(&mut self, host: HostId) {
        for id in self.writes_on(host) {
            self.interrupt_write(id);
        }
        self.trace.event(self.now, "power", &[host.0 as i64]);
        self.hosts[host.0].disk.lose_power(&mut self.chance);
    }

    /// The mount of a host goes away: writes under way fail, whatever has landed of them, and what
    /// is open stays good for nothing.
    pub(super) fn vanish_disk(&mut self, host: HostId) {
        for id in self.writes_on(host) {
            if self.chance.hits(0.5) {
                self.write_lands(id);
            }
            let write = self.writes.get_mut(&id).expect("just seen");
            (write.landed, write.durable, write.result) = (true, false, -libc::EIO);
        }
        let open = self.open_files.values_mut().filter(|open| open.host == host);
        open.for_each(|open| open.stale = true);
        let answers = [libc::EIO, libc::ENODEV, libc::ENOENT];
        let answer = answers[self.chance.below(3) as usize];
        self.trace.event(self.now, "vanishes", &[host.0 as i64, answer.into()]);
        self.hosts[host.0].disk.vanish(answer);
    }
}
