//! The session: bytes and answers in, steps out.

use super::extensions::ExtensionSet;
use super::options::{BareNewline, ServerOptions};
use super::peer::ServerPeer;
use super::state::{Pending, State};
use super::step::Notes;
use crate::tally::Tally;
use crate::{Hangup, Verb, reply};
use mail::{Reply, TlsFacts};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

/// One client's conversation with us, from the greeting to the close.
///
/// - *In*: [`receive`](Self::receive), [`waited`](Self::waited), [`answer`](Self::answer),
///   [`secured`](Self::secured), [`authenticated`](Self::authenticated),
///   [`introduced`](Self::introduced), [`committed`](Self::committed), [`lost`](Self::lost),
///   [`sent`](Self::sent).
/// - *Commands*: [`shut_down`](Self::shut_down), [`set_stress`](Self::set_stress),
///   [`set_trusted`](Self::set_trusted).
/// - *Out*: [`step`](Self::step), [`take_output`](Self::take_output),
///   [`take_replies`](Self::take_replies), [`take_notes`](Self::take_notes), [`user`](Self::user),
///   [`tls`](Self::tls).
///
/// Replies to pipelined commands are collected and sent together, before the session waits for
/// input, and before a body by DATA is read. Between transactions it holds no buffer.
pub struct ServerSession {
    pub(super) options: Rc<ServerOptions>,
    pub(super) peer: ServerPeer,
    pub(super) state: State,
    /// What was received; the first `taken` bytes are used up.
    pub(super) input: Vec<u8>,
    pub(super) taken: usize,
    /// Whether bytes had come behind the command that is being obeyed.
    pub(super) behind: bool,
    pub(super) output: Vec<u8>,
    /// Whether the output says what became of a message.
    pub(super) owed: bool,
    /// Bytes so far of a line that is too long and being dropped; 0 when none is.
    pub(super) dropped: usize,
    /// How long we have waited for the rest of the line under way.
    pub(super) line_waited: Duration,
    /// What the last EHLO offered.
    pub(super) offered: ExtensionSet,
    /// Who authenticated, or submits over the local socket.
    pub(super) user: Option<Box<str>>,
    /// The client's wrong or refused commands since the last accepted message.
    pub(super) errors: u32,
    /// The corridor holds a draft that is worth nothing.
    pub(super) worthless: bool,
    /// The corridor holds a SASL exchange that nobody goes on with.
    pub(super) forsaken: bool,
    pub(super) draining: bool,
    pub(super) stress: bool,
    pub(super) notes: Notes,
    tally: Tally,
}

impl ServerSession {
    /// A session with a client that has just connected.
    pub fn new(options: Rc<ServerOptions>, peer: ServerPeer) -> Self {
        Self {
            options,
            user: peer.user.clone(),
            peer,
            state: State::Deciding(Pending::Connect { hello: None }),
            input: Vec::new(),
            taken: 0,
            behind: false,
            output: Vec::new(),
            owed: false,
            dropped: 0,
            line_waited: Duration::ZERO,
            offered: ExtensionSet::EMPTY,
            errors: 0,
            worthless: false,
            forsaken: false,
            draining: false,
            stress: false,
            notes: Notes::default(),
            tally: Tally::default(),
        }
    }

