//! The life of one session permit: find the host, talk, hand over message after message.
//!
//! Everything that decides is in `ClientSession`, `mx`, `destination` or `queue`; here a ticket is
//! carried between them.

use crate::place::Place;
use crate::reach::{self, Unreached};
use crate::report;
use crate::shard::Shard;
use crate::stint::Stint;
use crate::talk::{Handed, Talk};
use queue::Ticket;
use std::rc::Rc;

/// Uses one permit until there is no mail for it, or somebody else should have it.
pub(crate) async fn serve(shard: Rc<Shard>, place: Rc<Place>) {
    let mut stint = Stint::default();
    place.arrived();
    while let Some(ticket) = shard.take(&place) {
        match reach::reach(&shard, &place, ticket.term()).await {
            Ok(mut talk) => {
                let permit = converse(&shard, &place, &mut talk, ticket, &mut stint).await;
                talk.part().await;
                if permit == Permit::GiveBack {
                    break;
                }
            }
            Err(unreached) => {
                turn_away(&shard, &place, ticket, unreached).await;
                break;
            }
        }
    }
    shard.release(&place);
}

/// What to do with the permit when a session has ended.
#[derive(PartialEq, Eq)]
enum Permit {
    /// There may be more to do with it.
    Use,
    GiveBack,
}

/// Hands over `ticket` and what follows it, on one session.
async fn converse(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    talk: &mut Talk,
    mut ticket: Ticket,
    stint: &mut Stint,
) -> Permit {
    loop {
        let taken = report::Taken::new(shard);
        match talk.hand_over(&ticket).await {
            Handed::Done(result, envelope) => {
                report::settle(shard, place, talk, ticket, (result, envelope), &taken);
            }
            Handed::Stale => {
                shard.queue.give_back(ticket);
                return Permit::Use;
            }
            Handed::Stopped => {
                shard.queue.give_back(ticket);
                return Permit::GiveBack;
            }
            Handed::Over(result) => {
                report::over(shard, ticket, result, talk);
                return Permit::Use;
            }
            Handed::Unreadable(error) => report::unreadable(shard, ticket, &error),
        }
        stint.count(place.contended_since());
        if shard.is_draining() || stint.is_over(shard.now()) {
            return Permit::GiveBack;
        }
        if !talk.is_ready() {
            // One that ended before it took anything is as good as none: try it no more at once.
            return if talk.messages() == 0 { Permit::GiveBack } else { Permit::Use };
        }
        if talk.transactions >= place.messages_per_session() {
            return Permit::Use;
        }
        ticket = match shard.take(place) {
            Some(next) => next,
            None => match talk.idle().await {
                Some(next) => next,
                None if talk.is_ready() => return Permit::GiveBack,
                None => return Permit::Use,
            },
        };
    }
}

/// Nobody could be reached: the message at hand is settled. When the answer is final, so is it for
/// the others.
async fn turn_away(shard: &Rc<Shard>, place: &Rc<Place>, ticket: Ticket, unreached: Unreached) {
    let Unreached { outcome, host } = unreached;
    if report::unreached(shard, place, ticket, &outcome, host) {
        report::settle_all(shard, place, &outcome).await;
    }
}
