//! What befalls the relay and the world around it.

use reactor::sim::{Call, Chance};
use std::time::Duration;

/// Something that happens to the relay or around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Blow {
    /// The relay is killed (SIGKILL).
    Kill,
    /// Its machine loses power.
    Power,
    /// So many of these two in a row, each while the relay starts or soon after.
    Storm(u64),
    /// It is asked to end, and drains.
    Drain,
    /// It is down for so long.
    Stop(Duration),
    /// Its wall clock steps forward.
    Clock(Duration),
    /// Its wall clock steps back.
    ClockBack(Duration),
    /// It is killed, and starts with a clock that is wrong by so much for a while.
    WrongClock(Wrongness, Duration),
    /// A next hop is killed and comes back.
    NextHop,
    /// The next hops behave in another way from now on.
    Mood,
    /// The name system answers otherwise from now on.
    Names,
    /// Its disk is full for a while.
    Full(Duration),
    /// Its disk answers EIO to everything for a while.
    Broken(Duration),
    /// Some calls on its disk fail, so often.
    Ail(Call, u64),
    /// The mount of its spool is gone for a while; then it is started again.
    Vanish(Duration),
    /// So many bytes of sealed segments rot.
    Rot(usize),
    /// It and somebody else do not reach each other for a while, or only one way.
    Part(Duration),
    /// The operator does something.
    Operate(Operator),
}

/// How a clock is wrong at boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wrongness {
    /// As without a battery: 1970.
    Empty,
    /// Ten years ahead.
    Ahead,
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operator {
    /// Makes everything due.
    Flush,
    /// Holds some of the messages.
    Hold,
    /// Lets them go.
    Release,
    /// Removes one.
    Remove,
    /// Sets other routes and limits.
    Reload,
}

impl Blow {
    /// Kinds of blows, for the test that all of them fall.
    #[cfg(test)]
    pub(crate) const KINDS: usize = 18;
}

/// Weights of the kinds, in the order of [`Blow`]: crashes are what it is all about.
const WEIGHTS: [u64; 18] = [6, 6, 4, 2, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 2, 5];

/// The blows of a run, in order. Each kind is absent in some worlds.
pub(super) fn draw(trouble: Duration, chance: &mut Chance) -> Vec<(Duration, Blow)> {
    let weights = WEIGHTS.map(|weight| if chance.hits(0.75) { weight } else { 0 });
    let total: u64 = weights.iter().sum();
    if total == 0 {
        return Vec::new();
    }
    let mut blows: Vec<(Duration, Blow)> = (0..chance.below(14))
        .map(|_| (chance.time(&(Duration::ZERO..trouble)), blow(&weights, total, chance)))
        .collect();
    blows.sort_by_key(|(at, _)| *at);
    blows
}

fn blow(weights: &[u64; 18], total: u64, chance: &mut Chance) -> Blow {
    let mut left = chance.below(total);
    let kind = weights.iter().position(|weight| {
        let here = left < *weight;
        left = left.saturating_sub(*weight);
        here
    });
    let minutes = |most: u64, chance: &mut Chance| Duration::from_secs(chance.below(60 * most));
    match kind.expect("the weights come to the total") {
        0 => Blow::Kill,
        1 => Blow::Power,
        2 => Blow::Storm(2 + chance.below(8)),
        3 => Blow::Drain,
        4 => Blow::Stop(minutes(90, chance)),
        5 => Blow::Clock(minutes(if chance.hits(0.3) { 3000 } else { 10 }, chance)),
        6 => Blow::ClockBack(minutes(if chance.hits(0.3) { 3000 } else { 10 }, chance)),
        7 => {
            let wrong = if chance.hits(0.5) { Wrongness::Empty } else { Wrongness::Ahead };
            Blow::WrongClock(wrong, minutes(40, chance))
        }
        8 => Blow::NextHop,
        9 => Blow::Mood,
        10 => Blow::Names,
        11 => Blow::Full(minutes(3, chance)),
        12 => Blow::Broken(minutes(1, chance)),
        13 => Blow::Ail(call(chance), 1 + chance.below(3)),
        14 => Blow::Vanish(minutes(1, chance)),
        15 => Blow::Rot(1 + chance.below(4) as usize),
        16 => Blow::Part(minutes(15, chance)),
        _ => Blow::Operate(operator(chance)),
    }
}

fn call(chance: &mut Chance) -> Call {
    let calls = [
        Call::Read,
        Call::Write,
        Call::Sync,
        Call::Open,
        Call::Rename,
        Call::Remove,
        Call::List,
        Call::MakeDirectory,
        Call::SyncDirectory,
        Call::Length,
    ];
    calls[chance.below(calls.len() as u64) as usize]
}

fn operator(chance: &mut Chance) -> Operator {
    match chance.below(6) {
        0 => Operator::Flush,
        1 => Operator::Hold,
        2 => Operator::Release,
        3 => Operator::Remove,
        _ => Operator::Reload,
    }
}
