//! The end of a commit, whoever waits for it.

use crate::spool::Commit;
use crate::{CommitError, Queue};
use mail::{Envelope, MessageId, UnixTime};
use reactor::{Instant, Signal};
use std::cell::Cell;
use std::rc::Rc;

/// What has become of a commit.
struct Landed {
    result: Cell<Option<Result<MessageId, CommitError>>>,
    signal: Signal,
}

impl Queue {
    /// Waits until a message is durable and schedules it.
    ///
    /// A task of its own does that, so that it is done too when the session that asked has ended
    /// meanwhile and dropped this future: a message that is durable and not scheduled would lie in
    /// the spool, delivered to nobody, until the next start.
    pub(crate) async fn land(
        &self,
        commit: Commit,
        id: MessageId,
        accepted: UnixTime,
        envelope: Envelope,
    ) -> Result<MessageId, CommitError> {
        let signal = Signal::new(&self.shared.reactor);
        let landed = Rc::new(Landed { result: Cell::new(None), signal });
        let (queue, place) = (self.clone(), Rc::clone(&landed));
        self.shared.reactor.spawn(async move {
            let stored = commit.stored().await;
            let scheduled = stored.map(|stored| {
                queue.insert(id, accepted, &envelope, &[], stored);
                id
            });
            place.result.set(Some(scheduled));
            place.signal.notify_all();
        });
        loop {
            if let Some(result) = landed.result.get() {
                return result;
            }
            landed.signal.wait(Instant::NEVER).await;
        }
    }
}
