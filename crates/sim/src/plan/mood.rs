//! How others behave: next hops, and the name system.

use super::pick;
use reactor::sim::Chance;
use std::time::Duration;

/// How a next hop behaves: probabilities per opportunity.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Mood {
    /// Turns clients away with 421.
    pub(crate) closed: f64,
    /// Refuses a recipient for good.
    pub(crate) refuses: f64,
    /// Defers a recipient.
    pub(crate) defers: f64,
    /// Defers a recipient until so long after it first came.
    pub(crate) greylists: Duration,
    /// Takes a message and answers 451 all the same.
    pub(crate) fails: f64,
    /// Waits for seconds to many minutes.
    pub(crate) stalls: f64,
    /// Resets the connection.
    pub(crate) resets: f64,
    /// Takes a message and never says so.
    pub(crate) eats_reply: f64,
    /// Says something else than it means: half a reply, none that there is, a refusal.
    pub(crate) lies: f64,
}

/// How the name system behaves.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NameMood {
    /// Never answers.
    pub(crate) silent: f64,
    /// Answers that it cannot (SERVFAIL).
    pub(crate) fails: f64,
    /// Takes its time, up to so long.
    pub(crate) slow: Duration,
    /// The hosts of a domain have changed places.
    pub(crate) swapped: bool,
}

impl Mood {
    /// Draws one.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        Self {
            closed: pick(chance, 0.3),
            refuses: pick(chance, 0.2),
            defers: pick(chance, 0.3),
            greylists: Duration::from_secs(pick(chance, 600.0) as u64),
            fails: pick(chance, 0.2),
            stalls: pick(chance, 0.02),
            resets: pick(chance, 0.02),
            eats_reply: pick(chance, 0.2),
            lies: if chance.hits(0.3) { pick(chance, 0.05) } else { 0.0 },
        }
    }
}

impl NameMood {
    /// Draws one.
    pub(crate) fn draw(chance: &mut Chance) -> Self {
        Self {
            silent: pick(chance, 0.2),
            fails: pick(chance, 0.3),
            slow: Duration::from_millis(pick(chance, 8000.0) as u64),
            swapped: chance.hits(0.3),
        }
    }
}
