//! What each command does.

use super::legality::{self, Phase};
use super::reception::Reception;
use super::session::ServerSession;
use super::state::{Hello, Pending, State, Transaction};
use super::{Extension, ListenerKind};
use crate::command::{self, Grammar, Malformed};
use crate::{Verb, reply};
use mail::{Protocol, Reply};

impl ServerSession {
    /// Obeys or refuses one command line, given without its CRLF.
    pub(super) fn obey(&mut self, line: &[u8]) {
        let (verb, argument) = match command::split(line) {
            Ok(found) => found,
            Err(malformed) => return self.refuse(Verb::Unknown, &malformed.reply()),
        };
        if verb == Verb::Bdat {
            // Its bytes follow, whether we want them or not.
            return self.chunk(argument);
        }
        if let Some(reply) = self.forbids(verb) {
            return self.refuse(verb, &reply);
        }
        if let Err(malformed) = self.carry_out(verb, argument) {
            self.refuse(verb, &malformed.reply());
        }
    }

    /// Why a command may not come now, whatever its argument.
    fn forbids(&self, verb: Verb) -> Option<Reply> {
        let phase = self.state.phase().expect("commands are read in phases only");
        if phase != Phase::Rejected && self.needs_tls(verb) {
            return Some(reply::TLS_NEEDED);
        }
        if !legality::allows(verb, phase) {
            return Some(reply::BAD_SEQUENCE);
        }
        let needed = match verb {
            Verb::StartTls if self.peer.tls.is_some() => return Some(reply::BAD_SEQUENCE),
            Verb::StartTls => Extension::StartTls,
            Verb::Auth => Extension::Auth,
            Verb::Xclient => Extension::Xclient,
            _ => return None,
        };
        if !self.available().contains(needed) {
            // RFC 4954 §6: the mechanisms are there, but not in the clear.
            let later = verb == Verb::Auth && self.authenticates() && self.peer.tls.is_none();
            return Some(if later { reply::TLS_NEEDED } else { reply::NOT_IMPLEMENTED });
        }
        // RFC 4954 §4: only a client that has said EHLO knows the mechanisms.
        let unasked = verb == Verb::Auth && !self.offered.contains(needed);
        unasked.then_some(reply::BAD_SEQUENCE)
    }

