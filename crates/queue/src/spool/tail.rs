//! Where the log of a killed process ends. Pure.
//!
//! A 250 waits for its own write and every earlier one, so what was promised is a prefix of the
//! batches by sequence. `durable_through` of the newest header says how much of it is certain; up
//! to there a batch that does not verify is damage, behind it is the torn tail, which nobody was
//! promised and which ends the log.

use super::layout::BatchHeader;
use super::scan::{Scan, Scanned};

/// Walks the batches of the last start, in the order of segments and offsets.
#[derive(Debug)]
pub(super) struct Tail {
    /// Every batch up to this was durable.
    durable_through: u64,
    /// The sequence of the last batch that belongs to the log; zero: none yet.
    last: u64,
    /// The torn tail has begun.
    cut: bool,
}

impl Tail {
    pub(super) fn new(durable_through: u64) -> Self {
        Self { durable_through, last: 0, cut: false }
    }

    /// Whether the next batch belongs to the log.
    pub(super) fn keeps(&mut self, batch: &Scanned) -> bool {
        let sequence = batch.header.sequence;
        // Batches that are missing may also have gone with a dead segment. They were durable, and
        // outcomes were written after them, so that they lie at or below `durable_through`.
        let hole = sequence > self.last + 1 && sequence - 1 > self.durable_through;
        let torn = !batch.is_whole() && sequence > self.durable_through;
        self.cut |= hole || torn;
        if !self.cut {
            self.last = sequence;
        }
        !self.cut
    }

    /// Passes over a sealed segment, which ends with this sequence: all of it was durable.
    pub(super) fn pass(&mut self, sequence: u64) {
        self.last = self.last.max(sequence);
    }
}

/// Finds the highest `durable_through`, given the segments of the last start from the newest
/// backwards. A seal counts as well: it is written when all batches of its segment are durable.
#[derive(Debug, Default)]
pub(super) struct Horizon {
    durable_through: u64,
}

impl Horizon {
    /// Takes in one segment; `true` when all batches of older ones are certain.
    pub(super) fn take_in(&mut self, scan: &Scan) -> bool {
        let headers = scan.batches.iter().map(|batch| batch.header);
        for header in headers.chain(scan.seal.map(|seal| seal.header)) {
            self.durable_through = self.durable_through.max(header.durable_through);
        }
        scan.batches.iter().any(|batch| batch.header.sequence <= self.durable_through)
    }

    /// Takes in a sealed segment, given the header of the seal: all of it is certain, and all
    /// before it.
    pub(super) fn pass(&mut self, seal: BatchHeader) {
        self.durable_through = self.durable_through.max(seal.durable_through);
    }

    pub(super) fn durable_through(&self) -> u64 {
        self.durable_through
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spool::scan::ScannedSeal;

    fn batch(sequence: u64, durable_through: u64, whole: bool) -> Scanned {
        let header = BatchHeader {
            sequence,
            durable_through,
            bytes: 4096,
            record_bytes: 0,
            records: 0,
            seal: false,
        };
        let damage = if whole { vec![] } else { vec![1] };
        Scanned { offset: 0, header, records: vec![], damage }
    }

    fn segment(batches: &[Scanned]) -> Scan {
        Scan { batches: batches.to_vec(), seal: None }
    }

    fn kept(durable_through: u64, batches: &[(u64, bool)]) -> Vec<u64> {
        let mut tail = Tail::new(durable_through);
        let batches = batches.iter().map(|(sequence, whole)| batch(*sequence, 0, *whole));
        batches.filter(|one| tail.keeps(one)).map(|one| one.header.sequence).collect()
    }

    #[test]
    fn behind_the_first_hole_above_the_horizon_nothing_is_kept() {
        assert_eq!(kept(2, &[(1, true), (2, true), (3, true), (5, true), (6, true)]), [1, 2, 3]);
        assert_eq!(kept(2, &[(1, true), (2, true), (3, false), (4, true)]), [1, 2]);
        assert_eq!(kept(0, &[(2, true)]), []);
    }

    #[test]
    fn damage_at_or_below_the_horizon_costs_only_itself() {
        assert_eq!(kept(5, &[(1, true), (3, false), (6, true), (7, true)]), [1, 3, 6, 7]);
    }

    #[test]
    fn the_horizon_is_the_newest_headers_word() {
        let mut horizon = Horizon::default();
        assert!(!horizon.take_in(&segment(&[batch(8, 6, true), batch(9, 7, true)])));
        assert!(horizon.take_in(&segment(&[batch(6, 4, true), batch(7, 5, true)])));
        assert_eq!(horizon.durable_through(), 7);
    }

    #[test]
    fn what_a_seal_follows_is_certain() {
        let header = BatchHeader { seal: true, ..batch(7, 8, true).header };
        let seal = Some(ScannedSeal { offset: 0, header, whole: false });
        let mut horizon = Horizon::default();
        assert!(horizon.take_in(&Scan { seal, ..segment(&[batch(7, 5, true)]) }));
        assert_eq!(horizon.durable_through(), 8);
    }
}
