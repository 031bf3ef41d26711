//! The session: replies and a body in, commands and outcomes out.

use super::answers::name;
use super::exchange::{Command, Exchange};
use super::extensions::Extensions;
use super::options::ClientOptions;
use super::replies::{self, Parsed};
use super::step::{ClientStep, Transaction, TransactionResult};
use crate::Hangup;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::{Outcome, Reason};
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
///   [`secured`](Self::secured), [`body_sent`](Self::body_sent),
///   [`body_failed`](Self::body_failed).
/// - *Commands*: [`authenticate`](Self::authenticate), [`respond`](Self::respond),
///   [`give_up`](Self::give_up), [`begin`](Self::begin), [`quit`](Self::quit).
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
    /// STARTTLS has been through.
    pub(super) secured: bool,
    /// AUTH has been through.
    pub(super) authenticated: bool,
}

/// Where a session is.
pub(super) enum State {
    /// The greeting is awaited.
    Greeting,
    /// The reply to EHLO (LHLO), or to HELO, is awaited.
    Hello { extended: bool },
    /// The reply to STARTTLS is awaited.
    StartTls,
    /// The corridor shakes hands.
    Securing,
    /// The corridor chooses a mechanism.
    Choosing,
    /// A reply within the SASL exchange is awaited.
    Authenticating,
    /// The corridor answers a challenge.
    Challenged(Vec<u8>),
    /// Between transactions.
    Ready {
        /// The last one was left open on the other side.
        reset: bool,
    },
    /// MAIL, RCPT, DATA.
    Envelope(Exchange),
    /// The corridor sends the body.
    Body(Exchange),
    /// BDAT is out, or in the output; the corridor sends the octets, or has sent them.
    Chunk { exchange: Exchange, sent: bool },
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
            secured: false,
            authenticated: false,
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
            State::Body(_) | State::Chunk { sent: false, .. } => return ClientStep::SendBody,
            State::Securing => return ClientStep::Secure,
            State::Choosing => {
                return ClientStep::Authenticate(self.extensions.auth.unwrap_or_default());
            }
            State::Challenged(challenge) => return ClientStep::Respond(challenge.clone()),
            State::Greeting => options.greeting_timeout,
            State::Hello { .. } | State::StartTls | State::Authenticating => {
                options.command_timeout
            }
            State::Envelope(exchange) | State::Chunk { exchange, sent: true } => {
                match exchange.awaited() {
                    Command::Data => options.data_go_timeout,
                    Command::Chunk => options.end_of_data_timeout,
                    Command::Reset | Command::Mail | Command::Recipient(_) => {
                        options.command_timeout
                    }
                }
            }
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

    /// Whether the session is encrypted by STARTTLS.
    pub fn is_secured(&self) -> bool {
        self.secured
    }

    /// Hands have been shaken: everything that was said before is forgotten (RFC 3207 §4.2).
    /// Panics when [`ClientStep::Secure`] was not said.
    pub fn secured(&mut self) {
        assert!(matches!(self.state, State::Securing), "secured() is for Secure");
        self.secured = true;
        self.extensions = Extensions::default();
        self.input.clear();
        self.say_hello(true);
    }

    /// Begins a SASL exchange; only at [`ClientStep::Authenticate`], else it panics.
    pub fn authenticate(&mut self, mechanism: &str, initial: Option<&[u8]>) {
        assert!(matches!(self.state, State::Choosing), "authenticate() is for Authenticate");
        // RFC 4954 §4: an initial response that is empty is written as an equals sign.
        let initial = initial.map(|initial| match initial {
            [] => " =".to_owned(),
            some => format!(" {}", STANDARD.encode(some)),
        });
        let line = format!("AUTH {mechanism}{}\r\n", initial.unwrap_or_default());
        self.output.extend_from_slice(line.as_bytes());
        self.state = State::Authenticating;
    }

