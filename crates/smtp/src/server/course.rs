//! The loop: what a session does next, and what it waits for.

use super::session::ServerSession;
use super::state::{State, Turn};
use super::step::{Accepted, Exchange, Step};
use crate::command::Introduction;
use crate::server::legality::Phase;
use crate::server::reception::Piece;
use crate::{Hangup, Verb, reply};
use mail::Question;
use std::mem;
use std::ops::Range;
use std::time::Duration;

/// A command line may have this many bytes before its LF. RFC 5321 §4.5.3.1.4 asks for 512, and
/// extensions for more; what clients send is far below this.
pub(super) const LINE_BYTES_MAX: usize = 2048;

/// RFC 4954 §4: 12,288 bytes for a line of an exchange, its CRLF among them.
pub(super) const AUTH_LINE_BYTES_MAX: usize = 12_287;

/// A line is dropped up to this length; whoever goes on behind it is not talking to us.
pub(super) const DROPPED_BYTES_MAX: usize = 64 << 10;

/// Replies to pipelined commands are sent once there are this many bytes of them, so that a flood
/// of commands does not make one of replies in memory.
pub(super) const OUTPUT_BYTES_MAX: usize = 16 << 10;

/// A step, before it borrows from the session.
pub(super) enum Next {
    Transmit,
    Receive(Duration),
    Secure,
    Authenticate(Exchange),
    Introduce(Box<Introduction>),
    Decide(Question),
    Body(Range<usize>),
    Edited,
    Discard,
    Commit(Accepted),
    Close,
}

/// What stands at the beginning of the input.
enum Found {
    /// A line, which is taken.
    Line(Range<usize>),
    /// A line that was too long, of which the rest is taken.
    TooLong,
    /// A line that ended otherwise than with CRLF, which is taken.
    BareNewline,
    /// No end of a line, for longer than we look for one.
    Endless,
    /// A part of a line, or nothing.
    Part,
}

