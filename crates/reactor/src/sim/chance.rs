//! Chance from a seed.

use rand::{Rng, SeedableRng};
use rand_pcg::Pcg64Mcg;
use std::ops::Range;
use std::time::Duration;

/// A stream of chance whose output never changes for a seed.
pub struct Chance {
    generator: Pcg64Mcg,
}

impl Chance {
    /// The stream of `seed`.
    pub fn new(seed: u64) -> Self {
        Self { generator: Pcg64Mcg::seed_from_u64(seed) }
    }

    /// 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.generator.next_u64()
    }

    /// Whether something of this probability happens; nothing is drawn when it cannot.
    pub fn hits(&mut self, probability: f64) -> bool {
        // 53 bits are what an f64 can tell apart.
        probability > 0.0 && ((self.bits() >> 11) as f64) < probability * (1u64 << 53) as f64
    }

    /// A number below `end`; zero when there is none.
    pub fn below(&mut self, end: u64) -> u64 {
        // The bias is far below anything a simulation would notice.
        if end == 0 { 0 } else { self.bits() % end }
    }

    /// A time in `range`; its start when it is empty.
    pub fn time(&mut self, range: &Range<Duration>) -> Duration {
        let width = range.end.saturating_sub(range.start).as_nanos();
        range.start + Duration::from_nanos(self.below(u64::try_from(width).unwrap_or(u64::MAX)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_gives_one_stream_and_another_seed_another() {
        let draw = |seed| (0..4).map(|_| Chance::new(seed).bits()).collect::<Vec<_>>();
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn hits_come_about_as_often_as_asked() {
        let mut chance = Chance::new(7);
        let hits = (0..10_000).filter(|_| chance.hits(0.25)).count();
        assert!((2300..2700).contains(&hits), "{hits}");
        assert!(!chance.hits(0.0));
        assert!(chance.hits(1.0));
    }

    #[test]
    fn times_lie_in_their_range() {
        let mut chance = Chance::new(3);
        let range = Duration::from_millis(2)..Duration::from_millis(5);
        assert!((0..1000).all(|_| range.contains(&chance.time(&range))));
        let empty = Duration::from_millis(2)..Duration::from_millis(2);
        assert_eq!(chance.time(&empty), Duration::from_millis(2));
    }
}
