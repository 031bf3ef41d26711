//! What happens in the run of a seed, drawn before it begins.

use reactor::FileSystemKind;
use reactor::sim::{Chance, Faults};
use std::time::Duration;

/// How long the trouble lasts: long enough for deferred mail to come back a few times.
const TROUBLE: Duration = Duration::from_secs(20 * 60);

/// Something that happens to the relay or around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The relay is killed (SIGKILL).
    Kill,
    /// Its machine loses power.
    Power,
    /// It is asked to end, and drains.
    Drain,
    /// Its wall clock steps forward.
    Clock(Duration),
    /// A next hop is killed and comes back.
    NextHop,
    /// Its disk is full for a while.
    Full(Duration),
    /// Its disk answers EIO to everything for a while.
    Broken(Duration),
    /// An operator flushes everything.
    Flush,
}

/// How a next hop behaves: probabilities per opportunity.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    /// Turns clients away with 421.
    pub(crate) closed: f64,
    /// Refuses a recipient for good.
    pub(crate) refuses: f64,
    /// Defers a recipient.
    pub(crate) defers: f64,
    /// Takes a message and answers 451 all the same.
    pub(crate) fails: f64,
    /// Waits for seconds to many minutes.
    pub(crate) stalls: f64,
    /// Resets the connection.
    pub(crate) resets: f64,
    /// Takes a message and never says so.
    pub(crate) eats_reply: f64,
}

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
    /// Client tasks.
    pub(crate) clients: u32,
    /// How the next hops behave.
    pub(crate) mood: Mood,
    /// Bytes of the relay's disk.
    pub(crate) disk_bytes: u64,
    /// What file system it has.
    pub(crate) disk_kind: FileSystemKind,
    /// Bytes of bodies that a shard keeps in memory.
    pub(crate) hot_bytes: u64,
}

impl Plan {
    /// The plan of `seed`.
    pub(crate) fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed ^ 0x71a0_71a0);
        let trouble = TROUBLE.mul_f64(0.1 + chance.below(100) as f64 / 100.0);
        let kinds = [FileSystemKind::Ext, FileSystemKind::Xfs, FileSystemKind::Other(0)];
        Self {
            seed,
            faults: if chance.hits(0.1) { Faults::mild() } else { Faults::swarm(seed) },
            trouble,
            blows: blows(trouble, &mut chance),
            messages: 5 + chance.below(90) as u32,
            clients: 1 + chance.below(6) as u32,
            mood: Mood::draw(&mut chance),
            disk_bytes: (32 << 20) << chance.below(4),
            disk_kind: kinds[chance.below(3) as usize],
            hot_bytes: 1 << (10 + chance.below(15)),
        }
    }
}

impl Mood {
    fn draw(chance: &mut Chance) -> Self {
        let mut pick = |most: f64| {
            if chance.hits(0.5) { most * (1 + chance.below(100)) as f64 / 100.0 } else { 0.0 }
        };
        Self {
            closed: pick(0.3),
            refuses: pick(0.2),
            defers: pick(0.3),
            fails: pick(0.2),
            stalls: pick(0.02),
            resets: pick(0.02),
            eats_reply: pick(0.2),
        }
    }
}

fn blows(trouble: Duration, chance: &mut Chance) -> Vec<(Duration, Blow)> {
    let mut blows: Vec<(Duration, Blow)> = (0..chance.below(10))
        .map(|_| (chance.time(&(Duration::ZERO..trouble)), blow(chance)))
        .collect();
    blows.sort_by_key(|(at, _)| *at);
    blows
}

fn blow(chance: &mut Chance) -> Blow {
    let minutes = |most: u64, chance: &mut Chance| Duration::from_secs(chance.below(60 * most));
    match chance.below(14) {
        0..4 => Blow::Kill,
        4..8 => Blow::Power,
        8 => Blow::Drain,
        9 => Blow::Clock(minutes(10, chance)),
        10 => Blow::NextHop,
        11 => Blow::Full(minutes(3, chance)),
        12 => Blow::Broken(minutes(1, chance)),
        _ => Blow::Flush,
    }
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
    fn plans_differ_and_every_blow_falls_somewhere() {
        let blows: Vec<Blow> =
            (0..200).flat_map(|seed| Plan::new(seed).blows).map(|(_, blow)| blow).collect();
        for wanted in [Blow::Kill, Blow::Power, Blow::Drain, Blow::NextHop, Blow::Flush] {
            assert!(blows.contains(&wanted), "{wanted:?}");
        }
        assert!(blows.iter().any(|blow| matches!(blow, Blow::Clock(_))));
        assert!(blows.iter().any(|blow| matches!(blow, Blow::Full(_))));
        assert!(blows.iter().any(|blow| matches!(blow, Blow::Broken(_))));
    }
}
