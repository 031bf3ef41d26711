//! What an attempt came to: to the queue, the log, the counters and the destination's home.

use crate::home::Say;
use crate::place::Place;
use crate::shard::Shard;
use crate::talk::Talk;
use mail::{Envelope, Event, EventKind, Field, Outcome, Reason, Reply, UnixTime};
use queue::{LoadError, Ticket};
use reactor::Instant;
use smtp::TransactionResult;
use std::rc::Rc;
use std::time::Duration;

/// Messages that are settled without a session before others may run.
const BATCH: usize = 64;

/// When a message was taken from the queue, by both clocks.
pub(crate) struct Taken {
    at: Instant,
    unix_time: UnixTime,
}

impl Taken {
    pub(crate) fn new(shard: &Shard) -> Self {
        Self { at: shard.now(), unix_time: shard.unix_time() }
    }
}

/// Settles a message that was handed over.
pub(crate) fn settle(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    talk: &mut Talk,
    ticket: Ticket,
    (result, envelope): (TransactionResult, Rc<Envelope>),
    taken: &Taken,
) {
    assert_eq!(result.outcomes.len(), ticket.recipients.len(), "an outcome for each recipient");
    let took = shard.now().since(taken.at);
    let delivered = result.outcomes.iter().any(|o| matches!(o, Outcome::Delivered { .. }));
    if delivered {
        talk.count_message();
        let connecting = if talk.transactions == 1 { talk.connecting } else { Duration::ZERO };
        let stages = stages(&envelope, &ticket, taken, connecting, took);
        journal(shard, &ticket, &result.outcomes, &envelope, (&talk.host, talk.tls, stages));
        shard.counters().sample_stages(&stages);
    }
    {
        let mut counters = shard.counters();
        counters.sample_attempt(took);
        counters.uncertain += u64::from(result.uncertain);
    }
    tell_home(shard, place, talk, &result);
    let session_limit = result.session_limit;
    if session_limit {
        place.learn_limit(talk.messages());
    }
    let due_again = |outcome: &Outcome| match outcome {
        Outcome::Deferred { reason: Reason::Peer(reply), .. } => {
            // 421 after n messages says nothing of this one. Recipients over the peer's limit go
            // at once in another transaction (RFC 5321 §4.5.3.1.10).
            (session_limit && reply.code == 421) || (delivered && matches!(reply.code, 452 | 552))
        }
        Outcome::Deferred { .. } | Outcome::Delivered { .. } | Outcome::Bounced { .. } => false,
    };
    let numbered = ticket.recipients.iter().copied().zip(result.outcomes);
    let outcomes: Vec<_> = numbered.filter(|(_, outcome)| !due_again(outcome)).collect();
    hand_in(shard, ticket, outcomes, Some(talk.host.clone()));
}

/// What the destination's home learns from a transaction.
fn tell_home(shard: &Rc<Shard>, place: &Rc<Place>, talk: &Talk, result: &TransactionResult) {
    let is_delivered = |outcome: &Outcome| matches!(outcome, Outcome::Delivered { .. });
    let first_deferral = result.outcomes.iter().find_map(|outcome| match outcome {
        Outcome::Deferred { reason, .. } => Some(reason),
        Outcome::Delivered { .. } | Outcome::Bounced { .. } => None,
    });
    if let Some(reason) = first_deferral {
        place.note_reply(reason.to_string());
    }
    if result.outcomes.iter().any(is_delivered) {
        if place.is_well_again() {
            shard.say(&place.hop, Say::Reached);
        }
        if let Some(cohort) = place.delivered() {
            shard.say(&place.hop, Say::Delivered(cohort));
        }
        return;
    }
    match first_deferral {
        _ if result.session_limit => {}
        // A session that ended before it took anything is as good as none.
        Some(reason) if !talk.is_ready() && talk.messages() == 0 => {
            shard.say(&place.hop, Say::Down(reason.to_string().into()));
        }
        Some(_) => {
            if place.is_well_again() {
                shard.say(&place.hop, Say::Reached);
            }
            shard.say(&place.hop, Say::Deferred);
        }
        None if place.is_well_again() => shard.say(&place.hop, Say::Reached),
        None => {}
    }
}

/// Before the queue, in the queue, connecting, transmitting.
fn stages(
    envelope: &Envelope,
    ticket: &Ticket,
    taken: &Taken,
    connecting: Duration,
    took: Duration,
) -> [Duration; 4] {
    let before = ticket.accepted.since(envelope.origin.arrived);
    // The message was taken before the connection was made for it.
    let queued = taken.unix_time.since(ticket.accepted).saturating_sub(connecting);
    [before, queued, connecting, took]
}

