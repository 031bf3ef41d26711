//! Who a client is: SASL exchanges (RFC 4422, RFC 4954), carried on off-shard.
//!
//! Password hashes take long on purpose, and Dovecot is asked over a socket: neither may hold up a
//! shard. A shard begins an exchange, hands each answer of the client on, and is told how it ends.

use reactor::{Reactor, Sender};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// A mechanism that a client may ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Mechanism {
    /// PLAIN (RFC 4616).
    Plain,
    /// LOGIN (draft-murchison-sasl-login): user and password, asked for one after the other.
    Login,
    /// SCRAM-SHA-256 (RFC 5802, RFC 7677).
    ScramSha256,
}

impl Mechanism {
    /// All of them, the strongest first.
    pub const ALL: [Self; 3] = [Self::ScramSha256, Self::Plain, Self::Login];

    /// Its name, as clients and servers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "PLAIN",
            Self::Login => "LOGIN",
            Self::ScramSha256 => "SCRAM-SHA-256",
        }
    }

    /// The mechanism of this name, in any case.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|mechanism| mechanism.name().eq_ignore_ascii_case(name))
    }

    fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Mechanism {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The mechanisms that can be offered now; a changed table changes them for all shards. Cloning
/// shares them.
#[derive(Clone, Debug, Default)]
pub struct Offered {
    bits: Arc<AtomicU8>,
}

impl Offered {
    /// These.
    pub fn set(&self, mechanisms: &[Mechanism]) {
        let bits = mechanisms.iter().fold(0, |bits, mechanism| bits | mechanism.bit());
        self.bits.store(bits, Ordering::Relaxed);
    }

    /// Whether `mechanism` is among them.
    pub fn has(&self, mechanism: Mechanism) -> bool {
        self.bits.load(Ordering::Relaxed) & mechanism.bit() != 0
    }

    /// All of them, the strongest first.
    pub fn list(&self) -> impl Iterator<Item = Mechanism> + '_ {
        Mechanism::ALL.into_iter().filter(|mechanism| self.has(*mechanism))
    }
}

/// Who has authenticated, and what it may do with that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Account {
    /// The name, as it is logged and counted.
    pub name: Box<str>,
    /// The reverse-paths that it may send with: addresses, `@domain`, or `*` for any.
    pub senders: Arc<[Box<str>]>,
}

impl Account {
    /// Whether it may send with `address` (without brackets). Domains are compared without case,
    /// local-parts with (RFC 5321 §2.4).
    pub fn owns(&self, address: &str) -> bool {
        let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
        self.senders.iter().any(|sender| match sender.rsplit_once('@') {
            None => &**sender == "*",
            Some(("" | "*", theirs)) => theirs.eq_ignore_ascii_case(domain),
            Some((local, theirs)) => {
                theirs.eq_ignore_ascii_case(domain)
                    && address.rsplit_once('@').is_some_and(|(mine, _)| mine == local)
            }
        })
    }
}

/// How a step of an exchange ends.
pub enum AuthAnswer {
    /// The client must answer this.
    Challenge(Challenge),
    /// The client is who it says.
    Accepted(Account),
    /// It is not, or what it said makes no sense.
    Refused,
    /// Nobody can say now; the text says why.
    Unavailable(Box<str>),
}

/// A challenge, and how the exchange goes on.
pub struct Challenge {
    /// What the client is sent, not yet in base64.
    pub bytes: Vec<u8>,
    /// Takes the client's answer; dropped, it ends the exchange.
    pub resume: Resume,
}

/// Carries the client's answer to whoever keeps the exchange.
pub type Resume = Box<dyn FnOnce(Vec<u8>, AuthBack) + Send>;

/// A new exchange, on its way to whoever keeps accounts.
pub struct AuthRequest {
    /// How the client wants to prove who it is.
    pub mechanism: Mechanism,
    /// Its initial response, if it gave one.
    pub initial: Option<Vec<u8>>,
    /// Where it comes from.
    pub client: IpAddr,
    /// Where the answer goes.
    pub back: AuthBack,
}

