//! The bytes of a file: what is seen now, and what would survive a loss of power.
//!
//! A pure structure: chance arrives as an argument. Pages that nobody wrote are zero and take no
//! memory. Invariant: a page that is not in `dirty` and differs between `visible` and `durable`
//! belongs to a failed sync, and will be lost.

use super::chance::Chance;
use std::collections::{BTreeMap, BTreeSet};
use std::mem::MaybeUninit;
use std::ops::Range;
use std::rc::Rc;

/// Bytes of a page.
const PAGE: u64 = 4096;
/// Bytes that a device writes whole.
const SECTOR: usize = 512;
const ZERO: MaybeUninit<u8> = MaybeUninit::new(0);

type Page = Rc<[u8; PAGE as usize]>;

/// The bytes of one file.
#[derive(Default)]
pub(super) struct Content {
    visible: BTreeMap<u64, Page>,
    durable: BTreeMap<u64, Page>,
    dirty: BTreeSet<u64>,
    length: u64,
    durable_length: u64,
    /// A sync has failed: `visible` and `durable` may differ where nothing is dirty.
    lies: bool,
}

/// What a loss of power leaves of dirty sectors.
#[derive(Clone, Copy)]
enum Fate {
    Lost,
    Kept,
    /// Each page is lost or kept, whichever was written first.
    Mixed,
    /// Each sector is.
    Torn,
}

impl Content {
    /// The length in bytes, as seen now.
    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Writes `bytes` at `offset`, not durably.
    pub(super) fn write(&mut self, offset: u64, bytes: &[u8]) {
        let mut at = offset;
        let mut rest = bytes;
        while !rest.is_empty() {
            let within = (at % PAGE) as usize;
            let (now, later) = rest.split_at(rest.len().min(PAGE as usize - within));
            let page = self.visible.entry(at / PAGE).or_insert_with(blank);
            Rc::make_mut(page)[within..within + now.len()].copy_from_slice(now);
            self.dirty.insert(at / PAGE);
            at += now.len() as u64;
            rest = later;
        }
        self.length = self.length.max(at);
    }

    /// Up to `length` bytes at `offset`; fewer at the end of the file.
    pub(super) fn read(&self, offset: u64, length: usize) -> Vec<u8> {
        let there = self.length.saturating_sub(offset).min(length as u64);
        let mut bytes = Vec::with_capacity(there as usize);
        let place = &mut bytes.spare_capacity_mut()[..there as usize];
        let count = self.read_into(offset, place);
        // SAFETY: so many bytes were just written.
        unsafe { bytes.set_len(count) };
        bytes
    }

    /// Fills `place` with the bytes at `offset`; says how many there were.
    pub(super) fn read_into(&self, offset: u64, place: &mut [MaybeUninit<u8>]) -> usize {
        let end = self.length.min(offset.saturating_add(place.len() as u64)).max(offset);
        // Everything is written once: what lies between the pages that exist is zero.
        let mut done = offset;
        for (number, page) in self.visible.range(offset / PAGE..end.div_ceil(PAGE)) {
            let start = number * PAGE;
            let from = offset.max(start);
            let to = end.min(start + PAGE);
            place[(done - offset) as usize..(from - offset) as usize].fill(ZERO);
            place[(from - offset) as usize..(to - offset) as usize]
                .write_copy_of_slice(&page[(from - start) as usize..(to - start) as usize]);
            done = to;
        }
        place[(done - offset) as usize..(end - offset) as usize].fill(ZERO);
        (end - offset) as usize
    }

    /// Writes zeros from `from` to `to`, not durably.
    pub(super) fn zero(&mut self, from: u64, to: u64) {
        self.wipe(from, to);
        self.length = self.length.max(to);
    }

    /// Sets the length, not durably.
    pub(super) fn truncate(&mut self, length: u64) {
        self.wipe(length, self.length);
        self.length = length;
    }

    fn wipe(&mut self, from: u64, to: u64) {
        let last = to.div_ceil(PAGE);
        let touched: Vec<u64> = self.visible.range(from / PAGE..last).map(|(n, _)| *n).collect();
        for number in touched {
            let start = number * PAGE;
            let page = self.visible.get_mut(&number).expect("just seen");
            let clear_from = from.saturating_sub(start).min(PAGE) as usize;
            let clear_to = to.saturating_sub(start).min(PAGE) as usize;
            if clear_from < clear_to {
                Rc::make_mut(page)[clear_from..clear_to].fill(0);
                self.dirty.insert(number);
            }
        }
    }

