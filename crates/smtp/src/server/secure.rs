//! STARTTLS (RFC 3207).

use super::ExtensionSet;
use super::session::ServerSession;
use super::state::State;
use crate::{Verb, reply};
use mail::TlsFacts;
use std::time::Duration;

impl ServerSession {
    /// RFC 3207 §4. Whoever sends more before TLS begins is attacked, or attacks: what came in the
    /// clear must not be taken for what comes encrypted.
    pub(super) fn start_tls(&mut self) {
        if self.behind && self.talked_out_of_turn() {
            return;
        }
        self.say(Verb::StartTls, &reply::START_TLS);
        self.state = State::Securing;
    }

    /// TLS has begun, after [`Step::Secure`](crate::Step::Secure). Everything that the client has
    /// said so far is forgotten (RFC 3207 §4.2). Panics when TLS was not asked for.
    pub fn secured(&mut self, facts: TlsFacts) {
        match self.state {
            State::Securing => {}
            // The session was lost meanwhile.
            State::Parting => return,
            _ => panic!("secured() without STARTTLS"),
        }
        self.peer.tls = Some(facts);
        self.user.clone_from(&self.peer.user);
        self.input = Vec::new();
        self.taken = 0;
        self.dropped = 0;
        self.line_waited = Duration::ZERO;
        self.offered = ExtensionSet::EMPTY;
        self.state = State::Greeted;
    }
}
