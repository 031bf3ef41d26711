//! Messages that leave a queue for files, and come from files into a queue.
//!
//! A message goes with its envelope, where its unfinished recipients stand, and its bytes as a file
//! has them: without dot-stuffing. [`Export`] goes over a running queue, and
//! [`SpoolExport`](crate::inspect::SpoolExport) over a spool that no relay has; both say the same
//! [`ExportStep`]s. [`Import`] takes one message. Neither holds more of a body than one piece.

mod dots;
mod export;
mod import;

pub(crate) use dots::Plain;
pub use export::Export;
pub use import::{Import, ImportError};

use mail::{Envelope, MessageId, StatusRequest, UnixTime};

/// A message without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Portable {
    /// The id that it has, or had where it came from.
    pub id: MessageId,
    /// When it was accepted.
    pub accepted: UnixTime,
    /// Its envelope, with the recipients that have not finished.
    pub envelope: Envelope,
    /// Where each of these stands.
    pub waiting: Vec<Waiting>,
    /// Its bytes without dot-stuffing; `None`: not known.
    pub bytes: Option<u64>,
}

/// Where an unfinished recipient stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Waiting {
    /// An operator holds it.
    pub held: bool,
    /// Attempts so far.
    pub attempts: u32,
    /// Not before this time; zero: at once.
    pub next: UnixTime,
    /// Why it was deferred last, in words.
    pub reason: Option<Box<str>>,
}

/// What an export says next. A message is a `Message`, any number of `Bytes`, then `Whole`; or
/// `Broken` in place of what cannot be read of it.
#[derive(Debug)]
pub enum ExportStep {
    /// A message begins.
    Message(Box<Portable>),
    /// Bytes of it, without dot-stuffing; 256 KiB at most, about.
    Bytes(Vec<u8>),
    /// It ends.
    Whole,
    /// It cannot be read; the next one follows.
    Broken {
        /// Which.
        id: MessageId,
        /// Why.
        reason: String,
    },
    /// There are no more.
    Over,
}

/// `envelope` with only the recipients of these indexes, and what is asked for them.
pub(crate) fn only(envelope: &Envelope, keep: &[u32]) -> Envelope {
    let recipients = keep.iter().map(|index| envelope.recipients[*index as usize].clone());
    let request = envelope.request.as_ref().map(|request| {
        let asked = |index: &u32| request.recipients.get(*index as usize).cloned();
        let recipients = keep.iter().map(|index| asked(index).unwrap_or_default()).collect();
        Box::new(StatusRequest { recipients, ..(**request).clone() })
    });
    Envelope { recipients: recipients.collect(), request, ..envelope.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mail::{ForwardPath, Origin, RecipientRequest, ReversePath};

    #[test]
    fn what_is_asked_for_a_recipient_stays_with_it() {
        let to = |text| ForwardPath::parse(text).expect("a path");
        let recipients = vec![to("a@x.example"), to("b@x.example"), to("c@x.example")];
        let mut envelope = Envelope::new(ReversePath::Null, recipients, Origin::default());
        let asked = |text: &str| RecipientRequest { original: Some(text.into()), notify: None };
        envelope.request = Some(Box::new(StatusRequest {
            recipients: vec![asked("rfc822;1"), asked("rfc822;2"), asked("rfc822;3")],
            ..StatusRequest::default()
        }));
        let left = only(&envelope, &[0, 2]);
        assert_eq!(left.recipients, [to("a@x.example"), to("c@x.example")]);
        let request = left.request.expect("it stays");
        assert_eq!(request.recipients, [asked("rfc822;1"), asked("rfc822;3")]);
    }
}