    /// Makes the pages of a range durable, and the length.
    pub(super) fn harden(&mut self, from: u64, to: u64) {
        let pages: Vec<u64> = self.dirty.range(from / PAGE..to.div_ceil(PAGE)).copied().collect();
        for number in pages {
            self.keep(number);
        }
        self.durable_length = self.length;
    }

    /// Makes everything durable.
    pub(super) fn sync(&mut self) {
        self.harden(0, u64::MAX - PAGE);
    }

    /// A sync has failed: what was dirty counts as clean, and will be lost.
    pub(super) fn fail_sync(&mut self) {
        self.lies |= !self.dirty.is_empty();
        self.dirty.clear();
    }

    fn keep(&mut self, number: u64) {
        self.dirty.remove(&number);
        match self.visible.get(&number) {
            Some(page) => self.durable.insert(number, Rc::clone(page)),
            None => self.durable.remove(&number),
        };
    }

    /// Power goes: dirty sectors survive or not, in any mixture, and so does the length.
    pub(super) fn lose_power(&mut self, chance: &mut Chance) {
        if self.dirty.is_empty() && !self.lies && self.length == self.durable_length {
            return;
        }
        let fate = match chance.below(4) {
            0 => Fate::Lost,
            1 => Fate::Kept,
            2 => Fate::Mixed,
            _ => Fate::Torn,
        };
        for number in std::mem::take(&mut self.dirty) {
            self.decide(number, fate, chance);
        }
        // A longer length without its bytes reads zeros, which a program must bear.
        let keep = match fate {
            Fate::Lost => false,
            Fate::Kept => true,
            Fate::Mixed | Fate::Torn => chance.hits(0.5),
        };
        if keep {
            self.durable_length = self.length;
        }
        self.visible = self.durable.clone();
        self.lies = false;
        self.length = self.durable_length;
        self.cut_beyond_length();
    }

    fn decide(&mut self, number: u64, fate: Fate, chance: &mut Chance) {
        let new = self.visible.get(&number).cloned().unwrap_or_else(blank);
        let mut page = self.durable.get(&number).cloned().unwrap_or_else(blank);
        let keep_all = chance.hits(0.5);
        for sector in 0..PAGE as usize / SECTOR {
            let keep = match fate {
                Fate::Lost => false,
                Fate::Kept => true,
                Fate::Mixed => keep_all,
                Fate::Torn => chance.hits(0.5),
            };
            let range = sector * SECTOR..(sector + 1) * SECTOR;
            if keep && page[range.clone()] != new[range.clone()] {
                Rc::make_mut(&mut page)[range.clone()].copy_from_slice(&new[range]);
            }
        }
        self.durable.insert(number, page);
    }

    /// The parts of `range` that were written and are durable, a page at most each.
    pub(super) fn durable_ranges(&self, range: &Range<u64>) -> impl Iterator<Item = Range<u64>> {
        let end = range.end.min(self.length).min(self.durable_length);
        let start = range.start.min(end);
        let pages = self.durable.range(start / PAGE..end.div_ceil(PAGE));
        let clean = pages.filter(|(number, _)| !self.dirty.contains(number));
        let cut = move |number: u64| start.max(number * PAGE)..end.min((number + 1) * PAGE);
        clean.map(move |(number, _)| cut(*number)).filter(|place| !place.is_empty())
    }

    /// Flips bits of a durable byte.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        let (number, within) = (offset / PAGE, (offset % PAGE) as usize);
        for pages in [&mut self.visible, &mut self.durable] {
            if let Some(page) = pages.get_mut(&number) {
                Rc::make_mut(page)[within] ^= mask;
            }
        }
    }

    /// Everything is gone.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Bytes that survived beyond the length that did are out of reach.
    fn cut_beyond_length(&mut self) {
        let length = self.length;
        self.wipe(length, u64::MAX - PAGE);
        let changed: Vec<u64> = std::mem::take(&mut self.dirty).into_iter().collect();
        for number in changed {
            self.keep(number);
        }
    }
}

