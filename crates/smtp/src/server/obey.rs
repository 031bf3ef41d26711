//! What each command does.

use super::legality;
use super::reception::Reception;
use super::session::ServerSession;
use super::state::{Hello, Pending, State};
use crate::command::{self, Malformed};
use crate::{Verb, reply};
use mail::Protocol;
use std::mem;

impl ServerSession {
    /// Obeys or refuses one command line, given without its CRLF.
    pub(super) fn obey(&mut self, line: &[u8]) {
        let (verb, argument) = match command::split(line) {
            Ok(found) => found,
            Err(malformed) => return self.refuse(Verb::Unknown, &malformed.reply()),
        };
        let phase = self.state.phase().expect("commands are read in phases only");
        if !legality::allows(verb, phase) {
            return self.refuse(verb, &reply::BAD_SEQUENCE);
        }
        let obeyed = match verb {
            Verb::Helo => self.hello(argument, Protocol::Smtp),
            Verb::Ehlo => self.hello(argument, Protocol::Esmtp),
            Verb::Mail => self.mail(argument),
            Verb::Rcpt => self.recipient(argument),
            Verb::Data => command::no_argument(argument).map(|()| self.data()),
            Verb::Rset => command::no_argument(argument).map(|()| self.reset()),
            Verb::Quit => command::no_argument(argument).map(|()| {
                self.say(verb, &reply::BYE);
                self.part(false);
            }),
            // RFC 5321 §4.1.1.9: the argument of NOOP is ignored.
            Verb::Noop => {
                self.say(verb, &reply::OK);
                Ok(())
            }
            Verb::Help => {
                self.say(verb, &reply::HELP);
                Ok(())
            }
            Verb::Vrfy | Verb::Expn => {
                command::some_argument(argument).map(|()| self.say(verb, &reply::NONCOMMITTAL))
            }
            Verb::Connect | Verb::EndOfData | Verb::Unknown => {
                unreachable!("no row of the legality table has {verb:?}")
            }
        };
        if let Err(malformed) = obeyed {
            self.refuse(verb, &malformed.reply());
        }
    }

    /// RFC 5321 §4.1.1.1.
    fn hello(&mut self, argument: &str, protocol: Protocol) -> Result<(), Malformed> {
        let name = command::hello_name(argument)?.into();
        let before = Box::new(self.take_state());
        self.state = State::Deciding(Pending::Hello { hello: Hello { name, protocol }, before });
        Ok(())
    }

    /// RFC 5321 §4.1.1.2.
    fn mail(&mut self, argument: &str) -> Result<(), Malformed> {
        let mail = command::mail(argument)?;
        // RFC 1870 §6.1: what cannot be taken is refused before it is sent.
        if mail.size.is_some_and(|size| size > self.options.message_bytes) {
            self.refuse(Verb::Mail, &reply::TOO_BIG);
            return Ok(());
        }
        let State::Ready(hello) = self.take_state() else { unreachable!("the table says so") };
        self.state = State::Deciding(Pending::Sender {
            hello,
            reverse_path: mail.reverse_path,
            size: mail.size,
            body: mail.body,
        });
        Ok(())
    }

    /// RFC 5321 §4.1.1.3.
    fn recipient(&mut self, argument: &str) -> Result<(), Malformed> {
        let forward_path = command::recipient(argument)?;
        let State::Mail(hello, transaction) = self.take_state() else {
            unreachable!("the table says so")
        };
        if transaction.recipients.len() >= self.options.recipients_per_message {
            // Not counted as an error: RFC 5321 §4.5.3.1.10 has the client go on to DATA.
            self.say(Verb::Rcpt, &reply::TOO_MANY_RECIPIENTS);
            self.state = State::Mail(hello, transaction);
        } else {
            self.state = State::Deciding(Pending::Recipient { hello, transaction, forward_path });
        }
        Ok(())
    }

    /// RFC 5321 §4.1.1.4.
    fn data(&mut self) {
        match self.take_state() {
            State::Mail(hello, transaction) if transaction.recipients.is_empty() => {
                self.state = State::Mail(hello, transaction);
                self.refuse(Verb::Data, &reply::NO_RECIPIENTS);
            }
            State::Mail(hello, transaction) => {
                self.say(Verb::Data, &reply::GO_AHEAD);
                self.state = State::Receiving(hello, Reception::new(transaction));
            }
            _ => unreachable!("the table says so"),
        }
    }

    /// RFC 5321 §4.1.1.5.
    fn reset(&mut self) {
        self.state = match self.take_state() {
            State::Mail(hello, _) => State::Ready(hello),
            state => state,
        };
        self.say(Verb::Rset, &reply::OK);
    }

    /// The state, to make the next one of; it must be put back before anything else happens.
    pub(super) fn take_state(&mut self) -> State {
        mem::replace(&mut self.state, State::Parting { discard: false })
    }
}
