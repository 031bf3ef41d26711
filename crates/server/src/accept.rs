//! The door: connections come in, or are turned away.

use crate::converse::converse;
use crate::facts::Guest;
use crate::server::Shard;
use mail::{Event, EventKind, Field};
use reactor::{Listener, Part, Stream};
use std::io;
use std::rc::Rc;
use std::time::Duration;
use wire::Wire;

/// How long to wait after an accept that found no descriptor or memory, unless a session ends.
const REST: Duration = Duration::from_secs(1);

/// How long a client that is turned away may take to read why.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

const FULL: &[u8] = b"421 4.7.0 Too many sessions, try again later\r\n";

/// Accepts until the drain.
pub(crate) async fn accept(shard: Rc<Shard>, listener: Listener, name: Rc<str>) {
    loop {
        match listener.accept().await {
            Ok(stream) if shard.is_full() => {
                shard.count_turned_away(&name, "sessions");
                shard.reactor.spawn(turn_away(Rc::clone(&shard), stream, Rc::clone(&name)));
            }
            Ok(stream) => {
                shard.reactor.spawn(serve(Rc::clone(&shard), stream, Rc::clone(&name)));
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                if shard.is_draining() {
                    return;
                }
            }
            Err(error) => {
                shard.note(EventKind::ProcessNoted, &name, format!("accept: {error}; resting"));
                shard.ended.wait(shard.now() + REST).await;
            }
        }
    }
}

/// One client, from its first byte to its last.
async fn serve(shard: Rc<Shard>, stream: Stream, listener: Rc<str>) {
    let client = stream.peer();
    let session = shard.open(&listener, stream.interrupter());
    let trusted = shard.policy().is_trusted(client.ip());
    let counted = !trusted && !shard.policy().is_exempt(client.ip());
    let (sessions, too_often) = if counted {
        Box::pin(shard.census.opened(client.ip(), &shard.reactor)).await
    } else {
        (1, false)
    };
    let guest = Guest { session, client, listener, trusted, sessions, too_often };
    note(&shard, &guest, EventKind::SessionOpened);
    converse(&shard, Wire::new(&shard.reactor, stream), &guest).await;
    note(&shard, &guest, EventKind::SessionClosed);
    if counted {
        shard.census.closed(client.ip());
    }
    shard.close(&guest.listener, session);
}

fn note(shard: &Shard, guest: &Guest, kind: EventKind) {
    if shard.journal().hears(kind) {
        shard.journal().record(guest.sign(Event::new(kind)));
    }
}

/// Says that there is no room, to the end.
async fn turn_away(shard: Rc<Shard>, stream: Stream, listener: Rc<str>) {
    let event = Event::new(EventKind::SessionRefused)
        .text(Field::Listener, &*listener)
        .text(Field::Client, stream.peer().ip().to_string())
        .fixed(Field::Reason, "limits.sessions is reached");
    shard.journal().record(event);
    let wire = Wire::new(&shard.reactor, stream);
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
