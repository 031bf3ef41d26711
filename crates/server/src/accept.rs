//! The door: connections come in, or are turned away.

use crate::converse::converse;
use crate::door::{Door, Encryption};
use crate::facts::Guest;
use crate::secure::secure;
use crate::server::Shard;
use mail::{Event, EventKind, Field};
use policy::Proof;
use reactor::{Listener, Part, Stream};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;
use wire::{ProxyHeader, Wire};

/// How long to wait after an accept that found no descriptor or memory, unless a session ends.
const REST: Duration = Duration::from_secs(1);

/// How long a client that is turned away may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

const FULL: &[u8] = b"421 4.7.0 Too many sessions, try again later\r\n";

/// How long a proxy may take to say whom it speaks for.
const PROXY_TIMEOUT: Duration = Duration::from_secs(10);

/// Accepts until the drain.
pub(crate) async fn accept(shard: Rc<Shard>, listener: Listener, door: Rc<Door>) {
    loop {
        match listener.accept().await {
            Ok(stream) if shard.is_full() => {
                shard.count_turned_away(&door.name, "sessions");
                shard.reactor.spawn(turn_away(Rc::clone(&shard), stream, Rc::clone(&door)));
            }
            Ok(stream) => {
                shard.reactor.spawn(serve(Rc::clone(&shard), stream, Rc::clone(&door)));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if shard.is_draining() {
                    return;
                }
            }
            Err(error) => {
                let reason = format!("accept: {error}; resting");
                shard.note(EventKind::ProcessNoted, &door.name, reason);
                shard.ended.wait(shard.now() + REST).await;
            }
        }
    }
}

/// One client, from its first byte to its last.
async fn serve(shard: Rc<Shard>, stream: Stream, door: Rc<Door>) {
    let session = shard.open(&door.name, stream.interrupter());
    let wire = Wire::new(&shard.reactor, stream);
    let mut tls = None;
    if let Some((client, trusted)) = identify(&shard, &wire, &door).await {
        let counted = trusted.is_none() && !shard.policy().is_exempt(client.ip());
        let (sessions, too_often) = if counted {
            Box::pin(shard.census.opened(client.ip(), &shard.reactor)).await
        } else {
            (1, false)
        };
        // Boxed: it is handed on, and the future would carry it twice.
        let guest = Box::new(Guest {
            session,
            client,
            trusted,
            sessions,
            too_often,
            xclient: door.options.xclient_from.contains(wire.peer().ip()),
            tls: None,
            account: None,
            name: None,
            door: Rc::clone(&door),
        });
        tls = attend(&shard, wire, guest).await;
        if counted {
            shard.census.closed(client.ip());
        }
    }
    shard.close(&door.name, session, tls.as_deref());
}

/// Who the client is, and why it is trusted, if it is. `None`: a proxy does not say.
async fn identify(shard: &Shard, wire: &Wire, door: &Door) -> Option<(SocketAddr, Option<Proof>)> {
    let peer = wire.peer();
    let network =
        |client: SocketAddr| shard.policy().is_trusted(client.ip()).then_some(Proof::Network);
    if !door.options.proxy_from.contains(peer.ip()) {
        return Some((peer, network(peer)));
    }
    // Boxed: few sessions come by a proxy.
    let header = Box::pin(wire.read_proxy_header(shard.now() + PROXY_TIMEOUT)).await;
    let why = match header {
        Ok(ProxyHeader::Unknown) => return Some((peer, None)),
        // Nobody outside has our own address: a header that names it wants trust.
        Ok(ProxyHeader::Client { source, .. }) if is_ours(wire, source.ip()) => {
            format!("its PROXY header names {}, an address of ours", source.ip())
        }
        Ok(ProxyHeader::Client { source, .. }) => return Some((source, network(source))),
        Err(error) => error.to_string(),
    };
    shard.count_turned_away(&door.name, "proxy");
    let event = Event::new(EventKind::SessionRefused).text(Field::Listener, &*door.name);
    let event = event.text(Field::Client, peer.ip().to_string()).text(Field::Reason, why);
    shard.journal().record(event);
    None
}

fn is_ours(wire: &Wire, address: IpAddr) -> bool {
    let address = address.to_canonical();
    let own = wire.local_address().is_ok_and(|own| own.ip().to_canonical() == address);
    own || address.is_loopback() || address.is_unspecified()
}

/// The session of a client that is known; the version of TLS that it ended with.
async fn attend(shard: &Shard, wire: Wire, mut guest: Box<Guest>) -> Option<Box<str>> {
    note(shard, &guest, EventKind::SessionOpened);
    let implicit = guest.door.options.encryption == Encryption::Implicit;
    if !implicit || Box::pin(secure(shard, &wire, &mut guest)).await.is_some() {
        converse(shard, wire, &mut guest).await;
    }
    note(shard, &guest, EventKind::SessionClosed);
    guest.tls.map(|tls| tls.version)
}

fn note(shard: &Shard, guest: &Guest, kind: EventKind) {
    if shard.journal().hears(kind) {
        shard.journal().record(guest.sign(Event::new(kind)));
    }
}

/// Says that there is no room, to the end.
async fn turn_away(shard: Rc<Shard>, stream: Stream, door: Rc<Door>) {
    let event = Event::new(EventKind::SessionRefused)
        .text(Field::Listener, &*door.name)
        .text(Field::Client, stream.peer().ip().to_string())
        .fixed(Field::Reason, "limits.sessions is reached");
    shard.journal().record(event);
    let wire = Wire::new(&shard.reactor, stream);
    // Who expects a handshake cannot read it.
    if door.options.encryption == Encryption::Implicit {
        return;
    }
    if wire.send(vec![Part::Fixed(FULL)], shard.now() + REFUSAL_TIMEOUT).await.is_ok() {
        wire.close().await;
    }
}

/// Bytes of the future of one session.
#[cfg(test)]
pub(crate) fn session_bytes() -> usize {
    fn future<A, B, C, F: Future>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }
    future(serve)
}
