//! What is kept in memory of each queued message: its place in the schedule, and beside it what
//! operators and reports need without a look at the disk.

use crate::Retry;
use crate::schedule::{MessageKey, Schedule};
use crate::spool::{Standing, Stored};
use crate::suspend::Register;
use mail::{BodyKind, Envelope, ForwardPath, MessageId, Origin, Protocol, ReversePath, UnixTime};
use reactor::Instant;
use std::collections::HashSet;
use std::net::IpAddr;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;
use std::time::Duration;

/// Ids of a log are given out in order: what was accepted so much before its predecessor, by its
/// own word, was accepted while the clock was wrong.
const DATED_BEFORE: Duration = Duration::from_secs(60 * 60);

/// The schedule, and what is kept beside it under the same keys.
pub(crate) struct Books {
    pub(crate) schedule: Schedule,
    /// Made when a destination is first suspended or resumed.
    pub(crate) register: Option<Register>,
    kept: Vec<Option<Kept>>,
    /// The clients of all that is kept, each once. Only looked up, never iterated.
    clients: HashSet<Rc<IpAddr>>,
}

/// What is kept of a message. Its envelope is read again at each attempt.
pub(crate) struct Kept {
    pub(crate) id: MessageId,
    /// The reverse-path without brackets; empty for the null path.
    pub(crate) from: Box<str>,
    /// Routes may ask for it. Clients are few; what they share is in [`Books`].
    client: Option<Rc<IpAddr>>,
    pub(crate) recipients: Addressees,
    pub(crate) stored: Stored,
    /// Recipients whose end is not on its way to the disk yet. With the last one the place of the
    /// message is given back.
    pub(crate) unrecorded: u32,
}

/// The recipients of a message, in little room: nearly all messages have one.
pub(crate) enum Addressees {
    One([Addressee; 1]),
    Several(Box<[Addressee]>),
}

impl Deref for Addressees {
    type Target = [Addressee];

    fn deref(&self) -> &[Addressee] {
        match self {
            Self::One(one) => one,
            Self::Several(several) => several,
        }
    }
}

impl DerefMut for Addressees {
    fn deref_mut(&mut self) -> &mut [Addressee] {
        match self {
            Self::One(one) => one,
            Self::Several(several) => several,
        }
    }
}

impl FromIterator<Addressee> for Addressees {
    fn from_iter<I: IntoIterator<Item = Addressee>>(recipients: I) -> Self {
        let several: Vec<Addressee> = recipients.into_iter().collect();
        match <[Addressee; 1]>::try_from(several) {
            Ok(one) => Self::One(one),
            Err(several) => Self::Several(several.into_boxed_slice()),
        }
    }
}

/// A recipient.
pub(crate) struct Addressee {
    /// The forward-path without brackets.
    pub(crate) to: Box<str>,
    /// Why the last attempt did not deliver it.
    pub(crate) reason: Option<Box<str>>,
}

impl Books {
    pub(crate) fn new(retry: Retry) -> Self {
        Self {
            schedule: Schedule::new(retry),
            register: None,
            kept: Vec::new(),
            clients: HashSet::new(),
        }
    }

    /// What was found in the spool is in, and the clocks run. Returns whether they are doubtful.
    pub(crate) fn begin(&mut self, now: Instant, wall: UnixTime) -> bool {
        let mut keys: Vec<MessageKey> = self.schedule.messages().collect();
        keys.sort_by_key(|key| self.kept(*key).id);
        let mut latest = (None, UnixTime(0));
        for key in keys {
            let (log, accepted) = (self.kept(key).id.log(), self.schedule.accepted(key));
            if latest.0 != Some(log) {
                latest = (Some(log), UnixTime(0));
            }
            if accepted.plus(DATED_BEFORE) < latest.1 {
                self.schedule.redate(key, latest.1);
            } else {
                latest.1 = latest.1.max(accepted.min(wall));
            }
        }
        self.schedule.begin(now, wall)
    }

