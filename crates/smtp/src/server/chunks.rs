//! BDAT (RFC 3030): content by chunks, whose sizes say where they end.
//!
//! The bytes of a chunk are never obeyed, whatever is wrong with it: they are read and dropped, and
//! then it is answered.

use super::course::Next;
use super::pace::Pace;
use super::reception::Reception;
use super::session::ServerSession;
use super::state::{Skip, State};
use super::{Extension, legality};
use crate::command::{self, Chunk};
use crate::{Hangup, Verb, reply};
use mail::Reply;

impl ServerSession {
    /// RFC 3030 §2.
    pub(super) fn chunk(&mut self, argument: &str) {
        let Some(chunk) = command::chunk(argument) else {
            // Nobody can say where the next command begins.
            self.refuse(Verb::Bdat, &reply::BAD_ARGUMENT);
            return self.part();
        };
        if let Some(reply) = self.objection(chunk) {
            return self.begin_skip(chunk, reply);
        }
        let last = chunk.last == Some(true);
        let bare_newline = self.bare_newline();
        let (hello, mut reception) = match self.take_state() {
            State::Mail(hello, transaction) => {
                (hello, Box::new(Reception::by_chunks(transaction, bare_newline)))
            }
            State::Chunking(hello, reception) => (hello, reception),
            _ => unreachable!("the table says so"),
        };
        reception.begin_chunk(chunk.bytes, last);
        self.state = State::Receiving(hello, reception);
    }

    /// What is wrong with a chunk before any of it has come.
    fn objection(&self, chunk: Chunk) -> Option<Reply> {
        let phase = self.state.phase().expect("commands are read in phases only");
        if phase != legality::Phase::Rejected && self.needs_tls(Verb::Bdat) {
            return Some(reply::TLS_NEEDED);
        }
        if !self.available().contains(Extension::Chunking) {
            return Some(reply::NOT_IMPLEMENTED);
        }
        if !legality::allows(Verb::Bdat, phase) || !self.offered.contains(Extension::Chunking) {
            return Some(reply::BAD_SEQUENCE);
        }
        if chunk.last.is_none() {
            return Some(reply::BAD_ARGUMENT);
        }
        let nobody =
            matches!(&self.state, State::Mail(_, transaction) if transaction.recipients.is_empty());
        nobody.then_some(reply::NO_RECIPIENTS)
    }

    /// Drops a chunk. Within a transaction the message has lost a part with it, so that nothing may
    /// come of the rest; only a last chunk that nobody would get changes nothing.
    fn begin_skip(&mut self, chunk: Chunk, reply: Reply) {
        let then = match self.take_state() {
            State::Mail(hello, transaction)
                if chunk.last == Some(true) && transaction.recipients.is_empty() =>
            {
                State::Mail(hello, transaction)
            }
            State::Mail(hello, _) => State::Failed(hello),
            State::Chunking(hello, reception) => {
                self.worthless |= reception.has_draft();
                State::Failed(hello)
            }
            state => state,
        };
        let pace = Pace::default();
        let skip = Skip { then, left: chunk.bytes, skipped: 0, reply, pace };
        self.state = State::Skipping(Box::new(skip));
    }

    /// Reads and drops what comes of a refused chunk, but not for ever.
    pub(super) fn skip(&mut self) -> Option<Next> {
        let State::Skipping(skip) = &mut self.state else { return None };
        let here = self.input.len() - self.taken;
        let taken = usize::try_from(skip.left).unwrap_or(usize::MAX).min(here);
        self.taken += taken;
        skip.left -= taken as u64;
        skip.skipped += taken as u64;
        let endless = skip.skipped > self.options.message_bytes.saturating_mul(2);
        if skip.left > 0 && !endless {
            if skip.pace.is_too_slow(skip.skipped, &self.options) {
                self.lost(Hangup::TimedOut);
                return None;
            }
            let within = skip.pace.patience(self.options.data_timeout, &self.options);
            return self.wait(within);
        }
        let State::Skipping(skip) = self.take_state() else { unreachable!("as above") };
        self.state = skip.then;
        self.refuse(Verb::Bdat, &skip.reply);
        if endless {
            self.part();
        }
        None
    }
}
