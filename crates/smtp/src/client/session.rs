//! The session: replies and a body in, commands and outcomes out.

use super::exchange::{Command, Exchange, Next};
use super::extensions::Extensions;
use super::options::ClientOptions;
use super::replies::{self, Parsed};
use crate::Hangup;
use mail::{BodyKind, ForwardPath, Outcome, Reason, Reply, ReversePath};
use std::mem;
use std::rc::Rc;
use std::time::Duration;

/// How long the reply to QUIT is worth waiting for: everything has been said by then.
const QUIT_TIMEOUT: Duration = Duration::from_secs(10);

/// What ends a body that ends with CRLF (RFC 5321 §4.1.1.4).
const TERMINATOR: &[u8] = b".\r\n";

/// What a [`ClientSession`] wants next.
#[derive(Debug, PartialEq, Eq)]
pub enum ClientStep {
    /// Send what [`ClientSession::take_output`] gives, then call [`ClientSession::sent`].
    Transmit,
    /// Wait for bytes, then call [`ClientSession::receive`], or [`ClientSession::lost`].
    Receive {
        /// How long to wait.
        within: Duration,
    },
    /// Call [`ClientSession::begin`] or [`ClientSession::quit`].
    Ready,
    /// Send the body, then call [`ClientSession::body_sent`] or one of its siblings.
    SendBody,
    /// A transaction is over.
    Finished(TransactionResult),
    /// Close. A reason is given when the session could not even begin: greeting or EHLO refused,
    /// or the network.
    Close(Option<Reason>),
}

/// A message to hand over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The path of MAIL.
    pub reverse_path: ReversePath,
    /// The paths of RCPT; at least one.
    pub recipients: Vec<ForwardPath>,
    /// Whether the content may have 8-bit bytes.
    pub body: BodyKind,
    /// The size of the message in bytes, for SIZE=.
    pub bytes: u64,
}

/// What became of a transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionResult {
    /// By recipient, in the order of the transaction. `not_before` is `UnixTime(0)`.
    pub outcomes: Vec<Outcome>,
    /// The end of data was sent, but no final reply came: the message may have arrived.
    pub uncertain: bool,
    /// The peer said 421 after it had taken messages: it wants fewer in a session, nothing failed.
    pub session_limit: bool,
}

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
    options: Rc<ClientOptions>,
    extensions: Extensions,
    state: State,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Transactions in which the peer has taken a message.
    messages: u32,
}

