//! Noise never makes the client panic, nor its memory grow.

use super::{ClientOptions, ClientSession, ClientStep, Encryption, Transaction};
use crate::Hangup;
use mail::{ForwardPath, ReversePath};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use std::rc::Rc;

/// What a client keeps of replies: one that is not whole yet.
const KEPT_BYTES_MAX: usize = 16 << 10;

/// Steps until it waits; every message has three recipients. Whether it has closed.
fn drive(session: &mut ClientSession) -> bool {
    loop {
        match session.step() {
            ClientStep::Transmit => {
                let output = session.take_output();
                assert!(!output.is_empty(), "nothing to transmit");
                session.sent(output);
            }
            ClientStep::Receive { .. } => {
                assert!(session.input.len() <= KEPT_BYTES_MAX, "{} kept", session.input.len());
                return false;
            }
            ClientStep::Ready => {
                let recipients = vec![ForwardPath::Postmaster; 3];
                let plain = session.messages.is_multiple_of(2);
                let transaction = Transaction::new(ReversePath::Null, recipients, 0);
                session.begin(Transaction { plain, ..transaction });
            }
            ClientStep::Secure => session.secured(),
            ClientStep::Authenticate(_) => session.authenticate("PLAIN", Some(b"x")),
            ClientStep::Respond(challenge) => session.respond(&challenge),
            ClientStep::SendBody => session.body_sent(),
            ClientStep::Finished(result) => assert_eq!(result.outcomes.len(), 3),
            ClientStep::Close(_) => return true,
        }
    }
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        &b"220 mx\r\n"[..],
        b"250 ok\r\n",
        b"250-PIPELINING\r\n",
        b"250 SIZE 12 x\r\n",
        b"250-CHUNKING\r\n",
        b"250-STARTTLS\r\n",
        b"250 AUTH PLAIN LOGIN\r\n",
        b"235 ok\r\n",
        b"334 eA==\r\n",
        b"334 !\r\n",
        b"354 go\r\n",
        b"421 no\r\n",
        b"450 no\r\n",
        b"550 5.1.1 no\r\n",
        b"552 no\r\n",
        b"250",
        b"-",
        b" ",
        b"\r",
        b"\n",
        b"2",
        b"\xff",
    ])
    .prop_map(<[u8]>::to_vec);
    prop_oneof![30 => known, 1 => prop::collection::vec(any::<u8>(), 0..80)]
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(3),
        ..ProptestConfig::with_cases(2048)
    })]

    #[test]
    fn noise_is_read_or_the_session_closes(
        lmtp in any::<bool>(),
        authenticate in any::<bool>(),
        encryption in prop::sample::select(vec![
            Encryption::Never, Encryption::Offered, Encryption::Required,
        ]),
        begun in any::<bool>(),
        pieces in prop::collection::vec(noise(), 0..40),
    ) {
        let options =
            ClientOptions { lmtp, authenticate, encryption, ..ClientOptions::default() };
        let mut session = ClientSession::new(Rc::new(options));
        let mut closed = drive(&mut session);
        if begun {
            session.receive(b"220 mx\r\n");
            closed = drive(&mut session);
            session.receive(b"250-mx\r\n250-CHUNKING\r\n250 PIPELINING\r\n");
            closed |= drive(&mut session);
        }
        for piece in pieces {
            if closed {
                break;
            }
            session.receive(&piece);
            closed = drive(&mut session);
        }
        session.lost(Hangup::Reset);
        prop_assert!(drive(&mut session), "a lost session closes");
    }
}

#[test]
fn a_reply_without_end_closes_the_session() {
    let mut session = ClientSession::new(Rc::new(ClientOptions::default()));
    let mut bytes = 0;
    while !drive(&mut session) {
        session.receive(&[b'2'; 1000]);
        bytes += 1000;
    }
    assert!(bytes <= KEPT_BYTES_MAX + 1000, "{bytes}");
}