/// Carries one answer back to the shard. Dropped, it says that nobody answered.
pub struct AuthBack {
    sender: Sender<AuthAnswer>,
    sent: bool,
}

impl AuthBack {
    /// Answers.
    pub fn send(mut self, answer: AuthAnswer) {
        self.put(answer);
    }

    fn put(&mut self, answer: AuthAnswer) {
        self.sent = true;
        // There is room for the one answer; it fails only when the session has gone.
        drop(self.sender.try_send(answer));
    }
}

impl Drop for AuthBack {
    fn drop(&mut self) {
        if !self.sent {
            self.put(AuthAnswer::Unavailable("nobody answered".into()));
        }
    }
}

/// Where a shard's exchanges go. Cloning gives another handle.
#[derive(Clone)]
pub struct Authenticator {
    reactor: Reactor,
    offered: Offered,
    requests: Arc<dyn Fn(AuthRequest) + Send + Sync>,
}

impl Authenticator {
    /// An authenticator that hands its exchanges to `requests` and offers what `offered` says.
    pub fn new(
        reactor: &Reactor,
        offered: Offered,
        requests: Arc<dyn Fn(AuthRequest) + Send + Sync>,
    ) -> Self {
        Self { reactor: reactor.clone(), offered, requests }
    }

    /// The mechanisms that can be offered now.
    pub fn offered(&self) -> &Offered {
        &self.offered
    }

    /// Begins an exchange; the first answer.
    pub async fn begin(
        &self,
        mechanism: Mechanism,
        initial: Option<Vec<u8>>,
        client: IpAddr,
    ) -> AuthAnswer {
        if !self.offered.has(mechanism) {
            return AuthAnswer::Refused;
        }
        let ask = |back| (self.requests)(AuthRequest { mechanism, initial, client, back });
        self.wait(ask).await
    }

    /// Goes on with what the client answered.
    pub async fn resume(&self, resume: Resume, response: Vec<u8>) -> AuthAnswer {
        self.wait(|back| resume(response, back)).await
    }

    async fn wait(&self, ask: impl FnOnce(AuthBack)) -> AuthAnswer {
        let (sender, mut answers) = reactor::channel(1);
        ask(AuthBack { sender, sent: false });
        let answer = answers.recv(&self.reactor).await;
        answer.unwrap_or_else(|| AuthAnswer::Unavailable("nobody answered".into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(senders: &[&str]) -> Account {
        let senders: Vec<Box<str>> = senders.iter().map(|sender| (*sender).into()).collect();
        Account { name: "u".into(), senders: senders.into() }
    }

    #[test]
    fn an_account_owns_what_its_senders_say() {
        let one = account(&["a@example.org", "@example.net", "*@example.com"]);
        assert!(one.owns("a@EXAMPLE.org") && one.owns("x@example.net"));
        assert!(one.owns("y@example.com"));
        assert!(!one.owns("b@example.org") && !one.owns("A@example.org") && !one.owns(""));
        assert!(!one.owns("x@sub.example.net"));
        assert!(account(&["*"]).owns("anybody@anywhere.example") && account(&["*"]).owns(""));
        assert!(!account(&[]).owns("a@example.org"));
    }

    #[test]
    fn what_is_offered_changes_for_all_who_share_it() {
        let offered = Offered::default();
        let shared = offered.clone();
        assert_eq!(shared.list().count(), 0);
        offered.set(&[Mechanism::Login, Mechanism::ScramSha256]);
        let list: Vec<Mechanism> = shared.list().collect();
        assert_eq!(list, [Mechanism::ScramSha256, Mechanism::Login]);
        assert_eq!(Mechanism::parse("scram-sha-256"), Some(Mechanism::ScramSha256));
        assert_eq!(Mechanism::parse("CRAM-MD5"), None);
    }
}
