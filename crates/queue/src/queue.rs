//! The façade: what it holds, and how it begins.

use crate::books::{Books, Kept};
use crate::schedule::{Entry, MessageKey};
use crate::spool::{self, HotBudget, Log, Recovered, Standing, Stored};
use crate::{OpenError, Options, Tenure};
use mail::{Envelope, ForwardPath, Journal, MessageId, NextHop, UnixTime};
use reactor::{FileSystem, Reactor, Signal};
use std::cell::{Cell, RefCell};
use std::rc::Rc;

/// Names the next hop of a recipient. It looks nothing up.
pub type Router = Rc<dyn Fn(&Envelope, &ForwardPath) -> NextHop>;

/// What a shard's queue begins with.
pub struct Start {
    /// The options.
    pub options: Rc<Options>,
    /// The tenure of the spool; somebody keeps the lock for as long as the queue lives.
    pub tenure: Tenure,
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
pub struct Queue {
    pub(crate) shared: Rc<Shared>,
}

/// What the handles of a queue share.
pub(crate) struct Shared {
    pub(crate) reactor: Reactor,
    pub(crate) options: Rc<Options>,
    pub(crate) journal: Journal,
    pub(crate) router: RefCell<Router>,
    /// The logs of this shard; the first is its own, which takes new messages.
    pub(crate) logs: Vec<Log>,
    pub(crate) books: RefCell<Books>,
    /// Whether something became due, by whatever way but time, since [`Queue::due`] was asked.
    pub(crate) changed: Cell<bool>,
    /// Wakes whoever waits for due messages.
    pub(crate) due: Signal,
    /// Reports that are being composed; their outcomes are not on the way to the disk yet.
    pub(crate) reports: Cell<usize>,
    /// Wakes whoever waits for the reports.
    pub(crate) reported: Signal,
    /// How full the file system is, as of the last look.
    pub(crate) file_system: Cell<FileSystem>,
    pub(crate) dsn_sent: Cell<u64>,
    pub(crate) dsn_dropped: Cell<u64>,
}

impl Queue {
    /// Recovers the logs of this shard (log NN belongs to shard NN modulo the number of shards)
    /// and schedules what is in them.
    ///
    /// # Errors
    /// As [`OpenError`] says.
    pub async fn open(reactor: &Reactor, start: Start) -> Result<Self, OpenError> {
        let directory = start.options.directory.clone();
        let wrong = |error| OpenError::from_io(&directory, error);
        reactor.hold(start.tenure.file).map_err(wrong)?;
        let file_system = reactor.file_system(&directory).await.map_err(wrong)?;
        let found = Log::numbers(reactor, &directory).await?;
        let own = u16::try_from(start.shard).ok().filter(|own| *own < MessageId::LOGS);
        let own = own.expect("shards are fewer than logs can be numbered");
        let adopted = found.iter().copied().filter(|number| *number != own).filter(|number| {
            usize::from(*number) % start.shards == start.shard
                || reactor::mutated("log-adopted-twice")
        });
        let hot = HotBudget::new(start.options.hot_bytes);
        let logs = found.len().max(start.shards);
        let (spool_free, message_bytes) = (start.options.spool_free, start.options.message_bytes);
        let leave_bytes = spool_free.reserve(file_system.bytes, message_bytes);
        let mut opened = Vec::new();
        let mut recovered = Vec::new();
        for number in std::iter::once(own).chain(adopted) {
            let options = spool::Options { logs, segment_bytes: None, hot: hot.clone() };
            let journal = start.journal.clone();
            let tenure = start.tenure;
            let (log, recovery) =
                Log::recover(reactor, &directory, number, tenure, options, journal).await?;
            log.leave_free(leave_bytes);
            opened.push(log);
            recovered.extend(recovery.messages);
        }
        let books = Books::new(start.options.retry);
        let shared = Shared {
            reactor: reactor.clone(),
            options: start.options,
            journal: start.journal,
            router: RefCell::new(start.router),
            logs: opened,
            books: RefCell::new(books),
            changed: Cell::new(true),
            due: Signal::new(reactor),
            reports: Cell::new(0),
            reported: Signal::new(reactor),
            file_system: Cell::new(file_system),
            dsn_sent: Cell::new(0),
            dsn_dropped: Cell::new(0),
        };
        let queue = Self { shared: Rc::new(shared) };
        queue.recall_suspended().await?;
        queue.schedule_recovered(recovered);
        queue.keep_house();
        queue.keep_small();
        Ok(queue)
    }

    /// Puts what was found at start where it stood.
    fn schedule_recovered(&self, recovered: Vec<Recovered>) {
        for message in recovered {
            let Recovered { id, accepted, envelope, standings, stored } = message;
            self.insert(id, accepted, &envelope, &standings, stored);
        }
    }

    /// Schedules a message that is durable. Without `standings` all recipients are due now.
    pub(crate) fn insert(
        &self,
        id: MessageId,
        accepted: UnixTime,
        envelope: &Envelope,
        standings: &[Standing],
        stored: Stored,
    ) {
        let now = self.unix_time();
        let router = self.shared.router.borrow().clone();
        let is_bounce = envelope.reverse_path == mail::ReversePath::Null;
        let held = standings.iter().any(|standing| standing.held && !standing.done);
        let fresh = Standing { next: now, ..Standing::default() };
        let entries = envelope.recipients.iter().enumerate().map(|(index, recipient)| {
            let standing = standings.get(index).unwrap_or(&fresh);
            (!standing.done).then(|| Entry {
                hop: router(envelope, recipient),
                due: standing.next,
                attempts: standing.attempts,
            })
        });
        let mut books = self.shared.books.borrow_mut();
        let key = books.schedule.insert(accepted, is_bounce, held, entries, now);
        books.keep(key, Kept::new(id, envelope, standings, stored));
        drop(books);
        self.wake();
    }

    /// Tells whoever waits that something is due.
    pub(crate) fn wake(&self) {
        self.shared.changed.set(true);
        self.shared.due.notify_all();
    }

    /// The log that a message lies in, with its outcomes.
    pub(crate) fn log_of(&self, id: MessageId) -> &Log {
        let log = self.shared.logs.iter().find(|log| log.number() == id.log());
        log.expect("a message of this queue lies in one of its logs")
    }

    /// The log that takes new messages.
    pub(crate) fn own_log(&self) -> &Log {
        &self.shared.logs[0]
    }

    /// Whether the disk has failed: the process must drain and exit 74.
    pub fn failed(&self) -> bool {
        self.shared.logs.iter().any(Log::failed)
    }

    /// The wall clock.
    pub(crate) fn unix_time(&self) -> UnixTime {
        UnixTime::from_epoch(self.shared.reactor.wall_clock())
    }

    /// A message by its id. Only operators ask, so that no index is kept for it.
    pub(crate) fn find(&self, id: MessageId) -> Option<MessageKey> {
        let books = self.shared.books.borrow();
        books.schedule.messages().find(|key| books.kept(*key).id == id)
    }
}
