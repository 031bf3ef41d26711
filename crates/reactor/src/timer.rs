//! When something is due: the one timer structure of a shard.
//!
//! A hierarchical timer wheel. Nearly every timer is a deadline that is cancelled long before its
//! time, so making and cancelling one take constant time, and order is made only among those that
//! expire. Level 0 has 64 slots of one tick (65.5 µs); a slot of each further level is as long as
//! the whole level below it, so that eight levels hold any time.
//!
//! Where a timer lies follows from its time and from `cursor`, up to which the wheel has turned:
//! its level is that of the highest digit (of 6 bits) in which the two differ, its slot is that
//! digit. So what lies in a lower level is due earlier than all above it, slots of a level are due
//! in their order, and none of this changes for the slots ahead when the cursor moves.
//!
//! Times are exact: [`Timers::next`] looks for the earliest within its slot, and remembers it.

use crate::time::Instant;
use std::cell::Cell;
use std::collections::BTreeMap;

/// A tick is 2^16 ns: fine enough that few timers share the slot that is next.
const TICK_BITS: u32 = 16;

/// 64 slots a level: one word tells which are occupied.
const LEVEL_BITS: u32 = 6;

/// Enough for all 64 bits of an instant: 16 + 8 × 6.
const LEVELS: usize = 8;

/// Names a timer until it has expired or was cancelled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TimerKey {
    at: Instant,
    order: u64,
    /// Where its [`Place`] is noted. `order` tells it from later tenants.
    index: u32,
}

/// Timers with a payload each; those of one instant expire in the order of their making.
pub(crate) struct Timers<T> {
    levels: [Level<T>; LEVELS],
    /// The place of each timer in the wheel.
    places: slab::Slab<Place>,
    /// Every timer in the wheel is due after this time.
    cursor: Instant,
    /// Timers that are due at or before the cursor.
    due: BTreeMap<TimerKey, T>,
    /// The earliest time in the wheel, if it is known.
    earliest: Cell<Option<Instant>>,
    next_order: u64,
}

struct Level<T> {
    /// A bit for each slot that is not empty.
    occupied: u64,
    slots: [Vec<(TimerKey, T)>; 1 << LEVEL_BITS],
}

#[derive(Clone, Copy)]
struct Place {
    order: u64,
    level: u8,
    slot: u8,
    position: u32,
}

impl<T> Timers<T> {
    pub(crate) fn new() -> Self {
        let level = |_| Level { occupied: 0, slots: std::array::from_fn(|_| Vec::new()) };
        Self {
            levels: std::array::from_fn(level),
            places: slab::Slab::new(),
            cursor: Instant(0),
            due: BTreeMap::new(),
            earliest: Cell::new(None),
            next_order: 0,
        }
    }

    /// Makes a timer that is due at `at`.
    pub(crate) fn insert(&mut self, at: Instant, payload: T) -> TimerKey {
        let order = self.next_order;
        self.next_order += 1;
        if at <= self.cursor {
            let key = TimerKey { at, order, index: u32::MAX };
            self.due.insert(key, payload);
            return key;
        }
        let is_known = self.earliest.get().is_some() || self.places.is_empty();
        let place = Place { order, level: 0, slot: 0, position: 0 };
        let index = u32::try_from(self.places.insert(place)).expect("fewer timers than memory");
        let key = TimerKey { at, order, index };
        self.put(key, payload);
        if is_known {
            let earliest = self.earliest.get().map_or(at, |earliest| earliest.min(at));
            self.earliest.set(Some(earliest));
        }
        key
    }

    /// Forgets a timer; one that has expired is no error.
    pub(crate) fn cancel(&mut self, key: TimerKey) {
        let place = self.places.get(key.index as usize).copied();
        let Some(place) = place.filter(|place| place.order == key.order) else {
            self.due.remove(&key);
            return;
        };
        self.places.remove(key.index as usize);
        let level = &mut self.levels[usize::from(place.level)];
        let slot = &mut level.slots[usize::from(place.slot)];
        slot.swap_remove(place.position as usize);
        if let Some((moved, _)) = slot.get(place.position as usize) {
            self.places[moved.index as usize].position = place.position;
        } else if slot.is_empty() {
            level.occupied &= !(1 << place.slot);
        }
        if self.earliest.get() == Some(key.at) {
            self.earliest.set(None);
        }
    }

