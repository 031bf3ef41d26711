//! AUTH (RFC 4954): the session carries an exchange and knows no mechanism.

use super::session::ServerSession;
use super::state::{State, Turn};
use super::step::{AuthReply, Exchange};
use crate::command::Malformed;
use crate::{Verb, reply};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use mail::Reply;

impl ServerSession {
    /// RFC 4954 §4: `AUTH mechanism [initial-response]`.
    pub(super) fn auth(&mut self, argument: &str) -> Result<(), Malformed> {
        if self.user.is_some() {
            self.refuse(Verb::Auth, &reply::BAD_SEQUENCE);
            return Ok(());
        }
        // Its last line is the client's last word until we have had ours.
        if self.behind && self.talked_out_of_turn() {
            return Ok(());
        }
        let (name, initial) = argument.split_once(' ').unwrap_or((argument, ""));
        if name.is_empty() {
            return Err(Malformed::Argument);
        }
        let known = self.options.mechanisms.iter().find(|known| known.eq_ignore_ascii_case(name));
        let Some(mechanism) = known.cloned() else {
            self.refuse(Verb::Auth, &reply::NO_MECHANISM);
            return Ok(());
        };
        let initial = match initial.trim_start_matches(' ') {
            "" => None,
            // RFC 4954 §4: an initial response of no bytes.
            "=" => Some(Vec::new()),
            text => match BASE64.decode(text) {
                Ok(bytes) => Some(bytes),
                Err(_) => {
                    self.refuse(Verb::Auth, &reply::NOT_BASE64);
                    return Ok(());
                }
            },
        };
        self.ask(Exchange::Begin { mechanism, initial });
        Ok(())
    }

    /// A line of the client's within an exchange.
    pub(super) fn respond(&mut self, line: &[u8]) {
        if self.behind && self.talked_out_of_turn() {
            return;
        }
        if line == b"*" {
            return self.end_exchange(&reply::AUTH_CANCELLED);
        }
        match BASE64.decode(line) {
            Ok(bytes) => self.ask(Exchange::Respond(bytes)),
            Err(_) => self.end_exchange(&reply::NOT_BASE64),
        }
    }

    fn ask(&mut self, exchange: Exchange) {
        let hello = match self.take_state() {
            State::Ready(hello) | State::Answering(hello) => hello,
            _ => unreachable!("the table says so"),
        };
        self.state = State::Asking(hello, Turn::Due(exchange));
    }

    /// The exchange ends before anybody is known.
    pub(super) fn end_exchange(&mut self, reply: &Reply) {
        let State::Answering(hello) = self.take_state() else {
            unreachable!("only an exchange ends so")
        };
        self.forsaken = true;
        self.state = State::Ready(hello);
        self.refuse(Verb::Auth, reply);
    }

    /// The answer after [`Step::Authenticate`](crate::Step::Authenticate). Panics when none was
    /// asked for.
    pub fn authenticated(&mut self, answer: AuthReply) {
        let hello = match self.take_state() {
            State::Asking(hello, Turn::Given) => hello,
            // The session was lost meanwhile.
            State::Parting => return,
            _ => panic!("authenticated() without an exchange"),
        };
        match answer {
            AuthReply::Challenge(bytes) => {
                self.state = State::Answering(hello);
                self.say(Verb::Auth, &reply::challenge(BASE64.encode(bytes)));
            }
            AuthReply::Accepted { user } => {
                self.state = State::Ready(hello);
                self.user = Some(user);
                self.errors = 0;
                self.say(Verb::Auth, &reply::AUTHENTICATED);
            }
            AuthReply::Refused => {
                self.state = State::Ready(hello);
                self.refuse(Verb::Auth, &reply::AUTH_FAILED);
            }
            AuthReply::Unavailable => {
                self.state = State::Ready(hello);
                self.say(Verb::Auth, &reply::AUTH_UNAVAILABLE);
            }
            AuthReply::TooMany => {
                self.state = State::Ready(hello);
                self.say(Verb::Auth, &reply::TOO_MANY_FAILURES);
                self.part();
            }
        }
    }
}
