//! One message in, one message out: whatever bytes a body has, and by whichever command it comes,
//! what the draft gets can be cut in two by nobody.

use mail::{MessageId, Verdict};
use proptest::prelude::*;
use proptest::test_runner::RngSeed;
use smtp::{BareNewline, ServerOptions, ServerPeer, ServerSession, Step};
use std::rc::Rc;

/// Plays `input` in pieces of these sizes, over and over. The drafts that were committed.
fn played(input: &[&[u8]], sizes: &[usize], bare_newline: BareNewline) -> Vec<Vec<u8>> {
    let options = ServerOptions { bare_newline, ..ServerOptions::default() };
    let peer = ServerPeer::new("192.0.2.7:4000".parse().ok(), "mx".into());
    let mut session = ServerSession::new(Rc::new(options), peer);
    let mut sizes = sizes.iter().copied().cycle();
    let mut groups = input.iter();
    let mut group: &[u8] = b"";
    let (mut draft, mut drafts) = (Vec::new(), Vec::new());
    loop {
        match session.step() {
            Step::Transmit => session.take_output().clear(),
            Step::Receive { .. } => {
                if group.is_empty() {
                    let Some(next) = groups.next() else { return drafts };
                    group = next;
                }
                let size = sizes.next().expect("endless").min(group.len());
                session.receive(&group[..size]);
                group = &group[size..];
            }
            Step::Decide(_) => session.answer(Verdict::Accept { rule: "all".into() }),
            Step::Body(bytes) => draft.extend_from_slice(bytes),
            Step::Discard => draft.clear(),
            Step::Commit(accepted) => {
                assert_eq!(accepted.bytes, draft.len() as u64);
                assert_eq!(accepted.stuffed_lines, dotted_lines(&draft));
                drafts.push(std::mem::take(&mut draft));
                session.committed(Ok(MessageId::new(0, 1, 1)));
            }
            Step::Close => return drafts,
            Step::Secure | Step::Authenticate(_) | Step::Introduce(_) => panic!("not offered"),
        }
    }
}

const OPENING: [&[u8]; 2] = [b"EHLO c\r\n", b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\n"];

fn by_data(body: &[u8], sizes: &[usize], bare_newline: BareNewline) -> Vec<Vec<u8>> {
    let input = [OPENING[0], OPENING[1], b"DATA\r\n", body, b"\r\n.\r\n"];
    played(&input, sizes, bare_newline)
}

/// In chunks of these sizes, over and over.
fn by_chunks(body: &[u8], chunks: &[usize], sizes: &[usize], how: BareNewline) -> Vec<Vec<u8>> {
    let mut chunks = chunks.iter().copied().cycle();
    let (mut commands, mut rest) = (Vec::new(), body);
    while !rest.is_empty() {
        let (chunk, tail) = rest.split_at(chunks.next().expect("endless").min(rest.len()));
        commands.extend_from_slice(format!("BDAT {}\r\n", chunk.len()).as_bytes());
        commands.extend_from_slice(chunk);
        rest = tail;
    }
    commands.extend_from_slice(b"BDAT 0 LAST\r\n");
    played(&[OPENING[0], OPENING[1], &commands], sizes, how)
}

fn dotted_lines(wire: &[u8]) -> u64 {
    lines(wire).filter(|line| line.starts_with(b".")).count() as u64
}

/// Lines by CRLF alone.
fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let (line, tail) = rest.split_at(end);
        rest = &tail[2..];
        Some(line)
    })
}

/// What the most permissive of servers takes for one message in what we send on: it believes every
/// mixture of CR, LF and NUL around a dot to be an end.
fn permissive_messages(wire: &[u8]) -> usize {
    let sent = [b"\r\n", wire, b".\r\n"].concat();
    let newline = |byte: &u8| matches!(byte, b'\r' | b'\n' | 0);
    let lone_dot = |at: &usize| {
        let at = *at;
        sent[at] == b'.' && newline(&sent[at - 1]) && sent.get(at + 1).is_some_and(newline)
    };
    (1..sent.len()).filter(lone_dot).count()
}

