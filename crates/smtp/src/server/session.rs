//! The session: bytes and answers in, steps out.

use super::options::{ServerOptions, ServerPeer};
use super::state::{Pending, State};
use super::step::{Accepted, Step};
use crate::tally::Tally;
use crate::{Hangup, Verb, reply};
use mail::{Question, Reply};
use std::mem;
use std::ops::Range;
use std::rc::Rc;
use std::time::Duration;

/// A command line may have this many bytes before its LF. RFC 5321 §4.5.3.1.4 asks for 512, and
/// extensions for more; what clients send is far below this.
pub(super) const LINE_BYTES_MAX: usize = 2048;

/// A line is dropped up to this length; whoever goes on behind it is not talking to us.
pub(super) const DROPPED_BYTES_MAX: usize = 64 << 10;

/// Replies to pipelined commands are sent once there are this many bytes of them, so that a flood
/// of commands does not make one of replies in memory.
pub(super) const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// One client's conversation with us, from the greeting to the close.
///
/// - *In*: [`receive`](Self::receive), [`waited`](Self::waited), [`answer`](Self::answer),
///   [`committed`](Self::committed), [`lost`](Self::lost), [`sent`](Self::sent).
/// - *Commands*: [`shut_down`](Self::shut_down), [`set_stress`](Self::set_stress).
/// - *Out*: [`step`](Self::step), [`take_output`](Self::take_output),
///   [`take_replies`](Self::take_replies).
///
/// Replies to pipelined commands are collected and sent together, before the session waits for
/// input, and before a body is read. Between transactions it holds no buffer.
pub struct ServerSession {
    pub(super) options: Rc<ServerOptions>,
    pub(super) peer: ServerPeer,
    pub(super) state: State,
    /// What was received; the first `taken` bytes are used up.
    pub(super) input: Vec<u8>,
    pub(super) taken: usize,
    pub(super) output: Vec<u8>,
    /// Bytes so far of a command line that is too long and being dropped; 0 when none is.
    dropped: usize,
    /// The client's wrong or refused commands since the last accepted message.
    pub(super) errors: u32,
    draining: bool,
    stress: bool,
    tally: Tally,
}

/// A step, before it borrows from the session.
enum Next {
    Transmit,
    Receive(Duration),
    Decide(Question),
    Body(Range<usize>),
    Discard,
    Commit(Accepted),
    Close,
}

impl ServerSession {
    /// A session with a client that has just connected.
    pub fn new(options: Rc<ServerOptions>, peer: ServerPeer) -> Self {
        Self {
            options,
            peer,
            state: State::Deciding(Pending::Connect),
            input: Vec::new(),
            taken: 0,
            output: Vec::new(),
            dropped: 0,
            errors: 0,
            draining: false,
            stress: false,
            tally: Tally::default(),
        }
    }

