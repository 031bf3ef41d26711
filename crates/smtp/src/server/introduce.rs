//! XCLIENT: a proxy that may do so says who the client is.

use super::session::ServerSession;
use super::state::{Hello, Pending, State};
use crate::command::{self, Introduction, Malformed};
use mail::Protocol;
use std::net::SocketAddr;

impl ServerSession {
    /// As in Postfix, the session begins anew, with a greeting; a HELO that was passed on is taken
    /// as said.
    pub(super) fn introduce(&mut self, argument: &str) -> Result<(), Malformed> {
        let introduction = command::introduction(argument)?;
        self.meet(&introduction);
        let protocol = introduction.protocol.unwrap_or(Protocol::Esmtp);
        let hello = introduction.hello.clone().map(|name| Hello { name, protocol });
        self.state = State::Introducing(Some(Box::new(introduction)), hello);
        Ok(())
    }

    fn meet(&mut self, introduction: &Introduction) {
        let known = self.peer.client;
        let address = introduction.address.or(known.map(|client| client.ip()));
        // A port of another address says nothing of this one.
        let same = introduction.address.is_none();
        let known_port = known.filter(|_| same).map(|client| client.port());
        let port = introduction.port.or(known_port).unwrap_or(0);
        self.peer.client = address.map(|address| SocketAddr::new(address, port));
        if let Some(login) = &introduction.login {
            self.user.clone_from(login);
        }
        self.errors = 0;
    }

    /// The corridor judges by the client that [`Step::Introduce`](crate::Step::Introduce) told of;
    /// `trusted` is whether that one is. Panics when none was told of.
    pub fn introduced(&mut self, trusted: bool) {
        let hello = match self.take_state() {
            State::Introducing(None, hello) => hello,
            // The session was lost meanwhile.
            State::Parting => return,
            _ => panic!("introduced() without an introduction"),
        };
        self.peer.trusted = trusted;
        self.state = State::Deciding(Pending::Connect { hello });
    }
}
