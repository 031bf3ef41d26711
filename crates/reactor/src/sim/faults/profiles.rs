//! How often things go wrong: in none, in mild and in swarm worlds.

use super::Faults;
use crate::sim::chance::Chance;
use std::ops::Range;
use std::time::Duration;

const fn micros(from: u64, to: u64) -> Range<Duration> {
    Duration::from_micros(from)..Duration::from_micros(to)
}

const fn seconds(from: u64, to: u64) -> Range<Duration> {
    Duration::from_secs(from)..Duration::from_secs(to)
}

impl Faults {
    /// A world in which nothing goes wrong, and in which things take constant, short times.
    pub fn none() -> Self {
        Self {
            latency: micros(50, 50),
            latency_tail: 0.0,
            stall: 0.0,
            stall_time: seconds(1, 1),
            reset: 0.0,
            reset_discards: 0.0,
            connect_refused: 0.0,
            connect_black_hole: 0.0,
            hole: 0.0,
            hole_time: seconds(1, 1),
            window_bytes: 256 * 1024,
            short_send: 0.0,
            short_receive: 0.0,
            multishot_end: 0.0,
            buffers: 256,
            no_buffers: 0.0,
            queue_entries: 8192,
            partial_enter: 0.0,
            completion_delay: micros(1, 1),
            cancel_races: 0.0,
            interrupted: 0.0,
            no_descriptors: 0.0,
            shortage: 0.0,
            shortage_time: seconds(0, 5),
            write_time: micros(100, 100),
            slow_write: 0.0,
            slow_time: seconds(1, 1),
            hang: 0.0,
            hang_time: seconds(60, 300),
            hang_fails: 0.5,
            without_fua: false,
            write_fails: 0.0,
            lands_anyway: 0.5,
            disk_breaks: 0.0,
            no_space: 0.0,
            over_quota: 0.0,
            short_write: 0.0,
            read_fails: 0.0,
            short_read: 0.0,
            sync_fails: 0.0,
            open_fails: 0.0,
            rename_fails: 0.0,
            remove_fails: 0.0,
            directory_sync_fails: 0.0,
            misdirected: 0.0,
            late_write: 0.0,
            late_time: seconds(0, 4),
        }
    }

    /// What every program must bear without a word: delays, pieces, few buffers, races. Nothing
    /// fails.
    pub fn mild() -> Self {
        Self {
            latency: micros(50, 20_000),
            window_bytes: 64 * 1024,
            short_send: 0.3,
            short_receive: 0.3,
            multishot_end: 0.2,
            buffers: 8,
            no_buffers: 0.05,
            queue_entries: 64,
            partial_enter: 0.2,
            completion_delay: micros(0, 500),
            cancel_races: 0.5,
            write_time: micros(20, 5_000),
            without_fua: true,
            late_write: 0.5,
            ..Self::none()
        }
    }

    /// Some of everything: each fault is absent or present, rare or frequent, by the seed. A swarm
    /// of such worlds reaches corners that one world with all faults never would.
    ///
    /// A broken disk and misdirected writes are not among them: the caller decides whether its
    /// promises survive those.
    pub fn swarm(seed: u64) -> Self {
        // Not the world's own stream, so that drawing the faults does not shift it.
        let mut chance = Chance::new(seed ^ 0x5eed_fa17);
        let mut faults = Self::mild();
        faults.swarm_network(&mut chance);
        faults.swarm_kernel(&mut chance);
        faults.swarm_disk(&mut chance);
        faults
    }

    fn swarm_network(&mut self, chance: &mut Chance) {
        self.latency = micros(20, 50 + chance.below(100_000));
        self.latency_tail = pick(chance, 0.1);
        self.stall = pick(chance, 0.005);
        self.stall_time = seconds(1, 1200);
        self.reset = pick(chance, 0.01);
        self.reset_discards = pick(chance, 1.0);
        self.connect_refused = pick(chance, 0.2);
        self.connect_black_hole = pick(chance, 0.05);
        self.hole = pick(chance, 0.02);
        self.hole_time = seconds(1, 1200);
        // Tiny ones are rare: they cost many events, and little else differs.
        let least = if chance.hits(0.1) { 64 } else { 1024 };
        self.window_bytes = least << chance.below(8);
    }