impl ServerSession {
    /// What to do next. Panics when a commit, an exchange or an introduction is not answered yet.
    pub fn step(&mut self) -> Step<'_> {
        let next = loop {
            if let Some(next) = self.advance() {
                break next;
            }
        };
        match next {
            Next::Transmit => Step::Transmit,
            Next::Receive(within) => Step::Receive { within },
            Next::Secure => Step::Secure,
            Next::Authenticate(exchange) => Step::Authenticate(exchange),
            Next::Introduce(introduction) => Step::Introduce(introduction),
            Next::Decide(question) => Step::Decide(question),
            Next::Body(range) => Step::Body(&self.input[range]),
            Next::Edited => match &self.state {
                State::Receiving(_, reception) => Step::Body(reception.edited()),
                _ => unreachable!("only a body is rewritten"),
            },
            Next::Discard => Step::Discard,
            Next::Commit(accepted) => Step::Commit(accepted),
            Next::Close => Step::Close,
        }
    }

    /// Takes one step; `None` when there is more to do without anybody's help.
    fn advance(&mut self) -> Option<Next> {
        if mem::take(&mut self.worthless) {
            return Some(Next::Discard);
        }
        if mem::take(&mut self.forsaken) {
            return Some(Next::Authenticate(Exchange::Cancel));
        }
        if self.draining && self.may_be_drained() {
            self.say(Verb::Connect, &reply::SHUTTING_DOWN);
            self.part();
        }
        match &mut self.state {
            State::Deciding(pending) => Some(Next::Decide(pending.question())),
            State::Listening => self.listen(),
            State::Receiving(..) => self.receive_body(),
            State::Skipping(_) => self.skip(),
            State::Asking(_, turn) => match mem::replace(turn, Turn::Given) {
                Turn::Due(exchange) => Some(Next::Authenticate(exchange)),
                Turn::Given => panic!("step() while an exchange is not answered"),
            },
            State::Answering(_) => self.receive_response(),
            State::Securing if self.output.is_empty() => Some(Next::Secure),
            State::Introducing(untold, _) => match untold.take() {
                Some(introduction) => Some(Next::Introduce(introduction)),
                None => panic!("step() while an introduction is not answered"),
            },
            State::Committing(_) => panic!("step() while a commit is not answered"),
            State::Parting if self.output.is_empty() => Some(Next::Close),
            State::Securing | State::Parting => Some(Next::Transmit),
            State::Rejected
            | State::Greeted
            | State::Ready(_)
            | State::Mail(..)
            | State::Chunking(..)
            | State::Failed(_) => self.receive_command(),
        }
    }

    /// Whether a drain ends the session here: no body is under way.
    fn may_be_drained(&self) -> bool {
        match self.state.phase() {
            Some(phase) => phase != Phase::Chunking,
            None => {
                let greeted_not_yet =
                    matches!(self.state, State::Deciding(super::state::Pending::Connect { .. }));
                greeted_not_yet || matches!(self.state, State::Listening | State::Answering(_))
            }
        }
    }

    /// Waits for bytes, once everything said so far has gone.
    pub(super) fn wait(&mut self, within: Duration) -> Option<Next> {
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

    /// RFC 5321 §4.3.1: the client waits for the greeting. This one must show it.
    fn listen(&mut self) -> Option<Next> {
        if self.taken < self.input.len() {
            self.talked_out_of_turn();
            return None;
        }
        self.wait(self.options.early_talker)
    }

    /// Obeys the next command.
    fn receive_command(&mut self) -> Option<Next> {
        if self.output.len() > OUTPUT_BYTES_MAX {
            return Some(Next::Transmit);
        }
        if self.is_out_of_turn() && self.talked_out_of_turn() {
            return None;
        }
        match self.next_line(self.command_bytes_max()) {
            Found::Line(line) => {
                self.behind = self.taken < self.input.len();
                // Lent out for the call: obeying does not touch the input.
                let input = mem::take(&mut self.input);
                self.obey(&input[line]);
                self.input = input;
            }
            Found::TooLong => self.refuse(Verb::Unknown, &reply::LINE_TOO_LONG),
            Found::BareNewline => self.refuse(Verb::Unknown, &reply::BARE_NEWLINE),
            Found::Endless => self.end_of_patience(),
            Found::Part => return self.wait_for_line(),
        }
        None
    }

    /// Takes the client's turn of a SASL exchange.
    fn receive_response(&mut self) -> Option<Next> {
        match self.next_line(AUTH_LINE_BYTES_MAX) {
            Found::Line(line) => {
                self.behind = self.taken < self.input.len();
                let input = mem::take(&mut self.input);
                self.respond(&input[line]);
                self.input = input;
            }
            Found::TooLong => self.end_exchange(&reply::AUTH_LINE_TOO_LONG),
            Found::BareNewline => self.end_exchange(&reply::BARE_NEWLINE),
            Found::Endless => self.end_of_patience(),
            Found::Part => return self.wait_for_line(),
        }
        None
    }

    /// RFC 2920 §3.1: only a client that was offered PIPELINING may go on before it has heard what
    /// was said to it.
    fn is_out_of_turn(&self) -> bool {
        !self.output.is_empty()
            && self.taken < self.input.len()
            && !self.offered.contains(super::Extension::Pipelining)
    }

    fn end_of_patience(&mut self) {
        self.say(Verb::Unknown, &reply::TOO_MANY_ERRORS);
        self.part();
    }

    /// How long the next command may be before its LF: an initial response is longer than others.
    fn command_bytes_max(&self) -> usize {
        let begins = self.input[self.taken..].get(..5);
        let exchange = begins.is_some_and(|word| word.eq_ignore_ascii_case(b"AUTH "));
        match exchange && self.offered.contains(super::Extension::Auth) {
            true => AUTH_LINE_BYTES_MAX,
            false => LINE_BYTES_MAX,
        }
    }

    /// Takes a line of at most `bytes_max` bytes before its LF out of the input.
    fn next_line(&mut self, bytes_max: usize) -> Found {
        let pending = &self.input[self.taken..];
        let line = scan::first_line(pending);
        let length = self.dropped + line.map_or(pending.len(), |line| line.consumed - 1);
        if length > DROPPED_BYTES_MAX {
            return Found::Endless;
        }
        let too_long = length > bytes_max;
        let Some(line) = line else {
            if too_long {
                self.dropped = length;
                self.taken = self.input.len();
            }
            return Found::Part;
        };
        let from = self.taken;
        self.taken += line.consumed;
        self.dropped = 0;
        self.line_waited = Duration::ZERO;
        match line.proper {
            _ if too_long => Found::TooLong,
            true => Found::Line(from..from + line.length),
            false => Found::BareNewline,
        }
    }

    fn wait_for_line(&mut self) -> Option<Next> {
        let options = &self.options;
        let stressed = self.stress && !self.is_trusted();
        let within = match stressed {
            true => options.stress_timeout.min(options.command_timeout),
            false => options.command_timeout,
        };
        // Counted over all of a line, so that nobody can drip one in for ever.
        self.wait(within.saturating_sub(self.line_waited))
    }

    /// Takes body bytes out of the input.
    fn receive_body(&mut self) -> Option<Next> {
        let State::Receiving(_, reception) = &mut self.state else { return None };
        // The client waits for our 354, and for what we said before it.
        let full = self.output.len() > OUTPUT_BYTES_MAX;
        if full || (!self.output.is_empty() && reception.waits_for_us()) {
            return Some(Next::Transmit);
        }
        if reception.must_discard() {
            return Some(Next::Discard);
        }
        if reception.is_over() {
            // What became of one message is not held back until the next is durable.
            return if self.owed { Some(Next::Transmit) } else { self.end_of_body() };
        }
        let from = self.taken;
        let taken = reception.take(&self.input[from..], &self.options);
        self.taken += taken.consumed;
        match taken.piece {
            Piece::AsCame(length) => return Some(Next::Body(from..from + length)),
            Piece::Edited => return Some(Next::Edited),
            Piece::Nothing => {}
        }
        if taken.consumed > 0 || reception.is_over() {
            return None;
        }
        if reception.is_too_slow(&self.options) {
            self.lost(Hangup::TimedOut);
            return None;
        }
        let within = reception.patience(&self.options);
        self.wait(within)
    }
}
