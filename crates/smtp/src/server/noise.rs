//! Noise never makes the server panic, nor its memory grow.

use super::course::{AUTH_LINE_BYTES_MAX, DROPPED_BYTES_MAX, OUTPUT_BYTES_MAX};
use super::{
    AuthReply, CommitRefusal, Exchange, Extension, ExtensionSet, ListenerKind, ServerOptions,
    ServerPeer, ServerSession, StartTls, Step,
};
use crate::Hangup;
use mail::{EnhancedStatus, MessageId, Reply, TlsFacts, Verdict};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::rc::Rc;

/// A reply, at most, goes into the output behind the last look at its size.
const REPLY_BYTES_MAX: usize = 1024;

/// A session with everything switched on.
fn session(kind: ListenerKind) -> ServerSession {
    let options = ServerOptions {
        message_bytes: 200,
        hops: 2,
        offers: ExtensionSet::of(&Extension::ALL),
        mechanisms: vec!["PLAIN".into()],
        auth_in_clear: true,
        ..ServerOptions::default()
    };
    let client = "192.0.2.7:4000".parse().expect("an address");
    let peer = ServerPeer {
        trusted: true,
        kind,
        start_tls: StartTls::Offered,
        xclient: true,
        ..ServerPeer::new(Some(client), "mx".into())
    };
    ServerSession::new(Rc::new(options), peer)
}

/// Steps until it waits; every fifth question is answered no. Whether it has closed.
fn drive(session: &mut ServerSession, count: &mut u64) -> bool {
    loop {
        *count += 1;
        let no = count.is_multiple_of(5);
        assert!(session.output.len() <= OUTPUT_BYTES_MAX + REPLY_BYTES_MAX);
        match session.step() {
            Step::Transmit => {
                let output = session.take_output();
                assert!(!output.is_empty(), "nothing to transmit");
                session.sent(output);
            }
            Step::Receive { .. } => {
                let left = session.input.len() - session.taken;
                assert!(left <= AUTH_LINE_BYTES_MAX, "{left} bytes kept");
                return false;
            }
            Step::Secure => session.secured(TlsFacts::default()),
            Step::Authenticate(Exchange::Cancel) => {}
            Step::Authenticate(_) => session.authenticated(match *count % 3 {
                0 => AuthReply::Challenge(b"?".to_vec()),
                1 => AuthReply::Refused,
                _ => AuthReply::Accepted { user: "u".into() },
            }),
            Step::Introduce(_) => session.introduced(true),
            Step::Decide(_) if no => session.answer(Verdict::Refuse {
                reply: Reply::fixed(450, EnhancedStatus(4, 7, 1), "No"),
                rule: "fifth".into(),
            }),
            Step::Decide(_) => session.answer(Verdict::Accept { rule: "others".into() }),
            Step::Body(_) | Step::Discard => {}
            Step::Commit(_) if no => session.committed(Err(CommitRefusal::Full)),
            Step::Commit(_) => session.committed(Ok(MessageId::new(0, 1, *count))),
            Step::Close => return true,
        }
    }
}

/// Pieces of which some make sense in some order.
fn noise() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"EHLO c\r\n"[..],
        b"HELO c\r\n",
        b"MAIL FROM:<a@b>\r\n",
        b"RCPT TO:<c@d>\r\n",
        b"DATA\r\n",
        b".\r\n",
        b"\r\n.\r\n",
        b"\r\n",
        b"RSET\r\n",
        b"NOOP",
        b"\n",
        b"\r",
        b".",
        b"\0",
        b"<",
        b">",
        b"Received: x\r\n",
        b"MAIL FROM:<",
        b"BDAT 7\r\n",
        b"BDAT 40 LAST\r\n",
        b"BDAT 0 LAST\r\n",
        b"STARTTLS\r\n",
        b"AUTH PLAIN\r\n",
        b"AUTH PLAIN YQ==\r\n",
        b"YQ==\r\n",
        b"*\r\n",
        b"XCLIENT ADDR=192.0.2.1 HELO=c\r\n",
        b" SIZE=",
        b"VRFY \xff\r\n",
        b"\"",
        b"\\",
    ])
    .prop_map(<[u8]>::to_vec);
    let any = prop::collection::vec(any::<u8>(), 0..80);
    prop_oneof![8 => known, 1 => any, 1 => Just(vec![b'x'; 900])]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::with_cases(1024)
    })]

    #[test]
    fn noise_gets_replies_or_a_close(
        pieces in prop::collection::vec(noise(), 0..60),
        submission in any::<bool>(),
    ) {
        let kind = if submission { ListenerKind::Submission } else { ListenerKind::Relay };
        let (mut session, mut count) = (session(kind), 0);
        let mut closed = drive(&mut session, &mut count);
        for piece in pieces {
            if closed {
                break;
            }
            session.receive(&piece);
            closed = drive(&mut session, &mut count);
        }
        session.lost(Hangup::TimedOut);
        prop_assert!(drive(&mut session, &mut count), "a lost session closes");
    }
}

#[test]
fn a_line_without_end_is_dropped_and_then_refused() {
    let (mut session, mut count) = (session(ListenerKind::Relay), 0);
    assert!(!drive(&mut session, &mut count));
    let mut bytes = 0;
    loop {
        session.receive(&[b'x'; 1000]);
        bytes += 1000;
        if drive(&mut session, &mut count) {
            break;
        }
    }
    assert!((DROPPED_BYTES_MAX..DROPPED_BYTES_MAX + 2000).contains(&bytes), "{bytes}");
}

#[test]
fn a_flood_of_commands_is_answered_in_bounded_pieces() {
    let (mut session, mut count) = (session(ListenerKind::Relay), 0);
    assert!(!drive(&mut session, &mut count));
    session.receive(&b"NOOP\r\n".repeat(100_000));
    assert!(!drive(&mut session, &mut count), "trusted clients may");
}

#[test]
fn an_idle_session_keeps_no_buffer() {
    let (mut session, mut count) = (session(ListenerKind::Relay), 0);
    drive(&mut session, &mut count);
    session.receive(b"EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\nx\r\n.\r\n");
    drive(&mut session, &mut count);
    assert!(session.is_idle());
    assert_eq!((session.input.capacity(), session.output.capacity()), (0, 0));
}
