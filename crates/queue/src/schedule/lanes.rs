//! Legs in the order of their due times: in two rows at each next hop, and the hops by their first.

use super::Suspended;
use mail::{NextHop, UnixTime};
use slab::Slab;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Which row of a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Row {
    /// Due.
    Ready,
    /// Not yet.
    Later,
}

/// A leg, or a hop, by the time that it is due: a time in two halves, since a million of these
/// should not each carry four bytes that mean nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    due_high: u32,
    due_low: u32,
    whose: u32,
}

/// What one of them takes.
#[cfg(test)]
pub(super) const KEY_BYTES: usize = size_of::<Key>();

impl Key {
    fn new(due: UnixTime, whose: u32) -> Self {
        Self { due_high: (due.0 >> 32) as u32, due_low: due.0 as u32, whose }
    }

    fn due(self) -> UnixTime {
        UnixTime(u64::from(self.due_high) << 32 | u64::from(self.due_low))
    }
}

struct Hop {
    name: NextHop,
    /// Legs by due time, by [`Row`].
    rows: [BTreeSet<Key>; 2],
    /// Legs that go here, wherever they are; without one the hop is forgotten.
    legs: u32,
    /// An operator wants it left alone: it has no head among the ready ones.
    suspended: bool,
    /// Why it was not reached when it was last tried, while that is so.
    trouble: Option<Arc<str>>,
}

/// The rows of all next hops.
pub(super) struct Lanes {
    hops: Slab<Hop>,
    /// Only looked up, never iterated.
    names: HashMap<NextHop, u32>,
    /// Hops by the due time of their first leg, by [`Row`].
    heads: [BTreeSet<Key>; 2],
    suspended: Suspended,
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self {
            hops: Slab::new(),
            names: HashMap::new(),
            heads: Default::default(),
            suspended: Suspended::default(),
        }
    }

    /// The hop called `name`, perhaps new: [`attach`](Self::attach) a leg to it next.
    pub(super) fn hop(&mut self, name: &NextHop) -> u32 {
        if let Some(hop) = self.names.get(name) {
            return *hop;
        }
        let suspended = self.suspended.covers(name);
        let rows = Default::default();
        let hop = Hop { name: name.clone(), rows, legs: 0, suspended, trouble: None };
        let hop = super::index(self.hops.insert(hop));
        self.names.insert(name.clone(), hop);
        hop
    }

    pub(super) fn name(&self, hop: u32) -> &NextHop {
        &self.hops[hop as usize].name
    }

    pub(super) fn attach(&mut self, hop: u32) {
        self.hops[hop as usize].legs += 1;
    }

    /// Forgets the hop with its last leg.
    pub(super) fn detach(&mut self, hop: u32) {
        let one = &mut self.hops[hop as usize];
        one.legs -= 1;
        if one.legs == 0 {
            let gone = self.hops.remove(hop as usize);
            self.names.remove(&gone.name);
        }
    }

    pub(super) fn insert(&mut self, row: Row, hop: u32, due: UnixTime, leg: u32) {
        self.change(row, hop, |legs| {
            assert!(legs.insert(Key::new(due, leg)), "a leg was in its row")
        });
    }

    pub(super) fn remove(&mut self, row: Row, hop: u32, due: UnixTime, leg: u32) {
        self.change(row, hop, |legs| {
            assert!(legs.remove(&Key::new(due, leg)), "a leg was not in its row")
        });
    }

    /// Changes a row and keeps its head where it belongs.
    fn change(&mut self, row: Row, hop: u32, work: impl FnOnce(&mut BTreeSet<Key>)) {
        let one = &mut self.hops[hop as usize];
        let legs = &mut one.rows[row as usize];
        let before = legs.first().map(|first| first.due());
        work(legs);
        let after = legs.first().map(|first| first.due());
        if before == after || (one.suspended && row == Row::Ready) {
            return;
        }
        let heads = &mut self.heads[row as usize];
        if let Some(due) = before {
            heads.remove(&Key::new(due, hop));
        }
        if let Some(due) = after {
            heads.insert(Key::new(due, hop));
        }
    }

    /// Takes the first leg out of the later rows if it is due by `now`.
    pub(super) fn pop_later(&mut self, now: UnixTime) -> Option<(u32, UnixTime, u32)> {
        let head = *self.heads[Row::Later as usize].first()?;
        if head.due() > now {
            return None;
        }
        let hop = head.whose;
        let first = *self.hops[hop as usize].rows[Row::Later as usize].first()?;
        let (due, leg) = (first.due(), first.whose);
        self.remove(Row::Later, hop, due, leg);
        Some((hop, due, leg))
    }

    /// When the first leg of the later rows is due.
    pub(super) fn first_later(&self) -> Option<UnixTime> {
        self.heads[Row::Later as usize].first().map(|head| head.due())
    }

    /// The leg that is longest due at a hop.
    pub(super) fn first_ready(&self, name: &NextHop) -> Option<(UnixTime, u32)> {
        let hop = &self.hops[*self.names.get(name)? as usize];
        let first = hop.rows[Row::Ready as usize].first().filter(|_| !hop.suspended)?;
        Some((first.due(), first.whose))
    }

    /// Which hops are suspended, those to come too.
    pub(super) fn suspended(&self) -> &Suspended {
        &self.suspended
    }

    /// Suspends these hops from now on and no others; returns those that were not before.
    pub(super) fn set_suspended(&mut self, suspended: Suspended) -> Vec<u32> {
        self.suspended = suspended;
        let mut news = Vec::new();
        for (hop, one) in &mut self.hops {
            let before = std::mem::replace(&mut one.suspended, self.suspended.covers(&one.name));
            if before == one.suspended {
                continue;
            }
            let hop = super::index(hop);
            let heads = &mut self.heads[Row::Ready as usize];
            let first = one.rows[Row::Ready as usize].first();
            let head = first.map(|first| Key::new(first.due(), hop));
            if one.suspended {
                head.map(|head| heads.remove(&head));
                news.push(hop);
            } else {
                heads.extend(head);
            }
        }
        news
    }

    /// Notes why a hop cannot be reached, or that it can; the hop, if that is the news that it
    /// cannot.
    pub(super) fn set_trouble(&mut self, name: &NextHop, trouble: Option<Arc<str>>) -> Option<u32> {
        let hop = *self.names.get(name)?;
        let known = &mut self.hops[hop as usize].trouble;
        let before = std::mem::replace(known, trouble);
        (before.is_none() && known.is_some()).then_some(hop)
    }

    pub(super) fn is_suspended(&self, hop: u32) -> bool {
        self.hops[hop as usize].suspended
    }

    /// Why a hop was not reached when it was last tried.
    pub(super) fn trouble(&self, hop: u32) -> Option<&Arc<str>> {
        self.hops[hop as usize].trouble.as_ref()
    }

    /// The legs that wait for a hop.
    pub(super) fn legs_at(&self, hop: u32) -> impl Iterator<Item = u32> + '_ {
        self.hops[hop as usize].rows.iter().flatten().map(|key| key.whose)
    }

    /// Hops with legs in the ready row that are not suspended, the longest due first.
    pub(super) fn ready_hops(&self) -> Vec<(NextHop, usize)> {
        let heads = self.heads[Row::Ready as usize].iter();
        heads
            .map(|head| {
                let hop = &self.hops[head.whose as usize];
                (hop.name.clone(), hop.rows[Row::Ready as usize].len())
            })
            .collect()
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.hops.iter().map(|(_, hop)| hop.rows[0].len() + hop.rows[1].len()).sum()
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        assert_eq!(self.hops.len(), self.names.len());
        self.hops.len()
    }
}