    /// When the next one is due.
    pub(crate) fn next(&self) -> Option<Instant> {
        if let Some((key, _)) = self.due.first_key_value() {
            return Some(key.at);
        }
        if self.earliest.get().is_none() {
            let first = self.first_slot().map(|(level, slot)| &self.levels[level].slots[slot]);
            let times = first.into_iter().flatten().map(|(key, _)| key.at);
            self.earliest.set(times.min());
        }
        self.earliest.get()
    }

    /// Takes the next one that is due at `now`.
    pub(crate) fn expire(&mut self, now: Instant) -> Option<T> {
        if now > self.cursor {
            self.turn_to(now);
        }
        let first = self.due.first_entry()?;
        if first.key().at <= now { Some(first.remove()) } else { None }
    }

    /// Moves the cursor to `now`: what is due leaves the wheel, and what shares a slot with `now`
    /// moves to a finer one.
    fn turn_to(&mut self, now: Instant) {
        let mut early = Vec::new();
        while let Some((level, slot)) = self.first_slot()
            && self.start_of(level, slot) <= now
        {
            self.levels[level].occupied &= !(1 << slot);
            early.append(&mut std::mem::take(&mut self.levels[level].slots[slot]));
        }
        // Only now: where a slot starts is reckoned from the old cursor.
        self.cursor = now;
        for (key, payload) in early {
            if key.at <= now {
                self.places.remove(key.index as usize);
                self.due.insert(key, payload);
                self.earliest.set(None);
            } else {
                self.put(key, payload);
            }
        }
    }

    /// Puts a timer that is due after the cursor into its slot.
    fn put(&mut self, key: TimerKey, payload: T) {
        let difference = (key.at.0 ^ self.cursor.0) >> TICK_BITS;
        // The digit of the highest bit that differs; none differs within one tick.
        let level = difference.checked_ilog2().unwrap_or(0) / LEVEL_BITS;
        let slot = key.at.0 >> shift_of(level as usize) & ((1 << LEVEL_BITS) - 1);
        let wheel = &mut self.levels[level as usize];
        wheel.occupied |= 1 << slot;
        let timers = &mut wheel.slots[slot as usize];
        let place = &mut self.places[key.index as usize];
        place.level = level as u8;
        place.slot = slot as u8;
        place.position = timers.len() as u32;
        timers.push((key, payload));
    }

    /// The slot that holds the earliest timers of the wheel.
    fn first_slot(&self) -> Option<(usize, usize)> {
        let level = self.levels.iter().position(|level| level.occupied != 0)?;
        Some((level, self.levels[level].occupied.trailing_zeros() as usize))
    }

    /// The first instant of a slot, with the cursor where it is.
    fn start_of(&self, level: usize, slot: usize) -> Instant {
        let shift = shift_of(level);
        // Of the highest level nothing is left of the cursor: the shift is by all 64 bits.
        let above = u64::MAX.checked_shl(shift + LEVEL_BITS).unwrap_or(0);
        Instant(self.cursor.0 & above | (slot as u64) << shift)
    }
}

