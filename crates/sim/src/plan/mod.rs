//! What happens in the run of a seed, drawn before it begins.
//!
//! Swarm mode: each option, fault and kind of blow is absent or present, rare or frequent, by the
//! seed; a swarm of such worlds reaches corners that one world with everything never would.

mod blows;
mod mood;
mod settings;

pub(crate) use blows::{Blow, Operator, Wrongness};
pub(crate) use mood::{Mood, NameMood};
pub(crate) use settings::Settings;

use reactor::FileSystemKind;
use reactor::sim::{Chance, Faults};
use std::time::Duration;

/// How long the trouble lasts: long enough for deferred mail to come back a few times.
const TROUBLE: Duration = Duration::from_secs(20 * 60);

/// The run of a seed.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The seed.
    pub(crate) seed: u64,
    /// What goes wrong in the world.
    pub(crate) faults: Faults,
    /// How long.
    pub(crate) trouble: Duration,
    /// What happens when, in order.
    pub(crate) blows: Vec<(Duration, Blow)>,
    /// Messages in all.
    pub(crate) messages: u32,
    /// Bytes of each at least.
    pub(crate) message_bytes: u64,
    /// Client tasks.
    pub(crate) clients: u32,
    /// How the next hops behave at first.
    pub(crate) mood: Mood,
    /// How names are answered.
    pub(crate) names: NameMood,
    /// What the operator has set at first.
    pub(crate) settings: Settings,
    /// Bytes of the relay's disk.
    pub(crate) disk_bytes: u64,
    /// What file system it has.
    pub(crate) disk_kind: FileSystemKind,
}

impl Plan {
    /// The plan of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x71a0_71a0);
        let trouble = TROUBLE.mul_f64(0.1 + chance.below(100) as f64 / 100.0);
        let disk_kind = disk_kind(&mut chance);
        let bulk = chance.hits(0.08);
        Self {
            seed,
            faults: if chance.hits(0.1) { Faults::mild() } else { Faults::swarm(seed) },
            trouble,
            blows: blows::draw(trouble, &mut chance),
            messages: if bulk { 30 } else { 5 + chance.below(70) as u32 },
            message_bytes: if bulk { 100_000 + chance.below(600_000) } else { 0 },
            clients: 1 + chance.below(6) as u32,
            mood: Mood::draw(&mut chance),
            names: NameMood::draw(&mut chance),
            settings: Settings::draw(&mut chance),
            disk_bytes: if bulk { 32 << 20 } else { (32 << 20) << chance.below(4) },
            disk_kind,
        }
    }
}

fn disk_kind(chance: &mut Chance) -> FileSystemKind {
    match chance.below(10) {
        0..4 => FileSystemKind::Ext,
        4..7 => FileSystemKind::Xfs,
        7 => FileSystemKind::Btrfs,
        8 => FileSystemKind::Memory,
        _ => FileSystemKind::Other(0),
    }
}

/// A probability: zero, or up to `most`.
fn pick(chance: &mut Chance, most: f64) -> f64 {
    if chance.hits(0.5) { most * (1 + chance.below(100)) as f64 / 100.0 } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_has_one_plan_whose_blows_lie_in_order_within_its_time() {
        for seed in 0..200 {
            let plan = Plan::new(seed);
            assert_eq!(format!("{plan:?}"), format!("{:?}", Plan::new(seed)));
            assert!(plan.blows.is_sorted_by_key(|(at, _)| *at));
            assert!(plan.blows.iter().all(|(at, _)| *at <= plan.trouble));
        }
    }

    #[test]
    fn every_kind_of_blow_falls_somewhere() {
        let blows = (0..400).flat_map(|seed| Plan::new(seed).blows);
        let kinds: std::collections::BTreeSet<String> = blows
            .map(|(_, blow)| format!("{blow:?}"))
            .map(|text| text.split(['(', ' ']).next().unwrap_or_default().to_owned())
            .collect();
        assert_eq!(kinds.len(), Blow::KINDS, "{kinds:?}");
    }

    #[test]
    fn some_disks_are_small_and_full_of_large_mail() {
        let plans = (0..200).map(Plan::new);
        assert!(plans.filter(|plan| plan.message_bytes > 0).count() > 5);
    }
}