fn journal(
    shard: &Shard,
    ticket: &Ticket,
    outcomes: &[Outcome],
    envelope: &Envelope,
    (host, tls, stages): (&str, &'static str, [Duration; 4]),
) {
    if !shard.journal.hears(EventKind::RecipientDelivered) {
        return;
    }
    let total: Duration = stages[1..].iter().sum();
    let [before, queued, connecting, transmitting] = stages.map(|stage| stage.as_secs_f64());
    for (index, outcome) in ticket.recipients.iter().zip(outcomes) {
        let Outcome::Delivered { reply } = outcome else { continue };
        let to = &envelope.recipients[*index as usize];
        let event = Event::new(EventKind::RecipientDelivered)
            .id(ticket.id)
            .text(Field::To, format!("<{to}>"))
            .text(Field::Host, host)
            .fixed(Field::Tls, tls)
            .seconds(Field::Delay, total.as_secs_f64())
            .text(
                Field::Delays,
                format!("{before:.3}/{queued:.3}/{connecting:.3}/{transmitting:.3}"),
            )
            .text(Field::Status, reply.status_or_class().to_string())
            .text(Field::Reply, reply.to_string());
        shard.journal.record(event);
    }
}

/// Settles a message whose attempt we have ended, since its time is over. That says nothing of the
/// destination.
pub(crate) fn over(shard: &Shard, ticket: Ticket, result: TransactionResult, talk: &Talk) {
    let outcomes = ticket.recipients.iter().copied().zip(result.outcomes).collect();
    hand_in(shard, ticket, outcomes, Some(talk.host.clone()));
}

/// Settles the message for which nobody was reached. Returns whether the answer is final.
pub(crate) fn unreached(
    shard: &Rc<Shard>,
    place: &Rc<Place>,
    ticket: Ticket,
    outcome: &Outcome,
    host: Option<Box<str>>,
) -> bool {
    let reason = match outcome {
        Outcome::Deferred { reason, .. } | Outcome::Bounced { reason } => reason.to_string(),
        Outcome::Delivered { .. } => String::new(),
    };
    place.note_reply(reason.as_str());
    if matches!(outcome, Outcome::Bounced { .. }) {
        settle_as(shard, ticket, outcome, host);
        return true;
    }
    if shard.is_over(Some(ticket.term())) {
        // Perhaps the search was cut short: the destination is not to be blamed.
        settle_as(shard, ticket, outcome, host);
    } else if shard.is_draining() {
        shard.queue.give_back(ticket);
    } else if place.is_established() {
        // Others are served: the peer wants fewer sessions, and the message can wait for them.
        shard.queue.give_back(ticket);
        shard.say(&place.hop, Say::Crowded);
    } else {
        settle_as(shard, ticket, outcome, host);
        shard.say(&place.hop, Say::Down(reason.into()));
    }
    false
}

/// Settles a message of which our copy cannot be read.
pub(crate) fn unreadable(shard: &Shard, ticket: Ticket, error: &LoadError) {
    let reason = Reason::Local(error.to_string());
    settle_as(shard, ticket, &Outcome::Deferred { reason, not_before: UnixTime(0) }, None);
}

/// Settles all messages that are due at a place in one way.
pub(crate) async fn settle_all(shard: &Rc<Shard>, place: &Rc<Place>, outcome: &Outcome) {
    let mut settled = 0;
    while let Some(ticket) = shard.take(place) {
        settle_as(shard, ticket, outcome, None);
        settled += 1;
        if settled % BATCH == 0 {
            shard.reactor.yield_now().await;
        }
    }
}

/// Delivers all messages that are due at a place to nobody.
pub(crate) async fn discard_all(shard: &Rc<Shard>, place: &Rc<Place>) {
    const DISCARDED: Reply =
        Reply::fixed(250, mail::EnhancedStatus(2, 0, 0), "Discarded by our own route");
    let mut settled = 0;
    while let Some(ticket) = shard.take(place) {
        let taken = Taken::new(shard);
        let outcome = Outcome::Delivered { reply: DISCARDED };
        match shard.queue.load(&ticket).await {
            Ok(loaded) => {
                let took = shard.now().since(taken.at);
                let stages = stages(&loaded.envelope, &ticket, &taken, Duration::ZERO, took);
                let outcomes = vec![outcome.clone(); ticket.recipients.len()];
                journal(shard, &ticket, &outcomes, &loaded.envelope, ("discard", "none", stages));
                settle_as(shard, ticket, &outcome, Some("discard".into()));
            }
            Err(error) => unreadable(shard, ticket, &error),
        }
        settled += 1;
        if settled % BATCH == 0 {
            shard.reactor.yield_now().await;
        }
    }
}

fn settle_as(shard: &Shard, ticket: Ticket, outcome: &Outcome, host: Option<Box<str>>) {
    let outcomes = ticket.recipients.iter().map(|index| (*index, outcome.clone())).collect();
    hand_in(shard, ticket, outcomes, host);
}

fn hand_in(shard: &Shard, ticket: Ticket, outcomes: Vec<(u32, Outcome)>, host: Option<Box<str>>) {
    let mut counters = shard.counters();
    for (_, outcome) in &outcomes {
        match outcome {
            Outcome::Delivered { .. } => counters.delivered += 1,
            Outcome::Deferred { .. } => counters.deferred += 1,
            Outcome::Bounced { .. } => counters.bounced += 1,
        }
    }
    drop(counters);
    if outcomes.is_empty() {
        shard.queue.give_back(ticket);
    } else {
        shard.queue.settle(ticket, outcomes, host);
    }
}