/// How far the digit of a level lies from the lowest bit.
const fn shift_of(level: usize) -> u32 {
    TICK_BITS + LEVEL_BITS * level as u32
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The naive twin: one ordered map.
    #[derive(Default)]
    struct Twin {
        due: BTreeMap<(Instant, u64), u64>,
    }

    impl Twin {
        fn next(&self) -> Option<Instant> {
            self.due.first_key_value().map(|(key, _)| key.0)
        }

        fn expire(&mut self, now: Instant) -> Option<u64> {
            let first = self.due.first_entry()?;
            if first.key().0 <= now { Some(first.remove()) } else { None }
        }
    }

    #[derive(Clone, Debug)]
    enum Step {
        /// A timer this long after now.
        In(u64),
        /// One at this time, perhaps past.
        At(u64),
        /// Cancels one of those ever made: perhaps expired or cancelled, perhaps its index reused.
        Cancel(prop::sample::Index),
        /// Lets time pass and takes so many of those that are due.
        Pass(u64, usize),
    }

    /// Lengths of every magnitude, and their neighbours at the edges of slots.
    fn length() -> impl Strategy<Value = u64> {
        let magnitude = (0..64u32, any::<u64>()).prop_map(|(bits, random)| random >> bits);
        let edge = (0..64u32, 0..3u64).prop_map(|(bit, by)| (1u64 << bit).wrapping_add(by) - 1);
        prop_oneof![magnitude, edge, 0..200_000u64, 0..5_000_000_000u64]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => length().prop_map(Step::In),
            1 => length().prop_map(Step::At),
            1 => Just(Step::At(u64::MAX)),
            3 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            // Seldom a jump over everything: then nothing would be left to go wrong.
            3 => (0..3_000_000_000u64, 0..20usize).prop_map(|(by, take)| Step::Pass(by, take)),
            1 => (length(), 0..20usize).prop_map(|(by, take)| Step::Pass(by >> 20, take)),
        ]
    }

    fn compare(steps: Vec<Step>, start: u64) -> Result<(), TestCaseError> {
        let (mut timers, mut twin) = (Timers::new(), Twin::default());
        let mut now = Instant(start);
        let mut keys: Vec<(TimerKey, (Instant, u64))> = Vec::new();
        for step in steps {
            match step {
                Step::In(_) | Step::At(_) => {
                    let at = match step {
                        Step::In(length) => Instant(now.0.saturating_add(length)),
                        Step::At(at) => Instant(at),
                        Step::Cancel(_) | Step::Pass(..) => unreachable!("seen above"),
                    };
                    let order = keys.len() as u64;
                    keys.push((timers.insert(at, order), (at, order)));
                    twin.due.insert((at, order), order);
                }
                Step::Cancel(_) if keys.is_empty() => {}
                Step::Cancel(index) => {
                    let (key, named) = *index.get(&keys);
                    timers.cancel(key);
                    twin.due.remove(&named);
                }
                Step::Pass(by, take) => {
                    now = Instant(now.0.saturating_add(by));
                    for _ in 0..take {
                        prop_assert_eq!(timers.expire(now), twin.expire(now));
                    }
                }
            }
            prop_assert_eq!(timers.next(), twin.next());
        }
        while let Some(number) = twin.expire(Instant::NEVER) {
            prop_assert_eq!(timers.expire(Instant::NEVER), Some(number));
            prop_assert_eq!(timers.next(), twin.next());
        }
        prop_assert_eq!(timers.expire(Instant::NEVER), None);
        prop_assert!(timers.places.is_empty());
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

        #[test]
        fn the_wheel_does_what_an_ordered_map_does(
            steps in prop::collection::vec(step(), 1..120),
            start in length(),
        ) {
            compare(steps, start)?;
        }
    }

    #[test]
    fn timers_of_one_instant_expire_in_the_order_of_their_making() {
        let mut timers = Timers::new();
        let at = Instant(5_000_000_000);
        let keys: Vec<TimerKey> = (0..10).map(|number| timers.insert(at, number)).collect();
        // The removal of one moves another within the slot, which must not show.
        timers.cancel(keys[2]);
        assert_eq!(timers.expire(Instant(at.0 - 1)), None);
        let order: Vec<i32> = std::iter::from_fn(|| timers.expire(at)).collect();
        assert_eq!(order, [0, 1, 3, 4, 5, 6, 7, 8, 9]);
    }

    #[test]
    fn a_key_does_not_cancel_the_later_tenant_of_its_place() {
        let mut timers = Timers::new();
        let old = timers.insert(Instant(1_000_000), "old");
        timers.cancel(old);
        timers.insert(Instant(1_000_000), "new");
        timers.cancel(old);
        assert_eq!(timers.expire(Instant(1_000_000)), Some("new"));
    }

    #[test]
    fn a_deadline_that_never_comes_expires_only_at_the_end_of_time() {
        let mut timers = Timers::new();
        timers.insert(Instant::NEVER, ());
        assert_eq!(timers.next(), Some(Instant::NEVER));
        assert_eq!(timers.expire(Instant(u64::MAX - 1)), None);
        assert_eq!(timers.expire(Instant::NEVER), Some(()));
    }
}
