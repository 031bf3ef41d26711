//! Handing recipients out when they are due.

use crate::{LoadError, Loaded, Queue, Router};
use mail::{MessageId, NextHop, UnixTime};
use reactor::Instant;

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
    /// When it is given up: an attempt must not begin its end of data later.
    pub expires: UnixTime,
}

impl Queue {
    /// Waits until messages became due, were inserted, given back, released or flushed since the
    /// last [`due`](Self::due), or until `by`. One task of a shard waits.
    pub async fn wait(&self, by: Instant) {
        let _ = by;
        unimplemented!()
    }

    /// When the next message that is not yet due will be.
    pub fn next_due(&self) -> Option<UnixTime> {
        unimplemented!()
    }

    /// Next hops with messages due, the longest due first, and how many each.
    pub fn due(&self, now: UnixTime) -> Vec<(NextHop, usize)> {
        let _ = now;
        unimplemented!()
    }

    /// The message that is longest due at `hop`; its recipients there are in flight then.
    pub fn take(&self, hop: &NextHop, now: UnixTime) -> Option<Ticket> {
        let _ = (hop, now);
        unimplemented!()
    }

    /// The message of a ticket: envelope, size, and its bytes piece by piece.
    ///
    /// # Errors
    /// As [`LoadError`] says; nothing of the message may be sent then.
    pub async fn load(&self, ticket: &Ticket) -> Result<Loaded, LoadError> {
        let _ = ticket;
        unimplemented!()
    }

    /// Takes a ticket back that was not attempted: it is due again as before.
    pub fn give_back(&self, ticket: Ticket) {
        let _ = ticket;
        unimplemented!()
    }

    /// Uses other routes from now on; what waits is routed anew.
    pub fn reroute(&self, router: Router) {
        let _ = router;
        unimplemented!()
    }
}
