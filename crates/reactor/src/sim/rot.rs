//! What a device does to bytes that were safe: flipped bits, and writes that land elsewhere.

use super::chance::Chance;
use super::disk::Disk;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// A byte that has rotten.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rot {
    /// The file.
    pub path: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// The bits that were flipped.
    pub mask: u8,
}

/// A write that has landed elsewhere, and told nobody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Misdirected {
    /// The file, by the name that it had then.
    pub path: Option<PathBuf>,
    /// Where it was to land: what was there still is.
    pub meant: Range<u64>,
    /// Where it did: what was there is gone.
    pub landed: Range<u64>,
}

impl Disk {
    /// Flips a bit in each of up to `count` durable bytes that lie in `range` of the files that
    /// `pick` chooses, and says which.
    pub(super) fn rot(
        &mut self,
        pick: &mut dyn FnMut(&Path) -> bool,
        range: &Range<u64>,
        count: usize,
        chance: &mut Chance,
    ) -> Vec<Rot> {
        let mut places = Vec::new();
        for path in self.paths().into_iter().filter(|path| pick(path)) {
            let content = &self.at(&path).expect("just listed").content;
            places.extend(content.durable_ranges(range).map(|place| (path.clone(), place)));
        }
        let mut rotten = Vec::new();
        for _ in 0..count.min(places.len()) {
            let (path, place) = places.swap_remove(chance.below(places.len() as u64) as usize);
            let offset = place.start + chance.below(place.end - place.start);
            let mask = 1 << chance.below(8);
            self.at(&path).expect("just listed").content.flip(offset, mask);
            rotten.push(Rot { path, offset, mask });
        }
        rotten
    }
}
