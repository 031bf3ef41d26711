//! What is done about the queue once a second: looking how full the disk is, and giving up.

use crate::Queue;
use mail::{Event, EventKind, Field};
use std::rc::Rc;
use std::time::Duration;

/// Free space is looked at, and expiry comes, with this grain.
const EVERY: Duration = Duration::from_secs(1);

impl Queue {
    /// What was found in the spool is scheduled: the clocks begin to run, and so does the task that
    /// keeps house for as long as some handle to the queue lives.
    pub(crate) fn keep_house(&self) {
        self.begin_clocks();
        let reactor = self.shared.reactor.clone();
        let shared = Rc::downgrade(&self.shared);
        self.shared.reactor.spawn(async move {
            loop {
                reactor.sleep(reactor.now() + EVERY).await;
                let Some(shared) = shared.upgrade() else { return };
                let queue = Self { shared };
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

    fn begin_clocks(&self) {
        let (now, wall) = (self.shared.reactor.now(), self.unix_time());
        let doubtful = self.shared.books.borrow_mut().begin(now, wall);
        if doubtful {
            self.warn_of_clock("the last message was accepted at another time than the clock's");
        }
    }

    /// Looks whether the wall clock has stepped: before anything is given up.
    pub(crate) fn look_at_clocks(&self) {
        let (now, wall) = (self.shared.reactor.now(), self.unix_time());
        let mut books = self.shared.books.borrow_mut();
        if books.schedule.look_at_clocks(now, wall) {
            drop(books);
            self.warn_of_clock("the wall clock has jumped");
            // Whoever waits for the next message to be due must see its new time.
            self.wake();
        }
    }

    fn warn_of_clock(&self, what: &str) {
        self.shared.journal.record(
            Event::new(EventKind::SpoolWarned)
                .text(Field::Reason, format!("{what}; nothing is given up for 1 h"))
                .fixed(Field::Remedy, "look at the machine's clock; after a long stop all is well"),
        );
    }
}
