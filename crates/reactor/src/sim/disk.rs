//! A disk: names, bytes, locks, room. No time passes here.

use super::ailment::{Ailments, Call};
use super::chance::Chance;
use super::content::Content;
use super::names::{Entry, FileId, Names};
use super::rot::Misdirected;
use super::state::OpenId;
use crate::file::{FileSystem, FileSystemKind, OpenHow};
use crate::time::Instant;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// An errno.
pub(super) type Errno = i32;

/// What lives behind a file id.
#[derive(Default)]
pub(super) struct FileState {
    pub(super) content: Content,
    /// How many open files stand on it.
    pub(super) opens: u32,
    /// Who holds its lock.
    pub(super) lock: Option<OpenId>,
}

/// The disk of a host; it outlives processes.
pub(super) struct Disk {
    names: Names,
    files: BTreeMap<FileId, FileState>,
    next: u64,
    /// What kind of file system it says it is.
    pub(super) kind: FileSystemKind,
    /// Bytes in all.
    pub(super) capacity: u64,
    /// Bytes that others use.
    pub(super) foreign: u64,
    /// Whether it fails from now on.
    pub(super) broken: bool,
    /// Bytes that its user may have.
    pub(super) quota: u64,
    /// What is wrong with it by order.
    pub(super) ailments: Ailments,
    /// It is not there, and paths give this.
    pub(super) vanished: Option<Errno>,
    /// Writes that have landed elsewhere.
    pub(super) misdirected: Vec<Misdirected>,
    /// Bytes of a block: what direct I/O must be aligned to.
    pub(super) block: u64,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            names: Names::new(),
            files: BTreeMap::new(),
            next: 0,
            kind: FileSystemKind::Ext,
            capacity: 1 << 30,
            foreign: 0,
            broken: false,
            quota: u64::MAX,
            ailments: Ailments::default(),
            vanished: None,
            misdirected: Vec::new(),
            block: 512,
        }
    }

    /// Bytes that may still be allocated.
    pub(super) fn free(&self) -> u64 {
        self.capacity.saturating_sub(self.used() + self.foreign)
    }

    fn used(&self) -> u64 {
        self.files.values().map(|file| file.content.length()).sum()
    }

    /// Why so many more bytes do not fit, if they do not. statfs knows nothing of quotas.
    pub(super) fn lacks_room(&self, grows: u64) -> Option<Errno> {
        if grows > self.free() {
            return Some(libc::ENOSPC);
        }
        (grows > self.quota.saturating_sub(self.used())).then_some(libc::EDQUOT)
    }

    /// Why a call on a path fails now, if it does.
    pub(super) fn refuses_path(&mut self, now: Instant, call: Call, path: &Path) -> Option<Errno> {
        let sick = if self.broken { Some(libc::EIO) } else { self.vanished };
        if sick.is_some() || self.ailments.is_empty() {
            return sick;
        }
        self.ailments.strike(now, call, Some(path), &(0..u64::MAX))
    }

    /// Why a call on some bytes of an open file fails now, if it does.
    pub(super) fn refuses_file(
        &mut self,
        now: Instant,
        call: Call,
        file: FileId,
        bytes: Range<u64>,
    ) -> Option<Errno> {
        if self.broken || self.vanished.is_some() {
            return Some(libc::EIO);
        }
        if self.ailments.is_empty() {
            return None;
        }
        let path = self.path_of(file);
        self.ailments.strike(now, call, path.as_deref(), &bytes)
    }

    /// The name of a file, if it has one.
    pub(super) fn path_of(&self, file: FileId) -> Option<PathBuf> {
        let found = self.names.files().find(|(_, named)| *named == file);
        found.map(|(path, _)| path.clone())
    }

    /// The file of this name.
    pub(super) fn at(&mut self, path: &Path) -> Option<&mut FileState> {
        match self.names.get(&absolute(path))? {
            Entry::File(id) => self.files.get_mut(&id),
            Entry::Directory => None,
        }
    }

    /// It goes away under everybody: what was open is good for nothing, locks are gone.
    pub(super) fn vanish(&mut self, answer: Errno) {
        self.vanished = Some(answer);
        self.files.values_mut().for_each(|file| file.lock = None);
    }

    /// It comes back, as after a loss of power.
    pub(super) fn come_back(&mut self, chance: &mut Chance) {
        if self.vanished.take().is_some() {
            self.lose_power(chance);
        }
    }

    pub(super) fn file_system(&self) -> FileSystem {
        let free = self.free();
        FileSystem { kind: self.kind, bytes: self.capacity, free, read_only: false }
    }

    /// The state of a file that is open.
    pub(super) fn file(&mut self, id: FileId) -> &mut FileState {
        self.files.get_mut(&id).expect("an open file lives")
    }

    /// Opens, and makes if asked; counts the opening.
    pub(super) fn open(&mut self, path: &Path, how: OpenHow) -> Result<FileId, Errno> {
        let path = &absolute(path);
        let id = match self.names.get(path) {
            Some(Entry::File(_)) if how.create && how.exclusive => return Err(libc::EEXIST),
            Some(Entry::File(id)) => id,
            Some(Entry::Directory) => return Err(libc::EISDIR),
            None if !how.create || !self.names.has_parent(path) => return Err(libc::ENOENT),
            None if self.free() == 0 => return Err(libc::ENOSPC),
            None => {
                let id = FileId(self.next);
                self.next += 1;
                self.names.insert(path, Entry::File(id));
                self.files.insert(id, FileState::default());
                id
            }
        };
        self.file(id).opens += 1;
        Ok(id)
    }

    /// Takes an opening back, and its lock.
    pub(super) fn close(&mut self, id: FileId, open: OpenId) {
        let file = self.file(id);
        file.opens -= 1;
        if file.lock == Some(open) {
            file.lock = None;
        }
        self.collect();
    }

    /// flock without waiting.
    pub(super) fn lock(&mut self, id: FileId, open: OpenId) -> Result<(), Errno> {
        let lock = &mut self.file(id).lock;
        if lock.is_some_and(|holder| holder != open) {
            return Err(libc::EWOULDBLOCK);
        }
        *lock = Some(open);
        Ok(())
    }

    pub(super) fn read_directory(&self, path: &Path) -> Result<Vec<String>, Errno> {
        let path = &absolute(path);
        match self.names.get(path) {
            Some(Entry::Directory) => Ok(self.names.list(path)),
            Some(Entry::File(_)) => Err(libc::ENOTDIR),
            None => Err(libc::ENOENT),
        }
    }

    pub(super) fn make_directory(&mut self, path: &Path) -> Result<(), Errno> {
        let path = &absolute(path);
        match self.names.get(path) {
            Some(Entry::Directory) => {}
            Some(Entry::File(_)) => return Err(libc::EEXIST),
            None if !self.names.has_parent(path) => return Err(libc::ENOENT),
            None => self.names.insert(path, Entry::Directory),
        }
        Ok(())
    }

    pub(super) fn sync_directory(&mut self, path: &Path) -> Result<(), Errno> {
        let path = &absolute(path);
        if self.names.get(path) != Some(Entry::Directory) {
            return Err(libc::ENOENT);
        }
        self.names.sync(path);
        self.collect();
        Ok(())
    }

    pub(super) fn remove(&mut self, path: &Path) -> Result<(), Errno> {
        let path = &absolute(path);
        match self.names.get(path) {
            Some(Entry::File(_)) => self.names.remove(path),
            Some(Entry::Directory) => return Err(libc::EISDIR),
            None => return Err(libc::ENOENT),
        }
        Ok(())
    }

    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> Result<(), Errno> {
        let (from, to) = (&absolute(from), &absolute(to));
        let Some(Entry::File(_)) = self.names.get(from) else { return Err(libc::ENOENT) };
        if !self.names.has_parent(to) {
            return Err(libc::ENOENT);
        }
        if self.names.get(to) == Some(Entry::Directory) {
            return Err(libc::EISDIR);
        }
        self.names.rename(from, to);
        Ok(())
    }

    /// Power goes: un-synced bytes and names are lost, kept or torn. Nothing that is open is of
    /// any use any more.
    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        if self.kind == FileSystemKind::Memory {
            self.names = Names::new();
            self.files.values_mut().for_each(|file| file.content.forget());
        }
        self.names.lose_power(chance);
        for file in self.files.values_mut() {
            file.content.lose_power(chance);
        }
        self.collect();
    }

    /// Frees files that nobody can reach.
    fn collect(&mut self) {
        // Nothing to find as long as every file is open or has its name: the usual case.
        if self.files.len() <= self.names.files().count() {
            return;
        }
        let reachable = self.names.reachable();
        self.files.retain(|id, file| file.opens > 0 || reachable.contains(id));
    }

    /// All files by path, for those who look from outside.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.names.files().map(|(path, _)| path.clone()).collect()
    }

    /// The bytes of a file, for those who look from outside.
    pub(super) fn bytes(&self, path: &Path) -> Option<Vec<u8>> {
        match self.names.get(&absolute(path))? {
            Entry::File(id) => {
                let content = &self.files[&id].content;
                Some(content.read(0, content.length() as usize))
            }
            Entry::Directory => None,
        }
    }
}

/// Relative paths begin at the root: a simulated process has no other working directory.
fn absolute(path: &Path) -> PathBuf {
    // Components normalise `//`, `/.` and a slash at the end.
    Path::new("/").join(path).components().collect()
}