    /// Bytes have come, after [`Step::Receive`](crate::Step::Receive). What is needed of them is
    /// copied.
    pub fn receive(&mut self, bytes: &[u8]) {
        // What is left is short: a part of a command line, or two undecided bytes of a body.
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The last wait for input took so long. Without these calls `data_rate` and `data_total` mean
    /// nothing, and a command may drip in for ever; call it before [`receive`](Self::receive).
    pub fn waited(&mut self, elapsed: Duration) {
        let partial = self.taken < self.input.len() || self.dropped > 0;
        match &mut self.state {
            State::Receiving(_, reception) => reception.pace.waited(elapsed),
            State::Skipping(skip) => skip.pace.waited(elapsed),
            State::Deciding(_)
            | State::Listening
            | State::Rejected
            | State::Greeted
            | State::Ready(_)
            | State::Mail(..)
            | State::Chunking(..)
            | State::Failed(_)
            | State::Asking(..)
            | State::Answering(_)
            | State::Securing
            | State::Introducing(..)
            | State::Committing(_)
            | State::Parting => {
                if partial {
                    self.line_waited = self.line_waited.saturating_add(elapsed);
                }
            }
        }
    }

    /// The bytes to send at [`Step::Transmit`](crate::Step::Transmit).
    pub fn take_output(&mut self) -> Vec<u8> {
        self.owed = false;
        mem::take(&mut self.output)
    }

    /// The output has gone; its buffer comes back, and is kept while a transaction needs it.
    pub fn sent(&mut self, mut buffer: Vec<u8>) {
        let busy =
            matches!(self.state, State::Mail(..) | State::Receiving(..) | State::Chunking(..));
        if busy && self.output.capacity() == 0 {
            buffer.clear();
            self.output = buffer;
        }
    }

    /// The wire has no more. Silence and shutdown are answered with a last reply.
    pub fn lost(&mut self, hangup: Hangup) {
        let (verb, silence) = match &self.state {
            // Who has kept silent for so long may be greeted.
            State::Listening if hangup == Hangup::TimedOut => return self.greet(None),
            // Its last word is on its way or cannot be said.
            State::Parting => return self.output.clear(),
            State::Receiving(_, reception) => (Verb::EndOfData, reception.timed_out()),
            State::Skipping(_) | State::Chunking(..) => (Verb::Bdat, reply::TIMED_OUT),
            State::Answering(_) | State::Asking(..) => (Verb::Auth, reply::TIMED_OUT),
            State::Deciding(_)
            | State::Listening
            | State::Rejected
            | State::Greeted
            | State::Ready(_)
            | State::Mail(..)
            | State::Failed(_)
            | State::Securing
            | State::Introducing(..)
            | State::Committing(_) => (Verb::Connect, reply::TIMED_OUT),
        };
        match hangup {
            Hangup::Closed | Hangup::Reset => self.output.clear(),
            Hangup::TimedOut => self.say(verb, &silence),
            Hangup::Shutdown => self.say(verb, &reply::SHUTTING_DOWN),
        }
        self.part();
    }

    /// Ends the session with 421 4.3.2 as soon as no body is under way.
    pub fn shut_down(&mut self) {
        self.draining = true;
    }

    /// Whether the relay is nearly full, which shortens the wait for strangers' commands.
    pub fn set_stress(&mut self, stress: bool) {
        self.stress = stress;
    }

    /// Whether the client is trusted for another reason than having authenticated: its network,
    /// its certificate, its socket.
    pub fn set_trusted(&mut self, trusted: bool) {
        self.peer.trusted = trusted;
    }

    /// Whether the client is trusted.
    pub fn is_trusted(&self) -> bool {
        self.peer.trusted || self.user.is_some()
    }

    /// Who authenticated, or submits over the local socket.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The encryption of the session.
    pub fn tls(&self) -> Option<&TlsFacts> {
        self.peer.tls.as_ref()
    }

    /// Between transactions with nothing buffered.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Rejected | State::Greeted | State::Ready(_))
            && self.taken == self.input.len()
            && self.output.is_empty()
    }

    /// The room of all buffers that it holds now, in bytes. The envelope is not among it: that is
    /// bounded by `recipients_per_message` lines.
    pub fn buffer_bytes(&self) -> usize {
        let edited = match &self.state {
            State::Receiving(_, reception) | State::Chunking(_, reception) => {
                reception.buffer_bytes()
            }
            State::Deciding(_)
            | State::Listening
            | State::Rejected
            | State::Greeted
            | State::Ready(_)
            | State::Mail(..)
            | State::Failed(_)
            | State::Skipping(_)
            | State::Asking(..)
            | State::Answering(_)
            | State::Securing
            | State::Introducing(..)
            | State::Committing(_)
            | State::Parting => 0,
        };
        self.input.capacity() + self.output.capacity() + edited
    }

    /// The replies given since the last call: verb, code, how often.
    pub fn take_replies(&mut self) -> Vec<(Verb, u16, u32)> {
        self.tally.take()
    }

    /// What happened since the last call and was not said.
    pub fn take_notes(&mut self) -> Notes {
        mem::take(&mut self.notes)
    }

    /// Appends a reply to the output and counts it.
    pub(super) fn say(&mut self, verb: Verb, reply: &Reply) {
        reply.write_to(&mut self.output);
        self.owed |= verb == Verb::EndOfData;
        self.tally.count(verb, reply.code);
    }

    /// Says that a command was wrong, or refused; strangers may hear that so many times.
    pub(super) fn refuse(&mut self, verb: Verb, reply: &Reply) {
        if !self.is_trusted() && self.errors >= self.options.errors {
            self.say(verb, &reply::TOO_MANY_ERRORS);
            self.part();
            return;
        }
        self.errors = self.errors.saturating_add(1);
        self.say(verb, reply);
    }

    /// The client has talked out of turn: a stranger is sent away, and this is true.
    pub(super) fn talked_out_of_turn(&mut self) -> bool {
        if self.is_trusted() {
            self.notes.out_of_turn = self.notes.out_of_turn.saturating_add(1);
            return false;
        }
        self.notes.out_of_turn_refused = self.notes.out_of_turn_refused.saturating_add(1);
        self.say(Verb::Unknown, &reply::OUT_OF_TURN);
        self.part();
        true
    }

    /// Nothing more is read; what was said is still sent.
    pub(super) fn part(&mut self) {
        let left = mem::replace(&mut self.state, State::Parting);
        self.worthless |= left.has_draft();
        self.forsaken |= matches!(left, State::Answering(_) | State::Asking(..));
    }

    /// The state, to make the next one of; it must be put back before anything else happens.
    pub(super) fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Parting)
    }

    /// What becomes of this client's bare newlines.
    pub(super) fn bare_newline(&self) -> BareNewline {
        match self.is_trusted() {
            true => self.options.bare_newline_trusted,
            false => self.options.bare_newline,
        }
    }
}
