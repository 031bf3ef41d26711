//! Ten megabytes of each bad shape: what a session keeps stays small, and time stays in proportion.
//!
//! Time is counted as steps of the session and bytes that it gives to the draft, which no busy
//! machine can disturb; memory is the room of its buffers at each step. A build without
//! optimisations feeds one megabyte: `cargo test --release -p smtp` feeds all ten.

use mail::{MessageId, Verdict};
use smtp::{
    AuthReply, Exchange, Extension, ExtensionSet, ListenerKind, ServerOptions, ServerPeer,
    ServerSession, Step,
};
use std::rc::Rc;

const BYTES: usize = if cfg!(debug_assertions) { 1 << 20 } else { 10 << 20 };

/// What the wire gives at a time.
const READ_BYTES: usize = 16 << 10;

/// Replies are sent before there are this many bytes of them, and the last one.
const OUTPUT_BYTES_MAX: usize = (16 << 10) + 1024;

/// What a session may hold: a read and what was left of the one before, replies, each read's bytes
/// rewritten (twice as many at most), with the slack of vectors that grow by doubling.
const BUFFER_BYTES_MAX: usize = 2 * (2 * READ_BYTES + OUTPUT_BYTES_MAX + 2 * READ_BYTES);

const ENVELOPE: &str = "EHLO c\r\nMAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n";

/// What a session made of its input.
#[derive(Debug, Default)]
struct Toll {
    steps: usize,
    body_bytes: usize,
    output_bytes: usize,
    largest_output: usize,
    largest_buffers: usize,
    closed: bool,
}

fn session(trusted: bool, kind: ListenerKind) -> ServerSession {
    let options = ServerOptions {
        offers: ExtensionSet::of(&Extension::ALL),
        mechanisms: vec!["PLAIN".into()],
        auth_in_clear: true,
        ..ServerOptions::default()
    };
    let client = "192.0.2.7:4000".parse().ok();
    let peer = ServerPeer { trusted, kind, xclient: true, ..ServerPeer::new(client, "mx".into()) };
    ServerSession::new(Rc::new(options), peer)
}

/// Feeds `opening` in one piece, then `shape` over and over up to [`BYTES`].
fn feed(mut session: ServerSession, opening: &str, shape: &[u8]) -> Toll {
    let flood = shape.repeat(READ_BYTES.div_ceil(shape.len()));
    let (mut toll, mut fed) = (Toll::default(), 0);
    let mut opening = Some(opening.as_bytes());
    loop {
        toll.steps += 1;
        toll.largest_buffers = toll.largest_buffers.max(session.buffer_bytes());
        match session.step() {
            Step::Transmit => {
                let output = session.take_output();
                toll.output_bytes += output.len();
                toll.largest_output = toll.largest_output.max(output.len());
                session.sent(output);
            }
            Step::Receive { .. } if fed >= BYTES => return toll,
            Step::Receive { .. } => {
                let bytes = opening.take().unwrap_or(&flood);
                fed += bytes.len();
                session.receive(bytes);
            }
            Step::Decide(_) => session.answer(Verdict::Accept { rule: "all".into() }),
            Step::Body(bytes) => toll.body_bytes += bytes.len(),
            Step::Discard | Step::Authenticate(Exchange::Cancel) => {}
            Step::Authenticate(_) => session.authenticated(AuthReply::Challenge(Vec::new())),
            Step::Introduce(_) => session.introduced(true),
            Step::Commit(_) => session.committed(Ok(MessageId::new(0, 1, 1))),
            Step::Secure => panic!("not offered"),
            Step::Close => {
                toll.closed = true;
                return toll;
            }
        }
    }
}

/// A bound that holds for each shape: a step for each few bytes of input, and no more.
fn check(name: &str, toll: &Toll) {
    assert!(toll.largest_buffers <= BUFFER_BYTES_MAX, "{name}: {toll:?}");
    assert!(toll.steps < BYTES / 2, "{name}: {toll:?}");
    assert!(toll.largest_output <= OUTPUT_BYTES_MAX, "{name}: {toll:?}");
    assert!(toll.body_bytes <= 2 * (BYTES + READ_BYTES), "{name}: {toll:?}");
    assert!(toll.closed || toll.output_bytes > 0, "{name}: nothing was done: {toll:?}");
}

