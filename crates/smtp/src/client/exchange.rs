//! The transaction under way.
//!
//! The commands of a transaction are a row: RSET (when the last transaction was left open), MAIL, a
//! RCPT for each recipient, then DATA, or BDAT with the whole message (RFC 3030). Two cursors walk
//! along it: `sending` is the next command to write, `awaiting` the next whose reply has not come.
//! Without PIPELINING they are never more than one apart. With it BDAT goes out in one group with
//! the envelope, so that the message costs one round trip.

use super::extensions::Extensions;
use super::step::{Transaction, TransactionResult};
use mail::{BodyKind, Notify, Outcome, Reason, Reply, Returned, UnixTime};
use std::io::{self, Write};

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
    Chunk,
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
    /// The message goes out as one chunk.
    chunked: bool,
    sending: usize,
    awaiting: usize,
    /// By recipient; `None` while it is open: not answered yet, or accepted.
    outcomes: Vec<Option<Outcome>>,
    mail_accepted: bool,
}

impl Exchange {
    pub(super) fn new(transaction: Transaction, reset: bool, chunked: bool) -> Self {
        let first = usize::from(!reset);
        let outcomes = vec![None; transaction.recipients.len()];
        Self {
            transaction,
            chunked,
            sending: first,
            awaiting: first,
            outcomes,
            mail_accepted: false,
        }
    }

    /// Whether the BDAT command is out, so that its octets must follow.
    pub(super) fn owes_chunk(&self) -> bool {
        self.chunked && self.sending > 0 && self.command(self.sending - 1) == Command::Chunk
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
            _ if self.chunked => Command::Chunk,
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
            if matches!(command, Command::Data | Command::Chunk) {
                // RFC 2920 §3.1: DATA can only be the last of a group; BDAT's octets follow it.
                break;
            }
        }
    }

    fn write(&self, command: Command, out: &mut Vec<u8>, peer: &Extensions) {
        let written = match command {
            Command::Reset => out.write_all(b"RSET\r\n"),
            Command::Mail => self.write_mail(out, peer),
            Command::Recipient(index) => self.write_recipient(index, out, peer),
            Command::Data => out.write_all(b"DATA\r\n"),
            Command::Chunk => write!(out, "BDAT {} LAST\r\n", self.transaction.bytes),
        };
        written.expect("a vector takes all bytes");
    }

    fn write_mail(&self, out: &mut Vec<u8>, peer: &Extensions) -> io::Result<()> {
        let Transaction { reverse_path, body, bytes, utf8, request, .. } = &self.transaction;
        write!(out, "MAIL FROM:<{reverse_path}>")?;
        if peer.size.is_some() {
            write!(out, " SIZE={bytes}")?;
        }
        if *body == BodyKind::EightBitMime && peer.eight_bit_mime {
            write!(out, " BODY=8BITMIME")?;
        }
        if *utf8 {
            write!(out, " SMTPUTF8")?;
        }
        if let Some(request) = request.as_ref().filter(|_| peer.dsn) {
            match request.returned {
                Some(Returned::Full) => write!(out, " RET=FULL")?,
                Some(Returned::Headers) => write!(out, " RET=HDRS")?,
                None => {}
            }
            if let Some(id) = &request.envelope_id {
                write!(out, " ENVID={id}")?;
            }
        }
        out.write_all(b"\r\n")
    }

    fn write_recipient(
        &self,
        index: usize,
        out: &mut Vec<u8>,
        peer: &Extensions,
    ) -> io::Result<()> {
        write!(out, "RCPT TO:<{}>", self.transaction.recipients[index])?;
        let request = self.transaction.request.as_ref().filter(|_| peer.dsn);
        if let Some(wanted) = request.and_then(|request| request.recipients.get(index)) {
            if let Some(notify) = wanted.notify {
                write!(out, " NOTIFY={}", words_of(notify))?;
            }
            if let Some(original) = &wanted.original {
                write!(out, " ORCPT={original}")?;
            }
        }
        out.write_all(b"\r\n")
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
            Command::Chunk => self.chunk_answered(reply),
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

    /// The last reply of a chunked transaction. Taken by nobody, the message cannot be taken.
    fn chunk_answered(&mut self, reply: &Reply) -> Next {
        let refused = reply.is_transient() || reply.is_permanent();
        if !refused && (!reply.is_positive() || !self.mail_accepted || self.is_decided()) {
            return Next::OutOfStep;
        }
        self.decide_rest(reply);
        Next::Finished
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
        TransactionResult { outcomes, uncertain, session_limit: false, request_passed_on: false }
    }

    /// Whether somebody asked about status notifications.
    pub(super) fn has_request(&self) -> bool {
        self.transaction.request.is_some()
    }
}

/// The value of NOTIFY (RFC 3461 §4.1).
fn words_of(notify: Notify) -> String {
    let words = [("SUCCESS", notify.success), ("FAILURE", notify.failure), ("DELAY", notify.delay)];
    let words: Vec<&str> = words.iter().filter(|(_, is)| *is).map(|(word, _)| *word).collect();
    if words.is_empty() { "NEVER".to_owned() } else { words.join(",") }
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
