//! The session: replies and a body in, commands and outcomes out.

use super::answers::name;
use super::exchange::{Command, Exchange};
use super::extensions::Extensions;
use super::options::ClientOptions;
use super::replies::{self, Parsed};
use super::step::{ClientStep, Transaction, TransactionResult};
use crate::Hangup;
use mail::Reason;
use std::mem;
use std::rc::Rc;
use std::time::Duration;

/// How long the reply to QUIT is worth waiting for: everything has been said by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What ends a body that ends with CRLF (RFC 5321 §4.1.1.4).
pub(super) const TERMINATOR: &[u8] = b".\r\n";

/// One conversation with a next hop, from its greeting to the close; it carries many messages.
///
/// - *In*: [`receive`](Self::receive), [`lost`](Self::lost), [`sent`](Self::sent),
///   [`body_sent`](Self::body_sent), [`body_failed`](Self::body_failed).
/// - *Commands*: [`begin`](Self::begin), [`quit`](Self::quit).
/// - *Out*: [`step`](Self::step), [`take_output`](Self::take_output).
///
/// Bytes may be given at any time: after a failed send, read what the peer had to say and pass it
/// on before calling [`lost`](Self::lost), since its reply tells more than the failure does.
pub struct ClientSession {
    pub(super) options: Rc<ClientOptions>,
    pub(super) extensions: Extensions,
    pub(super) state: State,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Transactions in which the peer has taken a message.
    pub(super) messages: u32,
}

/// Where a session is.
pub(super) enum State {
    /// The greeting is awaited.
    Greeting,
    /// The reply to EHLO (LHLO), or to HELO, is awaited.
    Hello { extended: bool },
    /// Between transactions.
    Ready {
        /// The last one was left open on the other side.
        reset: bool,
    },
    /// MAIL, RCPT, DATA.
    Envelope(Exchange),
    /// The corridor sends the body.
    Body(Exchange),
    /// The terminator is out, or in the output.
    EndOfData {
        exchange: Exchange,
        /// The peer began its reply before the terminator: it cannot mean yes.
        early: bool,
    },
    /// A result is to be told.
    Finished { result: TransactionResult, then: Box<State> },
    /// The reply to QUIT is awaited.
    Quitting,
    /// Nothing more will happen.
    Closed(Option<Reason>),
}

impl ClientSession {
    /// A session on a connection that has just been made; it waits for the greeting first.
    pub fn new(options: Rc<ClientOptions>) -> Self {
        Self {
            options,
            extensions: Extensions::default(),
            state: State::Greeting,
            input: Vec::new(),
            output: Vec::new(),
            messages: 0,
        }
    }

    /// What to do next. [`ClientStep::Finished`] is said once for each transaction.
    pub fn step(&mut self) -> ClientStep {
        self.read_replies();
        if let State::Finished { .. } = self.state {
            let State::Finished { result, then } = self.take_state() else {
                unreachable!("just seen")
            };
            self.state = *then;
            return ClientStep::Finished(result);
        }
        if let State::Closed(reason) = &mut self.state {
            return ClientStep::Close(reason.take());
        }
        if !self.output.is_empty() {
            return ClientStep::Transmit;
        }
        let options = &self.options;
        let within = match &self.state {
            State::Ready { .. } => {
                self.input = Vec::new();
                return ClientStep::Ready;
            }
            State::Body(_) => return ClientStep::SendBody,
            State::Greeting => options.greeting_timeout,
            State::Hello { .. } => options.command_timeout,
            State::Envelope(exchange) => match exchange.awaited() {
                Command::Data => options.data_go_timeout,
                Command::Reset | Command::Mail | Command::Recipient(_) => options.command_timeout,
            },
            State::EndOfData { .. } => options.end_of_data_timeout,
            State::Quitting => options.command_timeout.min(QUIT_TIMEOUT),
            State::Finished { .. } | State::Closed(_) => unreachable!("returned above"),
        };
        ClientStep::Receive { within }
    }

    /// The bytes to send at [`ClientStep::Transmit`].
    pub fn take_output(&mut self) -> Vec<u8> {
        mem::take(&mut self.output)
    }

    /// The output has gone; its buffer comes back for the next commands.
    pub fn sent(&mut self, mut buffer: Vec<u8>) {
        if self.output.capacity() == 0 {
            buffer.clear();
            self.output = buffer;
        }
    }

    /// Bytes have come.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// What EHLO offered; nothing before [`ClientStep::Ready`].
    pub fn extensions(&self) -> &Extensions {
        &self.extensions
    }

