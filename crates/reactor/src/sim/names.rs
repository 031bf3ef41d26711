//! The names on a disk: what is seen now, and what would survive a loss of power.
//!
//! A pure structure. Names become durable by a sync of their directory, never by one of the file:
//! POSIX promises no more. A rename is one change, which is lost or kept as a whole.

use super::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Names the bytes of a file for as long as the disk lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct FileId(pub(super) u64);

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Directory,
    File(FileId),
}

type Tree = BTreeMap<PathBuf, Entry>;
type Edit = (PathBuf, Option<Entry>);

/// All names of one disk.
pub(super) struct Names {
    visible: Tree,
    durable: Tree,
    /// Changes that no sync has covered, oldest first.
    pending: Vec<Vec<Edit>>,
}

impl Names {
    /// The root, and the directories that any system has.
    pub(super) fn new() -> Self {
        let visible: Tree = ["/", "/tmp", "/var", "/var/lib", "/var/spool"]
            .into_iter()
            .map(|path| (PathBuf::from(path), Entry::Directory))
            .collect();
        Self { durable: visible.clone(), visible, pending: Vec::new() }
    }

    /// What `path` stands for.
    pub(super) fn get(&self, path: &Path) -> Option<Entry> {
        self.visible.get(path).copied()
    }

    /// Whether the directory that `path` lies in exists.
    pub(super) fn has_parent(&self, path: &Path) -> bool {
        path.parent().is_some_and(|parent| self.get(parent) == Some(Entry::Directory))
    }

    /// The names in a directory, sorted.
    pub(super) fn list(&self, directory: &Path) -> Vec<String> {
        self.visible
            .keys()
            .filter(|path| path.parent() == Some(directory))
            .filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()))
            .collect()
    }

    /// All files, sorted by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, FileId)> {
        self.visible.iter().filter_map(|(path, entry)| match entry {
            Entry::File(file) => Some((path, *file)),
            Entry::Directory => None,
        })
    }

    /// Gives `path` a meaning.
    pub(super) fn insert(&mut self, path: &Path, entry: Entry) {
        self.change(vec![(path.into(), Some(entry))]);
    }

    /// Takes a name away.
    pub(super) fn remove(&mut self, path: &Path) {
        self.change(vec![(path.into(), None)]);
    }

    /// Moves a name over another.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) {
        let entry = self.get(from);
        self.change(vec![(from.into(), None), (to.into(), entry)]);
    }

    fn change(&mut self, edits: Vec<Edit>) {
        apply(&mut self.visible, &edits);
        self.pending.push(edits);
    }

    /// Makes the changes in a directory durable.
    pub(super) fn sync(&mut self, directory: &Path) {
        let touches = |edits: &Vec<Edit>| {
            edits.iter().any(|(path, _)| path.parent() == Some(directory) || path == directory)
        };
        let (synced, rest) = std::mem::take(&mut self.pending).into_iter().partition(touches);
        self.pending = rest;
        for edits in Vec::from_iter::<Vec<Vec<Edit>>>(synced) {
            apply(&mut self.durable, &edits);
        }
    }

    /// Power goes: none, the first few, or any of the changes survive.
    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        let pending = std::mem::take(&mut self.pending);
        let way = chance.below(3);
        let first = chance.below(pending.len() as u64 + 1) as usize;
        for (number, edits) in pending.iter().enumerate() {
            let keep = match way {
                0 => false,
                1 => number < first,
                _ => chance.hits(0.5),
            };
            if keep {
                apply(&mut self.durable, edits);
            }
        }
        self.drop_orphans();
        self.visible = self.durable.clone();
    }

    /// What lies in a directory that did not survive is out of reach.
    fn drop_orphans(&mut self) {
        let paths: Vec<PathBuf> = self.durable.keys().cloned().collect();
        for path in paths {
            // Parents sort before their children, so one pass reaches all depths.
            let orphan = path.parent().is_some_and(|parent| !self.durable.contains_key(parent));
            if orphan {
                self.durable.remove(&path);
            }
        }
    }

    /// The files that some name stands for, or may stand for after a loss of power.
    pub(super) fn reachable(&self) -> BTreeSet<FileId> {
        let pending = self.pending.iter().flatten().filter_map(|(_, entry)| entry.as_ref());
        self.visible
            .values()
            .chain(self.durable.values())
            .chain(pending)
            .filter_map(|entry| match entry {
                Entry::File(file) => Some(*file),
                Entry::Directory => None,
            })
            .collect()
    }
}

fn apply(tree: &mut Tree, edits: &[Edit]) {
    for (path, entry) in edits {
        match entry {
            Some(entry) => tree.insert(path.clone(), *entry),
            None => tree.remove(path),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(number: u64) -> Entry {
        Entry::File(FileId(number))
    }

    #[test]
    fn synced_names_survive_and_others_may_not() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..60 {
            let mut names = Names::new();
            names.insert(Path::new("/var/a"), file(1));
            names.sync(Path::new("/var"));
            names.insert(Path::new("/var/b"), file(2));
            names.lose_power(&mut Chance::new(seed));
            assert_eq!(names.get(Path::new("/var/a")), Some(file(1)));
            outcomes.insert(names.get(Path::new("/var/b")).is_some());
        }
        assert_eq!(outcomes.len(), 2);
    }

    #[test]
    fn a_rename_is_lost_or_kept_as_a_whole() {
        let mut outcomes = BTreeSet::new();
        for seed in 0..60 {
            let mut names = Names::new();
            names.insert(Path::new("/tmp/a"), file(1));
            names.sync(Path::new("/tmp"));
            names.rename(Path::new("/tmp/a"), Path::new("/tmp/b"));
            names.lose_power(&mut Chance::new(seed));
            outcomes.insert(names.list(Path::new("/tmp")));
        }
        assert_eq!(outcomes, BTreeSet::from([vec!["a".to_owned()], vec!["b".to_owned()]]));
    }

    #[test]
    fn nothing_survives_in_a_directory_that_did_not() {
        for seed in 0..60 {
            let mut names = Names::new();
            names.insert(Path::new("/tmp/d"), Entry::Directory);
            names.insert(Path::new("/tmp/d/x"), file(1));
            names.sync(Path::new("/tmp/d"));
            names.lose_power(&mut Chance::new(seed));
            let directory = names.get(Path::new("/tmp/d"));
            let inside = names.get(Path::new("/tmp/d/x"));
            assert!(directory.is_some() || inside.is_none());
        }
    }

    #[test]
    fn a_removed_file_stays_reachable_until_its_removal_is_durable() {
        let mut names = Names::new();
        names.insert(Path::new("/tmp/a"), file(1));
        names.sync(Path::new("/tmp"));
        names.remove(Path::new("/tmp/a"));
        assert!(names.reachable().contains(&FileId(1)));
        names.sync(Path::new("/tmp"));
        assert!(names.reachable().is_empty());
    }
}
