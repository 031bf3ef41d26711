//! What the relay says of itself: sentences of the world, and news for the checkers.

use crate::checkers::accounting::end_of;
use crate::message::{read_recipient, read_sender};
use crate::yard::Yard;
use mail::{Event, EventKind, Journal, Level};
use std::rc::Rc;

/// The journal of a process. Events become sentences of the world, and with them part of its hash.
pub(crate) fn journal(yard: &Rc<Yard>) -> Journal {
    let yard = Rc::clone(yard);
    Journal::new(Level::Debug, Rc::new(move |event| hear(&yard, &event)))
}

fn hear(yard: &Yard, event: &Event) {
    yard.world.note(&format!("relay: {} {:?}", event.kind, event.fields));
    let findings = yard.watch.borrow_mut().hear(event, &yard.bounds.borrow());
    yard.wrongs(findings);
    match event.kind {
        EventKind::SpoolFull => yard.ledger.borrow_mut().full(yard.world.now()),
        EventKind::RecipientBounced | EventKind::RecipientExpired => excuse(yard, event),
        _ => {}
    }
}

/// Where nobody can be told of a failure, its message need not arrive any more: one without a
/// sender, and one whose report has failed itself.
fn excuse(yard: &Yard, event: &Event) {
    let Some((_, to)) = end_of(event) else { return };
    let mut ledger = yard.ledger.borrow_mut();
    if let Some(pair) = read_recipient(to).filter(|(number, _)| !ledger.has_sender(*number)) {
        ledger.excuse(pair);
    } else if let Some(number) = read_sender(to) {
        ledger.excuse_all(number);
    }
}
