//! What follows from verdicts, from the end of a body, and from commits.

use super::course::Next;
use super::reception::{Over, Reception};
use super::session::ServerSession;
use super::state::{Hello, Pending, State};
use super::step::{Accepted, CommitRefusal};
use crate::command;
use crate::{Verb, reply};
use mail::{Envelope, MessageId, Origin, Protocol, Reply, UnixTime, Verdict};

impl ServerSession {
    /// The verdict after [`Step::Decide`](crate::Step::Decide). Panics when none was asked for, or
    /// when it is no verdict about that question.
    pub fn answer(&mut self, verdict: Verdict) {
        match self.take_state() {
            State::Deciding(pending) => match verdict {
                Verdict::Accept { rule } => self.accept(pending, rule),
                Verdict::Refuse { reply, rule: _ } => self.turn_down(pending, &reply),
                Verdict::Answer { reply } => self.disclose_to(pending, &reply),
            },
            // The session was lost meanwhile.
            State::Parting => {}
            _ => panic!("answer() without a question"),
        }
    }

    fn accept(&mut self, pending: Pending, rule: Box<str>) {
        match pending {
            Pending::Connect { hello: None }
                if !self.is_trusted() && !self.options.early_talker.is_zero() =>
            {
                self.state = State::Listening;
            }
            Pending::Connect { hello } => self.greet(hello),
            Pending::Hello { hello, before } => {
                self.worthless |= before.has_draft();
                self.welcome(hello);
            }
            Pending::Sender { hello, mut transaction, size: _ } => {
                transaction.rule = rule;
                self.state = State::Mail(hello, transaction);
                self.say(Verb::Mail, &reply::SENDER_OK);
            }
            Pending::Recipient { hello, mut transaction, forward_path, request } => {
                if transaction.recipients.is_empty() {
                    transaction.rule = rule;
                }
                transaction.add(forward_path, request);
                self.state = State::Mail(hello, transaction);
                self.say(Verb::Rcpt, &reply::RECIPIENT_OK);
            }
            Pending::Disclosure { verb, text: _, before } => {
                self.state = *before;
                self.say(verb, &reply::NONCOMMITTAL);
            }
        }
    }

    /// Says the greeting, unless somebody has spoken before it (RFC 5321 §4.3.1).
    pub(super) fn greet(&mut self, hello: Option<Hello>) {
        let spoken = self.taken < self.input.len();
        if spoken && self.talked_out_of_turn() {
            return;
        }
        self.offered = match &hello {
            Some(hello) => self.offer(hello.protocol),
            None => super::ExtensionSet::EMPTY,
        };
        self.state = hello.map_or(State::Greeted, State::Ready);
        let greeting = reply::greeting(&self.options.hostname, &self.options.banner);
        self.say(Verb::Connect, &greeting);
    }

    /// Replies to HELO and EHLO.
    fn welcome(&mut self, hello: Hello) {
        let hostname = &self.options.hostname;
        let (verb, reply) = match hello.protocol {
            Protocol::Esmtp => {
                (Verb::Ehlo, reply::extended_hello(hostname, &self.extension_lines()))
            }
            Protocol::Smtp | Protocol::Local => (Verb::Helo, reply::hello(hostname)),
        };
        self.offered = self.offer(hello.protocol);
        self.state = State::Ready(hello);
        self.say(verb, &reply);
    }

    fn turn_down(&mut self, pending: Pending, reply: &Reply) {
        assert!(reply.is_transient() || reply.is_permanent(), "no refusal: {reply}");
        match pending {
            Pending::Connect { hello: _ } => {
                self.state = State::Rejected;
                self.say(Verb::Connect, reply);
            }
            Pending::Hello { hello, before } => {
                self.state = *before;
                let verb = match hello.protocol {
                    Protocol::Esmtp => Verb::Ehlo,
                    Protocol::Smtp | Protocol::Local => Verb::Helo,
                };
                self.refuse(verb, reply);
            }
            Pending::Sender { hello, .. } => {
                self.state = State::Ready(hello);
                self.refuse(Verb::Mail, reply);
            }
            Pending::Recipient { hello, transaction, .. } => {
                self.state = State::Mail(hello, transaction);
                self.refuse(Verb::Rcpt, reply);
            }
            Pending::Disclosure { verb, text: _, before } => {
                self.state = *before;
                self.refuse(verb, reply);
            }
        }
        self.part_if_final(reply);
    }