    /// What to do next. Panics when a commit is not answered yet.
    pub fn step(&mut self) -> Step<'_> {
        let next = loop {
            if let Some(next) = self.advance() {
                break next;
            }
        };
        match next {
            Next::Transmit => Step::Transmit,
            Next::Receive(within) => Step::Receive { within },
            Next::Decide(question) => Step::Decide(question),
            Next::Body(range) => Step::Body(&self.input[range]),
            Next::Discard => Step::Discard,
            Next::Commit(accepted) => Step::Commit(accepted),
            Next::Close => Step::Close,
        }
    }

    /// Bytes have come, after [`Step::Receive`]. What is needed of them is copied.
    pub fn receive(&mut self, bytes: &[u8]) {
        // What is left is short: a part of a command line, or two undecided bytes of a body.
        self.input.drain(..self.taken);
        self.taken = 0;
        self.input.extend_from_slice(bytes);
    }

    /// The last wait for input took so long. Without these calls `data_rate` and `data_total` mean
    /// nothing; call it before [`receive`](Self::receive).
    pub fn waited(&mut self, elapsed: Duration) {
        if let State::Receiving(_, reception) = &mut self.state {
            reception.waited(elapsed);
        }
    }

    /// The bytes to send at [`Step::Transmit`].
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// The output has gone; its buffer comes back, and is kept while a transaction needs it.
    pub fn sent(&mut self, mut buffer: Vec<u8>) {
        let busy = matches!(self.state, State::Mail(..) | State::Receiving(..));
        if busy && self.output.capacity() == 0 {
            buffer.clear();
            self.output = buffer;
        }
    }

    /// The wire has no more. Silence and shutdown are answered with a last reply.
    pub fn lost(&mut self, hangup: Hangup) {
        let (discard, verb, silence) = match &self.state {
            State::Receiving(_, reception) => {
                (reception.has_draft(), Verb::EndOfData, reception.timed_out())
            }
            State::Deciding(_)
            | State::Rejected
            | State::Greeted
            | State::Ready(_)
            | State::Mail(..)
            | State::Committing(_) => (false, Verb::Connect, reply::TIMED_OUT),
            State::Parting { discard } => {
                // Its last word is on its way or cannot be said.
                self.output.clear();
                return self.part(*discard);
            }
        };
        match hangup {
            Hangup::Closed | Hangup::Reset => self.output.clear(),
            Hangup::TimedOut => self.say(verb, &silence),
            Hangup::Shutdown => self.say(verb, &reply::SHUTTING_DOWN),
        }
        self.part(discard);
    }

    /// Ends the session with 421 4.3.2 as soon as no body is under way.
    pub fn shut_down(&mut self) {
        self.draining = true;
    }

    /// Whether the relay is nearly full, which shortens the wait for strangers' commands.
    pub fn set_stress(&mut self, stress: bool) {
        self.stress = stress;
    }

    /// Between transactions with nothing buffered.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::Rejected | State::Greeted | State::Ready(_))
            && self.taken == self.input.len()
            && self.output.is_empty()
    }

    /// The replies given since the last call: verb, code, how often.
    pub fn take_replies(&mut self) -> Vec<(Verb, u16, u32)> {
        self.tally.take()
    }

    /// Takes one step; `None` when there is more to do without anybody's help.
    fn advance(&mut self) -> Option<Next> {
        let ungreeted = matches!(self.state, State::Deciding(Pending::Connect));
        if self.draining && (ungreeted || self.state.phase().is_some()) {
            self.say(Verb::Connect, &reply::SHUTTING_DOWN);
            self.part(false);
        }
        match &mut self.state {
            State::Deciding(pending) => Some(Next::Decide(pending.question())),
            State::Receiving(..) => self.receive_body(),
            State::Committing(_) => panic!("step() while a commit is not answered"),
            State::Parting { discard } => {
                if mem::take(discard) {
                    Some(Next::Discard)
                } else if self.output.is_empty() {
                    Some(Next::Close)
                } else {
                    Some(Next::Transmit)
                }
            }
            State::Rejected | State::Greeted | State::Ready(_) | State::Mail(..) => {
                self.receive_command()
            }
        }
    }

    /// Waits for bytes, once everything said so far has gone.
    fn wait(&mut self, within: Duration) -> Option<Next> {
        if !self.output.is_empty() {
            return Some(Next::Transmit);
        }
        if self.is_idle() {
            self.input = Vec::new();
            self.taken = 0;
            self.output = Vec::new();
        }
        Some(Next::Receive(within))
    }

    /// Takes a command line out of the input.
    fn receive_command(&mut self) -> Option<Next> {
        if self.output.len() > OUTPUT_BYTES_MAX {
            return Some(Next::Transmit);
        }
        let pending = &self.input[self.taken..];
        let line = scan::first_line(pending);
        // The line's bytes before its LF, as far as they are here.
        let length = self.dropped + line.map_or(pending.len(), |line| line.consumed - 1);
        if length > DROPPED_BYTES_MAX {
            self.say(Verb::Unknown, &reply::TOO_MANY_ERRORS);
            self.part(false);
            return None;
        }
        let too_long = length > LINE_BYTES_MAX;
        let Some(line) = line else {
            if too_long {
                self.dropped = length;
                self.taken = self.input.len();
            }
            let stressed = self.stress && !self.peer.trusted;
            let options = &self.options;
            return self.wait(match stressed {
                true => options.stress_timeout.min(options.command_timeout),
                false => options.command_timeout,
            });
        };
        let from = self.taken;
        self.taken += line.consumed;
        self.dropped = 0;
        if too_long {
            self.refuse(Verb::Unknown, &reply::LINE_TOO_LONG);
        } else if !line.proper {
            self.refuse(Verb::Unknown, &reply::BARE_NEWLINE);
        } else {
            // Lent out for the call: obeying does not touch the input.
            let input = mem::take(&mut self.input);
            self.obey(&input[from..from + line.length]);
            self.input = input;
        }
        None
    }

    /// Takes body bytes out of the input.
    fn receive_body(&mut self) -> Option<Next> {
        // The client waits for our 354, and for what we said before it.
        if !self.output.is_empty() {
            return Some(Next::Transmit);
        }
        let State::Receiving(_, reception) = &mut self.state else { return None };
        if reception.must_discard() {
            return Some(Next::Discard);
        }
        if reception.is_over() {
            return self.end_of_data().map(Next::Commit);
        }
        let from = self.taken;
        let taken = reception.take(&self.input[from..], &self.options);
        self.taken += taken.consumed;
        if taken.body > 0 {
            return Some(Next::Body(from..from + taken.body));
        }
        if taken.consumed == 0 {
            if reception.is_too_slow(&self.options) {
                self.lost(Hangup::TimedOut);
                return None;
            }
            let within = reception.patience(&self.options);
            return self.wait(within);
        }
        None
    }

    /// Appends a reply to the output and counts it.
    pub(super) fn say(&mut self, verb: Verb, reply: &Reply) {
        reply.write_to(&mut self.output);
        self.tally.count(verb, reply.code);
    }

    /// Says that a command was wrong, or refused; strangers may hear that so many times.
    pub(super) fn refuse(&mut self, verb: Verb, reply: &Reply) {
        if !self.peer.trusted && self.errors >= self.options.errors {
            self.say(verb, &reply::TOO_MANY_ERRORS);
            self.part(false);
            return;
        }
        self.errors = self.errors.saturating_add(1);
        self.say(verb, reply);
    }

    /// Nothing more is read; what was said is still sent.
    pub(super) fn part(&mut self, discard: bool) {
        self.state = State::Parting { discard };
    }
}
