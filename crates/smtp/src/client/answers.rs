//! What follows from each reply.

use super::exchange::{Command, Exchange, Next};
use super::extensions::Extensions;
use super::options::Encryption;
use super::session::{ClientSession, State, TERMINATOR};
use super::step::Transaction;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use mail::{BodyKind, EnhancedStatus, Reason, Reply};

/// RFC 5248: encryption needed (X.7.10).
const ENCRYPTION_NEEDED: EnhancedStatus = EnhancedStatus(4, 7, 10);

/// RFC 3463: another security matter.
const AUTH_NEEDED: EnhancedStatus = EnhancedStatus(4, 7, 0);

impl ClientSession {
    /// Obeys one reply.
    pub(super) fn replied(&mut self, reply: &Reply) {
        match self.take_state() {
            State::Greeting => self.greeted(reply),
            State::Hello { extended } => self.hello_answered(extended, reply),
            State::Envelope(exchange) => self.envelope_answered(exchange, reply),
            State::StartTls => self.start_tls_answered(reply),
            State::Authenticating => self.auth_answered(reply),
            State::Body(exchange) => self.answered_early(exchange, reply),
            State::Chunk { exchange, sent } => self.chunk_answered(exchange, sent, reply),
            State::EndOfData { exchange, early } => self.end_answered(exchange, early, reply),
            State::Quitting => self.close(None),
            State::Securing
            | State::Choosing
            | State::Challenged(_)
            | State::Ready { .. }
            | State::Finished { .. }
            | State::Closed(_) => unreachable!("no reply is read there"),
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
                self.extensions = Extensions::parse(&reply.text).within(&self.options);
            }
            self.introduced();
        } else if extended && reply.is_permanent() && reply.code != 521 && !self.options.lmtp {
            self.say_hello(false);
        } else {
            self.refuse_to_begin(reply);
        }
    }

    /// What comes between EHLO and the first message.
    fn introduced(&mut self) {
        let wanted = !self.secured && self.options.encryption != Encryption::Never;
        if wanted && self.extensions.starttls {
            self.output.extend_from_slice(b"STARTTLS\r\n");
            self.state = State::StartTls;
        } else if wanted && self.options.encryption == Encryption::Required {
            let text = "the next hop does not offer STARTTLS, which is required".to_owned();
            self.close(Some(Reason::Policy(ENCRYPTION_NEEDED, text)));
        } else {
            self.settle_identity();
        }
    }

    fn settle_identity(&mut self) {
        self.state = if !self.options.authenticate || self.authenticated {
            State::Ready { reset: false }
        } else if self.extensions.auth.is_some() {
            State::Choosing
        } else {
            let text = "the next hop does not offer AUTH, which the route wants".to_owned();
            State::Closed(Some(Reason::Policy(AUTH_NEEDED, text)))
        };
    }

    /// RFC 3207 §4: 220, or it is not to be had now.
    fn start_tls_answered(&mut self, reply: &Reply) {
        if reply.code == 220 {
            self.state = State::Securing;
        } else if reply.code == 421 || self.options.encryption == Encryption::Required {
            self.refuse_to_begin(reply);
        } else if reply.is_transient() || reply.is_permanent() {
            self.settle_identity();
        } else {
            self.refuse_to_begin(reply);
        }
    }

    /// RFC 4954 §4: 334 with a challenge, 235, or a refusal.
    fn auth_answered(&mut self, reply: &Reply) {
        match reply.code {
            235 => {
                self.authenticated = true;
                self.state = State::Ready { reset: false };
            }
            334 => match STANDARD.decode(reply.text.trim()) {
                Ok(challenge) => self.state = State::Challenged(challenge),
                Err(_) => {
                    self.close(Some(Reason::Network("peer's challenge is not base64".into())));
                }
            },
            _ => self.refuse_to_begin(reply),
        }
    }

    pub(super) fn say_hello(&mut self, extended: bool) {
        let verb = self.hello_verb(extended);
        self.output.extend_from_slice(format!("{verb} {}\r\n", self.options.hello).as_bytes());
        self.state = State::Hello { extended };
    }

    pub(super) fn hello_verb(&self, extended: bool) -> &'static str {
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
    fn go_on(&mut self, exchange: Exchange) {
        // A reply that is here before its command is read as such by the next turn.
        if exchange.is_caught_up() && self.input.is_empty() {
            self.write_next(exchange);
        } else {
            self.state = State::Envelope(exchange);
        }
    }

    /// Writes the next group; when that ends with BDAT, its octets come next.
    pub(super) fn write_next(&mut self, mut exchange: Exchange) {
        let pipelining = self.pipelines();
        exchange.write_group(&mut self.output, &self.extensions, pipelining);
        self.state = if exchange.owes_chunk() {
            State::Chunk { exchange, sent: false }
        } else {
            State::Envelope(exchange)
        };
    }

    /// A reply to one of the commands that went out with a chunk, or to the chunk.
    fn chunk_answered(&mut self, mut exchange: Exchange, sent: bool, reply: &Reply) {
        if reply.code == 421 {
            return self.peer_closes(exchange, reply);
        }
        let awaited = name(&exchange);
        let last = exchange.awaited() == Command::Chunk;
        if last && !sent {
            return self.answered_early(exchange, reply);
        }
        match exchange.answered(reply) {
            Next::Go => self.state = State::Chunk { exchange, sent },
            Next::Finished => {
                let taken = reply.is_positive();
                self.messages = self.messages.saturating_add(u32::from(taken));
                // RFC 3030 §2: after a chunk that failed the server is of no use before RSET.
                self.finish(exchange, State::Ready { reset: !taken });
            }
            Next::Body | Next::EmptyBody | Next::OutOfStep => {
                let what = format!("replied to {awaited} with {reply}");
                self.refute(exchange, &what, last);
            }
        }
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
    pub(super) fn out_of_step(&mut self, what: &str) {
        match self.take_state() {
            State::Envelope(exchange) | State::Body(exchange) => {
                self.refute(exchange, what, false);
            }
            State::EndOfData { exchange, .. } => self.refute(exchange, what, true),
            State::Chunk { exchange, sent } => self.refute(exchange, what, sent),
            State::Greeting
            | State::Hello { .. }
            | State::StartTls
            | State::Securing
            | State::Choosing
            | State::Authenticating
            | State::Challenged(_) => {
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
    pub(super) fn end_exchange(&mut self, exchange: Exchange, reason: &Reason, uncertain: bool) {
        self.output.clear();
        let result = exchange.into_result(reason, uncertain);
        self.state = State::Finished { result, then: Box::new(State::Closed(None)) };
    }

    /// Ends a transaction in which every recipient has an outcome.
    fn finish(&mut self, exchange: Exchange, then: State) {
        assert!(exchange.is_decided(), "a recipient has no outcome");
        let passed_on = self.extensions.dsn && exchange.has_request();
        let mut result = exchange.into_result(&Reason::Local(String::new()), false);
        result.request_passed_on = passed_on;
        self.state = State::Finished { result, then: Box::new(then) };
    }

    pub(super) fn close(&mut self, reason: Option<Reason>) {
        self.output.clear();
        self.state = State::Closed(reason);
    }

    pub(super) fn pipelines(&self) -> bool {
        self.extensions.pipelining
    }

    pub(super) fn chunks(&self) -> bool {
        self.extensions.chunking && !self.options.lmtp
    }

    /// Why the peer could only refuse `transaction`, if so.
    pub(super) fn hopeless(&self, transaction: &Transaction) -> Option<Reason> {
        let Extensions { size, utf8, eight_bit_mime, .. } = self.extensions;
        let bytes = transaction.bytes;
        if let Some(limit) = size.filter(|limit| (1..bytes).contains(limit)) {
            let text = format!("the message has {bytes} bytes, the next hop takes {limit}");
            return Some(Reason::Policy(EnhancedStatus(5, 3, 4), text));
        }
        if transaction.utf8 && !utf8 {
            let text = "an address or the header needs SMTPUTF8, which the next hop lacks";
            return Some(Reason::Policy(EnhancedStatus(5, 6, 7), text.to_owned()));
        }
        let eight_bit = transaction.body == BodyKind::EightBitMime && !eight_bit_mime;
        if eight_bit && self.options.eight_bit_bounces {
            let text = "the message has 8-bit bytes, which the next hop does not take";
            return Some(Reason::Policy(EnhancedStatus(5, 6, 3), text.to_owned()));
        }
        None
    }
}

/// The awaited command, for people.
pub(super) fn name(exchange: &Exchange) -> &'static str {
    match exchange.awaited() {
        Command::Reset => "RSET",
        Command::Mail => "MAIL",
        Command::Recipient(_) => "RCPT",
        Command::Data => "DATA",
        Command::Chunk => "BDAT",
    }
}