    fn disclose_to(&mut self, pending: Pending, reply: &Reply) {
        assert!(reply.is_positive(), "no answer: {reply}");
        let Pending::Disclosure { verb, text: _, before } = pending else {
            panic!("an answer where a verdict was asked for: {reply}")
        };
        self.state = *before;
        self.say(verb, reply);
    }

    /// RFC 5321 §3.8, RFC 7504 §3: these end the session.
    fn part_if_final(&mut self, reply: &Reply) {
        if matches!(reply.code, 421 | 521) {
            self.part();
        }
    }

    /// A body is over, or a chunk of it: refuses it, waits for the next chunk, or hands the message
    /// to the corridor.
    pub(super) fn end_of_body(&mut self) -> Option<Next> {
        let State::Receiving(hello, reception) = self.take_state() else {
            unreachable!("only a body ends")
        };
        let over = reception.what_is_over();
        if let Some((reply, goes_on)) = reception.refusal(&self.options) {
            self.notes.bare_newlines_refused += u32::from(reception.is_stray());
            let verb = match over {
                Over::Message => {
                    self.state = State::Ready(hello);
                    Verb::EndOfData
                }
                Over::Chunk(_) => {
                    self.state = State::Failed(hello);
                    Verb::Bdat
                }
            };
            self.refuse(verb, &reply);
            if !goes_on {
                self.part();
            }
            return None;
        }
        match over {
            Over::Chunk(bytes) => {
                self.state = State::Chunking(hello, reception);
                self.say(Verb::Bdat, &reply::chunk_taken(bytes));
                None
            }
            Over::Message => {
                let accepted = self.accepted(&hello, *reception);
                self.state = State::Committing(hello);
                Some(Next::Commit(accepted))
            }
        }
    }

    fn accepted(&mut self, hello: &Hello, reception: Reception) -> Accepted {
        let (bytes, stuffed_lines) = reception.count_of_wire();
        let bare_newlines = reception.mended();
        self.notes.bare_newlines += bare_newlines;
        let header = reception.header();
        let transaction = reception.transaction;
        let request = command::status_request(
            transaction.returned,
            transaction.envelope_id,
            transaction.requests,
            transaction.recipients.len(),
        );
        let envelope = Envelope {
            reverse_path: transaction.reverse_path,
            recipients: transaction.recipients,
            body: transaction.body,
            utf8: transaction.utf8,
            request,
            origin: Origin {
                client: self.peer.client,
                hello: hello.name.clone(),
                listener: self.peer.listener.as_ref().into(),
                rule: transaction.rule,
                user: self.user.clone(),
                protocol: hello.protocol,
                secured: self.peer.tls.is_some(),
                trusted: self.is_trusted(),
                arrived: UnixTime(0),
            },
        };
        Accepted { envelope, bytes, stuffed_lines, header, bare_newlines }
    }

    /// What became of the draft after [`Step::Commit`](crate::Step::Commit). Panics without one.
    pub fn committed(&mut self, result: Result<MessageId, CommitRefusal>) {
        let hello = match self.take_state() {
            State::Committing(hello) => hello,
            // The session was lost meanwhile; what was committed stays so.
            State::Parting => return,
            _ => panic!("committed() without a commit"),
        };
        self.state = State::Ready(hello);
        match result {
            Ok(id) => {
                self.errors = 0;
                self.say(Verb::EndOfData, &reply::queued(id));
            }
            Err(CommitRefusal::Full) => self.say(Verb::EndOfData, &reply::NO_ROOM),
            Err(CommitRefusal::Failed) => self.say(Verb::EndOfData, &reply::NOT_WRITTEN),
            Err(CommitRefusal::Refused(reply)) => {
                assert!(reply.is_transient() || reply.is_permanent(), "no refusal: {reply}");
                self.refuse(Verb::EndOfData, &reply);
                self.part_if_final(&reply);
            }
        }
    }
}
