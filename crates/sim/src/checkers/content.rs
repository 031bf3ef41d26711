//! *Content*: what arrives is, to the byte, what was sent, and its end was sent.
//! *Stranger*: a recipient gets nothing that was written to others.

use super::{Checker, Finding};
use crate::message::Message;

/// Bytes that two messages share only when one has bytes of the other: bodies are random.
const PROOF_BYTES: usize = 48;

/// Compares what arrived for recipient `recipient` with `message`; `ended`: the client had sent
/// its end. `others`: what else was sent in this world.
pub(crate) fn judge<'a>(
    message: &Message,
    ended: bool,
    recipient: usize,
    body: &[u8],
    others: impl Iterator<Item = &'a Message>,
) -> Option<Finding> {
    let number = message.number;
    if recipient >= message.domains.len() {
        let what = format!("message {number} arrives for {recipient}, who was never named");
        return Some((Checker::Stranger, what));
    }
    if !ended || message.spoilt.is_some() {
        let what = format!("message {number} arrives and was never sent to its end, or is spoilt");
        return Some((Checker::Content, what));
    }
    if message.body == body {
        return None;
    }
    let same = message.body.iter().zip(body).take_while(|(ours, theirs)| ours == theirs).count();
    if let Some(other) = whose(&body[same..], message, others) {
        let what = format!("message {number} arrives with bytes of message {other}");
        return Some((Checker::Stranger, what));
    }
    let lengths = (message.body.len(), body.len());
    let what = format!("message {number} arrives damaged from byte {same} on: {lengths:?} bytes");
    Some((Checker::Content, what))
}

/// Whose the bytes are that are not those of `message`.
fn whose<'a>(
    foreign: &[u8],
    message: &Message,
    others: impl Iterator<Item = &'a Message>,
) -> Option<u32> {
    let proof = foreign.get(..PROOF_BYTES)?;
    let has = |other: &&Message| other.body.windows(PROOF_BYTES).any(|window| window == proof);
    others.filter(|other| other.number != message.number).find(has).map(|other| other.number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(number: u32) -> Message {
        Message { spoilt: None, ..Message::of_size(0, number, 500) }
    }

    fn found(body: &[u8], ended: bool) -> Option<Checker> {
        let (ours, other) = (message(1), message(2));
        let others = [&ours, &other];
        judge(&ours, ended, 0, body, others.into_iter()).map(|(checker, _)| checker)
    }

    #[test]
    fn what_arrives_must_be_whole_and_have_been_sent() {
        let mut body = message(1).body;
        assert_eq!(found(&body, true), None);
        assert_eq!(found(&body, false), Some(Checker::Content));
        body.pop();
        assert_eq!(found(&body, true), Some(Checker::Content));
    }

    #[test]
    fn bytes_of_another_message_are_known_as_such() {
        assert_eq!(found(&message(2).body, true), Some(Checker::Stranger));
    }

    #[test]
    fn a_spoilt_message_must_not_arrive() {
        let spoilt = Message { spoilt: Some(crate::message::Spoilt::Nul), ..message(1) };
        let found = judge(&spoilt, true, 0, &spoilt.body, std::iter::empty());
        assert_eq!(found.map(|(checker, _)| checker), Some(Checker::Content));
    }
}