#[test]
fn no_shape_of_command_costs_more_than_its_bytes() {
    let long_path = format!("RCPT TO:<{}@d>\r\n", "x".repeat(2000));
    let parameters = format!("MAIL FROM:<a@b>{}\r\n", " SIZE=1".repeat(250));
    let letters = format!("RCPT TO:<a@{}>\r\n", "ü".repeat(120));
    let shapes: [(&str, &[u8]); 16] = [
        ("NOOP", b"NOOP\r\n"),
        ("empty lines", b"\r\n"),
        ("bare newlines", b"\n"),
        ("carriage returns", b"\r"),
        ("NUL", b"\0"),
        ("letters without an end", b"x"),
        ("quotes", b"RCPT TO:<\"\\\"\r\n"),
        ("routes", b"RCPT TO:<@a,@a,@a,@a,@a,@a,@a,@a:b@c>\r\n"),
        ("long paths", long_path.as_bytes()),
        ("parameters", parameters.as_bytes()),
        ("names of other letters", letters.as_bytes()),
        ("empty chunks", b"BDAT 0\r\n"),
        ("small chunks", b"BDAT 1\r\nx"),
        ("chunks for nobody", b"RSET\r\nBDAT 7\r\nBDAT 7\r"),
        ("recipients", b"RCPT TO:<c@d> NOTIFY=NEVER\r\n"),
        ("introductions", b"XCLIENT ADDR=192.0.2.1 HELO=c\r\n"),
    ];
    for (name, shape) in shapes {
        for trusted in [false, true] {
            check(name, &feed(session(trusted, ListenerKind::Relay), ENVELOPE, shape));
        }
    }
}

#[test]
fn no_shape_of_body_costs_more_than_its_bytes() {
    let field = format!("X-{}: y\r\n", "long".repeat(20));
    let shapes: [(&str, &[u8]); 12] = [
        ("dots", b"..\r\n"),
        ("bare dots", b"\n."),
        ("dot lines without CR", b".\n"),
        ("dot lines without LF", b".\r"),
        ("carriage returns", b"\r"),
        ("newlines", b"\n"),
        ("line ends", b"\r\n"),
        ("half ends", b"\r\n.\r"),
        ("NUL", b"\0"),
        ("one line", b"x"),
        ("a header without end", field.as_bytes()),
        ("broken letters in From", b"From: \xc3\xff\xe2\r\n \xf0"),
    ];
    for (name, shape) in shapes {
        for trusted in [false, true] {
            let by_data = format!("{ENVELOPE}DATA\r\n");
            check(name, &feed(session(trusted, ListenerKind::Relay), &by_data, shape));
            let by_chunk = format!("{ENVELOPE}BDAT {BYTES}\r\n");
            check(name, &feed(session(trusted, ListenerKind::Relay), &by_chunk, shape));
        }
    }
}

#[test]
fn no_shape_of_exchange_costs_more_than_its_bytes() {
    let opening = "EHLO c\r\n";
    let begun = "EHLO c\r\nAUTH PLAIN\r\n";
    let long = format!("AUTH PLAIN {}\r\n", "QUFB".repeat(3000));
    let shapes: [(&str, &str, &[u8]); 5] = [
        ("beginnings", opening, b"AUTH PLAIN\r\n*\r\n"),
        ("long beginnings", opening, long.as_bytes()),
        ("responses", begun, b"QUFB\r\n"),
        ("a response without end", begun, b"QUFB"),
        ("responses that are none", begun, b"?\r\n"),
    ];
    for (name, opening, shape) in shapes {
        for trusted in [false, true] {
            check(name, &feed(session(trusted, ListenerKind::Submission), opening, shape));
        }
    }
}

#[test]
fn twice_the_bytes_take_twice_the_steps() {
    let steps = |times: usize| {
        let body = b".\na\r\n..b\n".repeat(times);
        let mut pieces = body.chunks(READ_BYTES);
        let mut session = session(true, ListenerKind::Relay);
        let (mut steps, mut opened) = (0, false);
        loop {
            steps += 1;
            match session.step() {
                Step::Transmit => session.take_output().clear(),
                Step::Receive { .. } if !opened => {
                    opened = true;
                    session.receive(format!("{ENVELOPE}DATA\r\n").as_bytes());
                }
                Step::Receive { .. } => match pieces.next() {
                    Some(piece) => session.receive(piece),
                    None => return steps,
                },
                Step::Decide(_) => session.answer(Verdict::Accept { rule: "all".into() }),
                Step::Body(_) => {}
                step => panic!("not expected here: {step:?}"),
            }
        }
    };
    let (once, twice) = (steps(20_000), steps(40_000));
    assert!(twice <= 2 * once, "{once} steps, then {twice}");
}
