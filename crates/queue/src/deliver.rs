//! Handing recipients out when they are due.

use crate::schedule::{Handed, LegKey, MessageKey};
use crate::spool::{Change, Stored};
use crate::{LoadError, Loaded, Queue, Router};
use mail::{MessageId, NextHop, UnixTime};
use reactor::Instant;
use std::sync::Arc;
use std::time::Duration;

/// Messages that are routed anew between two looks at other work.
const REROUTED_AT_ONCE: usize = 1_000;

/// Recipients of one message at one next hop, handed out for an attempt. It must come back by
/// [`Queue::settle`] or [`Queue::give_back`].
#[derive(Debug)]
#[must_use = "recipients stay in flight until their ticket is settled or given back"]
pub struct Ticket {
    /// The message.
    pub id: MessageId,
    /// Where it goes.
    pub hop: NextHop,
    /// Indexes into the envelope's recipients, ascending.
    pub recipients: Vec<u32>,
    /// The number of this attempt, from 1.
    pub attempt: u32,
    /// When the message got its 250.
    pub accepted: UnixTime,
    /// When it is given up, as of now; see [`Queue::gives_up_in`].
    pub expires: UnixTime,
    term: Term,
    pub(crate) leg: LegKey,
    pub(crate) message: MessageKey,
}

/// What ends the attempt of a ticket: ask [`Queue::gives_up_in`] of it, until the ticket is settled
/// or given back.
#[derive(Clone, Copy, Debug)]
pub struct Term {
    message: MessageKey,
    /// When it was handed out.
    taken: UnixTime,
}

impl Ticket {
    /// What ends its attempt.
    pub fn term(&self) -> Term {
        self.term
    }
}

impl Queue {
    /// Waits until messages became due, were inserted, given back, released or flushed since the
    /// last [`due`](Self::due), or until `by`. One task of a shard waits.
    pub async fn wait(&self, by: Instant) {
        loop {
            let (now, wall) = (self.shared.reactor.now(), self.unix_time());
            let next = self.next_due();
            // Whatever has been due for longer was seen by `due`.
            let ripe = next.is_some_and(|next| next <= wall);
            if self.shared.changed.get() || ripe || now >= by {
                return;
            }
            let until = next.map_or(by, |next| by.min(now + next.since(wall)));
            self.shared.due.wait(until).await;
        }
    }

    /// When the next message that is not yet due will be.
    pub fn next_due(&self) -> Option<UnixTime> {
        self.shared.books.borrow().schedule.next_due()
    }

    /// Next hops with messages due, the longest due first, and how many each.
    pub fn due(&self, now: UnixTime) -> Vec<(NextHop, usize)> {
        self.shared.changed.set(false);
        self.shared.books.borrow_mut().schedule.due(now)
    }

    /// The message that is longest due at `hop`; its recipients there are in flight then.
    pub fn take(&self, hop: &NextHop, now: UnixTime) -> Option<Ticket> {
        let mut books = self.shared.books.borrow_mut();
        let Handed { leg, message, recipients, attempt } = books.schedule.take(hop, now)?;
        Some(Ticket {
            id: books.kept(message).id,
            hop: hop.clone(),
            recipients,
            attempt,
            accepted: books.schedule.accepted(message),
            expires: books.schedule.expires(message),
            term: Term { message, taken: now },
            leg,
            message,
        })
    }

    /// How long an attempt may go on before its end of data; `None`: as long as it takes. An
    /// attempt that began when the message's time was over already is its last, and is not ended.
    pub fn gives_up_in(&self, term: Term) -> Option<Duration> {
        self.look_at_clocks();
        if reactor::mutated("expiry-forgets-in-flight") {
            return None;
        }
        let at = self.shared.books.borrow().schedule.gives_up_at(term.message)?;
        (term.taken < at).then(|| at.since(self.unix_time()))
    }

    /// Notes why a destination cannot be reached, or that it can again: what waits for it and is
    /// over need not be tried first.
    pub fn note_trouble(&self, hop: &NextHop, trouble: Option<Arc<str>>) {
        let now = self.unix_time();
        self.shared.books.borrow_mut().schedule.set_trouble(hop, trouble, now);
    }

    /// The message of a ticket: envelope, size, and its bytes piece by piece.
    ///
    /// # Errors
    /// As [`LoadError`] says; nothing of the message may be sent then.
    pub async fn load(&self, ticket: &Ticket) -> Result<Loaded, LoadError> {
        self.load_message(ticket.message).await
    }

    /// Reads a message that is not over: from memory when it is there.
    pub(crate) async fn load_message(&self, key: MessageKey) -> Result<Loaded, LoadError> {
        let (log, position, pins) = {
            let books = self.shared.books.borrow();
            let kept = books.kept(key);
            let log = self.log_of(kept.id).clone();
            let Stored { position, hot, .. } = &kept.stored;
            // Also for what is in memory: its chunks are not, and it may be moved meanwhile.
            let pins = log.pin(&kept.stored);
            if let Some(hot) = hot {
                return Ok(Loaded::new(log, hot.open(), pins));
            }
            (log, *position, pins)
        };
        let opened = log.load(position).await?;
        Ok(Loaded::new(log, opened, pins))
    }

    /// Takes a ticket back that was not attempted: it is due again as before.
    pub fn give_back(&self, ticket: Ticket) {
        let now = self.unix_time();
        let removed = self.shared.books.borrow_mut().schedule.give_back(ticket.leg, now);
        if !removed.is_empty() {
            let changes = removed.into_iter().map(|one| (one, Change::Removed)).collect();
            self.record(ticket.message, changes, Vec::new());
        }
        self.wake();
    }

    /// Uses other routes from now on; what waits is routed anew, in a long queue some of it a
    /// little later.
    pub fn reroute(&self, router: Router) {
        self.shared.router.replace(router);
        let Some(mut from) = self.reroute_some(0) else { return };
        let queue = self.clone();
        self.shared.reactor.spawn(async move {
            queue.shared.reactor.yield_now().await;
            while let Some(next) = queue.reroute_some(from) {
                from = next;
                queue.shared.reactor.yield_now().await;
            }
        });
    }

    /// Routes some messages anew, from place `from` on; the place to go on from, `None` at the end.
    fn reroute_some(&self, mut from: usize) -> Option<usize> {
        for _ in 0..REROUTED_AT_ONCE {
            let message = self.shared.books.borrow().schedule.message_from(from);
            let Some(message) = message else {
                self.wake();
                return None;
            };
            from = message.index() + 1;
            self.reroute_message(message);
        }
        Some(from)
    }

    pub(crate) fn reroute_message(&self, message: MessageKey) {
        let router = self.shared.router.borrow().clone();
        let now = self.unix_time();
        let mut books = self.shared.books.borrow_mut();
        let accepted = books.schedule.accepted(message);
        let envelope = books.kept(message).envelope(accepted);
        books.schedule.reroute(message, now, |recipient| {
            router(&envelope, &envelope.recipients[recipient as usize])
        });
    }
}