/// Bytes of which many are those that matter.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        6 => prop::sample::select(vec![&b"\r\n"[..], b"\n", b"\r", b".", b"..", b"\r\n."]),
        3 => prop::sample::select(vec![&b"a"[..], b"Subject: x", b"\r\n.\r\n", b"QUIT\r\n", b" "]),
        1 => prop::sample::select(vec![&b"\0"[..], b"\xff", b"\r.\r", b"\n.\r\n", b"\r\n.\n"]),
    ];
    prop::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat())
}

/// Content in its proper form: lines with CRLF, dots and all, the last perhaps without its end.
fn contents() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![Just(String::new()), "[.]{1,3}", "[.a ]{0,5}", "[ -~ä]{0,40}"];
    (prop::collection::vec(line, 0..12), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = lines.join("\r\n");
        if ended && !text.is_empty() {
            text.push_str("\r\n");
        }
        text.into_bytes()
    })
}

fn sizes() -> impl Strategy<Value = Vec<usize>> {
    prop::collection::vec(prop_oneof![1usize..4, 1usize..200], 1..6)
}

/// What DATA needs of content.
fn stuffed(content: &[u8]) -> Vec<u8> {
    let ended = [content, b"\r\n"].concat();
    let whole = if content.is_empty() || content.ends_with(b"\r\n") { content } else { &ended };
    lines(whole)
        .flat_map(|line| {
            let dot: &[u8] = if line.starts_with(b".") { b"." } else { b"" };
            [dot, line, b"\r\n"].concat()
        })
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(5),
        ..ProptestConfig::with_cases(512)
    })]

    #[test]
    fn what_is_taken_as_one_message_is_one_to_the_most_permissive(
        body in bodies(),
        chunks in sizes(),
        sizes in sizes(),
        normalise in any::<bool>(),
    ) {
        let how = if normalise { BareNewline::Normalise } else { BareNewline::Refuse };
        let mut drafts = by_data(&body, &sizes, how);
        drafts.extend(by_chunks(&body, &chunks, &sizes, how));
        for draft in drafts {
            prop_assert_eq!(permissive_messages(&draft), 1, "{}", draft.escape_ascii());
            prop_assert!(draft.is_empty() || draft.ends_with(b"\r\n"));
        }
    }

    #[test]
    fn a_body_becomes_the_same_however_it_is_cut(
        body in bodies(),
        chunks in sizes(),
        sizes in sizes(),
        normalise in any::<bool>(),
    ) {
        let how = if normalise { BareNewline::Normalise } else { BareNewline::Refuse };
        let whole = [1 << 20];
        prop_assert_eq!(by_data(&body, &sizes, how), by_data(&body, &whole, how));
        let cut = by_chunks(&body, &chunks, &sizes, how);
        prop_assert_eq!(cut, by_chunks(&body, &whole, &whole, how));
    }

    #[test]
    fn content_becomes_the_same_by_chunks_as_by_data(
        content in contents(),
        chunks in sizes(),
        sizes in sizes(),
    ) {
        let wire = stuffed(&content);
        let input = [OPENING[0], OPENING[1], b"DATA\r\n", &wire, b".\r\n"];
        let data = played(&input, &sizes, BareNewline::Refuse);
        prop_assert_eq!(&data, &vec![wire]);
        prop_assert_eq!(by_chunks(&content, &chunks, &sizes, BareNewline::Refuse), data);
    }
}

#[test]
fn two_carriage_returns_at_the_end_of_a_chunk_are_no_half_line_end() {
    let mended = by_chunks(b"a\r\n\r\r", &[5], &[5], BareNewline::Normalise);
    assert_eq!(mended, [b"a\r\n  \r\n"]);
    assert!(by_chunks(b"a\r\n\r\r", &[5], &[5], BareNewline::Refuse).is_empty());
}
