//! What may be done to a machine and to its disk.

use super::ailment::Ailment;
use super::process::Death;
use super::rot::{Misdirected, Rot};
use super::state::{HostState, ProcessId, State};
use super::{Host, Process};
use crate::file::FileSystemKind;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

impl Host {
    /// Its address.
    pub fn address(&self) -> IpAddr {
        self.state(|state| state.hosts[self.id.0].address)
    }

    /// Starts a process.
    pub fn start(&self) -> Process {
        let id = self.world.engine.state.borrow_mut().start_process(self.id);
        Process { world: self.world.clone(), id }
    }

    /// Cuts the power: all its processes die, un-synced bytes and names are lost, kept or torn.
    /// Peers hear nothing until they send.
    pub fn lose_power(&self) {
        let here: Vec<ProcessId> = self.state(|state| {
            let all = state.processes.iter().enumerate();
            all.filter(|(_, process)| process.alive && process.host == self.id)
                .map(|(index, _)| ProcessId(index))
                .collect()
        });
        for process in here {
            self.world.end_process(process, Death::PowerLost);
        }
        self.world.engine.state.borrow_mut().lose_power(self.id);
    }

    /// Steps its wall clock forward.
    pub fn step_clock(&self, by: Duration) {
        self.change(|host| host.clock_ahead += by.as_nanos() as i128);
    }

    /// Steps its wall clock back.
    pub fn step_clock_back(&self, by: Duration) {
        self.change(|host| host.clock_ahead -= by.as_nanos() as i128);
    }

    /// Sets its wall clock to a time since 1970, as a clock without a battery has it at boot.
    pub fn set_clock(&self, to: Duration) {
        let now = self.world.now();
        self.change(|host| {
            let is = host.wall_clock(now).as_nanos() as i128;
            host.clock_ahead += to.as_nanos() as i128 - is;
        });
    }

    /// What its wall clock says.
    pub fn wall_clock(&self) -> Duration {
        self.state(|state| state.hosts[self.id.0].wall_clock(state.now))
    }

    /// Says what file system its disk has, of how many bytes, in blocks of how many. One in memory
    /// loses everything with the power.
    pub fn format(&self, kind: FileSystemKind, bytes: u64, block: u64) {
        self.change(|host| {
            host.disk.kind = kind;
            host.disk.capacity = bytes;
            host.disk.block = block;
        });
    }

    /// Lets others use `bytes` of its disk; the call before is forgotten.
    pub fn fill_disk(&self, bytes: u64) {
        self.change(|host| host.disk.foreign = bytes);
    }

    /// Lets its files have so many bytes in all: more is EDQUOT. `u64::MAX`: no quota.
    pub fn set_quota(&self, bytes: u64) {
        self.change(|host| host.disk.quota = bytes);
    }

    /// Breaks its disk, or mends it: a broken one answers EIO to everything.
    pub fn break_disk(&self, broken: bool) {
        self.change(|host| host.disk.broken = broken);
    }

    /// Makes some calls on its disk fail, by kind, path and place: once, a few times, for a time or
    /// for ever. The oldest that fits strikes.
    pub fn ail(&self, ailment: Ailment) {
        let now = self.world.now();
        self.change(|host| host.disk.ailments.add(ailment, now));
    }

    /// Ends all ailments.
    pub fn cure(&self) {
        self.change(|host| host.disk.ailments.clear());
    }

    /// Takes its disk away. Calls on what is open give EIO, now and after it has come back; calls
    /// on paths give EIO, ENODEV or ENOENT.
    pub fn vanish_disk(&self) {
        self.world.engine.state.borrow_mut().vanish_disk(self.id);
    }

    /// Gives its disk back, as after a loss of power: un-synced bytes and names are lost, kept or
    /// torn. Nothing happens when it is there.
    pub fn return_disk(&self) {
        let state = &mut *self.world.engine.state.borrow_mut();
        state.hosts[self.id.0].disk.come_back(&mut state.chance);
    }

    /// Flips a bit in each of up to `count` bytes that were written and are durable, within `range`
    /// of the files that `pick` chooses, in different pages; says which were hurt.
    pub fn rot(
        &self,
        mut pick: impl FnMut(&Path) -> bool,
        range: Range<u64>,
        count: usize,
    ) -> Vec<Rot> {
        let state = &mut *self.world.engine.state.borrow_mut();
        let disk = &mut state.hosts[self.id.0].disk;
        let rotten = disk.rot(&mut pick, &range, count, &mut state.chance);
        for rot in &rotten {
            state.trace.event(state.now, "rots", &[rot.offset as i64, rot.mask.into()]);
        }
        rotten
    }

    /// The writes that have landed elsewhere since this was last asked.
    pub fn take_misdirected(&self) -> Vec<Misdirected> {
        self.change(|host| std::mem::take(&mut host.disk.misdirected))
    }

    /// All files on its disk, by path.
    pub fn files(&self) -> Vec<PathBuf> {
        self.state(|state| state.hosts[self.id.0].disk.paths())
    }

    /// The bytes of a file, as a process would read them now.
    pub fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.state(|state| state.hosts[self.id.0].disk.bytes(path))
    }

    fn state<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.world.engine.state.borrow())
    }

    fn change<T>(&self, change: impl FnOnce(&mut HostState) -> T) -> T {
        change(&mut self.world.engine.state.borrow_mut().hosts[self.id.0])
    }
}