    /// Begins a transaction; only at [`ClientStep::Ready`], else it panics.
    pub fn begin(&mut self, transaction: Transaction) {
        assert!(!transaction.recipients.is_empty(), "a transaction has recipients");
        let State::Ready { reset } = self.state else { panic!("begin() is for Ready") };
        let mut exchange = Exchange::new(transaction, reset);
        let pipelining = self.pipelines();
        exchange.write_group(&mut self.output, &self.extensions, pipelining);
        self.state = State::Envelope(exchange);
    }

    /// The whole body has been sent, in wire form, ending with CRLF, without the terminator.
    pub fn body_sent(&mut self) {
        self.end_body(TERMINATOR);
    }

    /// As [`body_sent`](Self::body_sent), and [`terminator`](Self::terminator) went with it.
    pub fn body_sent_with_terminator(&mut self) {
        self.end_body(b"");
    }

    /// What ends a body, to be sent in one write with it.
    pub fn terminator(&self) -> &'static [u8] {
        TERMINATOR
    }

    /// Our copy of the body does not verify: it is never ended, and the session closes.
    pub fn body_failed(&mut self) {
        let reason = Reason::Local("our copy of the message is damaged".into());
        match self.take_state() {
            State::Body(exchange) => self.end_exchange(exchange, &reason, false),
            state => self.state = state,
        }
    }

    /// Says goodbye; only at [`ClientStep::Ready`], else it panics.
    pub fn quit(&mut self) {
        assert!(matches!(self.state, State::Ready { .. }), "quit() is for Ready");
        self.output.extend_from_slice(b"QUIT\r\n");
        self.state = State::Quitting;
    }

    /// The wire has no more, or a send failed.
    pub fn lost(&mut self, hangup: Hangup) {
        // What came before the loss counts.
        self.read_replies();
        // A terminator that never left cannot have been obeyed.
        let ended = self.output.is_empty();
        self.output.clear();
        let why = |what: &str| Reason::Network(format!("{} {what}", hangup.as_str()));
        match self.take_state() {
            State::Greeting => self.close(Some(why("while waiting for the greeting"))),
            State::Hello { extended } => {
                let verb = self.hello_verb(extended);
                self.close(Some(why(&format!("while waiting for the reply to {verb}"))));
            }
            State::Ready { .. } | State::Quitting => self.close(None),
            State::Envelope(exchange) => {
                let reason = why(&format!("while waiting for the reply to {}", name(&exchange)));
                self.end_exchange(exchange, &reason, false);
            }
            State::Body(exchange) => {
                self.end_exchange(exchange, &why("while sending the message"), false);
            }
            State::EndOfData { exchange, .. } => {
                let reason = why("while waiting for the reply to the end of data");
                self.end_exchange(exchange, &reason, ended);
            }
            State::Finished { result, .. } => {
                let then = Box::new(State::Closed(None));
                self.state = State::Finished { result, then };
            }
            State::Closed(reason) => self.close(reason),
        }
    }

    fn end_body(&mut self, terminator: &[u8]) {
        match self.take_state() {
            State::Body(exchange) => {
                self.output.extend_from_slice(terminator);
                let early = !self.input.is_empty();
                self.state = State::EndOfData { exchange, early };
            }
            // The peer has refused it meanwhile.
            state @ (State::Finished { .. } | State::Closed(_)) => self.state = state,
            _ => panic!("body_sent() is for SendBody"),
        }
    }

    /// Reads as many replies as have come, and obeys them.
    fn read_replies(&mut self) {
        while !self.input.is_empty() {
            match &mut self.state {
                State::Finished { then, .. } => {
                    // Nobody asked for more: the peer and we have lost step.
                    **then = State::Closed(None);
                    return;
                }
                State::Ready { .. } => return self.close(None),
                State::Closed(_) => return,
                State::Greeting
                | State::Hello { .. }
                | State::Envelope(_)
                | State::Body(_)
                | State::EndOfData { .. }
                | State::Quitting => {}
            }
            match replies::parse(&self.input) {
                Parsed::Partial => return,
                Parsed::Garbage => return self.out_of_step("sent what is no reply"),
                Parsed::Reply(reply, consumed) => {
                    self.input.drain(..consumed);
                    self.replied(&reply);
                }
            }
        }
    }

    /// The state, to make the next one of; it is put back before anything else happens.
    pub(super) fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Closed(None))
    }
}