    /// Answers a challenge; only at [`ClientStep::Respond`], else it panics.
    pub fn respond(&mut self, response: &[u8]) {
        assert!(matches!(self.state, State::Challenged(_)), "respond() is for Respond");
        self.output.extend_from_slice(STANDARD.encode(response).as_bytes());
        self.output.extend_from_slice(b"\r\n");
        self.state = State::Authenticating;
    }

    /// The session cannot begin for a reason of ours: no mechanism will do, a challenge is wrong,
    /// hands cannot be shaken.
    pub fn give_up(&mut self, reason: Reason) {
        self.close(Some(reason));
    }

    /// Begins a transaction; only at [`ClientStep::Ready`], else it panics. One that the peer could
    /// only refuse is over at once.
    pub fn begin(&mut self, transaction: Transaction) {
        assert!(!transaction.recipients.is_empty(), "a transaction has recipients");
        let State::Ready { reset } = self.state else { panic!("begin() is for Ready") };
        if let Some(reason) = self.hopeless(&transaction) {
            let bounced = |_| Outcome::Bounced { reason: reason.clone() };
            let result = TransactionResult {
                outcomes: transaction.recipients.iter().map(bounced).collect(),
                uncertain: false,
                session_limit: false,
                request_passed_on: false,
            };
            let then = Box::new(State::Ready { reset });
            self.state = State::Finished { result, then };
            return;
        }
        let chunked = self.chunks() && transaction.plain;
        let exchange = Exchange::new(transaction, reset, chunked);
        self.write_next(exchange);
    }

    /// The whole body has been sent, in wire form, ending with CRLF, without the terminator.
    pub fn body_sent(&mut self) {
        self.end_body(self.terminator());
    }

    /// As [`body_sent`](Self::body_sent), and [`terminator`](Self::terminator) went with it.
    pub fn body_sent_with_terminator(&mut self) {
        self.end_body(b"");
    }

    /// What ends a body, to be sent in one write with it: nothing, where the peer was told its
    /// length before.
    pub fn terminator(&self) -> &'static [u8] {
        if matches!(self.state, State::Chunk { .. }) { b"" } else { TERMINATOR }
    }

    /// Our copy of the body does not verify: it is never ended, and the session closes.
    pub fn body_failed(&mut self) {
        let reason = Reason::Local("our copy of the message is damaged".into());
        match self.take_state() {
            State::Body(exchange) | State::Chunk { exchange, .. } => {
                self.end_exchange(exchange, &reason, false);
            }
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
            State::StartTls => self.close(Some(why("while waiting for the reply to STARTTLS"))),
            State::Securing => self.close(Some(why("during the TLS handshake"))),
            State::Choosing | State::Authenticating | State::Challenged(_) => {
                self.close(Some(why("while waiting for the reply to AUTH")));
            }
            State::Ready { .. } | State::Quitting => self.close(None),
            State::Envelope(exchange) => {
                let reason = why(&format!("while waiting for the reply to {}", name(&exchange)));
                self.end_exchange(exchange, &reason, false);
            }
            State::Body(exchange) => {
                self.end_exchange(exchange, &why("while sending the message"), false);
            }
            State::Chunk { exchange, sent: false } => {
                self.end_exchange(exchange, &why("while sending the message"), false);
            }
            State::Chunk { exchange, sent: true } => {
                let reason = why(&format!("while waiting for the reply to {}", name(&exchange)));
                self.end_exchange(exchange, &reason, ended);
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
            State::Chunk { exchange, .. } => self.state = State::Chunk { exchange, sent: true },
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
                // What comes in the clear between STARTTLS and the handshake, or before it is our
                // turn to authenticate, was put there by somebody else (RFC 3207 §6).
                State::Securing | State::Choosing | State::Challenged(_) => {
                    return self.out_of_step("spoke out of turn");
                }
                State::Greeting
                | State::Hello { .. }
                | State::StartTls
                | State::Authenticating
                | State::Envelope(_)
                | State::Body(_)
                | State::Chunk { .. }
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
