//! What operators see and do.

use crate::{Counters, Filter, Listed, Queue, Shown, Summary};
use mail::{MessageId, UnixTime};

impl Queue {
    /// Ages × next hops.
    pub fn summary(&self, now: UnixTime) -> Summary {
        let _ = now;
        unimplemented!()
    }

    /// Up to `limit` messages that `filter` means.
    pub fn list(&self, filter: &Filter, limit: usize) -> Vec<Listed> {
        let _ = (filter, limit);
        unimplemented!()
    }

    /// All that is known of a message.
    pub async fn show(&self, id: MessageId) -> Option<Shown> {
        let _ = id;
        unimplemented!()
    }

    /// Makes messages due now and routes them anew; returns how many.
    pub fn flush(&self, filter: &Filter) -> usize {
        let _ = filter;
        unimplemented!()
    }

    /// Holds messages back until they are released; survives a restart. Returns how many.
    pub fn hold(&self, filter: &Filter) -> usize {
        let _ = filter;
        unimplemented!()
    }

    /// Lets held messages go; returns how many.
    pub fn release(&self, filter: &Filter) -> usize {
        let _ = filter;
        unimplemented!()
    }

    /// Removes messages, without a report; returns how many. Recipients in flight are not tried
    /// again.
    pub fn remove(&self, filter: &Filter) -> usize {
        let _ = filter;
        unimplemented!()
    }

    /// Plain numbers for the metrics; samples are handed out once.
    pub fn counters(&self) -> Counters {
        unimplemented!()
    }

    /// Waits until everything that was asked for is durable.
    pub async fn drain(&self) {
        unimplemented!()
    }
}
