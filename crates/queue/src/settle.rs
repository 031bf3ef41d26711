//! Recording what became of recipients.

use crate::{Queue, Ticket};
use mail::Outcome;

impl Queue {
    /// Records what an attempt came to, by index of the recipient; who is not mentioned is due
    /// again as before. The schedule knows at once, the disk within milliseconds. `host` is the
    /// one that was spoken to. Deferred, bounced and expired recipients are journalled here.
    pub fn settle(&self, ticket: Ticket, outcomes: Vec<(u32, Outcome)>, host: Option<Box<str>>) {
        let _ = (ticket, outcomes, host);
        unimplemented!()
    }
}
