//! What operators see of the queue.

use crate::State;
use mail::{Envelope, MessageId, NextHop, UnixTime};
use std::rc::Rc;

/// A message in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its id.
    pub id: MessageId,
    /// When it got its 250.
    pub accepted: UnixTime,
    /// Header block and body in wire form, in bytes.
    pub bytes: u64,
    /// The reverse-path without brackets; empty for the null path.
    pub from: String,
    /// Its state as a whole.
    pub state: State,
    /// The recipients that have not finished.
    pub recipients: Vec<ListedRecipient>,
}

/// A recipient in a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedRecipient {
    /// The forward-path without brackets.
    pub to: String,
    /// The name of its next hop.
    pub hop: String,
    /// Its state.
    pub state: State,
    /// Attempts so far.
    pub attempts: u32,
    /// When it is tried next; `None` while it is tried or held.
    pub next: Option<UnixTime>,
    /// Why the last attempt did not deliver it.
    pub reason: Option<String>,
}

/// One message, with all that is known of it.
#[derive(Clone, Debug)]
pub struct Shown {
    /// As in the list.
    pub listed: Listed,
    /// Its envelope; `None` when it cannot be read.
    pub envelope: Option<Rc<Envelope>>,
    /// Its header block without dot-stuffing, at most 64 KiB, lines as they are.
    pub header: Vec<u8>,
    /// When it is given up.
    pub expires: UnixTime,
}

/// Ages × next hops, as Postfix's qshape shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Messages in all.
    pub messages: u64,
    /// Messages that are tried, or have not been yet.
    pub active: u64,
    /// Messages that wait for their next attempt.
    pub deferred: u64,
    /// Messages that an operator holds.
    pub held: u64,
    /// Unfinished recipients by next hop, most first.
    pub hops: Vec<SummaryLine>,
}

impl Summary {
    /// Upper bounds of the columns in minutes; the last column is what is older.
    pub const AGES_MINUTES: [u64; 9] = [5, 10, 20, 40, 80, 160, 320, 640, 1280];
}

/// One next hop of a [`Summary`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SummaryLine {
    /// Its name.
    pub hop: NextHop,
    /// Recipients in all.
    pub recipients: u64,
    /// Recipients by age of their message, in the columns of [`Summary::AGES_MINUTES`].
    pub ages: [u64; 10],
}
