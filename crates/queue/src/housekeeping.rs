//! What is done about the queue once a second: looking how full the disk is, and giving up.

use crate::Queue;
use mail::{Event, EventKind, Field, UnixTime};
use reactor::Instant;
use std::rc::Rc;
use std::time::Duration;

/// Free space is looked at, and expiry comes, with this grain.
const EVERY: Duration = Duration::from_secs(1);

/// A wall clock that steps further than this ahead of the monotonic one was wrong before or is now.
const JUMP: Duration = Duration::from_secs(60 * 60);

/// For this long after a jump nothing is given up, so that an operator may mend the clock.
const MERCY: Duration = Duration::from_secs(60 * 60);

impl Queue {
    /// Starts the task that keeps house for as long as some handle to the queue lives.
    pub(crate) fn keep_house(&self) {
        let reactor = self.shared.reactor.clone();
        let shared = Rc::downgrade(&self.shared);
        let mut clocks = (reactor.now(), self.unix_time());
        self.shared.reactor.spawn(async move {
            loop {
                reactor.sleep(reactor.now() + EVERY).await;
                let Some(shared) = shared.upgrade() else { return };
                let queue = Self { shared };
                clocks = queue.look_at_clocks(clocks);
                queue.expire();
                queue.look_at_disk().await;
            }
        });
    }

    async fn look_at_disk(&self) {
        let looked = self.shared.reactor.file_system(&self.shared.options.directory).await;
        // A disk that does not answer is noticed by the next write, which must succeed.
        if let Ok(file_system) = looked {
            self.shared.file_system.set(file_system);
        }
    }

    /// Suspends expiry when the wall clock has jumped since the last look.
    fn look_at_clocks(&self, last: (Instant, UnixTime)) -> (Instant, UnixTime) {
        let (now, wall) = (self.shared.reactor.now(), self.unix_time());
        if wall.since(last.1) > now.since(last.0) + JUMP {
            self.shared.books.borrow_mut().schedule.suspend_expiry(wall.plus(MERCY));
            self.shared.journal.record(
                Event::new(EventKind::SpoolWarned)
                    .fixed(Field::Reason, "the wall clock has jumped; nothing is given up for 1 h")
                    .fixed(Field::Remedy, "look at the machine's clock"),
            );
        }
        (now, wall)
    }
}
