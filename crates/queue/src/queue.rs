//! The façade.

use crate::{OpenError, Options};
use mail::{Envelope, ForwardPath, Journal, NextHop};
use reactor::{Reactor, SharedFile};
use std::rc::Rc;

/// Names the next hop of a recipient. It looks nothing up.
pub type Router = Rc<dyn Fn(&Envelope, &ForwardPath) -> NextHop>;

/// What a shard's queue begins with.
pub struct Start {
    /// The options.
    pub options: Rc<Options>,
    /// The spool's lock, held by somebody for as long as the queue lives.
    pub lock: SharedFile,
    /// Which shard this is, from 0.
    pub shard: usize,
    /// How many there are.
    pub shards: usize,
    /// The routes.
    pub router: Router,
    /// Where events go.
    pub journal: Journal,
}

/// The messages of one shard. Cloning gives another handle to the same queue.
///
/// - *accepting*: [`admission`](Self::admission), [`draft`](Self::draft), [`commit`](Self::commit)
/// - *delivering*: [`wait`](Self::wait), [`due`](Self::due), [`take`](Self::take),
///   [`load`](Self::load), [`settle`](Self::settle), [`give_back`](Self::give_back)
/// - *operating*: [`list`](Self::list), [`show`](Self::show), [`flush`](Self::flush),
///   [`hold`](Self::hold), [`release`](Self::release), [`remove`](Self::remove)
#[derive(Clone)]
pub struct Queue {}

impl Queue {
    /// Recovers the logs of this shard (log NN belongs to shard NN modulo the number of shards)
    /// and schedules what is in them.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub async fn open(reactor: &Reactor, start: Start) -> Result<Self, OpenError> {
        let _ = (reactor, start);
        unimplemented!()
    }

    /// Whether the disk has failed: the process must drain and exit 74.
    pub fn failed(&self) -> bool {
        unimplemented!()
    }
}
