//! What follows from verdicts, from the end of a body, and from commits.

use super::session::ServerSession;
use super::state::{Hello, Pending, State, Transaction};
use super::step::{Accepted, CommitRefusal};
use crate::{Verb, reply};
use mail::{Envelope, MessageId, Origin, Protocol, Reply, UnixTime, Verdict};

impl ServerSession {
    /// The verdict after [`Step::Decide`](crate::Step::Decide). Panics when none was asked for.
    pub fn answer(&mut self, verdict: Verdict) {
        match self.take_state() {
            State::Deciding(pending) => match verdict {
                Verdict::Accept { rule } => self.accept(pending, rule),
                Verdict::Refuse { reply, rule: _ } => self.turn_down(pending, &reply),
                Verdict::Answer { reply } => panic!("no answer to this question: {reply}"),
            },
            // The session was lost meanwhile.
            State::Parting { discard } => self.part(discard),
            _ => panic!("answer() without a question"),
        }
    }

    fn accept(&mut self, pending: Pending, rule: Box<str>) {
        match pending {
            Pending::Connect => {
                let greeting = reply::greeting(&self.options.hostname, &self.options.banner);
                self.state = State::Greeted;
                self.say(Verb::Connect, &greeting);
            }
            Pending::Hello { hello, before: _ } => {
                let options = &self.options;
                let (verb, reply) = match hello.protocol {
                    Protocol::Esmtp => {
                        let reply = reply::extended_hello(&options.hostname, options.message_bytes);
                        (Verb::Ehlo, reply)
                    }
                    Protocol::Smtp | Protocol::Local => {
                        (Verb::Helo, reply::hello(&options.hostname))
                    }
                };
                self.state = State::Ready(hello);
                self.say(verb, &reply);
            }
            Pending::Sender { hello, reverse_path, size: _, body } => {
                let transaction = Transaction { reverse_path, body, recipients: Vec::new(), rule };
                self.state = State::Mail(hello, transaction);
                self.say(Verb::Mail, &reply::SENDER_OK);
            }
            Pending::Recipient { hello, mut transaction, forward_path } => {
                if transaction.recipients.is_empty() {
                    transaction.rule = rule;
                }
                transaction.recipients.push(forward_path);
                self.state = State::Mail(hello, transaction);
                self.say(Verb::Rcpt, &reply::RECIPIENT_OK);
            }
        }
    }

    fn turn_down(&mut self, pending: Pending, reply: &Reply) {
        assert!(reply.is_transient() || reply.is_permanent(), "no refusal: {reply}");
        let ends = matches!(reply.code, 421 | 521);
        match pending {
            Pending::Connect => {
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
        }
        if ends {
            self.part(false);
        }
    }

    /// A body is over: refuses it, or hands it to the corridor.
    pub(super) fn end_of_data(&mut self) -> Option<Accepted> {
        let State::Receiving(hello, reception) = self.take_state() else {
            unreachable!("only a body ends")
        };
        if let Some((reply, goes_on)) = reception.refusal(&self.options) {
            self.state = State::Ready(hello);
            self.refuse(Verb::EndOfData, &reply);
            if !goes_on {
                self.part(false);
            }
            return None;
        }
        let (bytes, stuffed_lines) = reception.count();
        let envelope = self.envelope(&hello, reception.transaction);
        self.state = State::Committing(hello);
        Some(Accepted { envelope, bytes, stuffed_lines })
    }

    fn envelope(&self, hello: &Hello, transaction: Transaction) -> Envelope {
        Envelope {
            reverse_path: transaction.reverse_path,
            recipients: transaction.recipients,
            body: transaction.body,
            utf8: false,
            request: None,
            origin: Origin {
                client: Some(self.peer.client),
                hello: hello.name.clone(),
                listener: self.peer.listener.as_ref().into(),
                rule: transaction.rule,
                protocol: hello.protocol,
                arrived: UnixTime(0),
                ..Origin::default()
            },
        }
    }

    /// What became of the draft after [`Step::Commit`](crate::Step::Commit). Panics without one.
    pub fn committed(&mut self, result: Result<MessageId, CommitRefusal>) {
        let hello = match self.take_state() {
            State::Committing(hello) => hello,
            // The session was lost meanwhile; what was committed stays so.
            State::Parting { discard } => return self.part(discard),
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
        }
    }
}