    fn carry_out(&mut self, verb: Verb, argument: &str) -> Result<(), Malformed> {
        match verb {
            Verb::Helo => self.hello(argument, Protocol::Smtp),
            Verb::Ehlo => self.hello(argument, Protocol::Esmtp),
            Verb::Mail => self.mail(argument),
            Verb::Rcpt => self.recipient(argument),
            Verb::Data => command::no_argument(argument).map(|()| self.data()),
            Verb::Rset => command::no_argument(argument).map(|()| self.reset()),
            Verb::StartTls => command::no_argument(argument).map(|()| self.start_tls()),
            Verb::Auth => self.auth(argument),
            Verb::Xclient => self.introduce(argument),
            Verb::Vrfy | Verb::Expn => self.disclose(verb, argument),
            Verb::Quit => command::no_argument(argument).map(|()| {
                self.say(verb, &reply::BYE);
                self.part();
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
            Verb::Bdat | Verb::Connect | Verb::EndOfData | Verb::Unknown => {
                unreachable!("{verb:?} does not come here")
            }
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
        // RFC 6409 §4.3: users say who they are before they say anything else.
        if self.peer.kind == ListenerKind::Submission && self.user.is_none() {
            self.refuse(Verb::Mail, &reply::AUTH_NEEDED);
            return Ok(());
        }
        let mail = command::mail(argument, &self.grammar(false))?;
        // RFC 1870 §6.1: what cannot be taken is refused before it is sent.
        if mail.size.is_some_and(|size| size > self.options.message_bytes) {
            self.refuse(Verb::Mail, &reply::TOO_BIG);
            return Ok(());
        }
        let State::Ready(hello) = self.take_state() else { unreachable!("the table says so") };
        let transaction = Transaction {
            reverse_path: mail.reverse_path,
            body: mail.body,
            utf8: mail.utf8,
            returned: mail.returned,
            envelope_id: mail.envelope_id,
            recipients: Vec::new(),
            requests: Vec::new(),
            rule: "".into(),
        };
        self.state = State::Deciding(Pending::Sender { hello, transaction, size: mail.size });
        Ok(())
    }

    /// RFC 5321 §4.1.1.3.
    fn recipient(&mut self, argument: &str) -> Result<(), Malformed> {
        let utf8 = matches!(&self.state, State::Mail(_, transaction) if transaction.utf8);
        let (forward_path, request) = command::recipient(argument, &self.grammar(utf8))?;
        let State::Mail(hello, transaction) = self.take_state() else {
            unreachable!("the table says so")
        };
        if transaction.recipients.len() >= self.options.recipients_per_message {
            // Not counted as an error: RFC 5321 §4.5.3.1.10 has the client go on to DATA.
            self.say(Verb::Rcpt, &reply::TOO_MANY_RECIPIENTS);
            self.state = State::Mail(hello, transaction);
        } else {
            self.state =
                State::Deciding(Pending::Recipient { hello, transaction, forward_path, request });
        }
        Ok(())
    }

    fn grammar(&self, utf8: bool) -> Grammar<'_> {
        let completes = matches!(self.peer.kind, ListenerKind::Local | ListenerKind::Submission);
        let origin = self.options.origin.as_ref().filter(|_| completes);
        Grammar { offered: self.offered, origin, utf8 }
    }

    /// RFC 5321 §4.1.1.4.
    fn data(&mut self) {
        let nobody =
            matches!(&self.state, State::Mail(_, transaction) if transaction.recipients.is_empty());
        if nobody {
            return self.refuse(Verb::Data, &reply::NO_RECIPIENTS);
        }
        // RFC 2920 §3.1: DATA ends a group. What a client sends before it has heard 354 it would
        // send in any case, and the rest of it for commands.
        if self.behind && self.talked_out_of_turn() {
            return;
        }
        let bare_newline = self.bare_newline();
        let State::Mail(hello, transaction) = self.take_state() else {
            unreachable!("the table says so")
        };
        self.say(Verb::Data, &reply::GO_AHEAD);
        let reception = Reception::by_data(transaction, bare_newline);
        self.state = State::Receiving(hello, Box::new(reception));
    }

    /// RFC 5321 §4.1.1.5.
    fn reset(&mut self) {
        self.state = match self.take_state() {
            State::Mail(hello, _) | State::Failed(hello) => State::Ready(hello),
            State::Chunking(hello, reception) => {
                self.worthless |= reception.has_draft();
                State::Ready(hello)
            }
            state => state,
        };
        self.say(Verb::Rset, &reply::OK);
    }

    /// RFC 5321 §3.5.3: VRFY and EXPN tell nothing, unless the operator says so and to whom.
    fn disclose(&mut self, verb: Verb, argument: &str) -> Result<(), Malformed> {
        let text = command::asked_for(argument)?;
        let options = &self.options;
        let privacy = options.privacy;
        let (off, needs_hello, disclosure) = match verb {
            Verb::Expn => (privacy.expn_off, privacy.expn_needs_hello, options.expn),
            _ => (privacy.vrfy_off, privacy.vrfy_needs_hello, options.vrfy),
        };
        if needs_hello && matches!(self.state, State::Greeted) {
            self.refuse(verb, &reply::BAD_SEQUENCE);
        } else if off && verb == Verb::Expn {
            self.refuse(verb, &reply::NOT_ALLOWED);
        } else if off || !self.discloses(disclosure) {
            self.say(verb, &reply::NONCOMMITTAL);
        } else {
            let before = Box::new(self.take_state());
            self.state = State::Deciding(Pending::Disclosure { verb, text: text.into(), before });
        }
        Ok(())
    }
}
