//! How a session with a next hop is encrypted, and what is believed of its certificate.

use crate::{ResolvedRoute, Target, TlsWord};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use wire::{ClientSetup, ClientTls, KeyExchange, Trust};

/// Setups for names that are kept; with more all are made anew.
const SETUPS_MAX: usize = 1_000;

/// What was tried, from the best to the least.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Manner {
    /// With the post-quantum key exchange.
    #[default]
    Hybrid,
    /// Without: its long greeting breaks some servers and what stands before them.
    Classic,
    /// In the clear.
    Clear,
}

impl Manner {
    /// What to try after a handshake that failed (interface page, *opportunistic*): once without
    /// ML-KEM, then once in the clear, where that is allowed.
    pub(crate) fn next(self, word: TlsWord) -> Option<Self> {
        match self {
            Self::Hybrid => Some(Self::Classic),
            Self::Classic if word == TlsWord::Opportunistic => Some(Self::Clear),
            Self::Classic | Self::Clear => None,
        }
    }

    /// For the log.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Hybrid => "with ML-KEM",
            Self::Classic => "without ML-KEM",
            Self::Clear => "in the clear",
        }
    }

    fn exchange(self) -> KeyExchange {
        match self {
            Self::Hybrid => KeyExchange::Hybrid,
            Self::Classic | Self::Clear => KeyExchange::Classic,
        }
    }
}

/// The setups of a shard. They remember sessions, and a resumed session is not verified anew: one
/// is shared only where the trust is the same.
pub(crate) struct Encryptor {
    client: ClientTls,
    any: [ClientSetup; 2],
    named: RefCell<BTreeMap<(Box<str>, bool), ClientSetup>>,
}

impl Encryptor {
    pub(crate) fn new(client: ClientTls) -> Rc<Self> {
        let any = [KeyExchange::Hybrid, KeyExchange::Classic];
        let any = any.map(|exchange| client.config(&Trust::Any, exchange));
        Rc::new(Self { client, any, named: RefCell::default() })
    }

    /// The setup for a session by `route`.
    pub(crate) fn setup(&self, route: &ResolvedRoute, manner: Manner) -> ClientSetup {
        let classic = manner.exchange() == KeyExchange::Classic;
        match name_to_verify(route) {
            None => ClientSetup::clone(&self.any[usize::from(classic)]),
            Some(name) => {
                let mut named = self.named.borrow_mut();
                if named.len() >= SETUPS_MAX {
                    named.clear();
                }
                let trust = Trust::Names(vec![name.clone()]);
                let make = || self.client.config(&trust, manner.exchange());
                ClientSetup::clone(named.entry((name, classic)).or_insert_with(make))
            }
        }
    }
}

/// The name that the certificate must bear, if any: the host of the route, or by MX the domain of
/// the recipients, since nobody vouches for the name in an MX record.
fn name_to_verify(route: &ResolvedRoute) -> Option<Box<str>> {
    match (route.tls, &route.target) {
        (TlsWord::Off | TlsWord::Opportunistic | TlsWord::Required, _) => None,
        (TlsWord::Verify, Target::Host { host, .. }) => Some(host.clone()),
        (TlsWord::Verify, Target::Mx(domain)) => Some(domain.as_str().into()),
        (TlsWord::Verify, Target::Discard | Target::Hold) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_opportunistic_encryption_ends_in_the_clear() {
        let row = |word| {
            let next = |manner: &Manner| manner.next(word);
            std::iter::successors(Some(Manner::Hybrid), next).collect::<Vec<_>>()
        };
        let all = [Manner::Hybrid, Manner::Classic, Manner::Clear];
        assert_eq!(row(TlsWord::Opportunistic), all);
        assert_eq!(row(TlsWord::Required), all[..2]);
        assert_eq!(row(TlsWord::Verify), all[..2]);
    }
}
