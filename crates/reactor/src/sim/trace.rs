//! What has happened, as one number, and as text for those who ask.

use crate::time::Instant;

/// Multiplied in at each step; the golden ratio, as in splitmix64.
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// Hears the text of each event.
type Watcher = Box<dyn FnMut(&str)>;

/// The running hash of all events, and who hears their text.
#[derive(Default)]
pub(super) struct Trace {
    hash: u64,
    watcher: Option<Watcher>,
}

impl Trace {
    /// Lets `watcher` hear the text of events from now on.
    pub(super) fn watch(&mut self, watcher: Watcher) {
        self.watcher = Some(watcher);
    }

    /// The hash of everything so far.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }

    /// Notes an event of ours.
    pub(super) fn event(&mut self, now: Instant, word: &str, numbers: &[i64]) {
        self.mix(now.0);
        self.mix_bytes(word.as_bytes());
        for number in numbers {
            self.mix(*number as u64);
        }
        if let Some(watcher) = &mut self.watcher {
            watcher(&format!("{} {word} {numbers:?}", stamp(now)));
        }
    }

    /// Notes a sentence from outside.
    pub(super) fn sentence(&mut self, now: Instant, text: &str) {
        self.mix(now.0);
        self.mix_bytes(text.as_bytes());
        if let Some(watcher) = &mut self.watcher {
            watcher(&format!("{} {text}", stamp(now)));
        }
    }

    /// Takes bytes into the hash only.
    pub(super) fn mix_bytes(&mut self, bytes: &[u8]) {
        let mut chunks = bytes.chunks_exact(8);
        for chunk in &mut chunks {
            self.mix(u64::from_le_bytes(chunk.try_into().expect("eight bytes")));
        }
        let mut last = [0; 8];
        last[..chunks.remainder().len()].copy_from_slice(chunks.remainder());
        self.mix(u64::from_le_bytes(last) ^ bytes.len() as u64);
    }

    fn mix(&mut self, number: u64) {
        let mixed = (self.hash ^ number).wrapping_mul(STEP);
        self.hash = mixed ^ (mixed >> 32);
    }
}

/// Seconds since the world's birth, to the microsecond.
fn stamp(now: Instant) -> String {
    format!("{:>6}.{:06}", now.0 / 1_000_000_000, now.0 / 1_000 % 1_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_depends_on_order_time_and_numbers() {
        let run = |events: &[(u64, i64)]| {
            let mut trace = Trace::default();
            events.iter().for_each(|(at, number)| trace.event(Instant(*at), "x", &[*number]));
            trace.hash()
        };
        assert_eq!(run(&[(1, 1), (2, 2)]), run(&[(1, 1), (2, 2)]));
        for other in [&[(2, 2), (1, 1)][..], &[(1, 1), (2, 3)], &[(1, 1), (3, 2)], &[(1, 1)]] {
            assert_ne!(run(&[(1, 1), (2, 2)]), run(other));
        }
    }
}
