//! One message in, one message out: no byte sequence ends a message but CRLF.CRLF.

use mail::{MessageId, Verdict};
use smtp::{ServerOptions, ServerPeer, ServerSession, Step};
use std::rc::Rc;

/// Everything that some server somewhere has taken for an end of data.
const FALSE_ENDS: [&str; 8] =
    ["\n.\n", "\r.\r", "\n.\r\n", "\r\n.\n", "\r\n.\r", "\r.\r\n", "\r\n.\r\r\n", "\r\n\0.\r\n"];

/// What the server made of a body: how many messages it took, and what it said last.
fn played(body: &str, pieces: usize) -> (usize, String) {
    let peer = ServerPeer::new("192.0.2.7:4000".parse().ok(), "mx".into());
    let mut session = ServerSession::new(Rc::new(ServerOptions::default()), peer);
    let envelope = "MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n".as_bytes();
    let mut pieces =
        ["EHLO c\r\n".as_bytes(), envelope].into_iter().chain(body.as_bytes().chunks(pieces));
    let (mut commits, mut said) = (0, Vec::new());
    loop {
        match session.step() {
            Step::Transmit => {
                said = session.take_output();
                session.sent(Vec::new());
            }
            Step::Receive { .. } => match pieces.next() {
                Some(piece) => session.receive(piece),
                None => break,
            },
            Step::Decide(_) => session.answer(Verdict::Accept { rule: "all".into() }),
            Step::Body(_) | Step::Discard => {}
            Step::Commit(_) => {
                commits += 1;
                session.committed(Ok(MessageId::new(0, 1, commits as u64)));
            }
            Step::Close => break,
            Step::Secure | Step::Authenticate(_) | Step::Introduce(_) => panic!("not offered"),
        }
    }
    (commits, String::from_utf8(said).expect("ASCII"))
}

#[test]
fn no_false_end_ends_a_message() {
    for end in FALSE_ENDS {
        let smuggled = "MAIL FROM:<x@y>\r\nRCPT TO:<z@y>\r\nDATA\r\n";
        let body = format!("first{end}{smuggled}second\r\n.\r\nNOOP\r\n");
        for pieces in [1, 2, 3, 5, 1000] {
            let (commits, said) = played(&body, pieces);
            assert_eq!(commits, 0, "{end:?} in pieces of {pieces}");
            assert!(said.starts_with("550 5.5.2 "), "{end:?}: {said}");
            assert!(said.ends_with("NUL\r\n"), "nothing is said behind it: {said}");
        }
    }
}

#[test]
fn the_true_end_ends_one() {
    let (commits, said) = played("first\r\n.\r\nNOOP\r\n", 1000);
    assert_eq!(commits, 1);
    assert!(said.contains("250 2.0.0 Ok: queued as "), "{said}");
}
