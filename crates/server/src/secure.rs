//! TLS, from the shard's side of it.

use crate::facts::Guest;
use crate::server::Shard;
use mail::{Event, EventKind, Field, TlsFacts};
use policy::Proof;
use std::time::Duration;
use wire::{Secured, Wire};

/// How long a client may take for its handshake: as long as for a command of its own, but no five
/// minutes, since nothing has been said yet that somebody would wait for.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// Shakes hands; afterwards the guest is known by its certificate too. `None` when that failed:
/// nothing more can be said on the connection.
pub(crate) async fn secure(shard: &Shard, wire: &Wire, guest: &mut Guest) -> Option<TlsFacts> {
    let tls = shard.tls()?;
    let by = shard.now() + HANDSHAKE_TIMEOUT;
    match wire.secure_as_server(&tls, by).await {
        Ok(secured) => {
            let facts = facts(secured);
            shard.count_tls(&facts.version);
            let certificate = facts.client_certificate;
            if certificate.is_some_and(|print| shard.policy().trusts_certificate(&print)) {
                guest.trusted = guest.trusted.or(Some(Proof::Certificate));
            }
            guest.tls = Some(Box::new(facts.clone()));
            Some(facts)
        }
        Err(failure) => {
            shard.count_tls("failed");
            let event = guest.sign(Event::new(EventKind::TlsFailed));
            shard.journal().record(event.text(Field::Reason, failure.to_string()));
            None
        }
    }
}

fn facts(secured: Secured) -> TlsFacts {
    TlsFacts {
        version: secured.version.into(),
        cipher: secured.cipher,
        server_name: secured.server_name,
        client_certificate: secured.fingerprint,
    }
}