fn blank() -> Page {
    Rc::new([0; PAGE as usize])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A content of one durable page of `a`, over which `b` was written without a sync.
    fn overwritten() -> Content {
        let mut content = Content::default();
        content.write(0, &[b'a'; 4096]);
        content.sync();
        content.write(0, &[b'b'; 4096]);
        content
    }

    #[test]
    fn reads_see_what_was_written_and_zeros_between() {
        let mut content = Content::default();
        content.write(5000, b"hello");
        assert_eq!(content.length(), 5005);
        assert_eq!(content.read(4998, 100), b"\0\0hello");
        assert_eq!(content.read(0, 3), b"\0\0\0");
        assert_eq!(content.read(6000, 3), b"");
        content.zero(5001, 5003);
        assert_eq!(content.read(5000, 5), b"h\0\0lo");
        content.truncate(5001);
        content.write(5003, b"x");
        assert_eq!(content.read(5000, 9), b"h\0\0x");
    }

    #[test]
    fn synced_bytes_survive_a_loss_of_power() {
        for seed in 0..50 {
            let mut content = overwritten();
            content.harden(0, 4096);
            content.lose_power(&mut Chance::new(seed));
            assert_eq!(content.read(0, 4096), [b'b'; 4096]);
        }
    }

    #[test]
    fn unsynced_pages_may_survive_in_any_order() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let mut content = Content::default();
            content.write(0, &[b'a'; 8192]);
            content.sync();
            content.write(0, &[b'1'; 4096]);
            content.write(4096, &[b'2'; 4096]);
            content.lose_power(&mut Chance::new(seed));
            let [first, second] = [0, 4096].map(|at| content.read(at, 4096));
            if first.iter().all(|byte| *byte == first[0]) {
                seen.insert((first[0], second[0]));
            }
        }
        assert!(seen.contains(&(b'a', b'2')), "the later one alone: {seen:?}");
        assert!(seen.contains(&(b'1', b'a')));
    }

    #[test]
    fn a_flip_is_seen_and_lasts_and_strikes_durable_bytes_only() {
        let mut content = overwritten();
        content.write(4096, b"new");
        assert_eq!(content.durable_ranges(&(0..u64::MAX)).count(), 0, "all is dirty");
        content.sync();
        let places: Vec<_> = content.durable_ranges(&(100..u64::MAX)).collect();
        assert_eq!(places, [100..4096, 4096..4099]);
        content.flip(4097, 1);
        assert_eq!(content.read(4096, 3), b"ndw");
        content.lose_power(&mut Chance::new(1));
        assert_eq!(content.read(4096, 3), b"ndw");
    }

    #[test]
    fn unsynced_bytes_are_lost_kept_or_torn_at_sectors() {
        let mut seen = [false; 3];
        for seed in 0..100 {
            let mut content = overwritten();
            content.lose_power(&mut Chance::new(seed));
            let bytes = content.read(0, 4096);
            for sector in bytes.chunks(SECTOR) {
                assert!(sector.iter().all(|byte| *byte == sector[0]));
            }
            let kept = bytes.iter().filter(|byte| **byte == b'b').count();
            seen[if kept == 0 { 0 } else { 1 + usize::from(kept < 4096) }] = true;
        }
        assert_eq!(seen, [true; 3]);
    }

    #[test]
    fn what_a_failed_sync_left_is_lost_even_after_a_good_one() {
        for seed in 0..50 {
            let mut content = overwritten();
            content.fail_sync();
            content.sync();
            assert_eq!(content.read(0, 1), b"b");
            content.lose_power(&mut Chance::new(seed));
            assert_eq!(content.read(0, 4096), [b'a'; 4096]);
        }
    }

    #[test]
    fn an_unsynced_length_may_be_lost() {
        let mut lengths = BTreeSet::new();
        for seed in 0..100 {
            let mut content = overwritten();
            content.write(4096, &[b'c'; 512]);
            content.lose_power(&mut Chance::new(seed));
            lengths.insert(content.length());
            assert_eq!(content.read(0, 9000).len() as u64, content.length());
        }
        assert_eq!(lengths, BTreeSet::from([4096, 4608]));
    }
}
