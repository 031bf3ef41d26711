//! Messages of a running queue, one after the other.

use super::{ExportStep, Plain, Portable, Waiting, only};
use crate::schedule::{MessageKey, State};
use crate::{Body, Queue};
use mail::{MessageId, UnixTime};

/// Goes over the messages of a queue; the queue is not changed, and goes on meanwhile. Messages
/// that come after the beginning may be left out, those that end before their turn are.
pub struct Export {
    queue: Queue,
    /// Where in the schedule to go on.
    place: usize,
    current: Option<(MessageId, Body, Plain)>,
}

impl Queue {
    /// Begins an export.
    pub fn export(&self) -> Export {
        Export { queue: self.clone(), place: 0, current: None }
    }
}

impl Export {
    /// The next step.
    pub async fn next(&mut self) -> ExportStep {
        match self.current.take() {
            Some((id, body, plain)) => self.go_on(id, body, plain).await,
            None => self.begin().await,
        }
    }

    /// The next message that is not over.
    async fn begin(&mut self) -> ExportStep {
        loop {
            let key = self.queue.shared.books.borrow().schedule.message_from(self.place);
            let Some(key) = key else { return ExportStep::Over };
            self.place = key.index() + 1;
            let id = self.queue.shared.books.borrow().kept(key).id;
            let loaded = self.queue.load_message(key).await;
            // What ended while it was read has left nothing to export.
            let Some((standing, accepted)) = self.queue.standing(key, id) else { continue };
            let loaded = match loaded {
                Ok(loaded) => loaded,
                Err(error) => return ExportStep::Broken { id, reason: error.to_string() },
            };
            let (keep, waiting): (Vec<u32>, Vec<Waiting>) = standing.into_iter().unzip();
            let portable = Portable {
                id,
                accepted,
                envelope: only(&loaded.envelope, &keep),
                waiting,
                bytes: Some(loaded.bytes - loaded.stuffed_lines),
            };
            self.current = Some((id, loaded.body, Plain::new()));
            return ExportStep::Message(Box::new(portable));
        }
    }

    async fn go_on(&mut self, id: MessageId, mut body: Body, mut plain: Plain) -> ExportStep {
        match body.next().await {
            Err(error) => ExportStep::Broken { id, reason: error.to_string() },
            Ok(None) => ExportStep::Whole,
            Ok(Some(parts)) => {
                let mut bytes = Vec::new();
                parts.iter().for_each(|part| plain.take(part.as_slice(), &mut bytes));
                self.current = Some((id, body, plain));
                ExportStep::Bytes(bytes)
            }
        }
    }
}

impl Queue {
    /// The unfinished recipients of a message, and when it was accepted; `None` when it is over.
    fn standing(&self, key: MessageKey, id: MessageId) -> Option<(Vec<(u32, Waiting)>, UnixTime)> {
        let still = self.shared.books.borrow().schedule.message_from(key.index()) == Some(key);
        let books = self.shared.books.borrow();
        if !still || books.kept(key).id != id {
            return None;
        }
        let held = books.schedule.state(key)? == State::Held;
        let now = self.unix_time();
        let waiting = books.schedule.views(key).map(|view| {
            let reason = books.kept(key).recipients[view.recipient as usize].reason.clone();
            // One that is being tried is due.
            let next = view.next.unwrap_or(now);
            (view.recipient, Waiting { held, attempts: view.attempts, next, reason })
        });
        Some((waiting.collect(), books.schedule.accepted(key)))
    }
}