    fn swarm_kernel(&mut self, chance: &mut Chance) {
        self.short_send = pick(chance, 0.5);
        self.short_receive = pick(chance, 0.5);
        self.multishot_end = pick(chance, 0.5);
        self.buffers = 2 << chance.below(7);
        self.no_buffers = pick(chance, 0.2);
        self.queue_entries = 4 << chance.below(8);
        self.partial_enter = pick(chance, 0.5);
        self.completion_delay = micros(0, 1 + chance.below(2_000));
        self.cancel_races = pick(chance, 1.0);
        self.interrupted = pick(chance, 0.02);
        self.no_descriptors = pick(chance, 0.05);
        self.shortage = pick(chance, 0.002);
    }

    fn swarm_disk(&mut self, chance: &mut Chance) {
        self.write_time = micros(10, 20 + chance.below(30_000));
        self.slow_write = pick(chance, 0.02);
        self.slow_time = seconds(1, 40);
        self.hang = pick(chance, 0.0005);
        self.without_fua = chance.hits(0.5);
        self.write_fails = pick(chance, 0.001);
        self.no_space = pick(chance, 0.01);
        self.over_quota = pick(chance, 0.01);
        self.short_write = pick(chance, 0.001);
        self.read_fails = pick(chance, 0.002);
        self.sync_fails = pick(chance, 0.002);
        self.open_fails = pick(chance, 0.001);
        self.rename_fails = pick(chance, 0.001);
        self.remove_fails = pick(chance, 0.001);
        self.directory_sync_fails = pick(chance, 0.001);
        self.late_write = pick(chance, 1.0);
    }
}

/// Absent, mostly; else anything up to `most`.
fn pick(chance: &mut Chance, most: f64) -> f64 {
    if chance.hits(0.4) { most * (1 + chance.below(100)) as f64 / 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Probability = (&'static str, fn(&Faults) -> f64);

    const PROBABILITIES: &[Probability] = &[
        ("latency_tail", |faults| faults.latency_tail),
        ("stall", |faults| faults.stall),
        ("reset", |faults| faults.reset),
        ("reset_discards", |faults| faults.reset_discards),
        ("connect_refused", |faults| faults.connect_refused),
        ("connect_black_hole", |faults| faults.connect_black_hole),
        ("hole", |faults| faults.hole),
        ("short_send", |faults| faults.short_send),
        ("short_receive", |faults| faults.short_receive),
        ("multishot_end", |faults| faults.multishot_end),
        ("no_buffers", |faults| faults.no_buffers),
        ("partial_enter", |faults| faults.partial_enter),
        ("cancel_races", |faults| faults.cancel_races),
        ("interrupted", |faults| faults.interrupted),
        ("no_descriptors", |faults| faults.no_descriptors),
        ("shortage", |faults| faults.shortage),
        ("slow_write", |faults| faults.slow_write),
        ("hang", |faults| faults.hang),
        ("write_fails", |faults| faults.write_fails),
        ("no_space", |faults| faults.no_space),
        ("over_quota", |faults| faults.over_quota),
        ("short_write", |faults| faults.short_write),
        ("read_fails", |faults| faults.read_fails),
        ("sync_fails", |faults| faults.sync_fails),
        ("open_fails", |faults| faults.open_fails),
        ("rename_fails", |faults| faults.rename_fails),
        ("remove_fails", |faults| faults.remove_fails),
        ("directory_sync_fails", |faults| faults.directory_sync_fails),
        ("late_write", |faults| faults.late_write),
    ];

    #[test]
    fn a_swarm_has_one_profile_for_a_seed_and_reaches_every_fault() {
        let mut unseen = PROBABILITIES.to_vec();
        for seed in 0..100 {
            let faults = Faults::swarm(seed);
            assert_eq!(format!("{faults:?}"), format!("{:?}", Faults::swarm(seed)));
            let by_call = (faults.disk_breaks, faults.misdirected, faults.short_read);
            assert_eq!(by_call, (0.0, 0.0, 0.0));
            unseen.retain(|(_, probability)| probability(&faults) == 0.0);
        }
        let unseen: Vec<&str> = unseen.into_iter().map(|(name, _)| name).collect();
        assert!(unseen.is_empty(), "{unseen:?}");
    }
}
