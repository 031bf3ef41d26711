//! The transaction under way.
//!
//! The commands of a transaction are a row: RSET (when the last transaction was left open), MAIL, a
//! RCPT for each recipient, DATA. Two cursors walk along it: `sending` is the next command to
//! write, `awaiting` the next whose reply has not come. Without PIPELINING they are never more than
//! one apart.

use super::extensions::Extensions;
use super::step::{Transaction, TransactionResult};
use mail::{BodyKind, Outcome, Reason, Reply, UnixTime};
use std::io::Write;

/// So many commands go out before their replies are read. Their replies, 512 bytes each at most
/// (RFC 5321 §4.5.3.1.5), fit any socket buffer, so that both ends never block on sending.
const GROUP_COMMANDS_MAX: usize = 100;

/// Where in the row a cursor stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Reset,
    Mail,
    Recipient(usize),
    Data,
}

/// What follows from the reply to a command.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Go on along the row.
    Go,
    /// 354: the body may be sent.
    Body,
    /// 354 although nobody will get it (RFC 2920 §3.1): an empty message must follow.
    EmptyBody,
    /// Every recipient has its outcome.
    Finished,
    /// No server that understood us would say that.
    OutOfStep,
}

/// A transaction and how far it is.
pub(super) struct Exchange {
    transaction: Transaction,
    sending: usize,
    awaiting: usize,
    /// By recipient; `None` while it is open: not answered yet, or accepted.
    outcomes: Vec<Option<Outcome>>,
    mail_accepted: bool,
}

impl Exchange {
    pub(super) fn new(transaction: Transaction, reset: bool) -> Self {
        let first = usize::from(!reset);
        let outcomes = vec![None; transaction.recipients.len()];
        Self { transaction, sending: first, awaiting: first, outcomes, mail_accepted: false }
    }

    /// Whether every command that was written has its reply.
    pub(super) fn is_caught_up(&self) -> bool {
        self.sending == self.awaiting
    }

    /// The command whose reply is awaited.
    pub(super) fn awaited(&self) -> Command {
        self.command(self.awaiting)
    }

    /// Whether the server still has the transaction open when it ends without a body.
    pub(super) fn is_open(&self) -> bool {
        self.mail_accepted
    }

    fn command(&self, index: usize) -> Command {
        match index {
            0 => Command::Reset,
            1 => Command::Mail,
            _ if index - 2 < self.transaction.recipients.len() => Command::Recipient(index - 2),
            _ => Command::Data,
        }
    }

    /// Writes the next group of commands.
    pub(super) fn write_group(&mut self, out: &mut Vec<u8>, peer: &Extensions, pipelining: bool) {
        let most = if pipelining { GROUP_COMMANDS_MAX } else { 1 };
        for _ in 0..most {
            let command = self.command(self.sending);
            self.write(command, out, peer);
            self.sending += 1;
            if command == Command::Data {
                // RFC 2920 §3.1: DATA can only be the last of a group.
                break;
            }
        }
    }

    fn write(&self, command: Command, out: &mut Vec<u8>, peer: &Extensions) {
        let Transaction { reverse_path, recipients, body, bytes } = &self.transaction;
        let written = match command {
            Command::Reset => out.write_all(b"RSET\r\n"),
            Command::Mail => {
                let size = peer.size.map(|_| format!(" SIZE={bytes}")).unwrap_or_default();
                let eight_bit = *body == BodyKind::EightBitMime && peer.eight_bit_mime;
                let body = if eight_bit { " BODY=8BITMIME" } else { "" };
                write!(out, "MAIL FROM:<{reverse_path}>{size}{body}\r\n")
            }
            Command::Recipient(index) => write!(out, "RCPT TO:<{}>\r\n", recipients[index]),
            Command::Data => out.write_all(b"DATA\r\n"),
        };
        written.expect("a vector takes all bytes");
    }

    /// The reply to the awaited command; 421 is the session's to see.
    pub(super) fn answered(&mut self, reply: &Reply) -> Next {
        let command = self.awaited();
        self.awaiting += 1;
        let refused = reply.is_transient() || reply.is_permanent();
        match command {
            Command::Reset if !reply.is_positive() => Next::OutOfStep,
            Command::Data if reply.code == 354 => {
                if self.is_decided() {
                    Next::EmptyBody
                } else {
                    Next::Body
                }
            }
            Command::Data if refused => {
                self.decide_rest(reply);
                Next::Finished
            }
            Command::Data => Next::OutOfStep,
            _ if !refused && !reply.is_positive() => Next::OutOfStep,
            Command::Reset => Next::Go,
            Command::Mail => {
                self.mail_accepted = reply.is_positive();
                if refused {
                    self.decide_rest(reply);
                }
                self.go_on()
            }
            Command::Recipient(index) => {
                if refused && self.outcomes[index].is_none() {
                    self.outcomes[index] = Some(recipient_outcome(reply));
                }
                self.go_on()
            }
        }
    }

    /// Goes on, unless nobody is left to send to and no reply is owed to us.
    fn go_on(&self) -> Next {
        let over = self.is_decided() && self.is_caught_up();
        if over { Next::Finished } else { Next::Go }
    }

    /// Whether every recipient has its outcome.
    pub(super) fn is_decided(&self) -> bool {
        self.outcomes.iter().all(Option::is_some)
    }

    /// A reply that decides about all who are open.
    pub(super) fn decide_rest(&mut self, reply: &Reply) {
        self.outcomes.iter_mut().filter(|outcome| outcome.is_none()).for_each(|outcome| {
            *outcome = Some(outcome_of(reply));
        });
    }

    /// LMTP (RFC 2033 §4.2): a final reply for each accepted recipient, in order.
    pub(super) fn decide_next(&mut self, reply: &Reply) {
        if let Some(outcome) = self.outcomes.iter_mut().find(|outcome| outcome.is_none()) {
            *outcome = Some(outcome_of(reply));
        }
    }

    /// The result, in which whoever is still open is deferred for `reason`.
    pub(super) fn into_result(self, reason: &Reason, uncertain: bool) -> TransactionResult {
        let uncertain = uncertain && !self.is_decided();
        let deferred = || Outcome::Deferred { reason: reason.clone(), not_before: UnixTime(0) };
        let outcomes = self.outcomes.into_iter().map(|one| one.unwrap_or_else(deferred)).collect();
        TransactionResult { outcomes, uncertain, session_limit: false }
    }
}

/// What a 2yz, 4yz or 5yz reply means for a recipient.
fn outcome_of(reply: &Reply) -> Outcome {
    if reply.is_positive() {
        return Outcome::Delivered { reply: reply.clone() };
    }
    let reason = Reason::Peer(reply.clone());
    if reply.is_permanent() {
        Outcome::Bounced { reason }
    } else {
        Outcome::Deferred { reason, not_before: UnixTime(0) }
    }
}

/// RFC 5321 §4.5.3.1.10: 552 to RCPT was once said for too many recipients, and means 452.
fn recipient_outcome(reply: &Reply) -> Outcome {
    match reply.code {
        552 => Outcome::Deferred { reason: Reason::Peer(reply.clone()), not_before: UnixTime(0) },
        _ => outcome_of(reply),
    }
}