    pub(crate) fn keep(&mut self, key: MessageKey, mut kept: Kept) {
        kept.client = kept.client.map(|client| self.share(client));
        if self.kept.len() <= key.index() {
            self.kept.resize_with(key.index() + 1, || None);
        }
        self.kept[key.index()] = Some(kept);
    }

    pub(crate) fn kept(&self, key: MessageKey) -> &Kept {
        self.kept[key.index()].as_ref().expect("what is scheduled is kept")
    }

    pub(crate) fn kept_mut(&mut self, key: MessageKey) -> &mut Kept {
        self.kept[key.index()].as_mut().expect("what is scheduled is kept")
    }

    /// What is kept of a message, if the key still means it.
    pub(crate) fn kept_if(&self, key: MessageKey, id: MessageId) -> Option<&Kept> {
        self.kept.get(key.index())?.as_ref().filter(|kept| kept.id == id)
    }

    /// The same, to be changed.
    pub(crate) fn kept_mut_if(&mut self, key: MessageKey, id: MessageId) -> Option<&mut Kept> {
        self.kept.get_mut(key.index())?.as_mut().filter(|kept| kept.id == id)
    }

    /// Forgets a message that is over; its place on disk is for the caller to give back.
    pub(crate) fn forget(&mut self, key: MessageKey) -> Stored {
        self.schedule.forget(key);
        let kept = self.kept[key.index()].take().expect("what is scheduled is kept");
        // The last message of a client: it and the set have the two that are left.
        if let Some(client) = kept.client.filter(|client| Rc::strong_count(client) == 2) {
            self.clients.remove(&client);
        }
        kept.stored
    }

    fn share(&mut self, client: Rc<IpAddr>) -> Rc<IpAddr> {
        if let Some(known) = self.clients.get(&client) {
            return Rc::clone(known);
        }
        self.clients.insert(Rc::clone(&client));
        client
    }
}

impl Kept {
    pub(crate) fn new(
        id: MessageId,
        envelope: &Envelope,
        standings: &[Standing],
        stored: Stored,
    ) -> Self {
        let recipients = envelope.recipients.iter().enumerate().map(|(index, recipient)| {
            let reason = standings.get(index).and_then(|standing| standing.reason.clone());
            Addressee { to: recipient.to_string().into(), reason }
        });
        let done = standings.iter().filter(|standing| standing.done).count();
        let left = envelope.recipients.len() - done;
        Self {
            id,
            from: envelope.reverse_path.to_string().into(),
            client: envelope.origin.address().map(Rc::new),
            recipients: recipients.collect(),
            stored,
            unrecorded: u32::try_from(left).expect("recipients_per_message bounds them"),
        }
    }

    /// The envelope as far as it is in memory: enough to route by, and to report with when the disk
    /// does not give the whole.
    pub(crate) fn envelope(&self, accepted: UnixTime) -> Envelope {
        let recipients = (0..).zip(&*self.recipients).map(|(one, _)| self.forward_path(one));
        let recipients = recipients.collect();
        Envelope {
            reverse_path: ReversePath::parse(&self.from).unwrap_or(ReversePath::Null),
            recipients,
            body: BodyKind::default(),
            utf8: false,
            request: None,
            origin: Origin {
                client: self.client.as_ref().map(|address| (**address, 0).into()),
                hello: "".into(),
                listener: "".into(),
                rule: "".into(),
                protocol: Protocol::default(),
                arrived: accepted,
                ..Origin::default()
            },
        }
    }

    /// The forward-path of a recipient.
    pub(crate) fn forward_path(&self, recipient: u32) -> ForwardPath {
        let text = &self.recipients[recipient as usize].to;
        ForwardPath::parse(text).expect("a path that was parsed once parses again")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_beside_the_schedule_takes_at_most_128_bytes_besides_addresses() {
        let kept = size_of::<Option<Kept>>();
        assert!(kept <= 128, "{kept}");
    }
}