/// Where a session is.
enum State {
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
            match &self.state {
                State::Finished { then, .. } => {
                    // Nobody asked for more: the peer and we have lost step.
                    if matches!(**then, State::Ready { .. }) {
                        self.close_after_result();
                    }
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

    fn close_after_result(&mut self) {
        if let State::Finished { then, .. } = &mut self.state {
            **then = State::Closed(None);
        }
    }

    /// Obeys one reply.
    fn replied(&mut self, reply: &Reply) {
        match self.take_state() {
            State::Greeting => self.greeted(reply),
            State::Hello { extended } => self.hello_answered(extended, reply),
            State::Envelope(exchange) => self.envelope_answered(exchange, reply),
            State::Body(exchange) => self.answered_early(exchange, reply),
            State::EndOfData { exchange, early } => self.end_answered(exchange, early, reply),
            State::Quitting => self.close(None),
            State::Ready { .. } | State::Finished { .. } | State::Closed(_) => {
                unreachable!("no reply is read there")
            }
        }
    }

    /// RFC 5321 §3.1: 220, or the session is not for us.
    fn greeted(&mut self, reply: &Reply) {
        if reply.code == 220 {
            self.say_hello(true);
        } else {
            self.refuse_to_begin(reply);
        }
    }

    /// RFC 5321 §3.2: who does not know EHLO may know HELO. LMTP has no such way back.
    fn hello_answered(&mut self, extended: bool, reply: &Reply) {
        if reply.is_positive() {
            if extended {
                self.extensions = Extensions::parse(&reply.text);
            }
            self.state = State::Ready { reset: false };
        } else if extended && reply.is_permanent() && reply.code != 521 && !self.options.lmtp {
            self.say_hello(false);
        } else {
            self.refuse_to_begin(reply);
        }
    }

    fn say_hello(&mut self, extended: bool) {
        let verb = self.hello_verb(extended);
        self.output.extend_from_slice(format!("{verb} {}\r\n", self.options.hello).as_bytes());
        self.state = State::Hello { extended };
    }

    fn hello_verb(&self, extended: bool) -> &'static str {
        match (self.options.lmtp, extended) {
            (true, _) => "LHLO",
            (false, true) => "EHLO",
            (false, false) => "HELO",
        }
    }

    fn refuse_to_begin(&mut self, reply: &Reply) {
        let reason = if reply.is_transient() || reply.is_permanent() {
            Reason::Peer(reply.clone())
        } else {
            Reason::Network(format!("peer is out of step: {reply}"))
        };
        self.close(Some(reason));
    }

    fn envelope_answered(&mut self, mut exchange: Exchange, reply: &Reply) {
        if reply.code == 421 {
            return self.peer_closes(exchange, reply);
        }
        if exchange.is_caught_up() {
            return self.refute(exchange, "replied to nothing", false);
        }
        let awaited = name(&exchange);
        match exchange.answered(reply) {
            Next::Go => self.go_on(exchange),
            Next::Body => self.state = State::Body(exchange),
            // LMTP has no reply to an end of data that concerns nobody (RFC 2033 §4.2).
            Next::EmptyBody if self.options.lmtp => {
                self.refute(exchange, "said 354 for nobody", false);
            }
            Next::EmptyBody => {
                self.output.extend_from_slice(TERMINATOR);
                self.state = State::EndOfData { exchange, early: false };
            }
            Next::Finished => {
                let reset = exchange.is_open();
                self.finish(exchange, State::Ready { reset });
            }
            Next::OutOfStep => {
                let what = format!("replied to {awaited} with {reply}");
                self.refute(exchange, &what, false);
            }
        }
    }

    /// Writes the next commands, once the last ones are answered.
    fn go_on(&mut self, mut exchange: Exchange) {
        // A reply that is here before its command is read as such by the next turn.
        if exchange.is_caught_up() && self.input.is_empty() {
            let pipelining = self.pipelines();
            exchange.write_group(&mut self.output, &self.extensions, pipelining);
        }
        self.state = State::Envelope(exchange);
    }

    /// A reply while the body is being sent: a refusal is final, since we cannot end the body
    /// without giving it; anything else was not asked for.
    fn answered_early(&mut self, mut exchange: Exchange, reply: &Reply) {
        if reply.is_positive() || reply.code < 400 {
            return self.refute(exchange, "replied before the end of data", false);
        }
        exchange.decide_rest(reply);
        self.finish(exchange, State::Closed(None));
    }

    fn end_answered(&mut self, mut exchange: Exchange, early: bool, reply: &Reply) {
        let refused = reply.is_transient() || reply.is_permanent();
        if !refused && (early || !reply.is_positive()) {
            return self.refute(exchange, &format!("ended the message with {reply}"), true);
        }
        if reply.is_positive() && !exchange.is_decided() {
            self.messages = self.messages.saturating_add(1);
        }
        if self.options.lmtp {
            exchange.decide_next(reply);
        } else {
            exchange.decide_rest(reply);
        }
        if reply.code == 421 {
            self.end_exchange(exchange, &Reason::Peer(reply.clone()), true);
        } else if !exchange.is_decided() {
            self.state = State::EndOfData { exchange, early: false };
        } else if early {
            self.finish(exchange, State::Closed(None));
        } else {
            self.finish(exchange, State::Ready { reset: false });
        }
    }

    /// RFC 5321 §3.8: 421 may answer any command; the peer closes behind it.
    fn peer_closes(&mut self, exchange: Exchange, reply: &Reply) {
        let mut result = exchange.into_result(&Reason::Peer(reply.clone()), false);
        result.session_limit = self.messages > 0;
        self.output.clear();
        self.state = State::Finished { result, then: Box::new(State::Closed(None)) };
    }

    /// Garbage, in whatever state.
    fn out_of_step(&mut self, what: &str) {
        match self.take_state() {
            State::Envelope(exchange) | State::Body(exchange) => {
                self.refute(exchange, what, false);
            }
            State::EndOfData { exchange, .. } => self.refute(exchange, what, true),
            State::Greeting | State::Hello { .. } => {
                self.close(Some(Reason::Network(format!("peer {what}"))));
            }
            State::Ready { .. } | State::Quitting => self.close(None),
            state @ (State::Finished { .. } | State::Closed(_)) => self.state = state,
        }
    }

    /// The peer is out of step: nothing it says can be matched to what we said.
    fn refute(&mut self, exchange: Exchange, what: &str, uncertain: bool) {
        self.end_exchange(exchange, &Reason::Network(format!("peer {what}")), uncertain);
    }

    /// Ends a transaction and the session; who is open is deferred.
    fn end_exchange(&mut self, exchange: Exchange, reason: &Reason, uncertain: bool) {
        self.output.clear();
        let result = exchange.into_result(reason, uncertain);
        self.state = State::Finished { result, then: Box::new(State::Closed(None)) };
    }

    /// Ends a transaction in which every recipient has an outcome.
    fn finish(&mut self, exchange: Exchange, then: State) {
        assert!(exchange.is_decided(), "a recipient has no outcome");
        let result = exchange.into_result(&Reason::Local(String::new()), false);
        self.state = State::Finished { result, then: Box::new(then) };
    }

    fn close(&mut self, reason: Option<Reason>) {
        self.output.clear();
        self.state = State::Closed(reason);
    }

    fn pipelines(&self) -> bool {
        self.options.pipelining && self.extensions.pipelining
    }

    /// The state, to make the next one of; it is put back before anything else happens.
    fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Closed(None))
    }
}

/// The awaited command, for people.
fn name(exchange: &Exchange) -> &'static str {
    match exchange.awaited() {
        Command::Reset => "RSET",
        Command::Mail => "MAIL",
        Command::Recipient(_) => "RCPT",
        Command::Data => "DATA",
    }
}
