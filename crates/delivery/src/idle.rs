//! Sessions that wait for the next message.

use crate::place::Place;
use reactor::Interrupter;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;

/// What a waiting session was told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Call {
    /// Nothing, or to look whether others wait for its permit.
    #[default]
    None,
    /// There is mail.
    Mail,
    /// Its place is needed for another destination.
    Leave,
}

/// The waiting sessions of a shard, longest first.
#[derive(Default)]
pub(crate) struct Idle {
    seats: RefCell<BTreeMap<u64, Sitter>>,
    next: Cell<u64>,
}

struct Sitter {
    place: Rc<Place>,
    interrupter: Interrupter,
    call: Rc<Cell<Call>>,
}

/// A seat; the session rises from it when this is dropped.
pub(crate) struct Seat<'a> {
    idle: &'a Idle,
    number: u64,
    call: Rc<Cell<Call>>,
}

impl Idle {
    /// Sits a session of `place` down until it is called.
    pub(crate) fn sit(&self, place: &Rc<Place>, interrupter: Interrupter) -> Seat<'_> {
        let number = self.next.replace(self.next.get() + 1);
        let call = Rc::new(Cell::new(Call::None));
        let sitter = Sitter { place: Rc::clone(place), interrupter, call: Rc::clone(&call) };
        self.seats.borrow_mut().insert(number, sitter);
        place.sit(number);
        Seat { idle: self, number, call }
    }

    /// Calls a session of `place` to its mail; `false` when none waits.
    pub(crate) fn call(&self, place: &Place) -> bool {
        let Some(seat) = place.last_seated() else { return false };
        place.expect();
        self.raise(seat, Call::Mail);
        true
    }

    /// Sends the session away that has waited longest, wherever it is.
    pub(crate) fn dismiss_longest(&self) {
        let longest = self.seats.borrow().keys().next().copied();
        if let Some(seat) = longest {
            self.raise(seat, Call::Leave);
        }
    }

    /// Makes the waiting sessions of `place` look whether others wait for their permits.
    pub(crate) fn nudge(&self, place: &Place) {
        let seats = self.seats.borrow();
        for sitter in place.seated().iter().filter_map(|seat| seats.get(seat)) {
            sitter.interrupter.interrupt();
        }
    }

    fn raise(&self, seat: u64, call: Call) {
        let Some(sitter) = self.seats.borrow_mut().remove(&seat) else { return };
        sitter.place.rise(seat);
        sitter.call.set(call);
        sitter.interrupter.interrupt();
    }
}

impl Seat<'_> {
    /// What the session was told. Once it is called it no longer sits.
    pub(crate) fn called(&self) -> Call {
        self.call.get()
    }
}

impl Drop for Seat<'_> {
    fn drop(&mut self) {
        if let Some(sitter) = self.idle.seats.borrow_mut().remove(&self.number) {
            sitter.place.rise(self.number);
        }
    }
}
